"""What ``--json`` prints is what the schemas in docs/schemas say, and strict JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import numpy as np
import pytest
from support.commands import Captured

import tfckpt
from tfckpt.cli.commands.ls import COLUMNS
from tfckpt.cli.main import build_parser, main

DOCS = Path(__file__).parents[1] / "docs"
SCHEMAS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (DOCS / "schemas").glob("*.json")}
LISTED = dict(
    re.findall(r"^\| `(.*?)` \| \[schemas/(\w+)\.json\]", (DOCS / "json.md").read_text("utf-8"), re.MULTILINE)
)

ODD: dict[str, Any] = {  # values, names, that JSON has trouble with
    "a\udcff\x1b": 1,
    "complex": np.array([1 + 1j, np.nan], np.complex64),
    "empty": np.zeros((0, 2)),
    "huge": np.array([1e308, -1e308]),
    "scalar": np.int64(2**63 - 1),
    "special": np.array([np.nan, np.inf, -np.inf]),
    "strings": [b"\xff", b"\x00a"],
}
CASES = [
    (["info", "{bert}"], "info", 0),
    (["info", "{arrays}"], "info", 0),
    (["info", "{torn}"], "info", 1),
    (["ls", "{bert}"], "ls", 0),
    (["ls", "{bert}", "--columns", ",".join(COLUMNS)], "ls", 0),
    (["ls", "{odd}"], "ls", 0),
    (["ls", "{odd}", "--names", "full"], "ls", 0),
    (["ls", "{trained}", "--names", "path"], "ls", 0),
    *((["ls", "{bert}", "--total", by], "totals", 0) for by in ("prefix", "dtype", "role", "shard")),
    (["tree", "{bert}"], "tree", 0),
    (["tree", "{trained}", "--all"], "tree", 0),
    (["tree", "{trained}", "--depth", "1"], "tree", 0),
    (["tree", "{bert}", "bert/*", "--regex", "layer_1", "--depth", "3"], "tree", 0),
    (["show", "{odd}", *ODD], "show", 0),
    (["show", "{odd}", "special", "--no-stats"], "show", 0),
    (["show", "{v1}", "--format", "v1", "{v1_name}"], "show", 0),
    (["diff", "{bert}", "{bert}"], "diff", 0),
    (["diff", "{odd}", "{other}"], "diff", 1),
    (["diff", "{bert}", "{trained}", "--map", "encoder"], "diff", 0),
    (["report", "{odd}"], "report", 0),
    (["report", "{torn}", "--bins", "3"], "report", 1),
    (["report", "{v1}", "--format", "v1", "--no-stats"], "report", 0),
    (["report", "{bert}", "{trained}", "--slots", "convert"], "report", 0),
    (["report", "{bert}", "{wrong}", "--vocab-size", "40"], "report", 1),
    (["report", "{bert}", "--to", "pretrainer", "--fill", "zeros"], "report", 0),
    (["plan", "{bert}"], "plan", 0),
    (["plan", "{trained}", "--to", "tf1"], "plan", 0),
    (["convert", "{bert}", "{out}", "--vocab-size", "40", "--slots", "convert", "--prove"], "plan", 0),
    (["tf1-to-keras", "--checkpoint_from_path={bert}", "--checkpoint_to_path={out}"], "plan", 0),
    (["convert-many", "{manifest}", "--jobs", "1"], "convert_many", 1),
    (["rewrite", "{bert}", "{out}", "--cast", "float16", "--dry-run"], "plan", 0),
    (["merge", "{bert}", "{out}"], "plan", 0),
    (["average", "{bert}", "{bert}", "{out}", "--weights", "1,2"], "plan", 0),
    (["export", "{trained}", "{out}/", "--to", "tf1"], "plan", 0),
    (["export", "{odd}", "{out}.npz", "--keep", "s*", "--dry-run"], "plan", 0),
    (["import", "{arrays}", "{out}"], "plan", 0),
    (["prove", "{bert}", "{trained}", "--slots", "convert"], "prove", 0),
    (["prove", "{bert}", "{wrong}"], "prove", 1),
    (["verify", "{bert}"], "verify", 0),
    (["verify", "{torn}"], "verify", 1),
    (["salvage", "{bert}", "{out}"], "salvage", 0),
    (["salvage", "{torn}", "{out}"], "salvage", 1),
    (["layouts"], "layouts", 0),
    (["demo", "{out}"], "demo", 0),
]
FAILURES = [
    (["convert", "{bert}", "{out}", "--to", "classifier"], 1),
    (["convert", "{bert}", "{bert}"], 1),
    (["plan", "{odd}"], 1),
    (["show", "{torn}", "b"], 1),
    (["ls", "https://me:secret@localhost:9/model?sig=secret"], 1),
    (["diff", "{bert}", "nowhere"], 2),
    (["report", "{bert}", "-o", "page.html"], 2),
]


@pytest.fixture(scope="module")
def places(bert: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of checkpoints of many kinds."""
    directory = tmp_path_factory.mktemp("json")
    tfckpt.save(directory / "odd", ODD)
    other: dict[str, Any] = {**ODD, "huge": -np.asarray(ODD["huge"]), "special": np.zeros(3), "scalar": [1], "more": 1}
    tfckpt.save(directory / "other", {name: value for name, value in other.items() if name != "empty"})
    tfckpt.convert(bert, directory / "trained", slots="convert")
    with tfckpt.open(directory / "trained") as checkpoint:
        tensors = dict(checkpoint)
        key = checkpoint.key_at("model/_pooler_layer/bias")
    tfckpt.save(directory / "wrong", tensors | {key: tensors[key] + 1})
    tfckpt.export(bert, f"{directory}/arrays/")
    tfckpt.save(directory / "torn", {"a": 1, "b": [1, 2]})
    with open(directory / "torn.data-00000-of-00001", "r+b") as file:
        file.truncate(9)
    rows = ("source,destination,options", f"{bert},many,", f"{bert},trained,--slots convert", "nowhere,never,")
    (directory / "manifest").write_text("\n".join(rows))
    v1 = Path(__file__).parent / "data" / "v1" / "slices"
    name = next(iter(tfckpt.open(v1, format="v1")))
    made = {path: str(directory / path) for path in ("arrays", "manifest", "odd", "other", "torn", "trained", "wrong")}
    return {"bert": bert, "v1": str(v1), "v1_name": name, **made}


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def test_every_schema_is_a_valid_json_schema() -> None:
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("argv", "schema", "code"), CASES, ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else ""
)
def test_output_is_what_its_schema_says(
    places: dict[str, str], tmp_path: Path, capsys: Captured, argv: list[str], schema: str, code: int
) -> None:
    argv = [argument.format(**places, out=tmp_path / "out") for argument in argv]
    assert main([*argv, "--json"]) == code
    out = capsys.readouterr().out
    document = json.loads(out, parse_constant=refuse)
    jsonschema.Draft202012Validator(SCHEMAS[schema]).validate(document)
    assert out.isascii()


@pytest.mark.parametrize(
    ("argv", "code"), FAILURES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_failure_is_a_document_too(
    places: dict[str, str], tmp_path: Path, capsys: Captured, argv: list[str], code: int
) -> None:
    argv = [argument.format(**places, out=tmp_path / "out") for argument in argv]
    assert main([*argv, "--json"]) == code
    out, err = capsys.readouterr()
    document = json.loads(out, parse_constant=refuse)
    jsonschema.Draft202012Validator(SCHEMAS["failure"]).validate(document)
    assert "secret" not in out
    told = [line.removeprefix(f"tfckpt {argv[0]}: ") for line in err.splitlines()]
    assert [issue["text"] for issue in document["issues"]] == [line for line in told if not line.startswith("next: ")]
    assert [f"next: {command}" for command in document["next"]] == [line for line in told if line.startswith("next: ")]


def test_a_schema_sees_what_is_missing_misspelled_or_of_another_kind(places: dict[str, str], capsys: Captured) -> None:
    assert main(["show", places["odd"], "huge", "--json"]) == 0
    validator = jsonschema.Draft202012Validator(SCHEMAS["show"])
    (good,) = json.loads(capsys.readouterr().out)
    assert validator.is_valid([good])
    for bad in (
        {name: value for name, value in good.items() if name != "shape"},
        good | {"extra": 1},
        good | {"nbytes": "16"},
        good | {"statistics": good["statistics"] | {"of": "vibes"}},
    ):
        assert not validator.is_valid([bad])


def test_every_command_has_a_schema_and_a_case() -> None:
    (subparsers,) = (action for action in build_parser()._actions if action.dest == "command")
    assert subparsers.choices is not None
    commands = {name for name, parser in dict(subparsers.choices).items() if "--json" in parser._option_string_actions}
    assert {command.split()[0] for command in LISTED} == commands
    assert {*LISTED.values(), "failure"} == set(SCHEMAS)
    assert {(argv[0], schema) for argv, schema, _ in CASES} == {
        (command.split()[0], schema) for command, schema in LISTED.items()
    }
