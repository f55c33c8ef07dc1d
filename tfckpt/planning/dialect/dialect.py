"""What a source's tensors are called in its family's words: after renames, without the scope of one of several models, with
averages in the place of variables, and with any optimizer's moments under google-research's names.

The tensors keep their own names, by which messages and steps know them; a plan asks here what each is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tfckpt.base.issues import Issue, give
from tfckpt.base.options import AUTO, Request, Substitution
from tfckpt.base.substitutions import check_substitution, substituted, unused_patterns
from tfckpt.bundle.values.dtypes import FLOATING
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.named_roles import Place, owners_of_names
from tfckpt.checkpoint.graph.object_graph import ATTRIBUTES, OBJECT_GRAPH_KEY
from tfckpt.checkpoint.graph.optimizers import AVERAGE_NAMES
from tfckpt.checkpoint.graph.roles import MODEL, MOVING_AVERAGE, OPTIMIZER, find_roles
from tfckpt.errors import PlanError, UsageError, are, count_of, some
from tfckpt.families.catalog import Catalog
from tfckpt.families.language.optimizer import ADAM_SLOTS, TRAINING_STEP
from tfckpt.planning.dialect.moments import find_moments
from tfckpt.planning.dialect.scopes import choose_root, find_roots, own_scope, root_of

NOTHING: Mapping[str, str] = MappingProxyType({})
STEPS = frozenset({TRAINING_STEP, "iter", "iteration", "iterations"})
DROP = "drop"
OUTPUT = ":0"  # the first output of a variable's operation
MOST_NAMED = 3  # in one note


class Dialect(NamedTuple):
    """What is special about a source's names; all by own names.

    Attributes:
        called: what a tensor is called in the family's words, scope and all, where that is not its own name.
        rules: why a tensor is left out, if it is.
        roles: what a tensor is for, where other names tell more than its own, or an average is the model's.
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

    def names(self, entries: Iterable[Entry]) -> list[str]:
        """Return what the tensors are called that stay."""
        if not self.called and not self.rules:
            return [entry.name for entry in entries]
        return [self.name_of(entry) for entry in entries if entry.name not in self.rules]

    def named(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the tensors that stay, each under what it is called."""
        return [entry._replace(name=self.name_of(entry)) for entry in entries if entry.name not in self.rules]


PLAIN = Dialect()


def asks_for_names(request: Request) -> bool:
    """Whether a request says how a source's names are to be read."""
    return bool(request["rename"] or request["source_scope"] or request["averages"] or request["head"])


def named_roles(entries: Iterable[Entry]) -> Mapping[str, str]:
    """Return what each tensor is for by the names alone: object keys beside them do not count."""
    return find_roles([e for e in entries if ATTRIBUTES not in e.name and e.name != OBJECT_GRAPH_KEY], None)


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
    source: str, entries: Sequence[Entry], request: Request, catalog: Catalog, *, moments: bool = False
) -> Dialect:
    """Return what a source's tensors are called.

    Args:
        source: its prefix, for messages.
        entries: all that it holds.
        request: what is asked for.
        catalog: the families that it may be of.
        moments: whether an optimizer's state goes along to another optimizer.
    Raises: UsageError if no model has the scope, or nothing is an average; PlanError if a variable has several moments.
    """
    called = _without_outputs(entries)
    if not (asks_for_names(request) or moments):
        return Dialect(called) if called else PLAIN
    reading = _Reading(source, entries, called)
    if request["source_scope"]:
        reading.find_roles()
        reading.take_root(request["source_scope"], catalog)
    reading.rename(substitutions_of(request)[0])
    reading.find_roles()
    if request["averages"]:
        reading.take_averages()
    if moments:
        reading.name_moments()
        reading.name_step()
    return reading.dialect()


def _without_outputs(entries: Sequence[Entry]) -> dict[str, str]:
    """Return names without the ``:0`` that all of them end in, where a saver was given tensors by their names."""
    if not entries or not all(entry.name.endswith(OUTPUT) for entry in entries):
        return {}
    return {entry.name: entry.name.removesuffix(OUTPUT) for entry in entries}


class _Reading:
    """A dialect while it is found out, one kind of name after another; arguments as `read_dialect` has them."""

    def __init__(self, source: str, entries: Sequence[Entry], called: dict[str, str]) -> None:
        self._source = source
        self._entries = {entry.name: entry for entry in entries}
        self._called, self._rules = called, dict[str, str]()
        self._spelled: dict[str, str] = {}  # own names by the names under which roles were told
        self._roles: Mapping[str, str] = {}
        self._averages: dict[str, str] = {}  # those that are taken, with the own names of their variables
        self._checked: set[str] = set()
        self._notes: list[Issue] = []

    def dialect(self) -> Dialect:
        """Return what was found."""
        roles = {**self._roles, **dict.fromkeys(self._averages, MODEL)}
        return Dialect(self._called, self._rules, roles, frozenset(self._checked), tuple(self._notes))

    def _name(self, own: str) -> str:
        return self._called.get(own, own)

    def find_roles(self) -> None:
        """Tell by the names so far what each tensor is for."""
        self._spelled = {self._name(own): own for own in self._entries}
        self._roles = {self._spelled[name]: role for name, role in named_roles(self._named()).items()}

    def _named(self) -> list[Entry]:
        return [self._entries[own]._replace(name=name) for name, own in self._spelled.items()]

    def take_root(self, scope: str, catalog: Catalog) -> None:
        """Take the model under a scope, and leave out what is another one's; say what may be of any of them.

        What has no scope belongs to a model that has none, if there is one.
        """
        roots = find_roots(self._entries, catalog.families)
        chosen = choose_root(scope, roots)
        apart = [
            each.root for each in roots if not chosen.root.startswith(each.root)
        ]  # the others, not around this one
        others = tuple(own_scope(root, chosen.root) for root in apart if not root.startswith(chosen.root))
        before = chosen.root[: chosen.root.rstrip("/").rfind("/") + 1]  # what the scope of its heads is, too
        is_bare = before and any("/" not in each.root.rstrip("/") for each in roots if each != chosen)
        anyones = []
        for name in self._entries:
            root = root_of(name, roots)
            if root == chosen:
                self._called[name] = chosen.called + name.removeprefix(chosen.root)
            elif root is not None or name.startswith(others) or (is_bare and not name.startswith(before)):
                self._rules[name] = f"not of the model at {chosen.root.rstrip('/')!r}"
            elif len(roots) > 1 and not (before and name.startswith(before)) and self._roles.get(name) == MODEL:
                anyones.append(name)
        if anyones:
            self._notes.append(Issue("of-any-model", some(anyones, MOST_NAMED), repr(chosen.root.rstrip("/"))))

    def rename(self, substitutions: Sequence[Substitution]) -> None:
        """Carry out substitutions."""
        names = {own: self._name(own) for own in self._entries} if substitutions else {}
        new = {own: substituted(name, substitutions) for own, name in names.items()}
        unused = unused_patterns(substitutions, names.values())
        self._notes += [Issue("renames-nothing", repr(pattern), "no tensor") for pattern in unused]
        read = {own: name for own, name in new.items() if name != names[own]}
        if read:
            self._notes.append(Issue("read-as", *next(iter(read.items())), count_of(read, "variable")))
        self._called.update(read)

    def take_averages(self) -> None:
        """Call each moving average as its variable, which is left out."""
        owners = self._owners(MOVING_AVERAGE)
        for name, place in owners.items():
            if name not in self._rules and self._has_average(name, place.variable):
                self._averages[name] = place.variable
        several = next((of for of, count in Counter(self._averages.values()).items() if count > 1), None)
        if several is not None:
            raise UsageError(f"averages: {self._source}: {several} has several")
        lonely = [n for n, role in self._roles.items() if role == MOVING_AVERAGE and n not in owners]
        for name in lonely:  # the variable itself was not saved
            of, _, last = self._name(name).rpartition("/")
            if of and last in AVERAGE_NAMES and of not in self._spelled and name not in self._rules:
                self._averages[name] = of
        if not self._averages:
            raise UsageError(f"averages: {self._source}: no variable has a moving average")
        self._called.update((name, self._name(of)) for name, of in self._averages.items())
        self._rules.update((of, "its moving average is taken") for of in self._averages.values() if of in self._entries)
        raw = [name for name, role in self._roles.items() if role == MODEL and name not in self._rules]
        rest = f"{are(raw, 'variable', 'has', 'have')} none: {some(raw, MOST_NAMED)}" if raw else "none is without one"
        self._notes.append(Issue("averages-taken", expected=count_of(self._averages, "variable"), got=rest))

    def _has_average(self, name: str, of: str) -> bool:
        dtypes = {self._entries[name].data_type, self._entries[of].data_type}
        return of not in self._rules and self._roles[of] == MODEL and dtypes <= {*FLOATING}

    def _owners(self, role: str) -> dict[str, Place]:
        """Return of the tensors that have a role where each stands, all by own names."""
        roles = {name: role for name, own in self._spelled.items() if self._roles.get(own) == role}
        owners = owners_of_names(self._named(), roles)
        own = self._spelled
        return {own[name]: place._replace(variable=own[place.variable]) for name, place in owners.items()}

    def name_moments(self) -> None:
        """Call slots that are moments as google-research does; note those that have to be checked."""
        owners = self._owners(OPTIMIZER)
        found = find_moments(owners, self._entries)
        found = {of: pairs for of, pairs in found.items() if self._roles.get(of[0]) != OPTIMIZER}
        if doubtful := [of for of, pairs in found.items() if len(pairs) > 1]:
            several = ", ".join(name for pair in found[doubtful[0]] for name in pair[:2])
            issue = Issue("moments-in-doubt", some([of for of, _ in doubtful], 1), got=several, origin=self._source)
            raise PlanError([issue._replace(remedies=(give(slots=DROP),))])
        around: dict[tuple[str, str], str] = {}  # what stands around variables' names in those of moments
        for (variable, piece), (moments,) in ((of, pairs) for of, pairs in found.items() if pairs):
            of = "/".join(filter(None, (self._name(variable), piece)))
            slots = dict(zip((moments.first, moments.second), ADAM_SLOTS.values(), strict=True))
            is_new = any((owners[own].scope, owners[own].suffix) not in around for own in slots)
            around.update(((owners[own].scope, owners[own].suffix), slot) for own, slot in slots.items())
            names = {own: f"{of}/{slot}" for own, slot in slots.items()}
            if is_new and any(self._name(own) != name for own, name in names.items()):
                self._notes.append(
                    Issue("taken-as", ", ".join(slots), ", ".join(slots.values()), "an optimizer's moments")
                )
            self._called.update(names)
            self._checked.update([moments.second] if moments.is_numbered else [])
        for own, place in owners.items():
            lone = None if found.get((place.variable, place.piece)) else around.get((place.scope, place.suffix))
            if lone is not None and self._entries[own].shape == self._entries[place.variable].shape:
                self._called[own] = f"{self._name(place.variable)}/{lone}"  # so that its pair is missed

    def name_step(self) -> None:
        """Call the one training step as TF1's, if that is not there: Keras's optimizers have it under their own scope."""
        names = {self._name(own): own for own in self._entries}
        steps = [
            own for name, own in names.items() if name.rpartition("/")[2] in STEPS and self._entries[own].shape == ()
        ]
        if TRAINING_STEP not in names and len(steps) == 1:
            self._called[steps[0]] = TRAINING_STEP
