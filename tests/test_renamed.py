"""Files of a checkpoint under other names: what is typed next gives them back theirs, and then the same call works."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.commands import Captured, fail_and_advise

import tfckpt
from tfckpt.cli.main import main
from tfckpt.errors import CheckpointNotFoundError
from tfckpt.storage.renamed import right_name

SHARD = ".data-00000-of-00001"
WEIGHTS = {"w": np.arange(5, dtype=np.float32)}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a checkpoint in ``run``."""
    monkeypatch.chdir(tmp_path)
    tfckpt.save("run/m.ckpt", WEIGHTS, sync=False)
    return tmp_path


def type_next(capsys: Captured, *argv: str) -> None:
    """Run a command that fails, and type what it says is next, which is one of the shell's."""
    lines, advice = fail_and_advise(capsys, *argv)
    assert advice is not None, lines
    subprocess.run(["sh", "-c", advice], check=True, capture_output=True)


def is_read(source: str) -> None:
    with tfckpt.open(source) as checkpoint:
        assert np.array_equal(checkpoint["w"], WEIGHTS["w"])


ENDINGS = (".txt", " (1)", "(1)", ".bin", " - Copy", ".octet-stream")


@pytest.mark.parametrize("typed", ["run", "run/m.ckpt", "run/m.ckpt.index{0}", f"run/m.ckpt{SHARD}"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_an_index_gets_its_name_back(capsys: Captured, ending: str, typed: str) -> None:
    os.rename("run/m.ckpt.index", f"run/m.ckpt.index{ending}")
    type_next(capsys, "ls", typed.format(ending))
    is_read(typed.format("").strip())


@pytest.mark.parametrize(
    "name", ["m.ckpt (1).index", "m.ckpt(2).index", "m.ckpt - Copy.index", "m.ckpt_index", "m.ckpt.INDEX"]
)
def test_an_index_of_another_stem_gets_its_name_back(capsys: Captured, name: str) -> None:
    os.rename("run/m.ckpt.index", f"run/{name}")
    type_next(capsys, "ls", "run/m.ckpt")
    is_read("run/m.ckpt")


@pytest.mark.parametrize("typed", ["run", "run/m.ckpt"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_data_file_gets_its_name_back(capsys: Captured, ending: str, typed: str) -> None:
    os.rename(f"run/m.ckpt{SHARD}", f"run/m.ckpt{SHARD}{ending}")
    type_next(capsys, "rewrite", typed, "out/m", "--drop", "nothing*")
    is_read(typed)


def test_a_renamed_data_file_that_is_typed_itself_leads_on(capsys: Captured) -> None:
    os.rename(f"run/m.ckpt{SHARD}", f"run/m.ckpt{SHARD} (1)")
    type_next(capsys, "ls", f"run/m.ckpt{SHARD} (1)")
    is_read(f"run/m.ckpt{SHARD}")


def test_both_files_get_their_names_back_at_once(capsys: Captured) -> None:
    for ending in (".index", SHARD):
        os.rename(f"run/m.ckpt{ending}", f"run/m.ckpt{ending}.txt")
    type_next(capsys, "ls", "run")
    is_read("run")


@pytest.mark.parametrize("ending", [".index", SHARD])
def test_a_file_that_is_packed_is_unpacked_under_its_name(capsys: Captured, ending: str) -> None:
    content = Path(f"run/m.ckpt{ending}").read_bytes()
    Path(f"run/m.ckpt{ending}.gz").write_bytes(gzip.compress(content))
    os.unlink(f"run/m.ckpt{ending}")
    type_next(capsys, "rewrite", "run/m.ckpt", "out/m", "--drop", "nothing*")
    is_read("run/m.ckpt")
    assert Path(f"run/m.ckpt{ending}.gz").exists()


def test_data_beside_an_index_of_another_stem_get_its_name(capsys: Captured) -> None:
    os.rename("run/m.ckpt.index", "run/model.index")
    type_next(capsys, "rewrite", "run", "out/m", "--drop", "nothing*")
    is_read("run")
    is_read("run/model")


def test_an_index_that_is_called_anything_is_known_by_what_is_in_it(capsys: Captured) -> None:
    os.rename("run/m.ckpt.index", "run/download")
    type_next(capsys, "ls", "run/download")
    is_read("run/m.ckpt")


@pytest.mark.parametrize("ending", [".crdownload", ".part", ".download"])
def test_an_unfinished_download_is_called_that(ending: str) -> None:
    os.rename(f"run/m.ckpt{SHARD}", f"run/m.ckpt{SHARD}{ending}")
    with tfckpt.open("run") as checkpoint, pytest.raises(CheckpointNotFoundError) as caught:
        checkpoint["w"]
    assert str(caught.value).endswith(f"m.ckpt{SHARD}{ending} is an unfinished download: let it end, or repeat it")


def test_a_text_that_is_called_like_an_index_is_none(capsys: Captured) -> None:
    os.rename("run/m.ckpt.index", "elsewhere")
    Path("run/m.ckpt.index.txt").write_text("what was in it")
    assert "mv" not in str(fail_and_advise(capsys, "ls", "run/m.ckpt"))


def test_a_second_download_keeps_its_names(capsys: Captured) -> None:
    """Nobody moves the data of a checkpoint that is whole, to mend another."""
    for ending in (".index", SHARD):
        shutil.copy(f"run/m.ckpt{ending}", f"run/m.ckpt (1){ending}")
    os.unlink(f"run/m.ckpt{SHARD}")
    assert "mv" not in str(fail_and_advise(capsys, "rewrite", "run/m.ckpt", "out/m", "--drop", "nothing*"))
    is_read("run/m.ckpt (1)")


def test_a_name_that_begins_like_an_option_is_none_to_the_command(capsys: Captured) -> None:
    os.rename("run/m.ckpt.index", "-t.index.txt")
    os.rename(f"run/m.ckpt{SHARD}", f"-t{SHARD}")
    type_next(capsys, "ls", ".")
    is_read("./-t")


@pytest.mark.parametrize("name", ["m.ckpt.index.x;echo$(touch gone)", "m.ckpt.index 'a\" `touch gone`"])
def test_a_name_is_never_run(capsys: Captured, here: Path, name: str) -> None:
    os.rename("run/m.ckpt.index", f"run/{name}")
    type_next(capsys, "ls", "run")
    is_read("run")
    assert not (here / "gone").exists()


def test_a_name_with_control_characters_is_shown_escaped_and_never_typed(capsys: Captured) -> None:
    os.rename("run/m.ckpt.index", "run/m.ckpt.index\x1b[2J\n")
    assert main(["ls", "run"]) == 1
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "next:" not in err


@pytest.mark.parametrize("name", ["m.index", "m.data-00001-of-00004", "index", "notes.txt", "data-00000-of-00001"])
def test_names_that_are_right_or_tell_nothing_stay(name: str) -> None:
    assert right_name(name) is None
