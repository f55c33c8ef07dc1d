from __future__ import annotations

import argparse
import importlib.util
import inspect
import pickle
import pydoc
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any, Literal

import pytest

import tfckpt
from tfckpt.base import options
from tfckpt.base.flags import add_flags, options_from
from tfckpt.cli.main import build_parser
from tfckpt.errors import UsageError
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language.layouts import Substitutions

ROOT = Path(__file__).parents[1]
CALLS = {name: call for name in tfckpt.__all__ if hasattr(call := getattr(tfckpt, name), "options")}
KINDS = {
    "average": options.AverageOptions,
    "convert": options.ConvertOptions,
    "diff": options.DiffOptions,
    "export": options.ExportOptions,
    "import_": options.ImportOptions,
    "info": options.InfoOptions,
    "merge": options.MergeOptions,
    "plan": options.PlanOptions,
    "prove": options.ProveOptions,
    "report": options.ReportOptions,
    "rewrite": options.RewriteOptions,
    "salvage": options.SalvageOptions,
    "statistics": options.StatisticsOptions,
}


COMMANDS = {"import_": "import", "statistics": "show"}  # those that are not called as the call is


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(commands.choices)


def test_the_calls_with_options_are_these() -> None:
    assert CALLS.keys() == KINDS.keys()


@pytest.mark.parametrize("name", KINDS)
def test_help_shows_every_option_with_its_default_and_what_it_means(name: str) -> None:
    text = " ".join(pydoc.plain(pydoc.render_doc(CALLS[name])).split())
    signature = inspect.signature(CALLS[name])
    for option, data in options.options_of(KINDS[name]).items():
        assert signature.parameters[option].default == data.default
        assert f" {option}: {' '.join(data.help.split())} " in text
        assert f"{option}: " in str(signature)


@pytest.mark.parametrize("name", KINDS)
def test_type_hints_tell_the_closed_sets(name: str) -> None:
    hints = typing.get_type_hints(CALLS[name])
    assert hints.keys() == {*inspect.signature(CALLS[name]).parameters, "return"}
    for option, data in options.options_of(KINDS[name]).items():
        assert hints[option] == data.type
    assert typing.get_type_hints(tfckpt.convert)["mode"] == Literal["copy", "link", "reflink", "auto"]


@pytest.mark.parametrize("name", KINDS)
def test_a_misspelt_option_is_a_type_error_that_names_the_call_and_the_nearest_option(name: str) -> None:
    last = list(options.options_of(KINDS[name]))[-1]
    arguments = ("a",) if name in ("plan", "report") else ("a", "b")
    said = rf"^tfckpt\.{name}\(\) got an unexpected keyword argument '{last}x'; did you mean '{last}'\?$"
    with pytest.raises(TypeError, match=said):
        CALLS[name](*arguments, **{f"{last}x": None})


def test_what_is_not_of_a_closed_set_is_refused_before_anything_is_looked_at() -> None:
    wrong: Any = {"mode": "move"}
    with pytest.raises(UsageError, match=r"^mode: expected 'copy', 'link', 'reflink', 'auto', got 'move'$"):
        tfckpt.convert("nowhere", "there", **wrong)


def test_a_call_gets_its_arguments_by_place_and_by_name(bert: str, tmp_path: Path) -> None:
    by_name = tfckpt.convert(source=bert, dest=tmp_path / "a", to="keras")
    assert tfckpt.convert(bert, tmp_path / "b", to="keras")._replace(written=None) == by_name._replace(written=None)
    with pytest.raises(TypeError, match="positional"):
        tfckpt.convert(bert, tmp_path / "b", "keras")  # type: ignore[call-arg]
    assert inspect.getsource(tfckpt.convert).startswith("@takes(ConvertOptions)\ndef convert(")


def test_options_cannot_be_changed_and_they_pickle() -> None:
    given: Any = options.given(options.Request, {"to": "tf1", "mode": "link"})
    assert given["to"] == "tf1"
    assert "mode" not in given
    with pytest.raises(TypeError):
        given["to"] = "encoder"
    assert pickle.loads(pickle.dumps(given)) == given == options.given(options.Request, given)
    option = options.options_of(options.Request)["slots"]
    assert pickle.loads(pickle.dumps(option)) == option
    with pytest.raises(AttributeError):
        option.default = "drop"  # type: ignore[misc]


@pytest.mark.parametrize(("command", "kind"), [(COMMANDS.get(name, name), kind) for name, kind in KINDS.items()])
def test_a_command_has_the_flag_of_each_option_and_its_help(command: str, kind: type) -> None:
    actions = {action.dest: action for action in parsers()[command]._actions}
    for name, option in options.options_of(kind).items():
        assert (name in actions) == bool(option.flag)
        if option.flag:
            assert actions[name].option_strings == [option.flag]
            sentence = options.for_shell(option.help.partition(". ")[0].rstrip("."))
            assert sentence in (actions[name].help or "").replace("%%", "%")


def test_flags_come_back_as_options() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, options.RewriteOptions)
    assert options_from(parser.parse_args([]), options.RewriteOptions) == {
        name: [] if option.default == () else option.default
        for name, option in options.options_of(options.RewriteOptions).items()
        if option.flag
    }
    line = "--drop a --drop b --rename x=y --byte-order little --max-shard-size 1KB --no-verify --dry-run"
    found = options_from(parser.parse_args(line.split()), options.RewriteOptions)
    assert [found[name] for name in ("drop", "rename", "big_endian", "max_shard_size", "verify", "dry_run")] == [
        ["a", "b"],
        [("x", "y")],
        False,
        1000,
        False,
        True,
    ]


@pytest.mark.parametrize("layout", CATALOG.layouts, ids=lambda layout: layout.name)
def test_a_layout_takes_options_that_there_are_and_their_values(layout: Any) -> None:
    known = options.options_of(options.ModelOptions)
    for name, values in layout.options.items():
        assert set(values) <= set(known[name].choices)


def test_an_option_that_a_target_makes_no_use_of_is_noted(bert: str) -> None:
    assert "fill: 'keras' has no use for it" in tfckpt.plan(bert, to="keras", fill="zeros").notes
    assert not any("fill" in note for note in tfckpt.plan(bert, to="keras").notes)
    with pytest.raises(UsageError, match=r"^scope: only for the way back, 'tf1'"):
        tfckpt.plan(bert, scope="module/")
    assert "config" not in Substitutions.options.fget(None)  # type: ignore[attr-defined]


def test_options_import_neither_dataclasses_nor_inspect_and_calls_do_not_import_inspect() -> None:
    program = "import {}, sys; print('inspect' in sys.modules, 'dataclasses' in sys.modules, 'argparse' in sys.modules)"
    for module, loaded in [("tfckpt.base.options", "False False False"), ("tfckpt.base.flags", "False False False")]:
        done = subprocess.run(
            [sys.executable, "-c", program.format(module)], check=True, capture_output=True, text=True
        )
        assert done.stdout.strip() == loaded
    program = "import tfckpt, sys; tfckpt.convert; print('inspect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_the_stub_is_what_the_code_says_of_itself() -> None:
    spec = importlib.util.spec_from_file_location("make_stub", ROOT / "docs" / "make_stub.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (Path(tfckpt.__path__[0]) / "__init__.pyi").read_text(encoding="utf-8")
    assert module.stub() == text, "run python docs/make_stub.py > tfckpt/__init__.pyi"


def test_each_option_and_its_flag_stand_once_below_the_command_line() -> None:
    package = Path(tfckpt.__path__[0])
    texts = {p: p.read_text(encoding="utf-8") for p in package.rglob("*.py") if "cli" not in p.parts}
    assert not [path for path, text in texts.items() if "as for `plan`" in text]
    assert [p.name for p, text in texts.items() if '"--max-shard-size"' in text] == ["options.py"]
