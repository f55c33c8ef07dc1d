from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

import pytest
from support.commands import Captured

import tfckpt
from tfckpt.checkpoint.find.state_file import CheckpointState, read_state, update_state, write_state
from tfckpt.cli.main import main
from tfckpt.errors import CheckpointNotFoundError, FormatError, UnsupportedError

MANAGED = """\
model_checkpoint_path: "ckpt-4"
all_model_checkpoint_paths: "ckpt-3"
all_model_checkpoint_paths: "ckpt-4"
all_model_checkpoint_timestamps: 1795509005.2936766
all_model_checkpoint_timestamps: 1795509005.3063118
last_preserved_timestamp: 1795509005.2805648
"""  # written by tf.train.CheckpointManager


def write(directory: Path, text: str) -> Path:
    directory.mkdir(exist_ok=True, parents=True)
    (directory / "checkpoint").write_text(text, encoding="utf-8")
    return directory


def read(directory: Path) -> str:
    return (directory / "checkpoint").read_text(encoding="utf-8")


def state_of(directory: Path) -> CheckpointState:
    state = read_state(str(directory))
    assert state is not None
    return state


def test_timestamps_are_read_and_written(tmp_path: Path) -> None:
    state = state_of(write(tmp_path, MANAGED))
    assert state == CheckpointState(
        "ckpt-4", ("ckpt-3", "ckpt-4"), (1795509005.2936766, 1795509005.3063118), 1795509005.2805648
    )
    write_state(str(tmp_path / "copy"), state)
    assert read(tmp_path / "copy") == MANAGED


def test_the_first_checkpoint_of_a_directory_makes_its_state_file(tmp_path: Path) -> None:
    assert update_state(str(tmp_path / "new" / "model")) == str(tmp_path / "new" / "checkpoint")
    assert read(tmp_path / "new") == 'model_checkpoint_path: "model"\nall_model_checkpoint_paths: "model"\n'


def test_a_prefix_without_a_directory_is_in_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert update_state("model") == "checkpoint"
    assert state_of(tmp_path) == CheckpointState("model", ("model",))


@pytest.mark.parametrize("first", ["a", "./a", "x/../a", "{0}/a"])
def test_a_checkpoint_that_is_listed_moves_to_the_end(tmp_path: Path, first: str) -> None:
    write_state(str(tmp_path), CheckpointState("c", (first.format(tmp_path), "sub/a", "/elsewhere/b", "c")))
    update_state(str(tmp_path / "a"))
    assert state_of(tmp_path) == CheckpointState("a", ("sub/a", "/elsewhere/b", "c", "a"))


def test_the_only_name_in_a_state_file_of_one_line_is_kept(tmp_path: Path) -> None:
    write(tmp_path, 'model_checkpoint_path: "old"')
    update_state(str(tmp_path / "new"))
    assert state_of(tmp_path) == CheckpointState("new", ("old", "new"))


@pytest.mark.parametrize(
    ("name", "paths"), [("ckpt-5", ("ckpt-3", "ckpt-4", "ckpt-5")), ("ckpt-3", ("ckpt-4", "ckpt-3"))]
)
def test_timestamps_stay_with_their_checkpoints(tmp_path: Path, name: str, paths: tuple[str, ...]) -> None:
    before = state_of(write(tmp_path, MANAGED))
    known = dict(zip(before.all_model_checkpoint_paths, before.all_model_checkpoint_timestamps, strict=True))
    start = time.time()
    update_state(str(tmp_path / name))
    after = state_of(tmp_path)
    assert after.all_model_checkpoint_paths == paths
    *others, newest = after.all_model_checkpoint_timestamps
    assert others == [known[path] for path in paths[:-1]]
    assert start <= newest <= time.time()
    assert after.last_preserved_timestamp == before.last_preserved_timestamp


def test_timestamps_that_do_not_match_are_left_out_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_state(str(tmp_path), CheckpointState("b", ("a", "b"), (1.0,), 2.0))
    with caplog.at_level(logging.WARNING, logger="tfckpt"):
        update_state(str(tmp_path / "c"))
    assert state_of(tmp_path) == CheckpointState("c", ("a", "b", "c"), (), 2.0)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'checkpoint'}: 1 timestamps for 2 checkpoints: left out"
    ]


def test_a_state_file_of_512_kilobytes_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    line = 'model_checkpoint_path: "m"\n#'
    (tmp_path / "checkpoint").write_text(line.ljust(1 << 19, "x"))
    assert read_state(str(tmp_path)) == CheckpointState("m")
    (tmp_path / "checkpoint").write_text(line.ljust((1 << 19) + 1, "x"))
    with pytest.raises(FormatError, match="expected at most 524,288 bytes, got 524,289"):
        read_state(str(tmp_path))


def test_a_state_file_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    write(tmp_path, "{")
    with pytest.raises(FormatError, match="expected CheckpointState text"):
        update_state(str(tmp_path / "a"))
    assert read(tmp_path) == "{"


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"cannot name '\\udcff': expected UTF-8"):
        update_state(os.path.join(tmp_path, "\udcff"))
    assert not list(tmp_path.iterdir())


def test_a_conversion_leaves_the_state_file_alone_unless_asked(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "one")
    assert not (tmp_path / "checkpoint").exists()
    for name in ("one", "two"):
        tfckpt.convert(bert, tmp_path / name, overwrite=True, update_state=True)
    assert state_of(tmp_path) == CheckpointState("two", ("one", "two"))
    assert tfckpt.latest_checkpoint(tmp_path) == str(tmp_path / "two")
    assert tfckpt.open(tmp_path).prefix == str(tmp_path / "two")


def test_a_broken_state_file_stops_a_conversion_before_it_writes(bert: str, tmp_path: Path) -> None:
    write(tmp_path, "{")
    with pytest.raises(FormatError):
        tfckpt.convert(bert, tmp_path / "out", update_state=True)
    assert os.listdir(tmp_path) == ["checkpoint"]
    tfckpt.convert(bert, tmp_path / "out")


def test_a_conversion_that_fails_leaves_the_state_file_as_it_was(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "out")
    write(tmp_path, MANAGED)
    with pytest.raises(FileExistsError):
        tfckpt.convert(bert, tmp_path / "out", update_state=True)
    assert read(tmp_path) == MANAGED


def test_the_command_updates_and_says_so(bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", bert, str(tmp_path / "out"), "--update-state"]) == 0
    assert f"\nwritten: {tmp_path / 'out'}\nlatest: {tmp_path / 'out'}\n" in capsys.readouterr().out
    assert state_of(tmp_path) == CheckpointState("out", ("out",))
    for option in ([], ["--update-state"]):
        assert main(["convert", bert, str(tmp_path / "out"), "--overwrite", "--json", *option]) == 0
        assert json.loads(capsys.readouterr().out)["state_updated"] is bool(option)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory "in" with one checkpoint, "model-1", and others beside it, which no state file in there may reach."""
    for step, name in enumerate(["in/model-1", "in/sub/model-2", "model-1", "model-3", "inner/model-1"], start=1):
        tfckpt.save(tmp_path / name, {"global_step": step})
    return tmp_path


@pytest.mark.parametrize("path", ["model-1", "./model-1", "sub/../model-1", "{0}/in/model-1", "{0}/in/sub/../model-1"])
def test_a_path_inside_is_followed_quietly(outside: Path, path: str, caplog: pytest.LogCaptureFixture) -> None:
    write(outside / "in", f'model_checkpoint_path: "{path.format(outside)}"')
    assert tfckpt.open(outside / "in")["global_step"] == 1
    assert not caplog.records


@pytest.mark.parametrize("path", ["sub/model-2", "{0}/in/sub/model-2"])
def test_a_directory_inside_is_inside(outside: Path, path: str, caplog: pytest.LogCaptureFixture) -> None:
    write(outside / "in", f'model_checkpoint_path: "{path.format(outside)}"')
    assert tfckpt.open(outside / "in")["global_step"] == 2
    assert not caplog.records


@pytest.mark.parametrize(
    "path",
    [
        "../model-1",
        "../model-3",
        "{0}/model-1",
        "{0}/model-3",
        "{0}/inner/model-1",
        "sub/../../model-3",
        "/gone/model-1",
    ],
)
def test_a_path_that_leads_outside_is_not_followed_and_that_is_said(
    outside: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    named = path.format(outside)
    write(outside / "in", f'model_checkpoint_path: "{named}"')
    with caplog.at_level(logging.WARNING, logger="tfckpt"):
        assert tfckpt.open(outside / "in")["global_step"] == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{outside}/in/checkpoint names {named}, which is not in here: reading {outside}/in/model-1"
    ]


def test_the_last_part_of_a_path_that_leads_outside_counts(outside: Path) -> None:
    tfckpt.save(outside / "in" / "model-3", {"global_step": 33})
    write(outside / "in", f'model_checkpoint_path: "{outside}/model-3"')
    assert tfckpt.open(outside / "in")["global_step"] == 33


@pytest.mark.parametrize(
    ("text", "why"),
    [('model_checkpoint_path: "gone"', "names gone, which is not in here"), ("", "names no checkpoint")],
)
def test_the_only_other_checkpoint_is_read_and_that_is_said(
    outside: Path, text: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(outside / "in", text)
    with caplog.at_level(logging.WARNING, logger="tfckpt"):
        assert tfckpt.open(outside / "in")["global_step"] == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{outside}/in/checkpoint {why}: reading {outside}/in/model-1"
    ]


def test_of_several_others_none_is_read(outside: Path) -> None:
    tfckpt.save(outside / "in" / "model-4", {})
    write(outside / "in", 'model_checkpoint_path: "../model-9"')
    with pytest.raises(
        CheckpointNotFoundError, match=r"its state file names \.\./model-9, which is not in here: name one"
    ):
        tfckpt.open(outside / "in")


def test_the_drop_ins_follow_a_state_file_wherever_it_leads(outside: Path) -> None:
    write(outside / "in", 'model_checkpoint_path: "../model-3"')
    assert tfckpt.latest_checkpoint(outside / "in") == f"{outside}/in/../model-3"
    assert tfckpt.load_variable(outside / "in", "global_step") == 4
    assert tfckpt.load_checkpoint(outside / "in").get_tensor("global_step") == 4


def test_the_drop_ins_read_the_only_checkpoint_where_no_state_file_leads_to_one(outside: Path) -> None:
    assert tfckpt.load_variable(outside / "in", "global_step") == 1
    write(outside / "in", 'model_checkpoint_path: "gone"')
    assert tfckpt.latest_checkpoint(outside / "in") is None
    assert tfckpt.load_variable(outside / "in", "global_step") == 1


@pytest.mark.parametrize("text", ["{", "model_checkpoint_path: 3", 'model_checkpoint_path: "model-1"\nnew_field: 1'])
def test_a_state_file_that_cannot_be_parsed_leads_nowhere_and_that_is_said(
    outside: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(outside / "in", text)
    with caplog.at_level(logging.WARNING, logger="tfckpt"):
        assert tfckpt.latest_checkpoint(outside / "in") is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{outside}/in/checkpoint: state file: expected CheckpointState text")


@pytest.mark.parametrize("text", [b"", b'model_checkpoint_path: ""', b'model_checkpoint_path: "\xff"'])
def test_a_state_file_that_names_no_text_is_an_error(outside: Path, text: bytes) -> None:
    (outside / "in" / "checkpoint").write_bytes(text)
    with pytest.raises(FormatError) as caught:
        tfckpt.latest_checkpoint(outside / "in")
    assert caught.value.path == f"{outside}/in/checkpoint"


@pytest.mark.parametrize(
    "path", [r"C:\\Users\\me\\model\\model-1", r"gone\\model-1", r"\\\\host\\share\\model-1", "D:/runs/model-1"]
)
def test_a_path_of_windows_is_understood_by_its_last_part(
    outside: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    tfckpt.save(outside / "in" / "model-9", {"global_step": 9})
    write(outside / "in", f'model_checkpoint_path: "{path}"')
    with caplog.at_level(logging.WARNING, logger="tfckpt"):
        assert tfckpt.open(outside / "in")["global_step"] == 1
    (record,) = caplog.records
    assert record.getMessage().endswith(f", which is not in here: reading {outside}/in/model-1")


def test_a_name_with_a_backslash_is_a_name(outside: Path) -> None:
    tfckpt.save(outside / "in" / r"a\model-1", {"global_step": 7})
    write(outside / "in", r'model_checkpoint_path: "/gone/a\\model-1"')
    assert tfckpt.open(outside / "in")["global_step"] == 7


@pytest.mark.parametrize(
    ("text", "why"),
    [('model_checkpoint_path: "gone"', "names gone, which is not in here"), ("", "names no checkpoint")],
)
def test_the_command_line_says_what_it_reads_instead_once(
    outside: Path, text: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(outside / "in", text)
    for command in "ls", "verify", "tree":
        assert main([command, f"{outside}/in"]) == 0
        err = capsys.readouterr().err
        assert err == f"tfckpt {command}: note: {outside}/in/checkpoint {why}: reading {outside}/in/model-1\n"


def test_what_the_state_file_says_is_read_without_a_word(outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(outside / "in", 'model_checkpoint_path: "model-1"')
    assert main(["ls", f"{outside}/in"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("named", ["best-2", "/mnt/runs/best-2", r"C:\\runs\\best-2"])
def test_a_state_file_of_another_name_leads_to_what_it_names(
    tmp_path: Path, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in 2, 10:
        tfckpt.save(tmp_path / f"best-{step}", {"global_step": step})
    (tmp_path / "best_dev_checkpoint").write_text(f'model_checkpoint_path: "{named}"\n')
    typed = f"{tmp_path}/best_dev_checkpoint"
    assert tfckpt.open(typed)["global_step"] == 2
    assert main(["ls", typed]) == 0
    assert capsys.readouterr().err == f"tfckpt ls: note: {typed} is a state file: reading {tmp_path}/best-2\n"
    assert main(["ls", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith(f"tfckpt ls: next: tfckpt ls {tmp_path}/best-2\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("named", ["best-2", r"C:\\runs\\best-2", r"C:\runs\best-2", r"sub\\..\\best-2"])
def test_a_state_file_of_windows_is_a_source(tmp_path: Path, named: str, encoding: str) -> None:
    for step in 2, 10:
        tfckpt.save(tmp_path / f"best-{step}", {"global_step": step})
    (tmp_path / "checkpoint").write_bytes(f'model_checkpoint_path: "{named}"\r\n'.encode(encoding))
    for typed in tmp_path, tmp_path / "checkpoint":
        assert tfckpt.open(typed)["global_step"] == 2
    os.rename(tmp_path / "checkpoint", tmp_path / "best.txt")
    assert tfckpt.open(tmp_path / "best.txt")["global_step"] == 2


def test_a_path_of_windows_below_the_directory_is_read_without_a_word(
    outside: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tfckpt.save(outside / "in" / "sub" / "model-7", {"global_step": 7})
    write(outside / "in", r'model_checkpoint_path: "sub\\model-7"')
    assert tfckpt.open(outside / "in")["global_step"] == 7
    assert not caplog.records


def test_a_state_file_as_source_is_read_as_its_directory_and_that_is_said_once(outside: Path, capsys: Captured) -> None:
    typed = f"{outside}/in/checkpoint"
    for named, why in ("model-1", "is a state file"), ("gone", "names gone, which is not in here"):
        write(outside / "in", f'model_checkpoint_path: "{named}"')
        assert main(["verify", typed]) == 0
        assert capsys.readouterr().err == f"tfckpt verify: note: {typed} {why}: reading {outside}/in/model-1\n"


def test_a_broken_state_file_beside_checkpoints_leads_to_the_latest(tmp_path: Path, capsys: Captured) -> None:
    for step in 2, 10:
        tfckpt.save(tmp_path / f"best-{step}", {"global_step": step})
    (tmp_path / "checkpoint").write_text("<!DOCTYPE html>")
    for typed in str(tmp_path), f"{tmp_path}/checkpoint":
        assert main(["ls", typed]) == 1
        message, advice = capsys.readouterr().err.splitlines()
        assert "expected a state file, got a web page" in message
        assert advice == f"tfckpt ls: next: tfckpt ls {tmp_path}/best-10"


def test_a_state_file_never_leads_out_of_its_directory_whatever_its_name(outside: Path) -> None:
    tfckpt.save(outside / "model-5", {"global_step": 5})
    for named in "../model-5", str(outside / "model-5"), r"..\\model-5":
        (outside / "in" / "best").write_text(f'model_checkpoint_path: "{named}"')
        with pytest.raises(CheckpointNotFoundError, match="and that is not in"):
            tfckpt.open(outside / "in" / "best")


def test_state_files_of_other_names_that_disagree_are_not_followed(tmp_path: Path) -> None:
    for step in 2, 10:
        tfckpt.save(tmp_path / f"best-{step}", {"global_step": step})
        (tmp_path / f"checkpoint_{step}").write_text(f'model_checkpoint_path: "best-{step}"\n')
    with pytest.raises(CheckpointNotFoundError, match="a directory with 2 checkpoints: name one of"):
        tfckpt.open(tmp_path)


def test_a_state_file_of_another_name_whose_checkpoint_is_gone_says_so(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "best-2", {"global_step": 2})
    (tmp_path / "best_dev_checkpoint").write_text('model_checkpoint_path: "gone"\n')
    with pytest.raises(CheckpointNotFoundError, match="a state file, which names gone, and that is not in"):
        tfckpt.open(tmp_path / "best_dev_checkpoint")
