"""What is wrong, as data: each kind renders in the words of Python and of the command line, and nothing changes it."""

from __future__ import annotations

import argparse
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from teaching import stage
from teaching.cases import CASES, Case
from teaching.page import provoke

import tfckpt
from tfckpt.base import issues
from tfckpt.base.codes import CODES
from tfckpt.base.issues import ACTIONS, Issue, Remedy, keywords, like
from tfckpt.base.options import every_option, for_shell
from tfckpt.cli.advice import _command
from tfckpt.cli.main import main
from tfckpt.cli.ui.output import said
from tfckpt.errors import PlanError, TfckptError, remedied

PACKAGE = Path(tfckpt.__path__[0])
RENAME = (("ln", "LayerNorm"),)
# For each action a remedy, what Python says of it, and what the command line types of ``tfckpt convert a b --scope s``.
REMEDIES: dict[str, tuple[Remedy, str, str | None]] = {
    "give": (issues.give(num_heads=2), "give num_heads=2", "tfckpt convert a b --scope s --num-heads 2"),
    "choose": (
        issues.choose(num_heads=[2, 4])[1],
        "give num_heads=4, if that is right",
        "tfckpt convert a b --scope s --num-heads 4",
    ),
    "give instead": (issues.instead(scope="t"), "give scope='t' instead", "tfckpt convert a b --scope t"),
    "leave out": (issues.leave_out("scope"), "leave out scope", "tfckpt convert a b"),
    "take": (issues.take("b", "c"), "take 'c' for 'b'", "tfckpt convert a c --scope s"),
    "list": (issues.list_tensors("a"), "list(tfckpt.open('a')) shows what it holds", "tfckpt ls a"),
    "draw": (issues.draw("a"), "tfckpt.open('a').object_graph shows what it holds", "tfckpt tree a"),
    "verify": (issues.find_damage("a"), "tfckpt.open('a').verify() finds what is damaged", "tfckpt verify a"),
    "look": (issues.look("c"), "look into 'c'", "ls -l c"),
    "compare": (issues.compare("a", "b"), "tfckpt.diff('a', 'b') shows what differs", "tfckpt diff a b"),
    "export": (
        issues.export("a")[0],
        "tfckpt.export('a', 'a.npz') writes its arrays",
        "tfckpt export a a.npz",
    ),
    "configure": (
        issues.configure("c.json", "vocab_size", 40, "30"),
        "give a config like 'c.json', in which 'vocab_size' is '30'",
        None,  # there is no such file
    ),
    "retype": (
        issues.retype(without=("--scope",), words=("--mode", "link")),
        "type the command without ('--scope',) and with ('--mode', 'link')",
        "tfckpt convert a b --mode link",
    ),
    "run": (
        issues.install("dask"),
        "run \"python3 -m pip install 'tfckpt[dask]'\" in a shell",
        "python3 -m pip install 'tfckpt[dask]'",
    ),
}
ARGV = ["convert", "a", "b", "--scope", "s"]
# What may mend each kind of issue; nothing that is known mends the others.
MENDED_BY: dict[str, list[str]] = {
    "said": [*ACTIONS],
    "refused": ["look", "run", "take"],
    "wrong-shape": ["configure", "leave out"],
    "wrong-vocabulary": ["configure"],
    "wrong-positions": ["configure"],
    "padded-table": ["give", "configure"],
    "contradicting-heads": ["leave out"],
    "relative-positions": ["export"],
    "unknown-heads": ["give"],
    "no-mean": ["give"],
    "stray-variable": ["give"],
    "stray-beside": ["give"],
    "stray-tensor": ["give"],
    "renamed": ["give"],
    "excluded": ["give instead"],
    "excluded-head": ["give instead"],
    "excluded-by-a-part": ["give instead"],
    "missing-variable": ["give"],
    "missing-head": ["give"],
    "zeros-stay": ["give"],
    "keys-without-graph": ["list"],
    "other-variables": ["list"],
    "related-model": ["export"],
    "no-known-family": ["list"],
    "look-alikes": ["choose"],
    "no-graph": ["leave out"],
    "no-model-in-graph": ["draw"],
    "other-options": ["give"],
    "a-copy": ["compare"],
    "unknown-file-kind": ["take"],
    "slot-of-a-piece": ["give"],
    "unknown-order": ["give"],
    "other-slots": ["give"],
}


def typed(remedies: tuple[Remedy, ...]) -> str | None:
    """Return what is advised to type."""
    args = argparse.Namespace(command="convert", source="a", dest="b", scope="s")
    command = _command(remedies, args, ARGV)
    return None if command is None else command.text


def flags() -> set[str]:
    return {option.flag for option in every_option().values() if option.flag}


@pytest.mark.parametrize("code", CODES)
def test_an_issue_of_each_kind_is_said_with_keywords_and_with_flags(code: str) -> None:
    parts = ("SUBJECT", "EXPECTED", "GOT", "origin")
    issue = Issue(code, *parts, remedies=(issues.give(num_heads=2),))
    python, shell = issue.text(), issue.text(for_shell)
    assert python.startswith("origin: ")
    assert "--" not in python
    assert "``" not in python + shell
    for name in ("subject", "expected", "got"):
        assert (name.upper() in python) == (f"{{{name}" in CODES[code])
    for option in re.findall("``([a-z_]+)[^`]*``", CODES[code]):
        assert option in python
        assert every_option()[option].flag in shell


@pytest.mark.parametrize("code", CODES)
def test_what_comes_out_of_a_file_is_never_taken_for_an_option(code: str) -> None:
    odd = "``exclude`` {got} %s \\1"
    for say in (keywords, for_shell):
        text = Issue(code, odd, odd, odd).text(say)
        assert text.count(odd) == sum(CODES[code].count(f"{{{name}}}") for name in ("subject", "expected", "got"))


@pytest.mark.parametrize(("code", "action"), [(code, action) for code in MENDED_BY for action in MENDED_BY[code]])
def test_an_issue_is_said_with_each_remedy_that_it_may_have(code: str, action: str) -> None:
    remedy, python, command = REMEDIES[action]
    error = remedied(PlanError([Issue(code, "SUBJECT", "EXPECTED", "GOT", "a", (remedy,))]), remedy)
    assert error.issues[0].text() in str(error)
    assert python in [remedy.for_python() for remedy in error.remedies]
    assert said(error) == [error.issues[0].text(for_shell)]
    assert typed(error.remedies) == command


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", [case for case in CASES if not case.apart], ids=lambda case: case.what)
def test_a_failure_has_no_other_remedies(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    stage.bert(tmp_path / "here")
    case.make(tmp_path / "here")
    errors: list[Exception] = []

    def noting(error: Exception) -> list[str]:
        errors.append(error)
        return said(error)

    monkeypatch.setattr("tfckpt.cli.main.said", noting)
    provoke(case, tmp_path / "here")
    assert errors or case.line.startswith("verify ")  # which ends with 1 for damage that it was asked to find
    found = {(i.code, r.action) for e in errors if isinstance(e, TfckptError) for i in e.issues for r in i.remedies}
    assert found <= {(code, action) for code, actions in MENDED_BY.items() for action in actions}


def test_every_kind_is_made_somewhere() -> None:
    source = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "codes.py")
    assert [code for code in CODES if f'"{code}"' not in source] == []


def test_each_action_has_its_example() -> None:
    assert [*REMEDIES] == [*ACTIONS]
    assert [remedy.action for remedy, _, _ in REMEDIES.values()] == [*ACTIONS]


@pytest.mark.parametrize("action", ACTIONS)
def test_a_remedy_is_said_in_python_and_typed_in_a_shell(action: str) -> None:
    remedy, python, command = REMEDIES[action]
    assert remedy.for_python() == python
    assert typed((remedy,)) == command


@pytest.mark.parametrize("action", ACTIONS)
def test_a_remedy_that_costs_trained_values_is_no_command(action: str) -> None:
    remedy = issues.lossy(REMEDIES[action][0], "cls/head")
    assert remedy.loses == "the trained values of cls/head"
    assert typed((remedy,)) is None


def test_issues_and_remedies_are_immutable_and_pickle() -> None:
    issue = Issue("wrong-shape", "x [3]", "[4]", "[3]", "c", tuple(remedy for remedy, _, _ in REMEDIES.values()))
    error = remedied(TfckptError([issue]), issue.remedies[0])
    for value, field in ((issue, "code"), (issue.remedies[0], "loses")):
        with pytest.raises(AttributeError):
            setattr(value, field, "")
    again = pickle.loads(pickle.dumps(error))
    assert (again.issues, again.remedies) == (error.issues, error.remedies) == ((issue,), (issue.remedies[0],))
    assert {hash(issue), hash(again.issues[0])} == {hash(issue)}


def test_no_flag_stands_below_the_command_line_but_where_its_option_is_made() -> None:
    """An error says what a Python caller gives; the command line puts its flags for that."""
    flag = re.compile(r"(?<![\w-])--[a-z][a-z-]*(?![\w-])")
    apart = {PACKAGE / "base" / "options.py", PACKAGE / "base" / "shell.py"}  # where options are made, and words quoted
    outside = [path for path in PACKAGE.rglob("*.py") if "cli" not in path.parts and path not in apart]
    found = {path.name: names for path in outside if (names := flags() & set(flag.findall(path.read_text())))}
    assert found == {}


def test_many_issues_of_a_kind_are_one_line_and_the_error_holds_every_one() -> None:
    names = [f"bert/encoder/layer_{n}/output/dense/kernel/lamb_m" for n in range(12)]
    error = TfckptError([Issue("stray-variable", name, "'encoder'", "[8]", "c") for name in names])
    assert said(error) == [
        f"c: {names[0]} [8]: 'encoder' neither takes nor drops this variable; --exclude leaves out its trained values; "
        "and 11 more like bert/encoder/layer_*/output/dense/kernel/lamb_m"
    ]
    assert [issue.subject for issue in error.issues] == names
    assert len(str(error).splitlines()) == len(error.reasons) == 12


def test_few_issues_of_a_kind_are_a_line_each_and_texts_of_one_error_are_not_folded() -> None:
    few: list[Any] = [Issue("wrong-shape", name, "[4]", "[3]", "c") for name in "abc"]
    assert len(said(TfckptError(few))) == 3
    assert said(TfckptError([f"line {n}: no" for n in range(9)])) == [f"line {n}: no" for n in range(9)]


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["a/b"], "a/b"),
        (["a/layer_0/k", "a/layer_10/k"], "a/layer_*/k"),
        (["a/beta", "a/gamma"], "a/*a"),
        (["a/b", "a/b/c"], "a/b*"),
        (["x", "y"], "*"),
    ],
)
def test_one_pattern_matches_all_of_several_names(names: list[str], pattern: str) -> None:
    assert like(names) == pattern


def test_an_issue_is_json() -> None:
    issue = Issue("wrong-shape", "x", "[4]", "[3]", "c", (issues.give(rename=RENAME),))
    assert json.loads(json.dumps(issue.to_json())) == {
        "code": "wrong-shape",
        "subject": "x",
        "expected": "[4]",
        "got": "[3]",
        "origin": "c",
        "remedies": [
            {
                "action": "give",
                "arguments": [["rename", [["ln", "LayerNorm"]]]],
                "loses": "",
            }
        ],
    }


def test_a_note_speaks_of_keywords_in_python_and_of_flags_on_the_command_line(
    bert: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tfckpt.plan(bert, to="keras", fill="zeros", exclude=["nothing"])
    assert [issue.code for issue in plan.issues][-2:] == ["no-use", "excludes-nothing"]
    assert plan.notes[-2:] == ("fill: 'keras' has no use for it", "exclude 'nothing': no variable")
    assert main(["plan", bert, "--to", "keras", "--fill", "zeros", "--exclude", "nothing"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["note: --fill: 'keras' has no use for it", "note: --exclude 'nothing': no variable"]


def test_notes_pickle_and_are_json_with_their_parts(bert: str) -> None:
    plan = tfckpt.plan(bert, fill="zeros", exclude=["=bert/pooler/dense/bias"], vocab_size=40)
    again = pickle.loads(pickle.dumps(plan))
    assert again.issues == plan.issues
    assert {issue.code for issue in plan.issues} == {"filled-though-there", "rows-of-zeros"}
    document = plan.to_json()
    assert document["notes"] == list(plan.notes)
    assert [Issue(**{**each, "remedies": ()}) for each in document["issues"]] == list(plan.issues)


def test_nothing_but_the_command_line_puts_a_note_into_words() -> None:
    """What a plan is made of holds issues; a text that is made early can speak to one kind of reader alone."""
    made = re.compile(r"notes(?:\.append\(| \+= \[)f?\"")
    found = [path.name for path in PACKAGE.rglob("*.py") if made.search(path.read_text())]
    assert found == []
