"""The command ls: columns, order, selection, sums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, plain, shown_here, succeed, succeed_json

import tfckpt
from tfckpt._proto.types_pb2 import DT_FLOAT
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.roles import find_roles
from tfckpt.cli.commands.ls import COLUMNS
from tfckpt.cli.main import main
from tfckpt.cli.ui.terminal import human

TENSORS: dict[str, Any] = {
    "layer_10/w": np.zeros((4, 2), np.float32),
    "layer_2/w": np.zeros((3,), np.float64),
    "layer_2/w/adam_m": np.zeros((100,), np.float16),
    "words": ["a", "b"],
}


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    tfckpt.save(tmp_path / "c", TENSORS)
    return str(tmp_path / "c")


def names(lines: list[str]) -> list[str]:
    return [line.split("\t")[0] for line in lines]


def test_every_column_can_be_chosen_and_says_what_the_index_says(prefix: str, capsys: Captured) -> None:
    (line,) = succeed(capsys, "ls", prefix, "layer_10/w", "--columns", ",".join(COLUMNS))
    with tfckpt.open(prefix) as checkpoint:
        e = checkpoint.entry("layer_10/w")
    shown = [
        "layer_10/w",
        "float32",
        "[4, 2]",
        "32",
        "32 B",
        "8",
        "0",
        str(e.offset),
        f"{e.crc32c:#010x}",
        "0",
        "model",
    ]
    assert line.split("\t") == shown
    (found,) = succeed_json(capsys, "ls", prefix, "layer_10/w", "--columns", ",".join(COLUMNS))
    assert list(found) == [column.key for column in COLUMNS.values()]
    assert (found["shape"], found["nbytes"], found["elements"], found["crc32c"]) == ([4, 2], 32, 8, e.crc32c)
    assert succeed(capsys, "ls", prefix, "words", "--columns", "dtype,name") == ["string\twords"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["layer_10/w", "layer_2/w", "layer_2/w/adam_m", "words"]),
        (["--sort", "name"], ["layer_2/w", "layer_2/w/adam_m", "layer_10/w", "words"]),
        (["--sort", "bytes"], ["layer_2/w/adam_m", "layer_10/w", "layer_2/w", "words"]),
        (["--sort", "size", "--reverse"], ["words", "layer_2/w", "layer_10/w", "layer_2/w/adam_m"]),
        (["--sort", "elements"], ["layer_2/w/adam_m", "layer_10/w", "layer_2/w", "words"]),
        (["--sort", "dtype"], ["layer_2/w/adam_m", "layer_10/w", "layer_2/w", "words"]),
        (["--sort", "shape"], ["words", "layer_2/w", "layer_10/w", "layer_2/w/adam_m"]),
        (["--sort", "offset"], ["words", "layer_2/w/adam_m", "layer_2/w", "layer_10/w"]),
        (["--reverse"], ["words", "layer_2/w/adam_m", "layer_2/w", "layer_10/w"]),
    ],
    ids=" ".join,
)
def test_ls_sorts_as_asked(prefix: str, capsys: Captured, options: list[str], expected: list[str]) -> None:
    assert names(succeed(capsys, "ls", prefix, *options)) == expected


def test_names_are_selected_by_glob_and_by_regular_expression(prefix: str, capsys: Captured) -> None:
    assert names(succeed(capsys, "ls", prefix, "*/w")) == ["layer_10/w", "layer_2/w"]
    assert names(succeed(capsys, "ls", prefix, "--regex", r"_\d/w")) == ["layer_2/w", "layer_2/w/adam_m"]
    assert names(succeed(capsys, "ls", prefix, "*/w", "--regex", r"_\d/w")) == ["layer_2/w"]


def test_what_matches_nothing_is_said_on_stderr(prefix: str, capsys: Captured) -> None:
    count = len(succeed(capsys, "ls", prefix))
    assert main(["ls", prefix, "wor"]) == 0
    said = f"tfckpt ls: none of {count} tensors matches"
    assert capsys.readouterr() == ("", f"{said}; a glob matches whole names, as '*wor*' does\n")
    for options in (["wor?"], ["--regex", "^wor$"]):
        assert main(["ls", prefix, *options]) == 0
        assert capsys.readouterr() == ("", f"{said}\n")


def test_a_pattern_may_follow_an_option(prefix: str, capsys: Captured) -> None:
    for argv in (
        ["ls", prefix, "--format", "v2", "words"],
        ["ls", "--format", "v2", prefix, "--json", "words", "--sort", "name"],
        ["ls", "--reverse", prefix, "words", "--human"],
    ):
        assert "words" in succeed(capsys, *argv)[-1] or argv[4] == "--json"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--regex", "("], "not a regular expression"),
        (["--columns", "name,nmae"], "no column 'nmae'; there are name, dtype"),
        (["--sort", "age"], "invalid choice: 'age'"),
        (["--total", "prefix", "--depth", "0"], "expected a whole number from 1 to 1000, got '0'"),
    ],
)
def test_ls_refuses_wrong_options(prefix: str, capsys: Captured, options: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["ls", prefix, *options])
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_totals_add_up_by_prefix_dtype_shard_and_role(prefix: str, capsys: Captured) -> None:
    assert succeed(capsys, "ls", prefix, "--total", "prefix") == [
        "layer_2\t2\t103\t224\t85.2 %".replace("85.2", f"{22400 / 264:.1f}"),
        f"layer_10\t1\t8\t32\t{3200 / 264:.1f} %",
        f"words\t1\t2\t8\t{800 / 264:.1f} %",
    ]
    assert names(succeed(capsys, "ls", prefix, "--total", "prefix", "--depth", "2")) == [
        "layer_2/w",
        "layer_10/w",
        "words",
    ]
    assert names(succeed(capsys, "ls", prefix, "--total", "dtype")) == ["float16", "float32", "float64", "string"]
    assert names(succeed(capsys, "ls", prefix, "--total", "shard", "--human")) == ["0"]
    found = succeed_json(capsys, "ls", prefix, "layer*", "--total", "role")
    assert found == {
        "by": "role",
        "tensors": 3,
        "elements": 111,
        "nbytes": 256,
        "groups": [
            {"group": "optimizer state", "tensors": 1, "elements": 100, "nbytes": 200},
            {"group": "model", "tensors": 2, "elements": 11, "nbytes": 56},
        ],
    }


def test_totals_of_objects_do_not_count_the_end_of_every_key(bert: str, tmp_path: Path, capsys: Captured) -> None:
    tfckpt.convert(bert, tmp_path / "out", slots="convert")
    lines = succeed(capsys, "ls", str(tmp_path / "out"), "--total", "prefix", "--depth", "2")
    assert {"optimizer/iter", "encoder/layer_with_weights-0"} < set(names(lines))
    roles = succeed_json(capsys, "ls", str(tmp_path / "out"), "--total", "role")["groups"]
    assert [(role["group"], role["tensors"]) for role in roles if role["group"] != "object graph"] == [
        ("optimizer state", 82),
        ("model", 39),
    ]


def test_totals_of_no_tensor_are_empty(prefix: str, capsys: Captured) -> None:
    said = "tfckpt ls: none of 4 tensors matches; a glob matches whole names, as '*nothing*' does\n"
    assert main(["ls", prefix, "nothing", "--total", "dtype"]) == 0
    assert capsys.readouterr() == ("", said)
    assert main(["ls", prefix, "nothing", "--total", "dtype", "--json"]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["nbytes"], err) == (0, said)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("bert/pooler/dense/kernel", "model"),
        ("bert/pooler/dense/kernel/adam_v", "optimizer state"),
        ("global_step", "training step"),
        ("save_counter/.ATTRIBUTES/VARIABLE_VALUE", "save counter"),
        ("_CHECKPOINTABLE_OBJECT_GRAPH", "object graph"),
    ],
)
def test_the_role_of_a_tensor_follows_from_its_name(name: str, role: str) -> None:
    assert find_roles([Entry(name, DT_FLOAT, (), 0, 0, 4, 0)], None) == {name: role}


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1048524, "1023.9 KiB"),
        (1048525, "1.0 MiB"),
        (5 << 60, "5120.0 PiB"),
    ],
)
def test_human_sizes_have_units(nbytes: int, text: str) -> None:
    assert human(nbytes) == text


def test_a_terminal_shows_the_sum_and_aligns_numbers_at_the_right(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = plain(shown_here(monkeypatch, "ls", prefix, "-H", "--sort", "bytes")).splitlines()
    rows = [line.rstrip() for line in lines if line.strip()][2:]
    assert rows.pop() == f"4 tensors, 113 elements, 264 bytes; optimizer state: {20000 / 264:.1f} % of the bytes"
    assert [row.split()[0] for row in rows] == ["layer_2/w/adam_m", "layer_10/w", "layer_2/w", "words"]
    assert len({len(row) for row in rows}) == 1
