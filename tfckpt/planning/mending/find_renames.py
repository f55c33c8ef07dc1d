"""Which substitutions turn a source's names into those that a target knows, where another code has other names.

Strategy: what the target lacks and what it has no place for are paired by place and shape. A pair counts only if neither side
has another one as good; query, key and value have one shape and one place, so several of them are never paired. From pairs
come substitutions, each as short as it may be without changing any other name. Layers under another name, and a model under
another scope, are told by what stands below. Nothing of this is believed: the whole is planned anew with the new names, and
if anything is missing or left over then, the pairs are said and no substitution is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from itertools import takewhile
from typing import NamedTuple

from tfckpt.base.options import Substitution
from tfckpt.base.substitutions import substituted
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.roles import BESIDE, find_roles
from tfckpt.families.language.axes import parse
from tfckpt.families.language.family import POOLER
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.rules import CHOICES, NUMBER_MARK, numbers_in, scopes_before
from tfckpt.families.language.target import TargetVariable, build_target, lacking, placed_parts

MOST_SUBSTITUTIONS = 12
PLACE = 12  # characters by which a place in a name is told
MOST_PLACES = 6  # behind which one substitution changes names: query, key, value and what else has a bias
MOST_NAMES = 5000  # of what is left over and of what is missing: the rest of such a file is another model
END = "(?=/|$)"
# What other code calls the parameters of a layer. A norm's two have one shape and one place, so that words alone tell which
# is which; what is a kernel and what a norm's scale, shapes tell.
SYNONYMS: Mapping[str, Set[str]] = {
    "query": {"q"},
    "key": {"k"},
    "value": {"v"},
    "kernel": {"weight", "w"},
    "bias": {"b", "beta", "offset", "shift"},
    "gamma": {"weight", "w", "scale", "gain", "g"},
    "beta": {"bias", "b", "offset", "shift"},
}
DOTS = (r"\.", "/")


class Gap(NamedTuple):
    """What stands between a source and a target, by hub names.

    Attributes:
        scope: what stands before them.
        missing: what the target lacks.
        strays: what it has no place for.
        known: what it takes.
        patterns: the axes of what it wants.
    """

    scope: str
    missing: Mapping[str, TargetVariable]
    strays: Mapping[str, Entry]
    known: Mapping[str, Entry]
    patterns: Mapping[str, str]

    def called(self, stray: str, name: str) -> str:
        """Return what the source would call a missing variable that is left over under another name."""
        return self.strays[stray].name.removesuffix(stray) + name


class Renames(NamedTuple):
    """Substitutions of names, a pair for each variable whose name changes, and whether that is all there is to mend."""

    substitutions: tuple[Substitution, ...]
    pairs: tuple[tuple[str, str], ...]
    mend: bool

    @property
    def cost(self) -> tuple[int, int]:
        """How much changes: of two ways to mend names the one that changes less is meant."""
        return len(self.substitutions), len(self.pairs)


def find_renames(
    entries: Sequence[Entry],
    layout: ObjectRows,
    known: Mapping[str, int],
    works: Callable[[Sequence[Substitution], ObjectRows], bool],
) -> Renames | None:
    """Return the substitutions that give a source's variables the names of the target's; None if none are known.

    Args:
        entries: what the source holds, under the names that it is known by so far.
        layout: the target.
        known: the sizes that a configuration states, by field.
        works: whether the source can be converted to this target with these substitutions.
    """
    found: list[Substitution] = []
    renamed = list(entries)
    while step := _next_step(renamed, layout, known):
        before, renamed = renamed, _apply(step, renamed)
        if renamed == before or len(found) + len(step) > MOST_NAMES:
            return None
        found += step
        kinds = {
            re.sub(r"\d+", "N", pattern) for pattern, _ in found
        }  # of layers that are counted from 1, there is one
        if len({entry.name for entry in renamed}) < len(renamed) or len(kinds) > MOST_SUBSTITUTIONS:
            return None
    if not found:
        return None
    pairs = [(old.name, new.name) for old, new in zip(entries, renamed, strict=True) if old.name != new.name]
    names = [entry.name for entry in renamed]
    signs = {p.only_with for p in layout.parts if p.only_with and not scopes_before(p.only_with, names)}
    if not pairs or _may_be_another_model(pairs, signs):
        return None
    return Renames(tuple(found), tuple(pairs), works(found, layout))


def _may_be_another_model(pairs: Iterable[tuple[str, str]], signs: Collection[str]) -> bool:
    """Whether a variable could as well have a name that is the sign of another model, as a MobileBERT's norms have one."""
    return any(_place(old, sign) == _place(old, new) is not None for old, new in pairs for sign in signs)


def _apply(step: Sequence[Substitution], entries: Sequence[Entry]) -> list[Entry]:
    return [entry._replace(name=substituted(entry.name, step)) for entry in entries]


def _next_step(entries: Sequence[Entry], layout: ObjectRows, known: Mapping[str, int]) -> list[Substitution]:
    """Return the next substitutions; none if nothing is missing any more, or nothing more can be told."""
    if step := _spelling([entry.name for entry in entries]):
        return step
    roles = find_roles(entries, None)
    model = [entry for entry in entries if roles.get(entry.name) not in BESIDE]  # a slot may have a scope of its own
    names = [entry.name for entry in model]
    scope = _scope(names, layout)
    if scope is None:
        return _first_scope(names, layout)
    gap = find_gap(model, layout, scope)
    if step := _numbers(gap, layout, known):
        return step
    if not gap.strays or len(gap.strays) + len(gap.missing) > MOST_NAMES:
        return []
    if step := _layers(gap, layout):
        return step
    found = _pairs(gap, _Shapes(gap, layout, known), _Rivals(gap, layout))
    pairs = {gap.strays[stray].name: gap.called(stray, name) for stray, name in found.items()}
    return _substitutions(pairs, [entry.name for entry in gap.known.values()])


def _spelling(names: Sequence[str]) -> list[Substitution]:
    """Return what mends names that another code spells otherwise, all of them."""
    are_dotted = sum("." in name for name in names) > len(names) / 2 and not any("/" in name for name in names)
    return [DOTS] if are_dotted else []


def _scope(names: Sequence[str], layout: ObjectRows) -> str | None:
    """Return what stands before the hub's names; None if nothing begins as they do."""
    root = layout.family.anchor.partition("/")[0] + "/"
    scopes = scopes_before(layout.family.anchor, names)
    if scopes:
        return scopes[0] if len(scopes) == 1 else None
    starts = {name[: f"/{name}".index(f"/{root}")] for name in names if f"/{root}" in f"/{name}"}
    return starts.pop() if len(starts) == 1 else None


def _first_scope(names: Sequence[str], layout: ObjectRows) -> list[Substitution]:
    """Return the substitution that gives a model its family's scope, if it has another one or none."""
    root, _, tail = layout.family.anchor.partition("/")
    scopes = scopes_before(tail, names)
    if len(scopes) != 1:
        return []
    if scopes[0]:
        return [(f"^{_exactly(scopes[0])}", f"{root}/")]
    within = {f"{root}/{name}" for name in names}
    wanted = {variable.name for variable in build_target(layout, within).variables}
    firsts = sorted({name.split("/")[1] for name in within & wanted if "/" in name})
    return [(f"^(?=(?:{'|'.join(map(_exactly, firsts))})/)", f"{root}/")] if firsts else []


def find_gap(model: Sequence[Entry], layout: ObjectRows, scope: str) -> Gap:
    """Return what a target lacks of a model's variables, and which it has no place for."""
    hub = {entry.name.removeprefix(scope): entry for entry in model}
    wanted = {variable.name: variable for variable in build_target(layout, {*hub, *_signs(layout, hub)}).variables}
    lent = {b.own: b.lender for b in layout.family.borrows if not any(name.startswith(b.own) for name in hub)}
    lenders = tuple(lent.values())

    def has_no_place(name: str) -> bool:
        dropped = any(drop.matches(name) for drop in layout.drops) and not name.startswith(lenders)
        return name not in wanted and not dropped

    def stored(name: str) -> str:  # what one network borrows of another is missing there
        own = next((own for own in lent if name.startswith(own)), None)
        return name if own is None else lent[own] + name.removeprefix(own)

    return Gap(
        scope,
        {stored(name): variable for name, variable in wanted.items() if name not in hub},
        {name: entry for name, entry in hub.items() if has_no_place(name)},
        {name: entry for name, entry in hub.items() if name in wanted},
        {name: variable.axes or "" for name, variable in wanted.items()},
    )


def _signs(layout: ObjectRows, hub: Collection[str]) -> list[str]:
    """Return the names that tell of parts that a model may lack, of which something stands where they should."""
    signs = [part.only_with for part in layout.parts if part.only_with and "/" in part.only_with]
    return [sign for sign in signs if any(name.startswith(sign.rpartition("/")[0] + "/") for name in hub)]


def _layers(gap: Gap, layout: ObjectRows) -> list[Substitution]:
    """Return the substitution for layers that stand under another name: told by the names of what they hold."""
    names = {*gap.known, *gap.strays}
    there = numbers_in({*names, *layout.family.borrowed(names)})
    for placed in placed_parts(layout, names):
        for each in placed.part.each:
            start, _, end = each.source.partition(NUMBER_MARK)
            if list(there(each.source, each.path)):
                continue
            one = placed.part.variables(lambda *prefixes: (0,), lacking(placed.part, names))
            rows = {v.name.removeprefix(f"{start}0{end}") for v in one if v.name.startswith(f"{start}0{end}")}
            found = _numbered_like(rows, start, end, gap.strays)
            if found is not None:
                return [(f"^{_exactly(gap.scope + found)}(?=\\d)", _literal(gap.scope + start))]
    return []


def _numbers(gap: Gap, layout: ObjectRows, known: Mapping[str, int]) -> list[Substitution]:
    """Return the substitutions for layers that are counted from 1, if a configuration states as many, or written as 00."""
    names = {*gap.known, *gap.strays}
    for placed in placed_parts(layout, names):
        for each in placed.part.each:
            start = each.source.partition(NUMBER_MARK)[0]
            marks = {match[1] for name in names if (match := re.match(rf"{re.escape(start)}(\d+)/", name))}
            before = f"(?<={_exactly(start[-PLACE:])})"
            if any(mark.startswith("0") and len(mark) > 1 for mark in marks):
                return [(f"{before}0+(?=\\d)", "")]
            found = sorted(map(int, marks))
            if found and found == list(range(1, known.get(each.field, 0) + 1)):
                return [(f"{before}{number}(?=/)", str(number - 1)) for number in found]
    return []


def _numbered_like(rows: Collection[str], start: str, end: str, strays: Iterable[str]) -> str | None:
    """Return what stands before the number of layers that hold such rows, from 0 on.

    Of several the one that begins most like ``start``; None if it is not one.
    """
    held: dict[str, dict[int, int]] = {}
    for name in strays:
        for match in re.finditer(r"(\d+)/", name):
            if name[match.end(1) :].removeprefix(end) in rows:
                layers = held.setdefault(name[: match.start()], {})
                layers[int(match[1])] = layers.get(int(match[1]), 0) + 1
    shared = {found: len(_difference(start, found)[0]) for found in held}
    best = [found for found in held if shared[found] == max(shared.values())]
    return best[0] if len(best) == 1 and sorted(held[best[0]]) == list(range(len(held[best[0]]))) else None


class _Shapes:
    """Which shapes a missing variable may have: by a configuration's sizes, and by what has the same axes."""

    def __init__(self, gap: Gap, layout: ObjectRows, known: Mapping[str, int]) -> None:
        self._fields = layout.family.sizes
        self._known = known
        self._seen: dict[str, set[tuple[int, ...]]] = {}
        for name, entry in gap.known.items():
            self._seen.setdefault(_source_axes(gap.patterns[name]), set()).add(entry.shape)

    def fit(self, shape: tuple[int, ...], variable: TargetVariable) -> bool:
        """Whether a variable may have this shape."""
        axes = parse(variable.axes or "")[0]
        if len(axes) != len(shape):
            return False
        for axis, size in zip(axes, shape, strict=True):
            stated = self._known.get(self._fields.get(axis[0], "")) if len(axis) == 1 else None
            if stated is not None and size != stated:
                return False
        seen = self._seen.get(_source_axes(variable.axes or ""))
        return seen is None or shape in seen


def _source_axes(pattern: str) -> str:
    return pattern.partition(" -> ")[0].strip()


class _Rivals:
    """What tells that a variable that is left over is none of the missing ones, though it would fit."""

    def __init__(self, gap: Gap, layout: ObjectRows) -> None:
        self._unknown = layout.family.unknown
        self._known = {_unnumbered(name) for name in gap.known}
        self._scopes = {name[: match.end()] for name in gap.known for match in re.finditer("/", name)}
        self._patterns = gap.patterns
        self._twins: dict[tuple[int, str, str], int] = {}
        for name, axes in gap.patterns.items():
            for at in range(name.count("/") + 1):
                key = _without_part(name, at, axes)
                self._twins[key] = self._twins.get(key, 0) + 1

    def allow(self, stray: str, name: str) -> bool:
        """Whether the one may be the other.

        What is called beta is no gamma; no source has what its family does not know; a pooler may be missing, so only one
        that is called so is one; a scope that holds something already has no other name; and of what has twins, as a query
        has, all layers have one name.
        """
        before, old, new, after = _difference(stray, name)
        if self._unknown is not None and self._unknown.matches(name):
            return False
        if POOLER.matches(name) and not POOLER.matches(f"/{stray}") and not _words(old) & _words(new):
            return False
        if old and new and after and "/".join([*before, *new, ""]) in self._scopes:
            return False
        if any(_is_another_of(choice, old, new) for choice in CHOICES.values()):
            return False
        has_twins = (
            len(new) == 1 and self._twins.get(_without_part(name, len(before), self._patterns.get(name, "")), 0) > 1
        )
        return not (has_twins and _unnumbered(name) in self._known)


def _is_another_of(choice: Collection[str], old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether two names say different things where one of these is to be said."""
    found = {*old} & {*choice}, {*new} & {*choice}
    return all(found) and found[0] != found[1]


def _unnumbered(name: str) -> str:
    return re.sub(r"\d+", "N", name)


def _without_part(name: str, at: int, axes: str) -> tuple[int, str, str]:
    parts = name.split("/")
    return at, "/".join([*parts[:at], *parts[at + 1 :]]), axes


def _pairs(gap: Gap, shapes: _Shapes, rivals: _Rivals) -> dict[str, str]:
    """Return what is missing by what is left over, where place and shape leave no other choice."""
    pairs: dict[str, str] = {}
    missing, strays = dict(gap.missing), dict(gap.strays)
    places = {
        (stray, name): place
        for stray, entry in strays.items()
        for name, variable in missing.items()
        if shapes.fit(entry.shape, variable)
        and (place := _place(stray, name)) is not None
        and rivals.allow(stray, name)
    }
    while places:
        of_stray, of_name = _best(places, 0), _best(places, 1)
        found = [(s, n) for s, n in places if of_stray[s] == [(s, n)] and of_name[n] == [(s, n)]]
        if not found:
            break
        pairs |= dict(found)
        names = set(pairs.values())
        places = {(s, n): place for (s, n), place in places.items() if s not in pairs and n not in names}
    return pairs


Pair = tuple[str, str]
Place = tuple[int, int, int]


def _best(places: Mapping[Pair, Place], side: int) -> dict[str, list[Pair]]:
    """Return for each name of one side the pairs that are likest."""
    best: dict[str, list[Pair]] = {}
    for pair, place in places.items():
        others = best.setdefault(pair[side], [pair])
        if place > places[others[0]]:
            best[pair[side]] = [pair]
        elif pair not in others and place == places[others[0]]:
            others.append(pair)
    return best


def _place(stray: str, name: str) -> Place | None:
    """Return how like two names are: the fewer parts differ, whether these have the same numbers, and how many words.

    None, if their places are unlike.
    """
    before, old, new, after = _difference(stray, name)
    is_alone = len(old) == len(new) == 1
    if (not before and not after and not is_alone) or len(old) > 3 or len(new) > 3:
        return None
    numbers = [re.findall(r"\d+", "/".join(parts)) for parts in (old, new)]
    if all(numbers) and numbers[0] != numbers[1]:
        return None
    return -len(old) - len(new), int(numbers[0] == numbers[1]), len(_words(old) & _words(new))


def _difference(stray: str, name: str) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return what two names share at their beginnings, the parts in which they differ, and what they share at their ends."""
    a, b = stray.split("/"), name.split("/")
    before = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
    rest = zip(reversed(a[before:]), reversed(b[before:]), strict=False)
    after = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], rest))
    return a[:before], a[before : len(a) - after], b[before : len(b) - after], a[len(a) - after :]


def _words(parts: Iterable[str]) -> set[str]:
    found = (word.lower() for part in parts for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", part))
    words = {word.removesuffix("s") for word in found}
    return words | {name for name, others in SYNONYMS.items() if words & others}


class _Change(NamedTuple):
    """The parts of a name that change, and those round them."""

    before: tuple[str, ...]
    old: tuple[str, ...]
    new: tuple[str, ...]
    after: tuple[str, ...]


def _substitutions(pairs: Mapping[str, str], names: Sequence[str]) -> list[Substitution]:
    """Return the substitution that changes the most of what is left over to what it is paired with, by one short change.

    No name changes that has a place already. What has none may change along: a head that is dropped has the same names in it.
    Where no one substitution does it for any kind of change, there is one for each name.

    Args:
        pairs: new names by old ones.
        names: of what has a place already.
    """
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[str, _Change]] = {}
    for stray, name in pairs.items():
        change = _change(stray, name)
        stem = tuple(re.sub(r"_?\d+$", "", part) for part in change.old)
        groups.setdefault((stem, change.new), {})[stray] = change
    for changes in sorted(groups.values(), key=_size):
        others = {stray: name for stray, name in pairs.items() if stray not in changes}
        meant = {stray: pairs[stray] for stray in changes}
        fitting = (s for s in _spellings(list(changes.values())) if _changes_only(s, meant, names))
        short = next((s for s in fitting if _leads_on(s, others)), None)
        if short is not None:
            return [short]
    first = min(groups.values(), key=_size, default={})
    return [(f"^{_exactly(stray)}{END}", _literal(pairs[stray])) for stray in first]


def _size(changes: Mapping[str, _Change]) -> tuple[int, int]:
    """Return what sorts groups of changes: those of fewer parts come first, and of these the larger group."""
    change = next(iter(changes.values()))
    return len(change.old) + len(change.new), -len(changes)


def _change(stray: str, name: str) -> _Change:
    before, old, new, after = _difference(stray, name)
    if (not old or not (new or before)) and after:  # a part more, or less: it comes before the next
        old, new, after = [*old, after[0]], [*new, after[0]], after[1:]
    elif not old or not new:  # it goes with the last
        old, new, before = [before[-1], *old], [before[-1], *new], before[:-1]
    return _Change(tuple(before), tuple(old), tuple(new), tuple(after))


def _spellings(changes: Sequence[_Change]) -> Iterator[Substitution]:
    """Yield the substitutions for changes of one kind, the shorter first: with ever more round them."""
    olds = {change.old for change in changes}
    core = "/".join(map(_exactly, changes[0].old))
    if len(olds) > 1:
        stem = [_exactly(re.sub(r"_?\d+$", "", part)) for part in changes[0].old]
        core = "/".join([*stem[:-1], f"{stem[-1]}(?:_?\\d+)?"])
    new = _literal("/".join(changes[0].new))
    starts = ["(?<=/)" if all(change.before for change in changes) else "(?<![^/])"]
    for count in (1, 2):
        last = sorted({change.before[-count:] for change in changes})
        if len(last) <= MOST_PLACES and all(len(parts) == count for parts in last):
            behind = [f"(?<=/{_exactly('/'.join(parts))}/)" for parts in last]
            starts.append(behind[0] if len(behind) == 1 else f"(?:{'|'.join(behind)})")
    ends = [END]
    following = sorted({change.after[0] for change in changes if change.after})
    if following and all(change.after for change in changes):
        ends.append(f"(?=/(?:{'|'.join(map(_exactly, following))})(?:/|$))")
    for start in starts:
        for end in ends:
            yield start + core + end, new


def _leads_on(substitution: Substitution, pairs: Mapping[str, str]) -> bool:
    """Whether a substitution that changes other names along makes them more like those that they are paired with."""
    changed = {stray: new for stray in pairs if (new := substituted(stray, [substitution])) != stray}
    return all(_unlike(new, pairs[stray]) < _unlike(stray, pairs[stray]) for stray, new in changed.items())


def _unlike(stray: str, name: str) -> int:
    _, old, new, _ = _difference(stray, name)
    return len(old) + len(new)


def _changes_only(substitution: Substitution, meant: Mapping[str, str], names: Sequence[str]) -> bool:
    """Whether a substitution does what is meant, and changes no other name but those of what belongs to these variables."""
    for name in names:
        new = substituted(name, [substitution])
        if name in meant:
            if new != meant[name]:
                return False
        elif new != name and not any(name.startswith((f"{stray}/", f"{stray}_")) for stray in meant):
            return False
    return True


def _exactly(text: str) -> str:
    """Return the expression for a text; without ``=``, at which the command line parts it from its replacement."""
    return re.escape(text).replace("=", r"\x3d")


def _literal(text: str) -> str:
    """Return a text as ``re.sub`` writes it."""
    return text.replace("\\", r"\\")
