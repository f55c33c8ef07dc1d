"""What a source's tensors are called in its family's words: after renames, without the scope of one of several models, with
averages in the place of variables, and with any optimizer's moments under google-research's names.

The tensors keep their own names, by which messages and steps know them; a plan asks here what each is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from tfckpt.base.issues import Issue, give
from tfckpt.base.options import AUTO, Fixed, Request, Substitution
from tfckpt.base.substitutions import check_substitution, substituted, unused_patterns
from tfckpt.bundle.values.dtypes import FLOATING
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.named_roles import owners_of_names
from tfckpt.checkpoint.graph.optimizers import AVERAGE_NAMES
from tfckpt.checkpoint.graph.roles import MODEL, MOVING_AVERAGE, OPTIMIZER
from tfckpt.errors import PlanError, UsageError, are, count_of, some
from tfckpt.families.catalog import Catalog
from tfckpt.families.language.optimizer import ADAM_SLOTS, TRAINING_STEP
from tfckpt.planning.dialect.moments import Moments, find_moments
from tfckpt.planning.dialect.scopes import choose_root, find_roots, own_scope

Roles = Callable[[], Mapping[str, str]]  # looks for what each tensor is for, by its own name
NOTHING: Mapping[str, str] = Fixed({})
STEPS = frozenset({TRAINING_STEP, "iter", "iteration", "iterations"})
DROP = "drop"
OUTPUT = ":0"  # the first output of a variable's operation
MOST_NAMED = 3  # in one note


class Dialect(NamedTuple):
    """What is special about a source's names; all by own names.

    Attributes:
        called: what a tensor is called in the family's words, scope and all, where that is not its own name.
        rules: why a tensor is left out, if it is.
        roles: what a tensor is for, where that changes: an average that is taken is the model's.
        checked: second moments that only a number tells from first ones, of which no value may be negative.
        notes: what to say of it.
    """

    called: Mapping[str, str] = NOTHING
    rules: Mapping[str, str] = NOTHING
    roles: Mapping[str, str] = NOTHING
    checked: frozenset[str] = frozenset()
    notes: tuple[Issue, ...] = ()

    def name_of(self, entry: Entry) -> str:
        """Return what a tensor is called."""
        return self.called.get(entry.name, entry.name)

    def named(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the tensors that stay, each under what it is called."""
        return [entry._replace(name=self.name_of(entry)) for entry in entries if entry.name not in self.rules]


PLAIN = Dialect()


def asks_for_names(request: Request) -> bool:
    """Whether a request says how a source's names are to be read."""
    return bool(request["rename"] or request["source_scope"] or request["averages"] or request["head"])


def substitutions_of(request: Request) -> tuple[list[Substitution], bool]:
    """Return the substitutions that a request has, and whether it asks for more to be found.

    Raises: UsageError if one is none.
    """
    given = request["rename"]
    items: Sequence[Substitution | str] = (given,) if isinstance(given, str) else tuple(given)
    pairs = []
    for item in items:
        if isinstance(item, str):
            if item != AUTO:
                raise UsageError(f"rename: expected 'auto' or pairs of a pattern and its replacement, got {item!r}")
        else:
            check_substitution(item)
            pairs.append(item)
    return pairs, AUTO in items


def read_dialect(
    source: str, entries: Sequence[Entry], request: Request, catalog: Catalog, roles: Roles, *, moments: bool = False
) -> Dialect:
    """Return what a source's tensors are called.

    Args:
        source: its prefix, for messages.
        entries: all that it holds.
        request: what is asked for.
        catalog: the families that it may be of.
        roles: what each tensor is for.
        moments: whether an optimizer's state goes along to another optimizer.
    Raises: UsageError if no model has the scope, or nothing is an average.
    """
    called = _without_outputs(entries)
    if not (asks_for_names(request) or moments):
        return Dialect(Fixed(called)) if called else PLAIN
    rules: dict[str, str] = {}
    notes: list[Issue] = []
    if request["source_scope"]:
        _take_root(request["source_scope"], entries, catalog, roles(), called, rules, notes)
    _rename(substitutions_of(request)[0], entries, called, notes)
    changed = _take_averages(source, entries, roles(), called, rules, notes) if request["averages"] else NOTHING
    checked = _name_moments(source, entries, roles(), called, notes) if moments else frozenset[str]()
    return Dialect(Fixed(called), Fixed(rules), changed, checked, tuple(notes))


def _without_outputs(entries: Sequence[Entry]) -> dict[str, str]:
    """Return names without the ``:0`` that all of them end in, where a saver was given tensors by their names."""
    if not entries or not all(entry.name.endswith(OUTPUT) for entry in entries):
        return {}
    return {entry.name: entry.name.removesuffix(OUTPUT) for entry in entries}


def _take_root(
    scope: str,
    entries: Sequence[Entry],
    catalog: Catalog,
    roles: Mapping[str, str],
    called: dict[str, str],
    rules: dict[str, str],
    notes: list[Issue],
) -> None:
    """Take the model under a scope, and leave out what is another one's; say what may be of any of them.

    What has no scope belongs to a model that has none, if there is one.
    """
    roots = find_roots([entry.name for entry in entries], catalog.families)
    chosen = choose_root(scope, roots)
    others = tuple(own_scope(each.root, chosen.root) for each in roots if each != chosen)
    before = chosen.root[: chosen.root.rstrip("/").rfind("/") + 1]  # what the scope of its heads is, too
    is_bare = before and any("/" not in each.root.rstrip("/") for each in roots if each != chosen)
    anyones = []
    for name in (entry.name for entry in entries):
        if name.startswith(chosen.root):
            called[name] = chosen.called + name.removeprefix(chosen.root)
        elif name.startswith(others) or (is_bare and not name.startswith(before)):
            rules[name] = f"not of the model at {chosen.root.rstrip('/')!r}"
        elif others and not (before and name.startswith(before)) and roles.get(name) == MODEL:
            anyones.append(name)
    if anyones:
        notes.append(Issue("of-any-model", some(anyones, MOST_NAMED), repr(chosen.root.rstrip("/"))))


def _rename(
    substitutions: Sequence[Substitution], entries: Iterable[Entry], called: dict[str, str], notes: list[Issue]
) -> None:
    if not substitutions:
        return
    names = {entry.name: called.get(entry.name, entry.name) for entry in entries}
    new = {own: substituted(name, substitutions) for own, name in names.items()}
    notes += [
        Issue("renames-nothing", repr(pattern), "no tensor")
        for pattern in unused_patterns(substitutions, names.values())
    ]
    read = {own: name for own, name in new.items() if name != names[own]}
    if read:
        own, name = next(iter(read.items()))
        notes.append(Issue("read-as", own, name, count_of(read, "variable")))
    called.update(read)


def _take_averages(
    source: str,
    entries: Iterable[Entry],
    roles: Mapping[str, str],
    called: dict[str, str],
    rules: dict[str, str],
    notes: list[Issue],
) -> Mapping[str, str]:
    """Call each moving average as its variable, which is left out; return what these are for then.

    Raises: UsageError if there is none.
    """
    by_name = {entry.name: entry for entry in entries}
    owners = owners_of_names(by_name.values(), {name: role for name, role in roles.items() if role == MOVING_AVERAGE})
    taken: dict[str, str] = {}
    for name, place in owners.items():
        of = place.variable
        is_left_out = name in rules or of in rules.keys() - taken.values()
        if is_left_out or roles[of] != MODEL or not {by_name[name].data_type, by_name[of].data_type} <= {*FLOATING}:
            continue
        if of in rules:
            raise UsageError(f"averages: {source}: {of} has several")
        taken[name], rules[of] = of, "its moving average is taken"
    lonely = _without_variables(name for name in by_name if roles.get(name) == MOVING_AVERAGE and name not in owners)
    taken |= {name: of for name, of in lonely.items() if of not in by_name and name not in rules}
    if not taken:
        raise UsageError(f"averages: {source}: no variable has a moving average")
    called.update((name, called.get(of, of)) for name, of in taken.items())
    raw = [name for name, role in roles.items() if role == MODEL and name not in rules]
    rest = f"{are(raw, 'variable', 'has', 'have')} none: {some(raw, MOST_NAMED)}" if raw else "none is without one"
    notes.append(Issue("averages-taken", expected=count_of(taken, "variable"), got=rest))
    return Fixed(dict.fromkeys(taken, MODEL))


def _without_variables(names: Iterable[str]) -> dict[str, str]:
    """Return averages whose variables are not there, with what these are called."""
    parts = ((name, name.rpartition("/")) for name in names)
    return {name: above for name, (above, _, last) in parts if above and last in AVERAGE_NAMES}


def _name_moments(
    source: str, entries: Iterable[Entry], roles: Mapping[str, str], called: dict[str, str], notes: list[Issue]
) -> frozenset[str]:
    """Call slots that are moments as google-research does, and the training step; return those that have to be checked.

    Raises: PlanError if a variable has slots of which several pairs may be its moments.
    """
    by_name = {entry.name: entry for entry in entries}
    owners = owners_of_names(by_name.values(), {name: role for name, role in roles.items() if role == OPTIMIZER})
    found = {of: pairs for of, pairs in find_moments(owners, by_name).items() if roles.get(of) != OPTIMIZER}
    checked: set[str] = set()
    seen: dict[str, Moments] = {}
    around: dict[tuple[str, str], str] = {}  # what stands around variables' names in those of moments
    for of, pairs in found.items():
        if len(pairs) != 1:
            continue
        (moments,) = pairs
        slots = zip(moments[:2], ADAM_SLOTS.values(), strict=True)
        names = {own: f"{called.get(of, of)}/{slot}" for own, slot in slots}
        if any(called.get(own, own) != name for own, name in names.items()):
            called.update(names)
            seen.setdefault(owners[moments.first].suffix, moments)
        for own, slot in zip(moments[:2], ADAM_SLOTS.values(), strict=True):
            around[owners[own].scope, owners[own].suffix] = slot
        if moments.is_numbered:
            checked.add(moments.second)
    for own, place in owners.items():
        lone = None if found.get(place.variable) else around.get((place.scope, place.suffix))
        if lone is not None and by_name[own].shape == by_name[place.variable].shape:  # its pair is missed by that
            called[own] = f"{called.get(place.variable, place.variable)}/{lone}"
    if doubtful := [of for of, pairs in found.items() if len(pairs) > 1]:
        several = ", ".join(name for pair in found[doubtful[0]] for name in pair[:2])
        raise PlanError(
            [Issue("moments-in-doubt", some(doubtful, 1), got=several, origin=source, remedies=(give(slots=DROP),))]
        )
    for moments in seen.values():
        pair, meant = f"{moments.first}, {moments.second}", ", ".join(ADAM_SLOTS.values())
        notes.append(Issue("taken-as", pair, meant, "the moments of an optimizer"))
    _name_step(by_name, called)
    return frozenset(checked)


def _name_step(entries: Mapping[str, Entry], called: dict[str, str]) -> None:
    """Call the one training step as TF1's, if that is not there: Keras's optimizers have it under their own scope."""
    names = {called.get(name, name): name for name in entries}
    if TRAINING_STEP in names:
        return
    steps = [own for name, own in names.items() if name.rpartition("/")[2] in STEPS and entries[own].shape == ()]
    if len(steps) == 1:
        called[steps[0]] = TRAINING_STEP
