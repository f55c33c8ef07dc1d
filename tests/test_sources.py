"""Sources are only read, whatever a command does; and one that does not stay as it is stops what reads it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tfckpt
from tfckpt.bundle import writer as writing
from tfckpt.cli.commands import many
from tfckpt.cli.main import build_parser, main
from tfckpt.errors import StorageError, TfckptError

# Every command that is told a checkpoint, and what it is told; S is the source, A a source of arrays, D a destination that
# is not there, M a manifest that names S and D, .npz and .html what is written as such.
COMMANDS: dict[str, tuple[str, ...]] = {
    "convert": ("S", "D", "--update-state"),
    "convert, linked": ("S", "D", "--mode", "link"),
    "convert, cloned or not": ("S", "D", "--mode", "auto"),
    "convert, proved": ("S", "D", "--prove", "--no-sync"),
    "convert-many": ("M",),
    "tf1-to-keras": ("--checkpoint_from_path", "S", "--checkpoint_to_path", "D"),
    "plan": ("S",),
    "prove": ("S", "S", "--to", "keras"),
    "info": ("S",),
    "info, arrays": ("A",),
    "ls": ("S",),
    "show": ("S", "global_step"),
    "diff": ("S", "S"),
    "tree": ("S",),
    "verify": ("S",),
    "rewrite": ("S", "D", "--shards", "2"),
    "merge": ("S", "D"),
    "average": ("S", "D"),
    "salvage": ("S", "D"),
    "export": ("S", ".npz"),
    "import": ("A", "D"),
    "report": ("S", "-o", ".html"),
}


def snapshot(directory: Path, *, linked: bool) -> dict[str, tuple[object, ...]]:
    """Return all that a look at files tells: what they hold, when and how they may be changed, how many names they have."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(directory.iterdir()):
        status = path.stat()
        attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
        kept = status.st_ino, status.st_mtime_ns, status.st_mode, status.st_uid, 0 if linked else status.st_nlink
        found[path.name] = (hashlib.sha256(path.read_bytes()).hexdigest(), *kept, attributes)
    return found


@pytest.fixture
def source(bert: str, tmp_path: Path) -> Path:
    """A directory with a checkpoint that nobody may write to."""
    directory = tmp_path / "source"
    shutil.copytree(Path(bert).parent, directory)
    np.savez(directory / "arrays.npz", w=np.arange(3.0))
    for path in directory.iterdir():
        path.chmod(0o444)
    return directory


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_touches_its_source(
    source: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = []
    os_open = os.open

    def record(path: str, flags: int, *args: int, **kwargs: int) -> int:
        if str(path).startswith(str(source)):
            opened.append(flags)
        return os_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", record)
    monkeypatch.setattr(many, "_executor", lambda _: ThreadPoolExecutor(1))  # where the record is made
    words = {"S": str(source / "model.ckpt-3"), "D": str(tmp_path / "out" / "model"), "M": str(tmp_path / "jobs.csv")}
    words |= {"A": str(source / "arrays.npz"), ".npz": str(tmp_path / "out.npz"), ".html": str(tmp_path / "out.html")}
    Path(words["M"]).write_text(f"source,destination,options\n{words['S']},{words['D']},--mode link\n")
    linked = command in {"convert, linked", "convert, cloned or not", "convert-many"}
    before = snapshot(source, linked=linked)
    code = main([command.partition(",")[0], *(words.get(word, word) for word in COMMANDS[command])])
    assert code == (1 if command == "prove" else 0), capsys.readouterr().err  # a source is no conversion of itself
    monkeypatch.undo()
    assert snapshot(source, linked=linked) == before
    assert opened
    assert not [flags for flags in opened if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)]


def test_every_command_that_reads_a_checkpoint_is_in_the_list() -> None:
    actions = [action for action in build_parser()._actions if action.dest == "command"]
    assert actions[0].choices is not None
    others = {"demo", "layouts", "completion"}
    assert {name.partition(",")[0] for name in COMMANDS} == set(actions[0].choices) - others


def in_the_middle(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something happen when all is carried and nothing has its name yet."""
    finish = writing.BundleWriter.finish

    def later(self: writing.BundleWriter, **kwargs: object) -> None:
        act()
        finish(self, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(writing.BundleWriter, "finish", later)


def _overwrite(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write(bytes(range(1, 17)))


CHANGES: dict[str, Callable[[Path], object]] = {
    "written in place": _overwrite,
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "longer": lambda path: os.truncate(path, path.stat().st_size + 1),
    "replaced": lambda path: Path(shutil.copy(path, f"{path}.new")).replace(path),
    "removed": lambda path: path.unlink(),
}
WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "convert": tfckpt.convert,
    "rewrite": lambda source, dest: tfckpt.rewrite(source, dest, cast="float16"),
    "merge": lambda source, dest: tfckpt.merge([source], dest),
    "average": lambda source, dest: tfckpt.average([source, source], dest),
    "salvage": tfckpt.salvage,
    "save": lambda source, dest: tfckpt.save(dest, tfckpt.open(source)),
}


@pytest.mark.parametrize("which", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("command", WRITERS)
def test_a_source_that_changes_while_it_is_read_stops_the_writer(
    bert_copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, change: str, which: str
) -> None:
    in_the_middle(monkeypatch, lambda: CHANGES[change](Path(f"{bert_copy}.{which}")))
    with pytest.raises(TfckptError, match=r"model\.ckpt-3"):
        WRITERS[command](Path(bert_copy), tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


def test_what_changed_is_said(bert_copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_middle(monkeypatch, lambda: os.utime(f"{bert_copy}.index"))
    with pytest.raises(StorageError, match=r"model\.ckpt-3\.index: changed while it was read; nothing is written"):
        tfckpt.convert(bert_copy, tmp_path / "out")


def test_a_source_that_vanishes_before_it_is_read_is_an_error(bert_copy: str, tmp_path: Path) -> None:
    with tfckpt.open(bert_copy) as checkpoint:
        os.unlink(f"{bert_copy}.data-00000-of-00001")
        with pytest.raises(tfckpt.TfckptError, match="data-00000-of-00001: cannot open: No such file"):
            tfckpt.save(tmp_path / "out", checkpoint)
    assert os.listdir(tmp_path) == ["source"]


TRUNCATING = """
import os, sys, tfckpt
from tfckpt.storage.local_output import OutputFile
source, dest, command = sys.argv[1:]
data = source + ".data-00000-of-00001"
create = OutputFile.__init__
def cut(self, path):
    create(self, path)
    os.truncate(data, 4096)
checkpoint = tfckpt.open(source)
checkpoint["w"], checkpoint["v"]
OutputFile.__init__ = cut
try:
    if command == "save":
        tfckpt.save(dest, checkpoint)
    elif command == "cast":
        tfckpt.rewrite(source, dest, cast="float16", verify=False)
    else:
        getattr(tfckpt, command)(source, dest)
except tfckpt.TfckptError as error:
    print("refused:", error)
"""


@pytest.mark.parametrize("command", ["save", "rewrite", "cast", "salvage"])
def test_a_source_that_is_cut_short_while_it_is_read_kills_nobody(tmp_path: Path, command: str) -> None:
    """Reading it through the map would be a SIGBUS."""
    values = np.arange(1 << 18, dtype=np.float32)
    tfckpt.save(tmp_path / "source", {"v": values, "w": values})
    program = [sys.executable, "-c", TRUNCATING, f"{tmp_path}/source", f"{tmp_path}/out", command]
    done = subprocess.run(program, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused: "), done.stdout
    assert sorted(os.listdir(tmp_path)) == ["source.data-00000-of-00001", "source.index"]


READ_ONLY = """
import os, sys, tfckpt
os.chdir(sys.argv[1])
tfckpt.save(sys.argv[2], {"w": 1.0})  # imports everything
if not os.geteuid():
    os.seteuid(65534)  # root may write anywhere
try:
    tfckpt.save("model", {"w": 2.0}, overwrite=True)
except tfckpt.TfckptError as error:
    print(error)
"""


def test_a_directory_that_cannot_be_written_to(tmp_path: Path) -> None:
    directory = tmp_path / "out"
    tfckpt.save(directory / "model", {"w": 1.0})
    directory.chmod(0o555)
    before = snapshot(directory, linked=False)
    program = [sys.executable, "-c", READ_ONLY, str(directory), str(tmp_path / "other")]
    done = subprocess.run(program, check=False, capture_output=True, text=True)
    assert done.stdout == "model.tfckpt-lock: cannot lock: Permission denied\n", done.stderr
    assert snapshot(directory, linked=False) == before
