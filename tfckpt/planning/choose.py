"""Which target, where the user leaves it to us: the fullest one for what the source holds.

Strategy: a target fits if the source has something of every part that makes it more than an encoder. Of those that fit,
the one that takes the most variables is the fullest, and the first in the catalog if several do. A head of which
a variable is lost still counts: the plan then names what is missing, rather than leave the head behind unasked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tfckpt.base.issues import Issue, choose, list_tensors
from tfckpt.base.options import DEFAULT
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.errors import PlanError
from tfckpt.families.catalog import TF1, Catalog
from tfckpt.families.language.family import Family
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.match import Match
from tfckpt.families.language.rules import scopes_before
from tfckpt.families.language.target import placed_variables
from tfckpt.planning.exclusion import NOTHING, Exclusion


class Choice(NamedTuple):
    """The name of a target, and what to say of why it was chosen."""

    to: str
    why: Issue


def choose_target(
    source: str,
    names: Mapping[str, str],
    catalog: Catalog,
    *,
    match: Match | None = None,
    excluded: Exclusion = NOTHING,
) -> Choice:
    """Return the fullest target for a checkpoint with variables of these names.

    Args:
        source: prefix of the checkpoint, for messages.
        names: what each of its tensors is called, by its own name.
        catalog: the targets there are.
        match: the model that rows find by these names, if they are not the hub's.
        excluded: what does not count; but if that is what tells the family, all counts, and the plan says what is needed.
    Raises:
        PlanError: it is no checkpoint of a known family, or several targets take the same variables for different models;
            names them and asks for ``to``.
    """
    if OBJECT_GRAPH_KEY in names:
        return Choice(TF1.name, _chosen(TF1.name, "the source is object-based, and this is the way back"))
    family, hub = _hub_names(names, catalog, match, excluded)
    if family is None:
        anchors = ", ".join(f"{family.anchor} ({family.name})" for family in catalog.families)
        issue = Issue("no-known-family", expected=anchors, origin=source, remedies=(list_tensors(source),))
        raise PlanError([issue])
    own = [layout for layout in catalog.models if layout.family == family]
    encoder = next((layout for layout in own if layout.name == DEFAULT), None)
    fitting = {layout: taken for layout in own if (taken := _fit(layout, encoder or layout, hub))}
    if not fitting:  # not even an encoder is whole: its plan says what is missing
        return Choice(DEFAULT, _chosen(DEFAULT, "nothing in the source is all that a target needs"))
    fullest = max(fitting, key=lambda layout: len(fitting[layout]))
    equals = [layout.name for layout, taken in fitting.items() if taken == fitting[fullest]]
    _ask(source, fullest, equals)
    return Choice(fullest.name, _why(fullest, fitting[fullest], hub, [name for name in equals if name != fullest.name]))


def _hub_names(
    names: Mapping[str, str], catalog: Catalog, match: Match | None, excluded: Exclusion
) -> tuple[Family | None, set[str]]:
    """Return the family of a checkpoint's names, and the hub names that stay."""
    if match is not None:
        found = [item for item in match.found if excluded.taking(item.key) is None] or match.found
        return match.family, {name for item in found for name in item.variable.names}
    kept = [called for name, called in names.items() if excluded.taking(name) is None]
    kept = kept if catalog.find_family(kept) else list(names.values())
    family = catalog.find_family(kept)
    scope = next(iter(scopes_before(family.anchor, kept)), "") if family else ""
    return family, {name.removeprefix(scope) for name in kept}


def _fit(layout: ObjectRows, encoder: ObjectRows, hub: Collection[str]) -> set[str]:
    """Return the hub names that a target takes; none if the source has nothing of one of its parts."""
    parts, base = _names(layout, hub), set().union(*_names(encoder, hub))
    if any(part - base and part.isdisjoint(hub) for part in parts):
        return set()
    return set().union(*parts) & set(hub)


def _names(layout: ObjectRows, hub: Collection[str]) -> list[set[str]]:
    """Return the hub names of each part of a target, but for those that no source has."""
    parts: dict[tuple[str, str], set[str]] = {}
    for placed, variable in placed_variables(layout, hub):
        parts.setdefault((placed.path, placed.only_with), set()).update(variable.names)
    unknown = layout.family.unknown
    return [{name for name in part if not (unknown and unknown.matches(name))} for part in parts.values()]


def _ask(source: str, fullest: ObjectRows, equals: Collection[str]) -> None:
    """Raise if another model than the fullest target's takes the same variables."""
    alike = next((names for names in fullest.family.look_alikes if fullest.name in names), ())
    candidates = [name for name in alike if name in equals]
    if len(candidates) > 1:
        choices = f"{', '.join(candidates[:-1])} or {candidates[-1]}"
        raise PlanError([Issue("look-alikes", got=choices, origin=source, remedies=choose(to=candidates))])


def _why(layout: ObjectRows, taken: Collection[str], hub: Collection[str], equals: Sequence[str]) -> Issue:
    """Return what to say of the choice."""
    family: Family = layout.family
    heads = family.heads_among(taken)
    others = [rule for rule in family.heads_among(hub) if rule not in heads]
    why = f"the fullest for what the source holds: {', '.join([f'an encoder of {family.name}', *heads])}"
    if others:
        why += f"; no target takes {', '.join(others)} with it"
    if equals and heads:
        why += f"; {', '.join(equals)} would hold the same"
    return _chosen(layout.name, why)


def _chosen(to: str, why: str) -> Issue:
    return Issue("chosen-target", repr(to), got=why)
