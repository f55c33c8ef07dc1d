"""The command convert-many: what it prints, and its exit codes."""

from __future__ import annotations

import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.commands import on_terminal, plain

import tfckpt
from tfckpt.cli.commands import many
from tfckpt.cli.main import main
from tfckpt.errors import UsageError
from tfckpt.many.many import Outcome

pytestmark = pytest.mark.exhaustive

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the jobs in one thread, one after the other; but for a test that is about processes."""
    if request.node.get_closest_marker("usefixtures") is None:
        monkeypatch.setattr(many, "_executor", lambda _: ThreadPoolExecutor(1))


@pytest.fixture
def manifest(bert: str, tmp_path: Path) -> str:
    """A manifest of three rows, of which the second cannot be done."""
    rows = ("source,destination,options", f"{bert},out/a,", f"{bert},out/b,--num-heads 3", f"{bert},out/c,--to keras")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    return str(tmp_path / "manifest.csv")


def test_each_conversion_has_a_line_and_all_failures_come_at_the_end(
    manifest: str, bert: str, capsys: Captured
) -> None:
    out = f"{Path(manifest).parent}/out"
    for status in ("done", "skipped"):
        assert main(["convert-many", manifest]) == 1
        printed = capsys.readouterr()
        counts = "2 done, 0" if status == "done" else "0 done, 2"
        assert printed.out.splitlines() == [
            f"{status}\t{bert}\t{out}/a\tencoder: 39 variables, 6,688 bytes, 2 heads",
            f"failed\t{bert}\t{out}/b",
            f"{status}\t{bert}\t{out}/c\tkeras: 139 variables, 21,704 bytes",
            f"{manifest}: {counts} proven before and skipped, 1 failed",
        ]
        with pytest.raises(tfckpt.PlanError) as caught:
            tfckpt.plan(bert, num_heads=3)
        start = f"tfckpt convert-many: {manifest}: line 3: "
        assert printed.err.splitlines() == [start + complaint for complaint in caught.value.reasons]
    assert {name.split(".")[0] for name in os.listdir(out)} == {"a", "c"}


def test_the_document_has_a_job_for_each_row(manifest: str, bert: str, capsys: Captured) -> None:
    assert main(["convert-many", manifest, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    jobs = document.pop("jobs")
    assert document == {"manifest": manifest, "done": 2, "skipped": 0, "failed": 1}
    assert [(job["line"], job["source"], job["status"], job["error"]) for job in jobs] == [
        (2, bert, "done", None),
        (3, bert, "failed", "PlanError"),
        (4, bert, "done", None),
    ]
    assert (jobs[0]["tensors"], jobs[0]["nbytes"], jobs[0]["num_heads"]) == (39, 6688, 2)
    assert jobs[0]["dropped"] == {rule: len(drops) for rule, drops in tfckpt.plan(bert).dropped_by_rule().items()}
    assert jobs[1]["complaints"]


def test_what_is_there_and_not_proven_is_replaced_on_request(manifest: str, bert: str, capsys: Captured) -> None:
    Path(manifest).write_text(f"source,destination\n{bert},out\n")
    dest = Path(manifest).with_name("out")
    tfckpt.save(dest, {"mine": 1})
    assert main(["convert-many", manifest]) == 1
    assert "already exists, and is not what this makes of" in capsys.readouterr().err
    assert "mine" in tfckpt.open(dest)
    assert main(["convert-many", manifest, "--overwrite"]) == 0
    assert tfckpt.prove(bert, dest)


def test_a_manifest_that_cannot_be_used_starts_nothing(manifest: str, bert: str, capsys: Captured) -> None:
    Path(manifest).write_text(f"source,destination,options\n{bert},out/a,\n{bert},out/a,\n{bert},out/b,--too\n")
    assert main(["convert-many", manifest]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line.split(": ")[2] for line in printed.err.splitlines()] == ["line 3", "line 4"]
    assert os.listdir(Path(manifest).parent) == ["manifest.csv"]


@pytest.mark.usefixtures("capfd")
def test_one_worker_process_does_all_rows(manifest: str, capfd: Captured) -> None:
    assert main(["convert-many", manifest, "--jobs", "1"]) == 1
    assert "2 done, 0 proven before and skipped, 1 failed" in capfd.readouterr().out


@pytest.mark.parametrize("flag", ["--jobs", "--processes"])
def test_the_number_of_processes_has_the_name_of_python_too(
    manifest: str, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    asked = []

    def convert_many(*_: Any, processes: int | None, **__: Any) -> list[Outcome]:
        asked.append(processes)
        raise UsageError("enough")

    monkeypatch.setattr(tfckpt, "convert_many", convert_many)
    assert main(["convert-many", manifest, flag, "3"]) == 1
    assert asked == [3]


@pytest.mark.parametrize(
    "more", [("--jobs", "1", "--scheduler", "tcp://host:8786"), ("--processes", "1", "--jobs", "1")]
)
def test_two_answers_to_who_runs_them_exclude_each_other(
    manifest: str, capsys: Captured, more: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["convert-many", manifest, *more])
    assert "not allowed with" in capsys.readouterr().err


def test_a_manifest_comes_from_stdin_and_its_paths_start_here(
    bert: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"source,destination\n{bert},out/a\nnowhere,out/b\n"))
    assert main(["convert-many", "-"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "stdin: 1 done, 0 proven before and skipped, 1 failed"
    assert err.startswith(f"tfckpt convert-many: stdin: line 3: {tmp_path}/nowhere: no checkpoint")
    assert (tmp_path / "out" / "a.index").exists()


def test_a_bar_counts_the_conversions_on_a_terminal(manifest: str) -> None:
    argv = ("convert-many", manifest, "--jobs", "1")
    shown = plain(on_terminal("stderr", *argv, code=1))
    assert "converting" in shown
    assert "/3 " in shown
    assert "converting" not in on_terminal("stderr", *argv, "--quiet", code=1)
