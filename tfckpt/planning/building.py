"""How the model of a target is built: every argument of the calls that its layout lists, and what to say of them.

A model that is built otherwise restores every variable, and computes something else. So whatever differs from what a class
does by itself is a note, and what nothing tells is never made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tfckpt.base.issues import Issue
from tfckpt.base.options import Fixed
from tfckpt.errors import count_of
from tfckpt.families.language.axes import Size
from tfckpt.families.language.calls import (
    ActivationOf,
    Always,
    Call,
    Code,
    CountOf,
    FactOf,
    Has,
    LengthOf,
    RowsAre,
    SizeOf,
    Teller,
)
from tfckpt.families.language.facts import LAYER_NORM_EPS, NO_FACTS, NUM_HEADS, Fact
from tfckpt.families.language.family import Family
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.rules import numbers_in
from tfckpt.planning.builder import AS_GIVEN
from tfckpt.planning.config import Config
from tfckpt.planning.plan import Argument, Constructor, Plan

OPEN = "..."  # the code of what nothing tells
CHOSEN = "yours to choose"
DEFAULT = "the class's default"
NOWHERE = "stated nowhere"
VARIABLES = "variable names"
DIFFERS = "or its outputs differ"
GARDEN_EPS = 1e-12  # of each norm in Model Garden's encoders and heads; no argument is for it
SET_EPS = 'for norm in (x for x in {model}.submodules if hasattr(x, "epsilon")): norm.epsilon = {eps!r}'

Shapes = Mapping[str, tuple[int, ...]]  # of TF1 variables, by hub name
Row = tuple[Argument, Teller]
Told = tuple[str | float | bool | None, str, str]  # value, field, origin


class _Source(NamedTuple):
    """What a source tells of its model."""

    family: Family
    sizes: Mapping[str, Size]
    facts: Mapping[str, Fact]
    shapes: Shapes

    def fact(self, name: str) -> tuple[str, Fact | None]:
        """Return a fact and its name: a second network has the first one's, unless its own is stated."""
        if name not in self.facts and self.family.second is not None:
            name = name.removeprefix(self.family.second.prefix)
        return name, self.facts.get(name)


def add_constructors(
    plan: Plan,
    layout: ObjectRows,
    shapes: Shapes,
    config: Config | None,
    *,
    second: Config | None = None,
    num_heads: int | None = None,
    resized: Mapping[str, int],
) -> Plan:
    """Return the plan with what its model must be built with, the configuration's facts, and notes.

    Args:
        plan: the plan of an object-based target.
        layout: that target.
        shapes: of what goes to it, by hub name, in the hub's form.
        config: the model's configuration, if there is one.
        second: that of the family's second network.
        num_heads: the head count as it was given; the plan has none if it splits nothing.
        resized: sizes that the target gets instead of the source's.
    """
    sizes = {field: Size(value, config.origin) for field, value in config.sizes.items()} if config else {}
    given = {NUM_HEADS: num_heads, **resized}
    sizes |= {**plan.sizes, **{field: Size(size, AS_GIVEN) for field, size in given.items() if size}}
    source = _Source(layout.family, sizes, config.facts if config else NO_FACTS, shapes)
    source = source._replace(facts=Fixed({**source.facts, **_second_facts(layout, second, source)}))
    calls = [call for call in layout.calls if not call.only_with or call.only_with in shapes]
    rows = [_rows(call, source) for call in calls]
    built = [
        Constructor(call.name, call.module, call.function, tuple(argument for argument, _ in told), call.first_call)
        for call, told in zip(calls, rows, strict=True)
    ]
    notes = _notes([row for told in rows for row in told], source)
    notes += _eps_notes(source, built[-1].name.partition(",")[0]) if built else []
    return plan._replace(facts=source.facts, constructors=tuple(built), issues=(*plan.issues, *notes))


def _second_facts(layout: ObjectRows, config: Config | None, source: _Source) -> dict[str, Fact]:
    """Return the facts that the target's calls ask of a second network and that the first has not; none if both are one."""
    second = layout.family.second
    if second is None or config is None or second.hidden in layout.family.borrowed(source.shapes):
        return {}
    asked = {getattr(teller, "fact", "") for call in layout.calls for _, teller, *_ in call.arguments}
    facts = {second.prefix + name: fact for name, fact in config.facts.items() if second.prefix + name in asked}
    others = {name: source.fact(name)[1] for name in facts}
    return {name: fact for name, fact in facts.items() if getattr(others[name], "value", None) != fact.value}


def _rows(call: Call, source: _Source) -> list[Row]:
    """Return the arguments of a call, each with what told it."""
    rows = [(name, teller) for name, teller, *only in call.arguments if not only or only[0] in source.shapes]
    return [(_argument(name, teller, source), teller) for name, teller in rows]


def _argument(name: str, teller: Teller, source: _Source) -> Argument:
    if isinstance(teller, Code):
        return Argument(name, teller.text, None, "", "")
    if isinstance(teller, ActivationOf):
        return _activation(name, teller, source)
    value, field, origin = _value(teller, source)
    return Argument(name, OPEN if value is None else repr(value), value, field, origin)


def _value(teller: Teller, source: _Source) -> Told:
    """Return what an argument is that is plain data; None if nothing tells it."""
    told: Told = None, "", CHOSEN
    match teller:
        case SizeOf(field):
            size = source.sizes.get(field)
            told = (None, field, NOWHERE) if size is None else (size.value, field, size.origin)
        case FactOf(name, default):
            field, fact = source.fact(name)
            told = (default, field, DEFAULT) if fact is None else (fact.value, field, fact.origin)
        case LengthOf(variable, fact_name):
            shape = source.shapes.get(variable)
            told = (None, fact_name, NOWHERE) if shape is None else (shape[0], fact_name, variable)
        case CountOf(prefix, more):
            told = len(list(numbers_in(source.shapes)(prefix, ""))) + more, "", VARIABLES
        case Has(prefix, yes, no):
            told = yes if any(name.startswith(prefix) for name in source.shapes) else no, "", VARIABLES
        case RowsAre():
            told = _rows_are(teller, source)
        case Always(value):
            told = value, "", ""
    return told


def _rows_are(teller: RowsAre, source: _Source) -> Told:
    size, other = source.sizes.get(teller.field), source.sizes.get(teller.other)
    if size and other and size.value != other.value:
        return source.shapes[teller.variable][0] == size.value, teller.fact, teller.variable
    field, fact = source.fact(teller.fact)
    return (None, field, NOWHERE) if fact is None else (fact.value, field, fact.origin)


def _activation(name: str, teller: ActivationOf, source: _Source) -> Argument:
    """Return an argument that is a function; its code is from our own table, never from a file."""
    field, fact = source.fact(teller.fact)
    value = str(fact.value) if fact is not None else source.family.activation
    code = source.family.activations.get(value.lower(), OPEN)
    if fact is not None:
        return Argument(name, code, value, field, fact.origin)
    origin = DEFAULT if code == teller.default else f"what {source.family.name} has" if value else NOWHERE
    return Argument(name, code, value or None, field, origin)


def _notes(rows: Sequence[Row], source: _Source) -> list[Issue]:
    """Return what to say of arguments: those that differ from what the class does by itself, and those that nothing tells."""
    said: dict[Issue, dict[str, None]] = {}  # what lacks its arguments; these, each once
    for argument, teller in rows:
        note = _building_note(argument, teller, source.family)
        if note is not None:
            text = argument.name if argument.code == OPEN else f"{argument.name}={argument.code}"
            said.setdefault(note, {})[text] = None
    notes = [note._replace(expected=", ".join(arguments)) for note, arguments in said.items()]
    return notes + [line for argument, teller in rows for line in _label_notes(argument, teller, source)]


def _building_note(argument: Argument, teller: Teller, family: Family) -> Issue | None:
    """Return what to say of an argument, without its name; None if there is nothing to say."""
    what = f"{argument.field} is {argument.value}"
    if argument.origin == NOWHERE:
        return Issue("build-with-the-right", f"{argument.field} is {NOWHERE}, and no tensor shows it", got=DIFFERS)
    if isinstance(teller, ActivationOf) and argument.code == OPEN:
        known = ", ".join(family.activations)
        return Issue("build-with-your-own", f"{argument.field} is {argument.value!r}, none of {known}", got=DIFFERS)
    if isinstance(teller, ActivationOf) and argument.code != teller.default:
        return Issue("build-with", what, got=DIFFERS)
    if isinstance(teller, FactOf) and argument.value != teller.default:
        return Issue("build-with", what, got="or it trains otherwise")
    return None


def _label_notes(argument: Argument, teller: Teller, source: _Source) -> list[Issue]:
    fact = source.facts.get(argument.field) if isinstance(teller, LengthOf) else None
    if fact is None or fact.value == argument.value:
        return []
    stated = f"{argument.field} is {fact.value} in {fact.origin}"
    rows = count_of(argument.value, "row") if isinstance(argument.value, int) else f"{argument.value} rows"
    return [Issue("label-count", stated, f"{argument.name}={argument.code}", f"{argument.origin} has {rows}")]


def _eps_notes(source: _Source, model: str) -> list[Issue]:
    """Return what to do where the source's norms, if it has any, are not as Model Garden's classes make them."""
    fact = source.facts.get(LAYER_NORM_EPS)
    norms = any(part.startswith("LayerNorm") for name in source.shapes for part in name.split("/"))
    if fact is None or fact.value == GARDEN_EPS or not norms:
        return []
    code = SET_EPS.format(model=model, eps=fact.value)
    return [Issue("other-epsilon", f"{LAYER_NORM_EPS} is {fact.value}", f"`{code}`", str(GARDEN_EPS))]
