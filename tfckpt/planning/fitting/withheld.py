"""What an exclusion takes although the target needs it.

Strategy: the target is that of what stays and of what is needed all the same. Needed is the network, for which only trained
values will do: all variables of the parts that repeat or hold the family's anchor, poolers apart. Whole layers at its end
may go, if no configuration says otherwise. Heads, and the poolers that they read, may go and be filled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tfckpt.base.issues import Issue, instead
from tfckpt.bundle.values.entry import Entry
from tfckpt.errors import count_of, some
from tfckpt.families.language.axes import Size
from tfckpt.families.language.family import POOLER
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.rules import numbers_in, spell
from tfckpt.families.language.target import TargetVariable, lacking, placed_parts
from tfckpt.planning.builder import PlanBuilder
from tfckpt.planning.exclusion import Taken, whole_name


class Withheld(NamedTuple):
    """The variables that an exclusion takes.

    Attributes:
        entries: by hub name.
        network: hub names of the target's network, taken or not.
        needed: those of the entries without which there would be another target.
        notes: what to say of whole layers that go.
    """

    entries: Mapping[str, Entry]
    network: Collection[str]
    needed: Mapping[str, Entry]
    notes: Sequence[Issue]

    def may_be_filled(self, variable: TargetVariable, taken: Taken) -> bool:
        """Whether a variable may get other values: that of a head may, any other if the user named it."""
        return taken.is_exact or variable.name not in self.network


def find_withheld(
    layout: ObjectRows, hub: Mapping[str, Entry], entries: Mapping[str, Entry], known: Mapping[str, Size]
) -> Withheld:
    """Return what an exclusion takes of a target.

    Args:
        layout: the target.
        hub: what stays, by hub name.
        entries: what is taken, by hub name.
        known: the sizes that are given.
    """
    if not entries:
        return Withheld(entries, (), {}, ())
    network = network_of(layout, {*hub, *entries})
    gone, notes = _whole_layers(layout, hub, entries, known)
    signs = tuple(borrow.only_with for borrow in layout.family.borrows if borrow.only_with)
    needed = {
        name: entry
        for name, entry in entries.items()
        if (name in network and not name.startswith(gone)) or name.startswith(signs)
    }
    return Withheld(entries, network, needed, notes)


def network_of(layout: ObjectRows, names: Collection[str]) -> set[str]:
    """Return the hub names of a target's network, for which only trained values will do: heads and poolers are none of it."""
    lent = layout.family.borrowed(names)
    known = {*names, *lent}
    found: set[str] = set()
    for placed in placed_parts(layout, known):
        part = placed.part
        own = {variable.name for variable in part.variables(numbers_in(known), lacking(part, known))}
        if part.each or layout.family.anchor in own:
            found.update(lent.get(name, name) for name in own)
    return {name for name in found if not POOLER.matches(name)}


def _whole_layers(
    layout: ObjectRows, hub: Mapping[str, Entry], entries: Mapping[str, Entry], known: Mapping[str, Size]
) -> tuple[tuple[str, ...], list[Issue]]:
    """Return what the names of layers begin with that may go, and notes that say so."""
    kept, there = numbers_in(hub), numbers_in({*hub, *entries})
    gone: list[str] = []
    notes = []
    for each in {each: None for placed in placed_parts(layout, {*hub, *entries}) for each in placed.part.each}:
        left = list(kept(each.source, each.path))
        cut = [number for number in there(each.source, each.path) if number not in left]
        stated = known.get(each.field)
        agreed = stated is None or stated.value == len(left)
        if cut and left and agreed and left == list(range(len(left))):
            gone += [spell(each.source, number) for number in cut]
            notes.append(Issue("layers-left-out", some(gone[-len(cut) :], 2), count_of(left, "layer")))
    return tuple(gone), notes


def complain_of_taken(
    missing: Iterable[TargetVariable],
    withheld: Withheld,
    builder: PlanBuilder,
    layout: ObjectRows,
    strays: Sequence[str],
    *,
    fill: bool,
) -> list[TargetVariable]:
    """Complain, once for each text, about what it takes that the target needs; return the other missing variables.

    Args:
        missing: variables of the target for which nothing is left.
        withheld: what the exclusion takes.
        builder: where to complain.
        layout: the target.
        strays: names of what the exclusion takes and the target has no place for: a narrower one takes these alone.
        fill: whether values for missing variables were asked for.
    """
    excluded = builder.excluded
    others: list[TargetVariable] = []
    needed: dict[Taken, list[TargetVariable]] = {}
    for variable in missing:
        entry = withheld.entries.get(variable.name)
        taken = None if entry is None else excluded.taking(entry.name)
        if taken is None or (fill and withheld.may_be_filled(variable, taken)):
            others.append(variable)
        else:
            needed.setdefault(taken, []).append(variable)
    narrowed = excluded.narrowed([taken.text for taken in needed if taken.text is not None], strays)
    narrower = instead(exclude=tuple(narrowed))
    for taken, variables in needed.items():
        fillable = all(withheld.may_be_filled(variable, taken) for variable in variables)
        ordered = sorted(variables, key=lambda variable: withheld.may_be_filled(variable, taken))
        keys = {withheld.entries[variable.name].name: variable.key for variable in ordered}
        issue = needing(keys, taken.rule, layout.name)
        if fillable:
            issue = issue._replace(code="excluded-head")
        elif fill:
            name = whole_name(next(iter(keys)))
            named = f"{issue.expected}; it is filled if its whole name is excluded: {name!r}"
            issue = issue._replace(expected=named)
        elif taken.text is not None:
            issue = issue._replace(code="excluded-by-a-part")
        if taken.text is not None and (taken.is_exact or not fillable):
            issue = issue._replace(remedies=(narrower,))
        builder.complain_of(issue)
    return others


def complain_of_lost(builder: PlanBuilder, lost: Mapping[str, str], layout: str) -> None:
    """Complain about tensors that a source names and lacks, and once for each rule about those that are left out.

    Args:
        builder: where to complain.
        lost: by hub name, the names that the source has for them.
        layout: name of the target.
    """
    needed: dict[str, dict[str, str]] = {}
    for name, key in lost.items():
        if key in builder.rules:
            needed.setdefault(builder.rules[key], {})[key] = name
        else:
            builder.complain("missing-tensor", key, name)
    for rule, targets in needed.items():
        builder.complain_of(needing(targets, rule, layout))


def needing(targets: Mapping[str, str], rule: str, layout: str) -> Issue:
    """Return what to say of variables that a rule leaves out, each with what it would have become.

    >>> needing({"a": "x", "b": "y"}, "excluded by ''", "encoder").text()
    "a and 1 more: excluded by '', and 'encoder' needs a for x"
    """
    first, target = next(iter(targets.items()))
    it = first if len(targets) > 1 else "it"
    return Issue("excluded", some(list(targets), 1), f"{layout!r} needs {it} for {target}", rule)
