"""``tfckpt tf1-to-keras``: the command line of the 2019 script, taken as it is, and the log that it had."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from support.commands import Captured, run, succeed_json
from support.files import bundle_bytes
from support.script_log import PREFIX, logged, parts

import tfckpt
from tfckpt.cli.main import main

DATA = Path(__file__).parent / "data"
LOGS = DATA / "script_2019"
FLAGS = {  # of the runs that make_script_2019.py logged, and what convert is told for the same
    "heads": (["--num_heads=2", "--exclude_patterns=adam,layer_1"], {"to": "keras", "num_heads": 2}),
    "plain": (["-exclude_patterns", "adam,layer_1"], {"to": "keras"}),
    "v2": (
        ["--create_v2_checkpoint", "--num_heads=2", "--exclude_patterns=adam,layer_1"],
        {"to": "keras-v2", "num_heads": 2},
    ),
}


def flags(source: str, dest: Path | str, *more: str) -> list[str]:
    return ["tf1-to-keras", f"--checkpoint_from_path={source}", f"--checkpoint_to_path={dest}", *more]


@pytest.mark.parametrize("name", FLAGS)
def test_the_log_is_that_of_the_script(
    bert: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    theirs = (LOGS / f"{name}.log").read_text(encoding="utf-8").replace("DEST", f"{tmp_path}/out")
    monkeypatch.chdir(DATA)
    ours = logged(capsys, *flags("bert_tf115/model.ckpt-3", tmp_path / "out", *FLAGS[name][0]))
    assert parts("\n".join(ours)) == parts(theirs)
    assert len(ours) == len(theirs.splitlines())


def test_a_log_has_each_substitution_in_between_and_counts_all_variables(
    bert: str, tmp_path: Path, capsys: Captured
) -> None:
    lines = logged(capsys, *flags(bert, tmp_path / "out", "--num_heads=2"))
    at = lines.index(
        f"{PREFIX}Converted: bert/encoder/layer_1/output/dense/kernel --> bert_model/encoder/layer_1/output/dense/kernel"
    )
    assert lines[at + 1] == (
        f"{PREFIX}Converted: bert_model/encoder/layer_1/output/dense/kernel --> bert_model/encoder/layer_1/output/kernel"
    )
    assert f"{PREFIX}  Converted 139 variable name(s)." in lines


@pytest.mark.parametrize("name", FLAGS)
def test_the_files_are_those_of_convert(bert: str, tmp_path: Path, capsys: Captured, name: str) -> None:
    arguments, options = FLAGS[name]
    logged(capsys, *flags(bert, tmp_path / "ours", *arguments))
    tfckpt.convert(bert, tmp_path / "expected", exclude=("adam", "layer_1"), **options)  # type: ignore[arg-type]
    assert bundle_bytes(tmp_path / "ours") == bundle_bytes(tmp_path / "expected")
    assert len(bundle_bytes(tmp_path / "ours")) == 2


@pytest.mark.parametrize(
    "line",
    [
        "--checkpoint_from_path={0} --checkpoint_to_path={1} --num_heads=2 --exclude_patterns=adam",
        "--checkpoint_from_path {0} --checkpoint_to_path {1} --num_heads 2 --exclude_patterns adam",
        "-checkpoint_from_path={0} -checkpoint_to_path={1} -num_heads=2 -exclude_patterns=adam",
        "-checkpoint_from_path {0} -checkpoint_to_path {1} -num_heads 2 -exclude_patterns adam",
        "--alsologtostderr --num_heads=2 --checkpoint_to_path='{1}' --exclude_patterns='adam' --checkpoint_from_path='{0}'",
        "--create_v2_checkpoint=false --checkpoint_from_path={0} --checkpoint_to_path={1} --num_heads=2 "
        "--exclude_patterns=adam",
        "--nocreate_v2_checkpoint --checkpoint_from_path={0} --checkpoint_to_path={1} --num_heads=2 "
        "--exclude_patterns=adam",
    ],
)
def test_flags_are_written_as_absl_takes_them(bert: str, tmp_path: Path, capsys: Captured, line: str) -> None:
    logged(capsys, "tf1-to-keras", *shlex.split(line.format(bert, tmp_path / "out")))
    with tfckpt.open(tmp_path / "out") as ours:
        assert len(ours) == 47
        assert ours["bert_model/encoder/layer_0/self_attention/query/kernel"].shape == (8, 2, 4)


@pytest.mark.parametrize("heads", ["-1", "0"])
def test_without_a_head_count_shapes_stay(bert: str, tmp_path: Path, capsys: Captured, heads: str) -> None:
    logged(capsys, *flags(bert, tmp_path / "out", "--num_heads", heads))
    with tfckpt.open(tmp_path / "out") as ours:
        assert ours["bert_model/encoder/layer_0/self_attention/query/kernel"].shape == (8, 8)


def test_the_second_form_turns_the_next_sentence_weights_whatever_the_heads(bert: str, tmp_path: Path) -> None:
    key = "predictions/transform/logits/kernel"
    for heads in (None, 2):
        tfckpt.convert(bert, tmp_path / "out", to="keras-v2", num_heads=heads, overwrite=True)
        with tfckpt.open(tmp_path / "out") as ours, tfckpt.open(bert) as source:
            assert (ours[key] == source["cls/seq_relationship/output_weights"].T).all()


def test_a_run_may_be_repeated_and_is_the_latest_of_its_directory(bert: str, tmp_path: Path, capsys: Captured) -> None:
    for _ in range(2):
        logged(capsys, *flags(bert, tmp_path / "out"))
    assert tfckpt.latest_checkpoint(tmp_path) == f"{tmp_path}/out"


def test_the_command_of_the_note_runs(bert: str, tmp_path: Path, capsys: Captured) -> None:
    assert main(flags(bert, tmp_path / "out")) == 0
    note = capsys.readouterr().err.splitlines()[-1]
    program, *argv = shlex.split(note.partition("for today's: ")[2])
    assert program == "tfckpt"
    assert main(argv) == 0
    with tfckpt.open(f"{tmp_path}/out.tf2") as converted:
        assert converted.object_graph is not None


def test_quiet_is_silent_and_json_is_the_plan(bert: str, tmp_path: Path, capsys: Captured) -> None:
    assert main([*flags(bert, tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert len(succeed_json(capsys, *flags(bert, tmp_path / "out"))["steps"]) == 139


def test_the_module_takes_the_flags_too(bert: str, tmp_path: Path) -> None:
    done = run(*flags(bert, tmp_path / "out"), capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"  Converted 139 variable name(s)." in done.stderr


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--checkpoint_to_path=x"], "the following arguments are required: --checkpoint_from_path"),
        (["--create_v2_checkpoint=maybe"], "expected true or false, got 'maybe'"),
        (["--num_heads=two"], "invalid int value: 'two'"),
    ],
)
def test_wrong_flags_are_wrong_usage(capsys: Captured, argv: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["tf1-to-keras", *argv])
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_source_that_is_not_there_fails_as_everywhere(tmp_path: Path, capsys: Captured) -> None:
    assert main(flags(str(tmp_path / "none"), tmp_path / "new" / "out")) == 1
    assert "no checkpoint" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_document_is_that_of_convert(bert: str, tmp_path: Path, capsys: Captured) -> None:
    ours = succeed_json(capsys, *flags(bert, tmp_path / "out"))
    theirs = succeed_json(capsys, "convert", bert, str(tmp_path / "other"), "--to", "keras")
    assert ours == theirs | {"destination": f"{tmp_path}/out", "state_updated": True}
