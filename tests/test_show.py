"""The command show: one tensor's facts, statistics, histogram and values."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.commands import Captured, Terminal, fail, shown_here, succeed, succeed_json

import tfckpt
from tfckpt.checkpoint.partial import parse_index
from tfckpt.errors import UsageError

WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4) / 10


def save(directory: Path, value: Any) -> str:
    tfckpt.save(directory / "c", {"w": value})
    return str(directory / "c")


def rows(lines: list[str], label: str) -> list[list[str]]:
    """Return what stands after a label, in each line that has it."""
    return [line.split("\t")[1:] for line in lines if line.split("\t")[0] == label]


def test_show_prints_facts_statistics_a_histogram_and_values(tmp_path: Path, capsys: Captured) -> None:
    lines = succeed(capsys, "show", save(tmp_path, WEIGHTS), "w", "--bins", "2", "--slice", "1:, :2")
    assert lines[:13] == [
        "name\tw",
        "dtype\tfloat32",
        "shape\t[3, 4]",
        "elements\t12",
        "bytes\t48",
        lines[5],
        "min\t0",
        "max\t1.1",
        "mean\t0.55",
        "std\t0.345205",
        "zeros\t1",
        "NaN\t0",
        "Inf\t0",
    ]
    with tfckpt.open(tmp_path / "c") as checkpoint:
        assert lines[5] == f"stored\tfile 0, byte 0, crc32c {checkpoint.entry('w').crc32c:#010x}"
    assert lines[13:] == [
        "-Inf\t0",
        "histogram\t0\t0.55\t6",
        "histogram\t0.55\t1.1\t6",
        "values [1:, :2]\t0.4\t0.5",
        "values [1:, :2]\t0.8\t0.9",
    ]


@pytest.mark.parametrize(
    ("value", "index", "cells", "json"),
    [
        (["a\x1b[2J", "b" * 300], "[:8]", ["a\\x1b[2J", "b" * 200 + "... (300 bytes)"], ["a\x1b[2J", "b" * 300]),
        (np.array([True, False]), "[:8]", ["True", "False"], [True, False]),
        (np.array([1 + 2j], np.complex64), "[:8]", ["(1+2j)"], [[1.0, 2.0]]),
        (np.array([0.1], ml_dtypes.bfloat16), "[:8]", ["0.100098"], [0.10009765625]),
        (np.array([np.nan, np.inf, -np.inf]), "[:8]", ["nan", "inf", "-inf"], ["NaN", "Infinity", "-Infinity"]),
        (np.zeros((0, 2), np.int8), "[...]", None, []),
        (np.int64(7), "[...]", ["7"], 7),
        (np.arange(40).reshape(4, 10), "[0, :8]", list("01234567"), list(range(8))),
        (np.array([-8, 7], ml_dtypes.int4), "[:8]", ["-8", "7"], [-8, 7]),
    ],
    ids=["string", "bool", "complex", "bfloat16", "not finite", "empty", "scalar", "matrix", "int4"],
)
def test_show_prints_values_of_each_kind(
    tmp_path: Path, capsys: Captured, value: Any, index: str, cells: list[str] | None, json: Any
) -> None:
    prefix = save(tmp_path, value)
    assert rows(succeed(capsys, "show", prefix, "w"), f"values {index}") == ([] if cells is None else [cells])
    (found,) = succeed_json(capsys, "show", prefix, "w")
    assert (found["index"], found["values"]) == (index, json)


def test_of_strings_the_lengths_are_measured(tmp_path: Path, capsys: Captured) -> None:
    lines = succeed(capsys, "show", save(tmp_path, ["", "abcd"]), "w")
    assert rows(lines, "statistics") == [["of the lengths"]]
    assert (rows(lines, "max"), rows(lines, "zeros")) == ([["4"]], [["1"]])
    assert rows(succeed(capsys, "show", save_other(tmp_path, np.zeros(0)), "w"), "min") == [["none"]]


def save_other(directory: Path, value: Any) -> str:
    tfckpt.save(directory / "other", {"w": value})
    return str(directory / "other")


@pytest.mark.parametrize("text", ["0", "[0]", "-1,", "1:, ::2", "...", "[..., 0]", " 0 , 1:3 ", "::-1", "[]", ""])
def test_an_index_means_what_it_does_in_numpy(tmp_path: Path, capsys: Captured, text: str) -> None:
    (found,) = succeed_json(capsys, "show", save(tmp_path, WEIGHTS), "w", f"--slice={text}")
    inner = text.strip().removeprefix("[").removesuffix("]")
    expected = eval(f"WEIGHTS[{inner or '...'}]")
    assert found["values"] == expected.tolist()


@pytest.mark.parametrize(
    "text", ["a", "1.5", "__import__('os')", "1:2:3:4", "0,,1", "1 2", "(0)", "[0", "٣", "None", "9" * 5000, "True"]
)
def test_a_slice_that_makes_no_sense_is_refused(tmp_path: Path, capsys: Captured, text: str) -> None:
    (line,) = fail(capsys, "show", save(tmp_path, WEIGHTS), "w", f"--slice={text}")
    assert line.startswith(f"index {text!r}: expected whole numbers, slices and ..., as in '0, 2:5, ::-1', got ")


@settings(max_examples=60)
@given(st.text(max_size=8) | st.text("0123456789:,.- []", max_size=12))
def test_any_text_is_an_index_or_an_error_of_ours(text: str) -> None:
    try:
        index = parse_index(text)
    except UsageError:
        return
    assert isinstance(index, tuple)


def test_an_index_that_does_not_fit_is_one_line(tmp_path: Path, capsys: Captured) -> None:
    (line,) = fail(capsys, "show", save(tmp_path, WEIGHTS), "w", "--slice", "5")
    assert line.startswith("tensor 'w' [3, 4]: index ")


def test_too_many_values_are_refused_before_any_is_printed(tmp_path: Path, capsys: Captured) -> None:
    prefix = save(tmp_path, np.zeros((101, 100)))
    (line,) = fail(capsys, "show", prefix, "w", "--slice", "...")
    assert line == ("tensor 'w' [101, 100]: 10,100 values, and at most 10,000 are shown; take a smaller --slice")
    assert len(rows(succeed(capsys, "show", prefix, "w", "--slice", ":100"), "values [:100]")) == 100


def test_values_alone_do_not_need_the_rest(tmp_path: Path, capsys: Captured) -> None:
    prefix = save(tmp_path, np.zeros(9))
    data = tmp_path / "c.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1] + b"\1")
    (line,) = fail(capsys, "show", prefix, "w")
    assert "checksum of tensor 'w'" in line
    lines = succeed(capsys, "show", prefix, "w", "--no-stats", "--slice", "0")
    assert (rows(lines, "values [0]"), rows(lines, "min")) == ([["0.0"]], [])


def test_names_come_from_stdin_and_paths_lead_to_variables(
    bert: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = "".join(f"{line}\n" for line in succeed(capsys, "ls", bert, "*/pooler/dense/*", "--columns", "name"))
    monkeypatch.setattr("sys.stdin", io.StringIO(listed))
    lines = succeed(capsys, "show", bert, "-", "--no-stats")
    assert [name for (name,) in rows(lines, "name")] == listed.splitlines()
    assert len(lines) > 1
    assert lines.count("") == 5
    tfckpt.convert(bert, tmp_path / "out")
    (found,) = succeed_json(capsys, "show", str(tmp_path / "out"), "model/_pooler_layer/bias")
    assert found["name"].endswith("/bias/.ATTRIBUTES/VARIABLE_VALUE")
    (line,) = fail(capsys, "show", bert, "bert/pooler/dense/kernle")
    assert "did you mean 'bert/pooler/dense/kernel'" in line


def test_of_v1_it_is_not_said_where_the_bytes_are(capsys: Captured) -> None:
    prefix = str(Path(__file__).parent / "data" / "v1" / "slices")
    with tfckpt.open(prefix, format="v1") as checkpoint:
        entry = next(entry for entry in checkpoint.entries() if entry.is_numeric)
    lines = succeed(capsys, "show", prefix, "--format", "v1", entry.name)
    assert rows(lines, "stored") == []
    assert rows(lines, "elements") == [[str(entry.size)]]


def test_a_terminal_shows_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ("show", save(tmp_path, np.repeat([0.0, 1.0], [30, 10])), "w", "--bins", "2")
    shown = shown_here(monkeypatch, *argv)
    assert [line.count("█") for line in shown.splitlines() if "█" in line] == [40, 14]
    monkeypatch.setattr(Terminal, "encoding", "ascii")
    assert "#" * 40 in shown_here(monkeypatch, *argv)
