"""What is said to be next, typed to its end: nothing is lost, and nothing leads to a second refusal or in a circle."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from advice import judge
from advice.count import results_of, table
from advice.dialects import SOURCE, Dialect, make_dialect
from advice.draft import DEAD_END, EITHER, LOST, REFUSED, RIGHT
from advice.follow import DONE, SHOWN, Chain, Said, follow, type_in
from advice.judge import EXCLUDED, Outcome
from advice.kinds import KINDS
from advice.sources import FILL, STATE, TARGETS, tensors_of, variables_of
from teaching import stage
from teaching.cases import CASES, Case
from teaching.page import provoke

import tfckpt
from tfckpt.checkpoint.graph.roles import MODEL, find_roles
from tfckpt.cli.main import build_parser

pytestmark = pytest.mark.exhaustive

ROUNDS = 5  # of all kinds
AT_ONCE = 25
NUMBERS = range(ROUNDS * len(KINDS))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, and an empty one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


# --- dialects


@pytest.mark.parametrize("first", NUMBERS[::AT_ONCE])
def test_commands_after_next_lead_to_the_end_for_every_variant_of_a_model(first: int) -> None:
    results = results_of(1, NUMBERS[first : first + AT_ONCE])
    bad = [result for result in results if result.is_bad]
    assert not bad, "\n\n".join([f"{len(bad)} of {len(results)}", *(result.text for result in bad)])


def test_a_dialect_is_the_same_each_time() -> None:
    for number in (0, 7, 70):
        one, again = make_dialect(0, number), make_dialect(0, number)
        assert (one.argv, one.back, one.end, one.variables) == (again.argv, again.back, again.end, again.variables)
        assert all(np.array_equal(one.tensors[name], again.tensors[name]) for name in again.tensors)
    assert make_dialect(0, 70).tensors.keys() != make_dialect(1, 70).tensors.keys()


def test_dialects_are_of_every_kind_and_of_every_checkpoint() -> None:
    dialects = [make_dialect(1, number) for number in NUMBERS]
    kinds = Counter(kind for dialect in dialects for kind in dialect.kinds)
    assert all(kinds[kind] >= ROUNDS for kind in KINDS)
    assert {(dialect.folder, to) for dialect in dialects for to in (dialect.to,)} >= {
        (folder, to) for folder, targets in TARGETS.items() for to in targets
    }
    ends = Counter(dialect.end for dialect in dialects)
    assert min(ends[RIGHT], ends[REFUSED]) > ends[EITHER]


def test_the_checkpoints_have_no_value_twice() -> None:
    """So a value that stands where another should be is found."""
    for folder in TARGETS:
        variables = variables_of(folder)
        assert len({value.tobytes() for value in variables.values()}) == len(variables)
        roles = find_roles(tfckpt.open(stage.DATA / folder).entries(), None)
        assert {name for name, role in roles.items() if role == MODEL} == set(variables)
        assert any(STATE.fullmatch(name) for name in tensors_of(folder))


def names_that_a_substitution_mends() -> Iterator[Dialect]:
    for number in NUMBERS[:160]:
        dialect = make_dialect(2, number)
        if dialect.end == RIGHT and dialect.back:
            yield dialect


def test_what_must_end_right_is_mended_by_its_substitutions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dialects = list(names_that_a_substitution_mends())
    assert len(dialects) > 30
    for dialect in dialects:
        directory = tmp_path / str(dialect.number)
        directory.mkdir()
        monkeypatch.chdir(directory)
        assert judge.mend(dialect) == Outcome(RIGHT), dialect.number


def test_the_table_has_a_row_for_each_kind_and_end() -> None:
    results = [result._replace(kinds=("norms renamed",), end=LOST, expected=False) for result in results_of(0, [0, 65])]
    rows = table(results).splitlines()
    assert len(rows) == 1 + len(KINDS) + 4
    assert next(row for row in rows if row.startswith("norms renamed ")).split()[2:] == ["2", "-", "-", "2", "-", "2"]
    assert rows[-1].split() == ["all", "2", "-", "-", "2", "-", "2"]


# --- what is made of an end


def first_of(kind: str, wanted: Callable[[Dialect], bool]) -> Dialect:
    """Return the first dialect of one kind alone that is as wanted."""
    numbers = range(list(KINDS).index(kind), 400 * len(KINDS), len(KINDS))
    dialects = (make_dialect(0, number) for number in numbers)
    return next(dialect for dialect in dialects if dialect.kinds == (kind,) and wanted(dialect))


def ends(dialect: Dialect, *commands: str) -> Outcome:
    """Return what is made of a dialect after commands of which each is said to be next by the one before it."""
    dialect.write()
    said = [type_in(command) for command in commands]
    return judge.judge(dialect, Chain(tuple(said), DONE), left=set())


def convert(dialect: Dialect, source: str = SOURCE, *more: str) -> str:
    return shlex.join(["tfckpt", *(source if word == SOURCE else word for word in dialect.argv), *more])


def test_what_is_left_out_and_made_up_is_lost(here: Path) -> None:
    dialect = first_of("norms renamed", lambda d: d.folder == "bert_tf115" and d.to == "encoder")
    renamed = {name: hub for name, hub in dialect.variables.items() if hub and hub.startswith("bert/") and hub != name}
    excluded = [word for name in (*renamed, *renamed.values()) for word in ("--exclude", f"={name}")]
    outcome = ends(dialect, convert(dialect, SOURCE, *excluded, *FILL))
    assert outcome.end == LOST
    assert f"{sorted(renamed)[0]} is not at encoder/layer_with_weights-3/beta/.ATTRIBUTES/VARIABLE_VALUE" in outcome.why


def test_a_body_that_is_made_up_is_lost_unless_it_was_asked_for(here: Path) -> None:
    dialect = first_of("body: a table missing", lambda d: d.folder == "bert_tf115" and "--num-heads" not in d.options)
    (gone,) = variables_of(dialect.folder).keys() - dialect.variables.keys()
    outcome = ends(dialect, convert(dialect, SOURCE, "--exclude", f"={gone}", *FILL))
    assert outcome.end == LOST
    assert "_embeddings was made up (normal, deviation 0.02, seed 1), though it is of the body" in outcome.why


def test_values_that_change_places_are_lost(here: Path) -> None:
    dialect = first_of("query, key, value not told apart", lambda d: d.folder == "classifier_tf115")
    words = {
        hub.split("/")[-2]: name.split("/")[-2] for name, hub in dialect.variables.items() if hub and "/self/" in hub
    }
    wrong = {words["query"]: "key", words["key"]: "query", words["value"]: "value"}
    renames = [w for old, new in wrong.items() for w in ("--rename", f"(?<=/self/){old}(?=/)={new}")]
    rewrite = shlex.join(["tfckpt", "rewrite", SOURCE, "source/new", *renames])
    outcome = ends(dialect, rewrite, convert(dialect, "source/new"))
    assert outcome.end == LOST
    assert "/key/bias is not at" in outcome.why.replace(f"/{words['key']}/", "/key/")


def test_a_student_that_becomes_a_teacher_is_lost(here: Path) -> None:
    dialect = first_of("nothing wrong", lambda d: d.folder == "mobilebert_student_tf115" and d.to == "encoder")
    rewrite = shlex.join(["tfckpt", "rewrite", SOURCE, "source/new", "--rename", "FakeLayerNorm=LayerNorm"])
    assert ends(dialect, rewrite, convert(dialect, "source/new")) == Outcome(
        LOST, "the object graph is another model's"
    )


def test_a_slot_in_the_place_of_its_variable_is_a_stranger(here: Path) -> None:
    dialect = first_of("slot without its variable", lambda d: d.end == REFUSED and d.folder == "squad_tf115")
    (gone,) = variables_of(dialect.folder).keys() - {*dialect.variables}
    slot = next(name for name in dialect.tensors if name.startswith(f"{gone}/"))
    rewrite = shlex.join(["tfckpt", "rewrite", SOURCE, "source/new", "--rename", f"^{slot}$={gone}"])
    outcome = ends(dialect, rewrite, convert(dialect, "source/new"))
    assert outcome.end == LOST
    assert f"{gone} is at " in outcome.why


def test_an_undamaged_checkpoint_ends_right(here: Path) -> None:
    dialect = first_of("nothing wrong", lambda d: d.folder == "albert_tf115")
    assert ends(dialect, convert(dialect)) == Outcome(RIGHT)
    assert (
        judge.judge(dialect, Chain((Said("tfckpt convert a b", 1, "", "why\n"),), DEAD_END), left=set()).end == DEAD_END
    )
    refused = Chain((Said("tfckpt convert a b", 1, "", "tfckpt convert: a: what is wrong with it\n"),), SHOWN)
    assert judge.judge(dialect, refused, left=set()) == Outcome(REFUSED)
    assert judge.judge(dialect, refused, left={"out/model.index"}).end == DEAD_END


# --- following


def saying(answers: Mapping[str, tuple[int | None, str]]) -> Callable[[str], Said]:
    """Return what types commands whose exit codes, and what they say to be next, are known."""

    def type_in(command: str) -> Said:
        code, advice = answers[command]
        words = command.split()
        name = words[1] if words[0] == "tfckpt" else words[0]
        said = "" if code == 0 else f"tfckpt {name}: x: no\n"
        return Said(command, code, "", said + (f"tfckpt {name}: next: {advice}\n" if advice else ""))

    return type_in


CONVERT = "tfckpt convert a b"


@pytest.mark.parametrize(
    ("answers", "end", "why"),
    [
        ({CONVERT: (0, "")}, DONE, ""),
        ({CONVERT: (1, "")}, "refused", ""),
        ({CONVERT: (1, "tfckpt convert c b"), "tfckpt convert c b": (0, "")}, DONE, ""),
        ({CONVERT: (1, "tfckpt convert c b"), "tfckpt convert c b": (1, "")}, "dead end", "a second refusal"),
        ({CONVERT: (1, "tfckpt convert c b"), "tfckpt convert c b": (2, "")}, "dead end", "a second refusal"),
        ({CONVERT: (1, CONVERT)}, "dead end", f"in a circle: {CONVERT}"),
        ({CONVERT: (None, "")}, "dead end", "a traceback"),
        ({CONVERT: (1, "tfckpt ls a"), "tfckpt ls a": (0, "")}, SHOWN, ""),
        ({CONVERT: (1, "tfckpt ls a"), "tfckpt ls a": (1, "")}, "dead end", "a second refusal"),
        ({CONVERT: (1, "git -C a lfs pull")}, SHOWN, "git -C a lfs pull"),
        ({CONVERT: (1, "mv c a"), "mv c a": (0, "")}, DONE, ""),
        ({CONVERT: (1, "mv c a"), "mv c a": (1, "")}, "dead end", "a second refusal"),
        (
            {
                CONVERT: (1, "tfckpt verify a"),
                "tfckpt verify a": (1, "tfckpt salvage a c"),
                "tfckpt salvage a c": (1, ""),
            },
            DONE,
            "",
        ),
        (
            {CONVERT: (1, "tfckpt rewrite a c"), "tfckpt rewrite a c": (0, ""), "tfckpt convert c b": (0, "")},
            DONE,
            "",
        ),
        (
            {CONVERT: (1, "tfckpt rewrite a c"), "tfckpt rewrite a c": (0, ""), "tfckpt convert c b": (1, "ls -l")},
            "dead end",
            "a second refusal",
        ),
        (
            {
                CONVERT: (1, "tfckpt rewrite a c && tfckpt convert c d"),
                "tfckpt rewrite a c": (0, ""),
                "tfckpt convert c d": (0, ""),
            },
            DONE,
            "",
        ),
    ],
)
def test_each_end_of_a_chain_of_commands_is_told(
    answers: Mapping[str, tuple[int | None, str]], end: str, why: str
) -> None:
    chain = follow(shlex.split(CONVERT)[1:], saying(answers))
    assert (chain.end, chain.why) == (end, why)
    assert {said.command for said in chain.said} == set(answers)


def test_a_pipe_is_typed_in_a_shell(here: Path) -> None:
    stage.bert(here)
    said = type_in("echo '{\"num_attention_heads\": 2}' | tfckpt plan bert --config -")
    assert (said.code, said.words) == (0, [])
    assert "num_attention_heads: 2 (" in said.out


# --- what people meet


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_what_is_said_of_a_failure_is_followed(here: Path, case: Case) -> None:
    stage.bert(here)
    case.make(here)
    first = f"tfckpt {case.line}"

    def typed(command: str) -> Said:
        if command != first:
            return type_in(command)
        said = provoke(case, here)
        return Said(command, said.code, said.out, "\n".join(said.lines))

    chain = follow(shlex.split(case.line), typed)
    assert chain.end != "dead end", [chain.why, *((said.command, said.err) for said in chain.said)]
    assert not list(losses(case, chain))


def losses(case: Case, chain: Chain) -> Iterator[str]:
    """Yield what the last conversion of a chain lost of the model, or made up of its body, unless it was asked to."""
    last = chain.said[-1]
    report: Mapping[str, Any] | None = last.report
    if last.name != "convert" or report is None:
        return
    source = build_parser().parse_args(last.words).source
    with tfckpt.open(source) as checkpoint:
        roles = find_roles(checkpoint.entries(), checkpoint.object_graph)
    dropped = {item["source"]: item["rule"] for item in report["dropped"]}
    taken = {step["source"] for step in report["steps"]}
    for name in (name for name, role in roles.items() if role == MODEL and name not in taken):
        if name not in dropped or (dropped[name].startswith(EXCLUDED) and "--exclude" not in case.line):
            yield f"{name}: {dropped.get(name, 'not mentioned')}"
    made_up = {step["target"] for step in report["steps"] if step["fill"] is not None}
    if made_up and "--fill" not in case.line:
        with tfckpt.open(report["destination"]) as checkpoint:
            made_up -= {checkpoint.key_at(f"model/_pooler_layer/{end}") for end in ("kernel", "bias")}
        yield from (f"{key}: made up" for key in made_up)
