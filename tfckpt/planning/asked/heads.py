"""A variable of the source that the user names as the target's head, and the bias beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from tfckpt.base.issues import Issue, choose
from tfckpt.base.options import AUTO, DEFAULT, Fixed
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.roles import BESIDE
from tfckpt.errors import PlanError, UsageError, some
from tfckpt.families.language.axes import parse
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.optimizer import ADAM_SLOTS
from tfckpt.families.language.target import TargetVariable, build_target
from tfckpt.planning.builder import PlanBuilder
from tfckpt.planning.steps import Input, Rearrange

KINDS = {
    "classifier": "classifier",
    "token": "token-classifier",
    "span": "span-labeler",
}  # and the targets that have them
AS_KERNEL, AS_WEIGHTS = "kernel", "weights"  # inputs @ kernel, inputs @ weights.T: as Keras has it, and as TF1's BERT


class AskedHead(NamedTuple):
    """A head as the user names it.

    Attributes:
        name: of its weights, or the scope that holds them.
        kind: one of `KINDS`; empty if the target tells.
        form: `AS_KERNEL` or `AS_WEIGHTS`; empty if the shape tells.
    """

    name: str
    kind: str = ""
    form: str = ""


class HeadRows(NamedTuple):
    """The two variables of a target that are one of its heads."""

    weights: TargetVariable
    bias: TargetVariable


def parse_head(text: str) -> AskedHead:
    """Return the head that ``NAME``, ``NAME:KIND`` or ``NAME:KIND:FORM`` means.

    >>> parse_head("loss/w:0:token:kernel")
    AskedHead(name='loss/w:0', kind='token', form='kernel')
    >>> parse_head("loss/w::weights").form
    'weights'
    """
    name, _, form = text.rpartition(":")
    if form not in (AS_KERNEL, AS_WEIGHTS):
        name, form = text, ""
    start, _, kind = name.rpartition(":")
    return (
        AskedHead(start, kind, form) if start and (kind in KINDS or (form and not kind)) else AskedHead(name, "", form)
    )


def target_of_head(to: str, texts: Sequence[str]) -> str:
    """Return the target that a head's kind names, where none but the default is given.

    Raises: UsageError if the target is another, or nothing names one.
    """
    kinds = {KINDS[head.kind] for head in map(parse_head, texts) if head.kind}
    if len(kinds) > 1 or (kinds and to not in (*kinds, AUTO, DEFAULT)):
        raise UsageError(f"head: it is of the target {' and '.join(map(repr, sorted(kinds)))}, and to is {to!r}")
    if texts and not kinds and to in (AUTO, DEFAULT):
        issue = Issue("head-without-kind", repr(texts[0]), ", ".join(KINDS))
        raise UsageError(issue._replace(remedies=choose(to=[*KINDS.values()])))
    return next(iter(kinds), to)


def head_rows(layout: ObjectRows, hub: Mapping[str, Entry]) -> list[HeadRows]:
    """Return the heads of a target that are weights and a bias; ``hub`` is what the source holds."""
    variables = build_target(layout, hub).variables
    found = []
    for head in layout.family.heads:
        own = {v.name: v for v in variables if head.matches(v.name)}
        ordered = sorted(own.values(), key=lambda v: -len(parse(v.axes or "")[0]))
        if [len(parse(v.axes or "")[0]) for v in ordered] == [2, 1]:
            found.append(HeadRows(*ordered))
    return found


def inputs_of(rows: HeadRows, layout: ObjectRows, hub: Mapping[str, Entry]) -> int | None:
    """Return how many inputs a head has, as what else has the same axis tells; None if nothing does."""
    *_, (letter,) = parse(rows.weights.axes or "")[0]
    alike = (v for v in build_target(layout, hub).variables if v.axes and parse(v.axes)[0] == ((letter,),))
    return next((hub[v.name].shape[0] for v in alike if v.name in hub and len(hub[v.name].shape) == 1), None)


def take_heads(
    builder: PlanBuilder, hub: dict[str, Entry], layout: ObjectRows, texts: Collection[str]
) -> dict[str, Input]:
    """Take variables as the target's heads: they get its names in ``hub``.

    Args:
        builder: gets what is dropped.
        hub: what the source holds, by hub name.
        layout: the target.
        texts: as the user gave them.
    Returns:
        What becomes of those that lie in the file the other way round, by hub name.
    Raises: UsageError for a name that there is not, or of no head; PlanError if a square one may lie either way.
    """
    inputs: dict[str, Input] = {}
    for text in texts:
        inputs |= _take(builder, hub, layout, parse_head(text))
    return inputs


def _take(builder: PlanBuilder, hub: dict[str, Entry], layout: ObjectRows, head: AskedHead) -> dict[str, Input]:
    rows = head_rows(layout, hub)
    if len(rows) != 1:
        what = "no head of weights and a bias" if not rows else "several heads"
        raise UsageError(f"head {head.name!r}: {layout.name!r} has {what}")
    name, entry = _find(builder, hub, head)
    size = inputs_of(rows[0], layout, hub)
    forms = {
        form
        for form, axis in ((AS_WEIGHTS, 1), (AS_KERNEL, 0))
        if len(entry.shape) == 2 and size in (None, entry.shape[axis]) and head.form in ("", form)
    }
    if not forms:
        expected = f"{size} inputs" if size is not None else "two axes"
        raise PlanError([Issue("wrong-shape", entry.name, expected, str(list(entry.shape)), builder.source)])
    if len(forms) > 1:
        choices = choose(head=[f"{head.name}:{head.kind}:{form}" for form in (AS_KERNEL, AS_WEIGHTS)])
        raise PlanError(
            [Issue("square-head", entry.name, got=str(list(entry.shape)), origin=builder.source, remedies=choices)]
        )
    turned = forms == {AS_KERNEL}
    bias = _bias_of(builder, hub, name, entry.shape[1 if turned else 0])
    (classes,), (width,) = parse(rows[0].weights.axes or "")[0]
    pattern = f"{width} {classes} -> {classes} {width}" if turned else ""
    taken = _rename(builder, hub, name, rows[0].weights.name, pattern)
    if bias is not None:
        _rename(builder, hub, bias, rows[0].bias.name)
    return taken


def _find(builder: PlanBuilder, hub: Mapping[str, Entry], head: AskedHead) -> tuple[str, Entry]:
    """Return the hub name and the entry of a head's weights: of that name, or the one matrix in that scope."""
    own = {entry.name: name for name, entry in hub.items()}
    if head.name in own:
        return own[head.name], hub[own[head.name]]
    scope = head.name.rstrip("/") + "/"
    below = [n for n, name in own.items() if n.startswith(scope) and _is_weights(builder, hub[name])]
    if len(below) == 1:
        return own[below[0]], hub[own[below[0]]]
    got = f"it has {some(below, 3)}" if below else "there is none of that name"
    raise UsageError(f"head {head.name!r}: expected one variable, and {got}")


def _is_weights(builder: PlanBuilder, entry: Entry) -> bool:
    return len(entry.shape) == 2 and builder.roles.get(entry.name) not in BESIDE


def _bias_of(builder: PlanBuilder, hub: Mapping[str, Entry], weights: str, size: int) -> str | None:
    """Return the vector beside a head's weights that has a value for each class; None if there is none.

    Raises: PlanError if several may be it.
    """
    scope, _, last = weights.rpartition("/")
    beside = [n for n, e in hub.items() if n.rpartition("/")[0] == scope and e.shape == (size,) and n != weights]
    found = [name for name in beside if builder.roles.get(hub[name].name) not in BESIDE]
    start = last.rpartition("_")[0]
    alike = [name for name in found if start and name.rpartition("/")[2].startswith(start)]
    found = alike if len(alike) == 1 else found
    if len(found) > 1:
        names = some([hub[name].name for name in found], 3)
        raise PlanError([Issue("several-biases", hub[weights].name, got=names, origin=builder.source)])
    return found[0] if found else None


def _rename(builder: PlanBuilder, hub: dict[str, Entry], old: str, new: str, pattern: str = "") -> dict[str, Input]:
    """Give a variable, and its slots, another hub name; what had that is dropped. A pattern brings them into its form."""
    inputs: dict[str, Input] = {}
    for end in ("", *(f"/{slot}" for slot in ADAM_SLOTS.values())):
        entry = hub.pop(old + end, None)
        if entry is None:
            continue
        if new + end in hub:
            builder.drop(hub[new + end], "another variable is taken as the head")
        if pattern:
            turn = Rearrange(pattern, Fixed(dict(zip(pattern.split()[:2], entry.shape, strict=True))))
            inputs[new + end] = Input(entry.name, entry.data_type, entry.shape, ops=(turn,))
            entry = entry._replace(shape=entry.shape[::-1])
        hub[new + end] = entry
    return inputs


def head_candidates(roles: Mapping[str, str], hub: Mapping[str, Entry], layout: ObjectRows) -> Iterator[str]:
    """Yield the names of variables that may be the one head that a target lacks: matrices beside the model of its width.

    Args:
        roles: what each tensor is for, by its own name.
        hub: what the source holds, by hub name.
        layout: the target.
    """
    missing = [rows for rows in head_rows(layout, hub) if rows.weights.name not in hub]
    if len(missing) != 1:
        return
    size = inputs_of(missing[0], layout, hub)
    wanted = {variable.name for variable in build_target(layout, hub).variables}
    within = {name.partition("/")[0] for name in (*wanted & hub.keys(), layout.family.anchor)}
    for name, entry in hub.items():
        is_beside = name not in wanted and name.partition("/")[0] not in within
        is_other = any(head.matches(name) for head in layout.family.heads)
        is_weight = len(entry.shape) == 2 and roles.get(entry.name) not in BESIDE
        if is_beside and not is_other and is_weight and (size is None or size in entry.shape):
            yield entry.name
