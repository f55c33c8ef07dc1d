"""What is said to be next: it can be typed, it does what was meant, and it destroys nothing."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from support.commands import Captured, fail_and_advise, succeed
from teaching import stage
from teaching.stage import NAME, SHARD

import tfckpt
from tfckpt import errors
from tfckpt.base.issues import Issue
from tfckpt.cli.advice import print_next
from tfckpt.cli.main import main
from tfckpt.cli.ui.output import folded

SOURCE = f"bert/{NAME}"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a BERT in it and its conversion."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    stage.bert(tmp_path / "here")
    stage.converted("tf2/model")(tmp_path / "here")
    return tmp_path / "here"


def advice(capsys: Captured, line: str) -> str | None:
    return fail_and_advise(capsys, *shlex.split(line))[1]


# --- source and destination in the wrong order


@pytest.mark.parametrize("command", ["convert", "rewrite", "salvage"])
def test_a_source_that_is_nothing_and_a_destination_that_is_a_checkpoint_change_places(
    here: Path, capsys: Captured, command: str
) -> None:
    assert advice(capsys, f"{command} new/model {SOURCE}") == f"tfckpt {command} {SOURCE} new/model"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"prove new/model {SOURCE}", "ls -l ."),
        (f"report new/model {SOURCE} -o page.html", "ls -l ."),
        ("convert encoder tf2/model --to encoder", "ls -l ."),
        ("convert new/model new/other", "ls -l ."),
        (f"convert new/model {SOURCE} --format v1", "ls -l ."),
    ],
)
def test_nothing_changes_places_that_would_not_work(here: Path, capsys: Captured, line: str, expected: str) -> None:
    assert advice(capsys, line) == expected


def test_data_without_their_index_never_become_a_destination(here: Path, capsys: Captured) -> None:
    for name in ("one", "two"):
        stage.copy("bert_tf115", here / name)
        os.rename(here / name / f"{NAME}.index", here / name / "other.index")
    assert advice(capsys, f"convert one/{NAME} tf2/model --overwrite") == f"mv -n one/other.index one/{NAME}.index"
    os.unlink(here / "two" / "other.index")
    assert advice(capsys, f"convert two/{NAME} tf2/model --overwrite") == "ls -l two"
    stage.file("w.safetensors", stage.tensors_file())(here)
    assert advice(capsys, "convert w.safetensors tf2/model --overwrite") == "tfckpt import w.safetensors w.ckpt"


# --- names that are nearly right


def test_the_nearest_name_is_meant_before_a_directory_and_a_directory_before_any_other(
    here: Path, capsys: Captured
) -> None:
    for folder in ("run_2024", "run_2024_of_a_longer_name"):
        stage.copy("bert_tf115", here / folder)
    tfckpt.save("run_2025", {"w": 1})
    tfckpt.save("else", {"w": 1})
    assert advice(capsys, "ls run_2026") == "tfckpt ls run_2025"
    assert advice(capsys, "ls run_20") == "tfckpt ls run_2025"
    for ending in (".index", SHARD):
        os.unlink(f"run_2025{ending}")
    assert advice(capsys, "ls run_20") == f"tfckpt ls run_2024/{NAME}"
    assert advice(capsys, "ls zzz") == "tfckpt ls else"  # the only one
    tfckpt.save("other", {"w": 1})
    assert advice(capsys, "ls zzz") == "ls -l ."


def test_of_a_directory_that_is_nearly_right_the_same_checkpoint_is_meant(here: Path, capsys: Captured) -> None:
    stage.several(here)
    assert advice(capsys, "ls runs/model.ckpt-900") == "tfckpt ls run/model.ckpt-900"
    assert advice(capsys, "ls runs/model.ckpt-9") == "tfckpt ls run/model.ckpt-1000"


def test_a_guess_that_is_refused_is_none(here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    from tfckpt.storage import files

    list_directory = files.list_directory

    def refused(path: str) -> list[str]:
        if os.path.basename(path) == "secret":
            raise errors.StorageError(Issue("refused", path, "list", "Permission denied"))
        return list_directory(path)

    (here / "secret").mkdir()
    monkeypatch.setattr(files, "list_directory", refused)
    lines, said = fail_and_advise(capsys, "ls", "secre")
    assert lines == ["secre: no checkpoint: no file secre.index; . holds no checkpoint"]
    assert said == "ls -l ."


@pytest.mark.parametrize(("option", "there"), [("v1", "V2: bert_model.ckpt"), ("v2", "V1: saver")])
def test_a_directory_with_the_other_format_says_so(here: Path, capsys: Captured, option: str, there: str) -> None:
    (here / "old").mkdir()
    shutil.copy(Path(stage.DATA) / "v1" / "saver", here / "old" / "saver")
    folder = "bert" if option == "v1" else "old"
    lines, said = fail_and_advise(capsys, "ls", folder, "--format", option)
    assert lines == [f"{folder}: no {option.upper()} checkpoint in this directory; it has {there}"]
    assert said == f"tfckpt ls {folder}"


# --- what is refused


def refuse(monkeypatch: pytest.MonkeyPatch, path: str, action: str) -> None:
    """Let every conversion end as if the system had refused something."""
    error = errors.StorageError(Issue("refused", path, action, "Permission denied"))
    error.errno = 13

    def convert(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(tfckpt, "convert", convert)


def test_what_is_refused_is_written_where_nothing_is(
    here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("home", "temporary", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    dest = str(tmp_path / "there" / "model")
    refuse(monkeypatch, f"{dest}.tfckpt-lock", "lock")
    argv = ["convert", SOURCE, dest]
    assert advice(capsys, shlex.join(argv)) == f"tfckpt convert {SOURCE} model"
    tfckpt.save(here / "model", {"mine": 1})
    assert advice(capsys, shlex.join(argv)) == f"tfckpt convert {SOURCE} {tmp_path}/home/model"
    (tmp_path / "home" / "model").touch()
    assert advice(capsys, shlex.join(argv)) == f"tfckpt convert {SOURCE} {tmp_path}/temporary/model"
    (tmp_path / "temporary" / "model.index").touch()
    assert advice(capsys, shlex.join(argv)) == f"ls -ld {tmp_path}/there"


@pytest.mark.parametrize(
    ("line", "path", "action", "expected"),
    [
        (f"convert {SOURCE} b", f"{SOURCE}.index", "open", f"ls -ld {SOURCE}.index"),
        (f"convert {SOURCE} bert", "bert/bert_config.json", "open", "ls -ld bert/bert_config.json"),
        ("convert secret/x out", "secret", "list", "ls -ld ."),
        (f"convert {SOURCE} model", "model.tfckpt-lock", "lock", None),
    ],
    ids=["a name that begins alike", "a folder of that name", "a folder", "here"],
)
def test_what_is_refused_is_shown_where_nothing_else_would_help(
    here: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    path: str,
    action: str,
    expected: str | None,
) -> None:
    refuse(monkeypatch, path, action)
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    assert advice(capsys, line) == (expected or "ls -ld .")


# --- stdin


def test_advice_on_an_error_from_stdin_speaks_of_what_was_typed(
    here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = (here / "bert" / "bert_config.json").read_bytes()

    def say(line: str) -> str | None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(config)))
        return advice(capsys, line)

    assert say(f"plan {SOURCE} --to classifier --config -") == f"tfckpt plan {SOURCE} --config - --to auto"
    assert say("plan bert/bert.ckpt --config -") == f"tfckpt plan {SOURCE} --config -"
    assert say(f"plan {SOURCE} --layout -") is None  # a file that is gone is nothing to look at


def test_a_closed_stdin_is_said(here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    lines, _ = fail_and_advise(capsys, "plan", SOURCE, "--config", "-")
    assert lines == ["-: stdin is closed"]


# --- the command line


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("convert a b --num_heads 2", "--num_heads 2; did you mean --num-heads?"),
        ("convert a b --bert_config_file=c.json", "--bert_config_file=c.json; did you mean --config?"),
        ("convert a b --force", "--force; did you mean --overwrite?"),
        ("convert a b --overwite", "--overwite; did you mean --overwrite?"),
        ("convert a b --dry-run", "--dry-run; tfckpt plan shows what convert would do"),
        ("diff a b --to encoder", "--to encoder; did you mean --map?"),
        ("ls a --to encoder", "--to encoder"),
        ("ls a --tot dtype", "--tot dtype; did you mean --total?"),
        ("plan a b", "b"),
        ("-q ls a", "-q; options stand behind the command"),
    ],
)
def test_an_option_that_is_none_is_told_by_its_command(capsys: Captured, line: str, hint: str) -> None:
    command = "tfckpt" if line.startswith("-") else f"tfckpt {line.split(maxsplit=1)[0]}"
    with pytest.raises(SystemExit, match=r"^2$"):
        main(shlex.split(line))
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"usage: {command} ")
    assert said[-1] == f"{command}: error: unrecognized arguments: {hint}"


@pytest.mark.parametrize(
    ("started", "found", "expected"),
    [
        ("/venv/bin/tfckpt", None, "/venv/bin/python -m tfckpt ls x"),
        ("/venv/lib/tfckpt/__main__.py", None, "/venv/bin/python -m tfckpt ls x"),
        ("/venv/bin/tfckpt", "/venv/bin/tfckpt", "tfckpt ls x"),
        ("tfckpt", None, "tfckpt ls x"),
        ("/usr/bin/pytest", None, "tfckpt ls x"),
        ("/venv/lib/pytest/__main__.py", None, "tfckpt ls x"),
    ],
)
def test_a_command_that_the_shell_does_not_find_is_written_so_that_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, started: str, found: str | None, expected: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")
    monkeypatch.setattr(shutil, "which", lambda name: found)
    print_next("ls", "tfckpt ls x")
    print_next("ls", "python3 -m pip install x")
    python = "python3" if expected.startswith("tfckpt") else "/venv/bin/python"
    assert capsys.readouterr().err == f"tfckpt ls: next: {expected}\ntfckpt ls: next: {python} -m pip install x\n"


@pytest.mark.parametrize(
    ("count", "last"),
    [
        (0, []),
        (19, []),
        (20, []),
        (21, ["and 1 more difference; --json has them all"]),
        (22, ["and 2 more differences; --json has them all"]),
        (1020, ["and 1,000 more differences; --json has them all"]),
    ],
)
def test_what_is_left_out_is_counted_where_something_is(count: int, last: list[str]) -> None:
    lines = [str(number) for number in range(count)]
    assert list(folded(lines)) == lines[:20] + last


def test_many_differences_are_folded_and_json_has_them_all(here: Path, capsys: Captured) -> None:
    with tfckpt.open(SOURCE) as checkpoint:
        tfckpt.save("other/model", {name: np.array(value) + 1 for name, value in checkpoint.items()})
    shutil.copy("bert/bert_config.json", "other/bert_config.json")
    lines, _ = fail_and_advise(capsys, "prove", "other/model", "tf2/model")
    assert lines == ["tf2/model: all 39 tensors differ: it holds another model's values"]
    with pytest.raises(errors.ProofError) as caught:
        tfckpt.prove("other/model", "tf2/model")
    assert len(caught.value.reasons) == 39


# --- one cause, one next step


def test_a_damaged_destination_is_to_be_verified(here: Path, capsys: Captured) -> None:
    stage.flipped(f"tf2/model{SHARD}", 100)(here)
    assert advice(capsys, f"prove {SOURCE} tf2/model") == "tfckpt verify tf2/model"


def test_a_model_that_is_not_there_is_to_be_looked_for(here: Path, capsys: Captured) -> None:
    assert main(["diff", SOURCE, "tf2/model", "--map", "pretrainer"]) == 2
    assert capsys.readouterr().err.endswith("tfckpt diff: next: tfckpt ls tf2/model\n")


def test_a_mode_that_is_impossible_has_another(here: Path, capsys: Captured) -> None:
    tfckpt.rewrite(SOURCE, "bert/big", big_endian=True)
    line = "convert bert/big out/model --mode link"
    assert advice(capsys, line) == "tfckpt convert bert/big out/model --mode auto"
    said = succeed(capsys, *shlex.split(line.replace("link", "auto")))
    assert "note: bert/big: cannot be shared by mode 'link': its values are big-endian" in said


def test_a_destination_that_is_no_directory_gets_another(here: Path, capsys: Captured) -> None:
    (here / "arrays").touch()
    assert advice(capsys, f"export {SOURCE} arrays/") == f"tfckpt export {SOURCE} arrays.arrays/"
    assert advice(capsys, f"export {SOURCE} somewhere") == f"tfckpt export {SOURCE} somewhere/"


def test_an_import_of_a_checkpoint_is_told(here: Path, capsys: Captured) -> None:
    assert advice(capsys, "import bert out/model") == "tfckpt ls bert"


def test_a_salvage_onto_itself_is_told(here: Path, capsys: Captured) -> None:
    assert advice(capsys, f"salvage {SOURCE} {SOURCE}") == f"tfckpt salvage {SOURCE} {SOURCE}.new"


def test_one_checkpoint_by_two_names_is_given_twice(here: Path, capsys: Captured) -> None:
    lines, said = fail_and_advise(capsys, "merge", SOURCE, f"./{SOURCE}", "out/model")
    assert (lines, said) == ([f"./{SOURCE}: given twice"], None)


def test_patterns_that_match_nothing_are_said(here: Path, capsys: Captured) -> None:
    said = succeed(capsys, *shlex.split(f"rewrite {SOURCE} out/a --keep 'bert/*' --keep head --rename nothing=x"))
    assert "note: pattern 'head', which is to be kept: no tensor" in said
    assert "note: 'nothing', which is to be renamed: no tensor" in said
    assert "note: --exclude 'nothing': no variable" in succeed(capsys, "plan", SOURCE, "--exclude", "nothing")
    assert "note: --exclude 'nothing': no variable" not in succeed(capsys, "plan", SOURCE, "--exclude", "adam")
    lines, _ = fail_and_advise(capsys, "rewrite", SOURCE, "out/b", "--keep", "bert")
    assert lines == [f"{SOURCE}: no tensor is left of 139; a glob matches whole names, such as 'bert/*'"]
    assert not list(here.glob("out/b*"))


def test_an_import_that_tensorflow_cannot_restore_says_so(here: Path, capsys: Captured) -> None:
    tfckpt.export(SOURCE, "objects.npz", to="encoder")
    tfckpt.export("tf2/model", "names.npz", to="tf1", config="bert/bert_config.json")
    note = "note: keys of objects, and no object graph, without which TensorFlow restores none of them"
    assert any(line.startswith(note) for line in succeed(capsys, "import", "objects.npz", "out/objects"))
    assert not any(line.startswith(note) for line in succeed(capsys, "import", "names.npz", "out/names"))


def test_a_configuration_that_was_cut_short_is_not_said_to_be_one(here: Path, capsys: Captured) -> None:
    (here / "bert" / "bert_config.json").write_text('{"hidden_size": 8')
    (line,), _ = fail_and_advise(capsys, "plan", SOURCE)
    assert line.startswith("bert/bert_config.json: not JSON: ")
    assert "; it is " not in line


def test_every_target_of_a_family_is_listed(here: Path, capsys: Captured) -> None:
    (line,), _ = fail_and_advise(capsys, "plan", SOURCE, "--to", "generator")
    assert {"encoder", "keras", "keras-v2", "tf1"} <= set(line.partition("there are ")[2].split(", "))


# --- more than one thing


@pytest.mark.parametrize("command", ["average {} bert/nosuch out/model", "diff {} bert/nosuch", "prove {} bert/nosuch"])
def test_a_name_that_is_none_is_not_taken_for_the_other_one(here: Path, capsys: Captured, command: str) -> None:
    line = command.format(SOURCE)
    code = 2 if command.startswith("diff") else 1
    assert fail_and_advise(capsys, *shlex.split(line), code=code)[1] is None


def test_of_several_sizes_that_a_configuration_states_wrongly_each_is_said(here: Path, capsys: Captured) -> None:
    path = here / "bert" / "bert_config.json"
    config = path.read_text().replace('"vocab_size": 30', '"vocab_size": 31')
    path.write_text(config.replace('"max_position_embeddings": 16', '"max_position_embeddings": 13'))
    lines, said = fail_and_advise(capsys, "convert", SOURCE, "new/model")
    assert [field for field in ("vocab_size", "max_position") if any(field in line for line in lines)] == [
        "vocab_size",
        "max_position",
    ]
    assert said is None
