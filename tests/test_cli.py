from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from support.commands import Captured, fail, on_terminal, plain, run, succeed, succeed_json
from support.files import bundle_bytes
from support.patience import PATIENCE

import tfckpt
from tfckpt.base.flags import home_path, nbytes
from tfckpt.cli.main import GROUPS, build_parser, main
from tfckpt.families.catalog import CATALOG

LINES = [  # of the report, after those of the variables
    "{source} to encoder: 39 variables, 6,688 bytes",
    "dropped: 92 (optimizer state)",
    "dropped: 5 (masked-LM head)",
    "dropped: 2 (next-sentence head)",
    "dropped: 1 (training step)",
    "vocab_size: 30 (bert_config.json)",
    "hidden_size: 8 (bert_config.json)",
    "num_hidden_layers: 2 (bert_config.json)",
    "num_attention_heads: 2 (bert_config.json)",
    "intermediate_size: 16 (bert_config.json)",
    "max_position_embeddings: 16 (bert_config.json)",
    "type_vocab_size: 2 (bert_config.json)",
    "hidden_act: gelu (bert_config.json)",
    "hidden_dropout_prob: 0.1 (bert_config.json)",
    "attention_probs_dropout_prob: 0.1 (bert_config.json)",
    "initializer_range: 0.02 (bert_config.json)",
    "written: {dest}",
    "",
    "To load it in TensorFlow 2 with Model Garden (pip install tf-models-official, and TF_USE_LEGACY_KERAS=1 in the "
    "environment):",
    "",
    "import tensorflow as tf",
    "from official.modeling import tf_utils",
    "from official.nlp.modeling import networks",
    "",
    "encoder = networks.BertEncoder(",
    "    vocab_size=30,  # vocab_size (bert_config.json)",
    "    hidden_size=8,  # hidden_size (bert_config.json)",
    "    num_layers=2,  # num_hidden_layers (bert_config.json)",
    "    num_attention_heads=2,  # num_attention_heads (bert_config.json)",
    "    inner_dim=16,  # intermediate_size (bert_config.json)",
    "    # hidden_act (bert_config.json)",
    '    inner_activation=tf_utils.get_activation("gelu"),',
    "    output_dropout=0.1,  # hidden_dropout_prob (bert_config.json)",
    "    attention_dropout=0.1,  # attention_probs_dropout_prob (bert_config.json)",
    "    max_sequence_length=16,  # max_position_embeddings (bert_config.json)",
    "    type_vocab_size=2,  # type_vocab_size (bert_config.json)",
    ")",
    "status = tf.train.Checkpoint(model=encoder).read({dest!r})",
    "status.assert_consumed().assert_existing_objects_matched()",
]


def damage(prefix: str, *names: str) -> None:
    """Change the first byte of each of these tensors."""
    with tfckpt.open(prefix) as checkpoint, open(f"{prefix}.data-00000-of-00001", "r+b") as file:
        for name in names:
            offset = checkpoint.entry(name).offset
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1]))


@pytest.fixture
def bare_bert(bert_copy: str) -> str:
    """Prefix of a BERT without a configuration beside it."""
    os.rename(Path(bert_copy).parent / "bert_config.json", Path(bert_copy).parent / "moved.json")
    return bert_copy


def test_convert_reports_every_variable(bert: str, tmp_path: Path, capsys: Captured) -> None:
    dest = str(tmp_path / "new" / "out")
    lines = succeed(capsys, "convert", bert, dest)
    assert len(lines) == 139 + len(LINES)
    assert lines[0] == (
        "bert/embeddings/LayerNorm/beta\t[8]\tencoder/layer_with_weights-3/beta/.ATTRIBUTES/VARIABLE_VALUE"
    )
    assert (
        "bert/encoder/layer_1/attention/self/query/kernel\t[8, 8] -> [8, 2, 4]\t"
        "encoder/layer_with_weights-5/_attention_layer/_query_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    ) in lines
    assert lines[138] == "global_step\tdropped\ttraining step"
    assert lines[139:] == [line.format(source=bert, dest=dest) for line in LINES]
    assert len(tfckpt.open(dest)) == 40


def test_convert_as_json(bert: str, tmp_path: Path, capsys: Captured) -> None:
    dest = str(tmp_path / "out")
    report = succeed_json(capsys, "convert", bert, dest)
    assert (report["source"], report["destination"], report["to"], report["verified"]) == (bert, dest, "encoder", True)
    assert (report["num_heads"], report["sizes"]["num_attention_heads"]["origin"]) == (2, "bert_config.json")
    assert (len(report["steps"]), len(report["dropped"])) == (39, 100)
    with tfckpt.open(dest) as checkpoint:
        for step in report["steps"]:
            assert list(checkpoint[step["target"]].shape) == step["shape"]


@pytest.mark.parametrize("to", ["encoder", "keras"])
def test_plan_says_what_convert_says_and_writes_nothing(
    bert_copy: str, tmp_path: Path, capsys: Captured, to: str
) -> None:
    before = bundle_bytes(bert_copy), sorted(tmp_path.rglob("*"))
    planned = succeed(capsys, "plan", bert_copy, "--to", to)
    planned_json = succeed_json(capsys, "plan", bert_copy, "--to", to)
    assert (bundle_bytes(bert_copy), sorted(tmp_path.rglob("*"))) == before
    dest = str(tmp_path / "out")
    converted = succeed(capsys, "convert", bert_copy, dest, "--to", to)
    said, loading = converted[: (written := converted.index(f"written: {dest}"))], converted[written + 1 :]
    built = planned.index("build the model with:") if "build the model with:" in planned else len(planned) + 1
    assert said == planned[: built - 1]  # without the blank line
    assert loading[3 : 3 + len(planned) - built - 2] == planned[built + 2 :]
    assert dest in loading[-2] + loading[-1]
    converted_json = succeed_json(capsys, "convert", bert_copy, dest, "--to", to, "--overwrite")
    assert planned_json.pop("written") is None
    done = {"destination", "verified", "state_updated", "proved", "written"}
    assert planned_json == {k: v for k, v in converted_json.items() if k not in done}


@pytest.mark.parametrize(
    ("options", "origin"),
    [([], "bert_config.json"), (["--num-heads", "4"], "as given"), (["--config", "{0}/moved.json"], "moved.json")],
    ids=["found", "option", "file"],
)
def test_the_report_on_an_encoder_always_has_the_head_count(
    bert_copy: str, tmp_path: Path, capsys: Captured, options: list[str], origin: str
) -> None:
    config = Path(bert_copy).parent / "bert_config.json"
    if options:
        config.rename(config.with_name("moved.json"))
    argv = ["convert", bert_copy, str(tmp_path / "out"), *(option.format(config.parent) for option in options)]
    heads = 4 if origin == "as given" else 2
    assert f"num_attention_heads: {heads} ({origin})" in succeed(capsys, *argv)
    report = succeed_json(capsys, *argv, "--overwrite")
    assert report["num_heads"] == heads
    assert report["sizes"]["num_attention_heads"] == {"value": heads, "origin": origin}
    with tfckpt.open(tmp_path / "out") as checkpoint:
        (kernel,) = checkpoint.entries("*-4/*/_query_dense/kernel/*")
        assert kernel.shape == (8, heads, 8 // heads)


def test_variables_may_be_excluded(bare_bert: str, tmp_path: Path, capsys: Captured) -> None:
    extra: dict[str, Any] = {f"bert/{name}": np.float32(0) for name in ("adapter/a", "adapter/b", "prompt", "mask")}
    tfckpt.save(tmp_path / "c", dict(tfckpt.open(bare_bert)) | extra)
    argv = [
        "plan",
        str(tmp_path / "c"),
        "--num-heads",
        "2",
        *(f"--exclude={text}" for text in ("adapter", "prompt", "mask")),
    ]
    lines = succeed(capsys, *argv)
    for line in ("dropped: 2 (excluded by 'adapter')", "dropped: 1 (excluded by 'prompt')"):
        assert line in lines
    assert "bert/mask\tdropped\texcluded by 'mask'" in lines
    argv[0:2] = ["convert", str(tmp_path / "c"), str(tmp_path / "out")]
    assert len(succeed_json(capsys, *argv)["steps"]) == 39


def test_an_existing_destination_needs_overwrite(bert: str, tmp_path: Path, capsys: Captured) -> None:
    dest = str(tmp_path / "out")
    tfckpt.save(dest, {"mine": 1})
    (line,) = fail(capsys, "convert", bert, dest)
    assert line == f"{dest}: already exists ({dest}.index); choose another name, or give --overwrite to replace it"
    assert list(tfckpt.open(dest)) == ["mine"]
    succeed(capsys, "convert", bert, dest, "--overwrite")
    assert len(tfckpt.open(dest)) == 40


def test_checksums_may_be_believed(bert_copy: str, tmp_path: Path, capsys: Captured) -> None:
    damage(bert_copy, "bert/pooler/dense/bias")
    dest = str(tmp_path / "out")
    (line,) = fail(capsys, "convert", bert_copy, dest)
    assert "checksum of tensor 'bert/pooler/dense/bias'" in line
    assert succeed_json(capsys, "convert", bert_copy, dest, "--no-verify")["verified"] is False
    assert len(tfckpt.open(dest)) == 40


@pytest.mark.parametrize(("options", "expected"), [([], True), (["--no-sync"], False)])
def test_waiting_for_the_disk_may_be_left_out(
    bert: str,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    expected: bool,
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    succeed(capsys, "convert", bert, str(tmp_path / "out"), *options)
    assert bool(synced) is expected


def test_ls_prints_a_line_a_tensor(bert: str, capsys: Captured) -> None:
    lines = succeed(capsys, "ls", bert)
    assert len(lines) == 139
    assert lines[0] == "bert/embeddings/LayerNorm/beta\tfloat32\t[8]\t32"
    assert lines[-1] == "global_step\tint64\t[]\t8"
    assert succeed(capsys, "ls", bert, "bert/pooler/dense/*l") == ["bert/pooler/dense/kernel\tfloat32\t[8, 8]\t256"]


def test_ls_reads_no_data(bert_copy: str, capsys: Captured) -> None:
    os.unlink(f"{bert_copy}.data-00000-of-00001")
    assert len(succeed(capsys, "ls", str(Path(bert_copy).parent))) == 139


def test_ls_as_json(bert: str, capsys: Captured) -> None:
    assert succeed_json(capsys, "ls", bert, "*/pooler/dense/bias") == [
        {"name": "bert/pooler/dense/bias", "dtype": "float32", "shape": [8], "nbytes": 32}
    ]
    assert len(succeed_json(capsys, "ls", bert)) == 139


def test_verify_says_that_all_is_well(bert: str, capsys: Captured) -> None:
    assert succeed(capsys, "verify", bert) == [f"{bert}: 139 tensors, 21,704 bytes: every checksum matches"]
    report = succeed_json(capsys, "verify", bert)
    assert report == {"prefix": bert, "tensors": 139, "nbytes": 21704, "damaged": []}


def test_verify_names_every_damaged_tensor(bert_copy: str, capsys: Captured) -> None:
    names = ["bert/embeddings/word_embeddings", "bert/pooler/dense/bias", "global_step"]
    damage(bert_copy, *names)
    lines = fail(capsys, "verify", bert_copy)
    assert [re.findall("tensor '(.*?)'", line) for line in lines] == [[name] for name in names]
    assert all(line.startswith(f"{bert_copy}.data-00000-of-00001: checksum of tensor") for line in lines)
    assert main(["verify", bert_copy, "--json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)["damaged"]
    assert [item["tensor"] for item in found] == names
    with tfckpt.open(bert_copy) as checkpoint:
        entries = [checkpoint.entry(name) for name in names]
    assert [(item["start"], item["end"]) for item in found] == [(e.offset, e.offset + e.nbytes) for e in entries]
    assert [f"{d['reason']}; bytes [{d['start']}, {d['end']})" for d in found] == lines
    assert {item["file"] for item in found} == {f"{bert_copy}.data-00000-of-00001"}
    *lines, advice = err.splitlines()
    assert len(lines) == 3
    assert advice == f"tfckpt verify: next: tfckpt salvage {bert_copy} {bert_copy}.salvaged"


def test_layouts_lists_the_targets(capsys: Captured) -> None:
    lines = [line.split("\t") for line in succeed(capsys, "layouts")]
    assert {name for name, _, _ in lines} == set(CATALOG.names)
    assert ["encoder", "BERT"] in [line[:2] for line in lines]
    listed = [{"name": name, "family": family, "about": about} for name, family, about in lines]
    assert succeed_json(capsys, "layouts") == listed


def test_demo_may_be_repeated_and_its_files_verify(tmp_path: Path, capsys: Captured) -> None:
    source, dest = (str(tmp_path / "demo" / name) for name in ("tf1/bert_model.ckpt", "tf2/bert_encoder"))
    runs = []
    for _ in range(2):
        lines = succeed(capsys, "demo", str(tmp_path / "demo"))
        runs.append((lines, bundle_bytes(source), bundle_bytes(dest), sorted(tmp_path.rglob("*"))))
    assert runs[0] == runs[1]
    assert lines[0].startswith(f"written:   {source}: ")
    assert lines[1].startswith(f"converted: {dest}: 39 variables")
    assert "proved:    all 39 tensors match the source, and every checksum matches" in lines
    for prefix in (source, dest):
        succeed(capsys, "verify", prefix)
    succeed(capsys, "plan", source)


def test_demo_as_json(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = succeed_json(capsys, "demo")
    assert (report["proved"], report["destination"]) == (39, "tfckpt-demo/tf2/bert_encoder")
    assert len(tfckpt.open(report["source"])) == report["variables"]
    assert repr(report["destination"]) in report["load"]
    compile(report["load"], "load", "exec")


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["convert"], "the following arguments are required: SOURCE, DEST"),
        (["convert", "a"], "the following arguments are required: DEST"),
        (["plan"], "the following arguments are required: SOURCE"),
        (["ls"], "the following arguments are required: PREFIX"),
        (["verify"], "the following arguments are required: PREFIX"),
        (["convert", "a", "b", "--to", "torch"], "invalid choice: 'torch' (choose from"),
        (["plan", "a", "--num-heads", "two"], "invalid int value: 'two'"),
        (["plan", "a", "--overwrite"], "unrecognized arguments: --overwrite"),
        (["ls", "a", "b", "c"], "unrecognized arguments: c"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(capsys: Captured, argv: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: tfckpt")
    assert complaint in err


@pytest.mark.parametrize("argv", [["--help"], *([name, "--help"] for name in ("convert", "plan", "ls", "demo"))])
def test_help_exits_with_0(capsys: Captured, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: tfckpt")


@pytest.mark.parametrize(
    "argv",
    [
        ["convert", "{0}/none", "{0}/out"],
        ["plan", "{0}/none"],
        ["ls", "{0}/none"],
        ["verify", "{0}/none"],
        ["demo", "{0}/file"],
    ],
    ids=lambda argv: argv[0],
)
def test_a_foreseen_failure_is_one_line_and_exits_with_1(tmp_path: Path, capsys: Captured, argv: list[str]) -> None:
    (tmp_path / "file").touch()
    for options in ([], ["--json"]):
        (line,) = fail(capsys, *(argument.format(tmp_path) for argument in argv), *options)
        assert line.startswith(str(tmp_path))


def test_each_complaint_about_a_plan_is_a_line(bare_bert: str, tmp_path: Path, capsys: Captured) -> None:
    tensors = dict(tfckpt.open(bare_bert))
    tensors["bert/adapter"] = tensors.pop("bert/pooler/dense/bias")
    prefix = str(tmp_path / "c")
    tfckpt.save(prefix, tensors)
    lines = fail(capsys, "plan", prefix)
    assert [line.removeprefix(f"{prefix}: ").split()[0].rstrip(":") for line in lines] == [
        "num_attention_heads",
        "bert/adapter",
        "bert/pooler/dense/bias",
    ]
    assert not [line for line in lines if not line.startswith(f"{prefix}: ")]


def test_an_interrupt_is_reported_as_shells_do(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any, **options: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(tfckpt, "open", interrupt)
    assert main(["ls", "model"]) == 130
    assert capsys.readouterr() == ("", "")


def test_control_characters_are_spelled_out(bare_bert: str, tmp_path: Path, capsys: Captured) -> None:
    prefix, name, shown = str(tmp_path / "c"), "a\x1b[2J\nb\tc\x7f\u202e", r"a\x1b[2J\nb\tc\x7f\u202e"
    tfckpt.save(prefix, {name: np.float32(1)})
    assert succeed(capsys, "ls", prefix) == [f"{shown}\tfloat32\t[]\t4"]
    assert succeed_json(capsys, "ls", prefix)[0]["name"] == name
    assert succeed(capsys, "plan", prefix, "--to", "keras")[0] == f"{shown}\t[]\t{shown}"
    damage(prefix, name)
    (line,) = fail(capsys, "verify", prefix)
    assert f"checksum of tensor '{shown}'" in line
    tfckpt.save(prefix, dict(tfckpt.open(bare_bert)) | {"bert/\x1b[2J": 1}, overwrite=True)
    (line,) = fail(capsys, "plan", prefix, "--num-heads", "2")
    assert line.startswith(rf"{prefix}: bert/\x1b[2J []: 'encoder' neither ")
    (line,) = fail(capsys, "ls", f"{tmp_path}/\x1b[2J")
    assert line.startswith(rf"{tmp_path}/\x1b[2J: no checkpoint")


def test_names_that_are_not_utf8_are_printed(tmp_path: Path, capsys: Captured) -> None:
    tfckpt.save(tmp_path / "c", {"a\udcff": 1})
    assert succeed(capsys, "ls", str(tmp_path / "c")) == [r"a\udcff" + "\tint64\t[]\t8"]
    assert succeed_json(capsys, "ls", str(tmp_path / "c"))[0]["name"] == "a\udcff"


def test_the_module_runs_as_a_command() -> None:
    result = run("--version", capture_output=True)
    assert (result.returncode, result.stdout.decode(), result.stderr) == (0, f"tfckpt {tfckpt.__version__}\n", b"")


def test_the_exit_code_reaches_the_shell(tmp_path: Path) -> None:
    result = run("ls", str(tmp_path), capture_output=True)
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode().splitlines() == [
        f"tfckpt ls: {tmp_path}: the directory has no checkpoint: no file in it ends in .index",
        f"tfckpt ls: next: ls -l {tmp_path}",
    ]


@pytest.mark.parametrize("argv", [["ls", "{0}"], ["ls", "{0}", "--json"], ["layouts"]], ids=" ".join)
def test_a_reader_that_has_seen_enough_is_no_failure(bert: str, argv: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = run(*(argument.format(bert) for argument in argv), stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")


def test_a_terminal_shows_an_aligned_table(bert: str) -> None:
    shown = plain(on_terminal("stdout", "ls", bert, "bert/pooler/dense/*"))
    header, _, *rows, summary = [line.rstrip() for line in shown.splitlines() if line.strip()]
    *rows, more = rows
    assert header.split() == ["name", "count", "dtype", "shape", "each"]
    assert [row.split()[0] for row in rows[::2]] == ["bert/pooler/dense/bias", "bert/pooler/dense/kernel"]
    assert {row.index("float32") for row in rows} == {header.index("dtype")}
    assert {row.index("[8") for row in rows} == {header.index("shape")}
    assert more == "--all lists every tensor."
    assert summary == "6 tensors, 216 elements, 864 bytes; optimizer state: 66.7 % of the bytes"


def test_control_characters_do_not_reach_a_terminal(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {"a\x07\r[bold]b": 1})
    shown = plain(on_terminal("stdout", "ls", str(tmp_path / "c")))
    assert r"a\x07\r[bold]b" in shown
    assert "\x07" not in shown


def test_a_bar_moves_on_a_terminal_only(bert: str, tmp_path: Path) -> None:
    argv = ("convert", bert, str(tmp_path / "out"), "--overwrite")
    assert "converting" in on_terminal("stderr", *argv)
    assert "converting" not in on_terminal("stdout", *argv)
    assert run(*argv, capture_output=True).stderr == b""
    assert "verifying" in on_terminal("stderr", "verify", bert)


def test_names_that_the_output_cannot_encode_are_no_crash(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {"é": 1})
    result = run("ls", str(tmp_path / "c"), capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stderr) == (0, b"")


def test_a_closed_output_is_no_crash(bert: str) -> None:
    command = f'"{sys.executable}" -m tfckpt ls "{bert}" >&-'
    result = subprocess.run(["sh", "-c", command], check=False, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert (result.returncode, result.stderr) == (0, b"")


def test_a_newline_in_a_name_does_not_make_a_second_line(bert: str, tmp_path: Path, capsys: Captured) -> None:
    extra: dict[str, Any] = {"bert/a\nforged": np.float32(1)}
    tfckpt.save(tmp_path / "c", dict(tfckpt.open(bert)) | extra)
    (line,) = fail(capsys, "plan", str(tmp_path / "c"), "--num-heads", "2")
    assert r"bert/a\nforged" in line
    assert len(fail(capsys, "ls", f"{tmp_path}/x\ny")) == 1


def test_a_narrow_terminal_still_shows_whole_names(bert: str) -> None:
    assert "…" not in on_terminal("stdout", "ls", bert, columns=80)


def test_verify_without_data_is_one_line(bert_copy: str, capsys: Captured) -> None:
    os.unlink(f"{bert_copy}.data-00000-of-00001")
    (line,) = fail(capsys, "verify", bert_copy)
    assert f"{bert_copy}.data-00000-of-00001" in line


def test_rewrite_reports_each_tensor_and_what_becomes_of_it(bert: str, tmp_path: Path, capsys: Captured) -> None:
    options = ["--drop", "cls/*", "--keep", "*", "--rename", "^bert/=net/", "--strip-optimizer", "--cast", "float16"]
    argv = ["rewrite", bert, str(tmp_path / "out"), *options, "--shards", "2"]
    planned = succeed(capsys, *argv, "--dry-run")
    assert list(tmp_path.iterdir()) == []
    lines = succeed(capsys, *argv)
    assert planned[-1] == "dry run: nothing was written"
    assert lines == [*planned[:-1], f"written: {tmp_path}/out"]
    assert "bert/pooler/dense/bias\t[8] float32 -> float16\tnet/pooler/dense/bias" in lines
    assert "cls/predictions/output_bias\tdropped\tpattern 'cls/*'" in lines
    assert f"{bert}: 40 variables, 6,696 bytes, 39 cast" in lines
    assert len(list(tmp_path.glob("out.data-*-of-00002"))) == 2
    assert "net/pooler/dense/bias" in tfckpt.open(tmp_path / "out")


def test_rewrite_as_json(bert: str, tmp_path: Path, capsys: Captured) -> None:
    argv = ["rewrite", bert, str(tmp_path / "out"), "--cast", "float16", "--max-shard-size", "1000"]
    assert succeed_json(capsys, *argv, "--dry-run")["destination"] is None
    report = succeed_json(capsys, *argv, "--byte-order", "big", "--no-sync", "--no-verify")
    assert (report["destination"], report["verified"], report["to"]) == (str(tmp_path / "out"), False, "")
    assert {step["cast"] for step in report["steps"]} == {"float16", None}
    assert tfckpt.open(tmp_path / "out").reader.big_endian
    assert fail(capsys, *argv) == [
        f"{tmp_path}/out: already exists ({tmp_path}/out.index); choose another name, or give --overwrite to replace it"
    ]
    assert succeed(capsys, *argv, "--overwrite")


@pytest.mark.parametrize(
    "options",
    [
        ["--rename", "no-equals-sign"],
        ["--shards", "2", "--max-shard-size", "9"],
        ["--byte-order", "middle"],
        ["--rename", "=x"],
    ],
)
def test_rewrite_with_wrong_usage(bert: str, options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["rewrite", bert, "out", *options])
    assert caught.value.code == 2


def test_merge_joins_what_rewrite_took_apart(bert: str, tmp_path: Path, capsys: Captured) -> None:
    parts = [str(tmp_path / name) for name in ("a", "b")]
    succeed(capsys, "rewrite", bert, parts[0], "--keep", "bert/*")
    succeed(capsys, "rewrite", bert, parts[1], "--drop", "bert/*")
    lines = succeed(capsys, "merge", *parts, str(tmp_path / "whole"))
    assert lines[-2:] == [
        f"{parts[0]}, {parts[1]}: 139 variables, 21,704 bytes",
        f"written: {tmp_path}/whole",
    ]
    assert tfckpt.list_variables(tmp_path / "whole") == tfckpt.list_variables(bert)
    clashes = fail(capsys, "merge", *parts, parts[0], str(tmp_path / "twice"))
    assert clashes == [f"{parts[0]}: given twice"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("21704", 21704),
        ("10B", 10),
        ("10KB", 10_000),
        ("10k", 10_000),
        ("10 KiB", 10_240),
        ("1.5GB", 1_500_000_000),
        ("0.1mb", 100_000),
        ("2GiB", 1 << 31),
        ("3Ti", 3 << 40),
    ],
)
def test_sizes_are_written_as_people_write_them(text: str, expected: int) -> None:
    assert nbytes(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "10QB", "1..5MB", "10 bytes", "9" * 19])
def test_a_size_that_is_none_is_told_how_one_is_written(text: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["rewrite", "model", "out", f"--max-shard-size={text}"])
    assert f"expected a number of bytes, such as 500000000, 500MB or 2GiB, got {text!r}" in capsys.readouterr().err


def test_a_tilde_that_the_shell_left_is_the_home_directory(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    shutil.copytree(Path(bert).parent, home / "bert")
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    prefix = f"~/bert/{Path(bert).name}"
    assert main(["tf1-to-keras", f"--checkpoint_from_path={prefix}", "--checkpoint_to_path=~/keras/out", "-q"]) == 0
    succeed(capsys, "report", bert, "--config=~/bert/bert_config.json", "--output=~/page.html")
    (line,) = fail(capsys, "plan", bert, "--layout=~/none.toml")
    assert line.startswith(f"{home}/none.toml: ")
    assert not list(here.iterdir())
    assert (home / "page.html").exists()
    assert (home / "keras" / "out.index").exists()
    assert [home_path(path) for path in ("~", "~other/x", "x/~/y", "-")] == ["~", "~other/x", "x/~/y", "-"]


def test_each_command_stands_in_the_file_that_the_table_says() -> None:
    for group, names in GROUPS.items():
        for name in names:
            (commands,) = (action for action in build_parser(name)._actions if action.dest == "command")
            assert commands.choices is not None
            assert list(commands.choices) == list(names), group
    (every,) = (action for action in build_parser()._actions if action.dest == "command")
    assert every.choices is not None
    assert list(every.choices) == [name for names in GROUPS.values() for name in names]
