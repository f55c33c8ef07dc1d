from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import tfckpt
from tfckpt.base.flags import options_from
from tfckpt.base.options import ConvertOptions
from tfckpt.cli.main import build_parser
from tfckpt.errors import CheckpointNotFoundError, FormatError, ManifestError
from tfckpt.many.manifest import read_rows

DOCS = (Path(__file__).parents[1] / "docs" / "many.md").read_text(encoding="utf-8")
HEADER = "source,destination,options\n"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "manifest.csv"


def complaints(manifest: Path, text: str | bytes) -> list[str]:
    """Return what is wrong with a manifest, without its name."""
    manifest.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ManifestError) as caught:
        tfckpt.read_manifest(manifest)
    assert all(complaint.startswith(f"{manifest}: line ") for complaint in caught.value.reasons)
    return [complaint.removeprefix(f"{manifest}: ") for complaint in caught.value.reasons]


def test_a_manifest_of_more_than_64_mib_is_not_read(manifest: Path) -> None:
    with open(manifest, "wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(FormatError, match="expected at most 67,108,864 bytes, got 67,108,865"):
        tfckpt.read_manifest(manifest)


@pytest.mark.parametrize("number", ["0", "1", "1000", "1001"])
@pytest.mark.parametrize("flag", ["--jobs", "--processes"])
def test_there_are_a_thousand_processes_at_most(flag: str, number: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["convert-many", "m.csv", flag, number]
    if number in ("1", "1000"):
        assert build_parser().parse_args(argv).processes == int(number)
        return
    with pytest.raises(SystemExit, match=r"^2$"):
        build_parser().parse_args(argv)
    assert f"argument {flag}: expected a whole number from 1 to 1000, got '{number}'" in capsys.readouterr().err


def test_a_tilde_is_the_home_directory(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    manifest.write_text(f"{HEADER}~/a,~/b,--config ~/c.json\n")
    (job,) = tfckpt.read_manifest(manifest)
    assert [job[name] for name in ("source", "dest", "config")] == [
        f"{tmp_path}/{name}" for name in ("a", "b", "c.json")
    ]


def test_options_mean_what_they_mean_on_the_command_line(manifest: Path) -> None:
    words = [
        "--to",
        "keras",
        "--exclude",
        "a, b",
        "--exclude",
        'say "x"',
        "--num-heads",
        "4",
        "--no-sync",
        "--overwrite",
    ]
    manifest.write_text(
        HEADER + '/s,/d,"--to keras --exclude \'a, b\' --exclude \'say ""x""\' --num-heads 4 --no-sync --ov"\n'
    )
    args = build_parser().parse_args(["convert", "/s", "/d", *words])
    assert tfckpt.read_manifest(manifest) == [{"source": "/s", "dest": "/d"} | options_from(args, ConvertOptions)]


def test_a_job_has_every_option_of_a_conversion(manifest: Path) -> None:
    manifest.write_text(HEADER + "s,d,\n")
    (job,) = tfckpt.read_manifest(manifest)
    assert {*job, "progress"} == set(inspect.signature(tfckpt.convert).parameters)


def test_relative_paths_start_at_the_manifest(tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ("a/s,b/d,--config c.json --layout l.toml", "/s,gs://bucket/d,--config https://host/c.json", "s,d-2,")
    manifest.write_text(HEADER + "\n".join(rows))
    here = str(tmp_path)
    jobs = tfckpt.read_manifest(manifest)
    assert [[job[name] for name in ("source", "dest", "config", "layout")] for job in jobs] == [
        [f"{here}/a/s", f"{here}/b/d", f"{here}/c.json", f"{here}/l.toml"],
        ["/s", "gs://bucket/d", "https://host/c.json", None],
        [f"{here}/s", f"{here}/d-2", None, None],
    ]
    monkeypatch.chdir(tmp_path)
    assert tfckpt.read_manifest("manifest.csv")[2]["source"] == "s"


@pytest.mark.parametrize(
    "text",
    [
        "source,destination,options\n/a,/b,--to keras\n/c,/d,\n",
        "options,destination,source\n--to keras,/b,/a\n,/d,/c\n",
        "\ufeffsource,destination,options\r\n/a,/b,--to keras\r\n\r\n/c,/d\r\n",
        'source, destination, options\n/a, /b, "--to keras"\n\n"/c", "/d", ""',
    ],
    ids=["plain", "another order", "from a spreadsheet", "spaces and quotes"],
)
def test_a_manifest_may_be_spelled_in_several_ways(text: str, manifest: Path) -> None:
    manifest.write_bytes(text.encode())
    jobs = tfckpt.read_manifest(manifest)
    assert [(job["source"], job["dest"], job["to"]) for job in jobs] == [("/a", "/b", "keras"), ("/c", "/d", "encoder")]


def test_options_are_a_column_that_may_be_missing(manifest: Path) -> None:
    manifest.write_text("source,destination\n/a,/b\n")
    assert [job["dest"] for job in tfckpt.read_manifest(manifest)] == ["/b"]


def test_a_manifest_may_have_no_rows(manifest: Path) -> None:
    manifest.write_text(HEADER)
    assert tfckpt.read_manifest(manifest) == []


def test_lines_are_those_of_an_editor(manifest: Path) -> None:
    manifest.write_text(HEADER + '\n"/a",/b,"--to\nkeras"\n/c,/d,\n')
    assert [(row.line, row.job["to"]) for row in read_rows(manifest)] == [(3, "keras"), (5, "encoder")]


def test_every_complaint_comes_at_once_with_its_line(manifest: Path) -> None:
    rows = [
        "/a,/b,--to nothing",
        "/a,/b,",
        "/a,/c,--exclude a, b",
        ",/d,",
        ",,--to keras",
        "/a,/e,--num-heads many",
        "/a,/f,'--to",
        "/a,/g,stray",
        "/a,/h,--json",
        "/a,/i,--help",
        "/a,/j,--",
        "/a,/b,--to keras",
        "/b.index,/k,",
        "/a,/l,--config",
    ]
    found = complaints(manifest, HEADER + "\n".join(rows))
    starts = [
        "line 2: options '--to nothing': argument --to: invalid choice: 'nothing'",
        "line 4: more cells than columns: ' b'; a cell with a comma needs quotes around it"[:30],
        "line 5: no source",
        "line 6: no source and no destination",
        "line 7: options '--num-heads many': argument --num-heads: invalid int value: 'many'",
        'line 8: options "\'--to": No closing quotation',
        "line 9: options 'stray': expected options of tfckpt convert and nothing else",
        "line 10: options '--json': expected options of",
        "line 11: options '--help': expected options of",
        "line 12: options '--': expected options of",
        "line 13: /b is the destination of line 3, too",
        "line 14: the source /b.index is what line 3 writes",
        "line 15: options '--config': argument --config: expected one argument",
    ]
    for start, complaint in zip(starts, found, strict=True):
        assert complaint.startswith(start)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: expected the columns source,destination,options, got an empty file"),
        ("\n" + HEADER, "line 1: expected the columns source,destination,options, got a blank line"),
        ("/a,/b,\n", "line 1: expected the columns source,destination,options, got /a,/b,"),
        ("source,options\n", "line 1: expected the columns source,destination,options, got source,options"),
        (
            "source,destination,source\n",
            "line 1: expected the columns source,destination,options, got source,destination,source",
        ),
        (HEADER + '/a,/b,"--to', "line 2: not CSV: unexpected end of data"),
        (HEADER + '/a,/b,\n"/a"x,/b,', "line 3: not CSV: ',' expected after '\"'"),
    ],
)
def test_what_is_no_manifest_is_said_to_be_none(text: str, complaint: str, manifest: Path) -> None:
    assert complaints(manifest, text) == [complaint]


def test_rows_before_a_broken_one_are_complained_of_too(manifest: Path) -> None:
    found = complaints(manifest, HEADER + '/a,,\n/a,/b,"--to')
    assert found == ["line 2: no destination", "line 3: not CSV: unexpected end of data"]


def test_a_manifest_that_is_not_there_is_not_found() -> None:
    with pytest.raises(CheckpointNotFoundError, match=r"nowhere.csv: cannot open"):
        tfckpt.read_manifest("nowhere.csv")


def test_the_manifest_of_the_docs_can_be_read(manifest: Path) -> None:
    (example,) = re.findall(r"```csv[^\n]*\n(.*?)```", DOCS, re.DOTALL)
    manifest.write_text(example)
    assert len(tfckpt.read_manifest(manifest)) == example.count("\n") - 1


def test_the_python_block_of_the_docs_runs(
    bert: str, manifest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    manifest.write_text(f"{HEADER}{bert},out,\n")
    monkeypatch.chdir(manifest.parent)
    exec(block, {})
    assert capsys.readouterr().out == "done out\n"


def test_without_dask_a_scheduler_is_refused_with_what_to_install(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from tfckpt.cli.main import main

    monkeypatch.setitem(sys.modules, "distributed", None)
    manifest.write_text(HEADER)
    assert main(["convert-many", str(manifest), "--scheduler", "tcp://host:8786"]) == 1
    assert "pip install 'tfckpt[dask]'" in capsys.readouterr().err
