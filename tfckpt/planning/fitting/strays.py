"""Variables that a target neither takes nor drops, and what may become of them.

One that stands in the model, an adapter or a norm more, is a part of it: what comes out without it is another model. So it
may be left out only by whoever names it. One beside the model, such as a second network, may go if the target is whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tfckpt.base.issues import Issue, give, lossy
from tfckpt.bundle.values.entry import Entry
from tfckpt.errors import some
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.planning.bound import Bound
from tfckpt.planning.builder import PlanBuilder
from tfckpt.planning.exclusion import WILD, leaving_out, whole_name

MOST_NAMED = 3  # variables under one scope that are excluded by their names


def complain_of_strays(
    strays: Sequence[Entry],
    hub: Collection[str],
    wanted: Collection[str],
    scope: str,
    layout: ObjectRows,
    builder: PlanBuilder,
    *,
    is_whole: bool,
) -> None:
    """Complain about each, with what would mend it.

    Args:
        strays: the variables.
        hub: the hub names of all that stays.
        wanted: the hub names that the target takes.
        scope: what stands before them.
        layout: the target.
        builder: where to complain.
        is_whole: whether the target lacks nothing.
    """
    if not strays:
        return
    within = {_first(name) for name in (*wanted, layout.family.anchor)}
    may_go = is_whole and not layout.family.heads_among(wanted)
    beside = [entry for entry in strays if may_go and _first(entry.name.removeprefix(scope)) not in within]
    texts = _texts(beside, {_first(name) for name in hub} - {_first(e.name.removeprefix(scope)) for e in beside}, scope)
    for entry in strays:
        shape = str(list(entry.shape))
        if entry.name in texts:
            builder.complain("stray-beside", entry.name, repr(layout.name), shape, give(exclude=texts[entry.name]))
        else:
            remedy = lossy(leaving_out(entry), entry.name)
            builder.complain("stray-variable", entry.name, repr(layout.name), shape, remedy)


def drop_beside(
    strays: Sequence[Entry], wanted: Collection[str], bound: Bound, layout: ObjectRows, builder: PlanBuilder
) -> list[Entry]:
    """Drop what is beside a model that the user has named: other heads, a CRF, a projection. Return the others."""
    names = {entry.name: name for name, entry in bound.hub.items()}
    within = {_first(name) for name in (*wanted, layout.family.anchor)}
    beside = [entry for entry in strays if _first(names[entry.name]) not in within]
    for entry in beside:
        builder.drop(entry, "beside the model that is named")
    if beside:
        builder.notes.append(Issue("beside-left-out", some([entry.name for entry in beside], MOST_NAMED)))
    return [entry for entry in strays if entry not in beside]


def all_kept(issues: Iterable[Issue]) -> list[Issue]:
    """Return issues of a target that was not chosen by the user, for whom nothing of the source may be too much."""
    return [
        issue._replace(remedies=tuple(lossy(remedy, issue.subject) for remedy in issue.remedies))
        if issue.code == "stray-beside"
        else issue
        for issue in issues
    ]


def _first(name: str) -> str:
    return name.partition("/")[0]


def _texts(beside: Sequence[Entry], others: Collection[str], scope: str) -> dict[str, str]:
    """Return for each variable the text that excludes it: one for all that share a scope with nothing else."""
    groups: dict[str, list[str]] = {}
    for entry in beside:
        groups.setdefault(_first(entry.name.removeprefix(scope)), []).append(entry.name)
    texts: dict[str, str] = {}
    for first, names in groups.items():
        start = f"{names[0].partition(first)[0]}{first}/"
        is_scope = len(names) > MOST_NAMED and all(name.startswith(start) for name in names)
        glob = is_scope and first not in others and WILD.isdisjoint(start)
        texts |= {name: f"{start}*" if glob else whole_name(name) for name in names}
    return texts
