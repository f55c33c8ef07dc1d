"""What mends a plan that failed: one model of several, other names, a head under another name. Nothing of it is guessed.

Each is tried as a whole plan before it is advised; where two are as likely, both are said, and neither is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tfckpt.base.issues import Issue, Remedy, choose, give
from tfckpt.base.options import AUTO, Substitution
from tfckpt.base.substitutions import substituted
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.roles import MOVING_AVERAGE
from tfckpt.errors import ConfigError, PlanError, UsageError, count_of, remedied, some
from tfckpt.families.catalog import Catalog
from tfckpt.families.language.family import Family
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.rules import scopes_before
from tfckpt.planning.asked.heads import AS_KERNEL, AS_WEIGHTS, head_candidates
from tfckpt.planning.builder import CUT_BY
from tfckpt.planning.mending.find_renames import Renames, find_renames
from tfckpt.planning.mending.relatives import find_relative
from tfckpt.planning.plan import Plan

Make = Callable[[Mapping[str, Any]], Plan]  # makes the plan anew with other options
LACKS_A_HEAD = "missing-head"


class Failed(NamedTuple):
    """A plan that failed.

    Attributes:
        error: why.
        prefix: of the source.
        entries: what it holds, under the names that it is known by so far.
        layouts: the targets that may be meant.
        known: the sizes that a configuration states, by field.
        catalog: the families and layouts there are.
        is_own: whether the target is a layout of the user's, which has no family beside it.
        given: the substitutions that the user gave.
    """

    error: PlanError | ConfigError
    prefix: str
    entries: Sequence[Entry]
    layouts: Sequence[ObjectRows]
    known: Mapping[str, int]
    catalog: Catalog
    is_own: bool
    given: Sequence[Substitution]

    @property
    def family(self) -> Family | None:
        """The family that the names tell."""
        return self.catalog.find_family([entry.name for entry in self.entries])


class Mended(NamedTuple):
    """What other names would mend.

    Attributes:
        issue: what to say of it.
        renames: the substitutions, if these and the remedies are all that it takes.
        remedies: all that it takes; none if more is wrong.
    """

    issue: Issue
    renames: Renames | None = None
    remedies: tuple[Remedy, ...] = ()

    def error(self, error: PlanError | ConfigError) -> PlanError:
        """Return the error with this said, too."""
        return remedied(PlanError([*error.issues, self.issue]), *(self.remedies or error.remedies))


def mending_renames(failed: Failed, make: Make) -> Mended | None:
    """Return the substitutions that mend a source's names if that is what is wrong, or what is known of them."""
    catalog = failed.catalog
    cuts: dict[Family, tuple[Remedy, ...]] = {}

    def works(substitutions: Sequence[Substitution], layout: ObjectRows) -> bool:
        entries = [entry._replace(name=substituted(entry.name, substitutions)) for entry in failed.entries]
        names = [entry.name for entry in entries]
        if not failed.is_own and catalog.find_layout(layout.name, catalog.find_family(names)) != layout:
            return False  # it would become a model of another family
        needed = _cuts_needed(make, rename=(*failed.given, *substitutions))
        cuts[layout.family] = needed or ()
        return needed is not None and find_relative(failed.prefix, entries, layout, failed.known) is None

    found = {
        layout.family: ways
        for layout in failed.layouts
        if (ways := find_renames(failed.entries, layout, failed.known, works))
    }
    family = failed.family
    mending = [*{r.pairs: r for r in found.values() if r.mend}.values()]
    if family is not None:  # a source whose names tell its family is of no other one
        mending = [r for r in mending if not scopes_before(family.anchor, [old for old, _ in r.pairs])]
    fewest = [renames for renames in mending if renames.cost == min(other.cost for other in mending)]
    if len(fewest) == 1:
        (renames,) = fewest
        remedies = give(rename=AUTO), give(rename=renames.substitutions)
        issue = Issue("renamed", *renames.pairs[0], count_of(renames.pairs, "variable"), failed.prefix, remedies)
        more = next(cuts[of] for of, ways in found.items() if ways.pairs == renames.pairs and ways.mend)
        return Mended(issue, renames, (remedies[0], *more))
    if mending or family not in found:
        return None
    pairs = found[family].pairs
    return Mended(Issue("paired", *pairs[0], count_of(pairs, "variable"), failed.prefix))


def other_model(failed: Failed) -> Issue | None:
    """Return which other model a source is that is called as one of ours; None if it is none."""
    layout = next((layout for layout in failed.layouts if layout.family == failed.family), None)
    return None if layout is None else find_relative(failed.prefix, failed.entries, layout, failed.known)


def mending_averages(failed: Failed, roles: Mapping[str, str], make: Make) -> Issue | None:
    """Return what to say of a source that holds averages alone; None if that is not what is wrong."""
    averages = [entry.name for entry in failed.entries if roles.get(entry.name) == MOVING_AVERAGE]
    if not averages or failed.family is not None or not _works(make, averages=True):
        return None
    return Issue("averages-alone", some(averages, 1), origin=failed.prefix, remedies=(give(averages=True),))


def mending_head(failed: Failed, roles: Mapping[str, str], make: Make) -> Issue | None:
    """Return what to say of variables that may be the head that a target lacks; None if that is not what is wrong."""
    family = failed.family
    layout = next((layout for layout in failed.layouts if layout.family == family), None)
    if family is None or layout is None or all(issue.code != LACKS_A_HEAD for issue in failed.error.issues):
        return None
    names = [entry.name for entry in failed.entries]
    scope = next(iter(scopes_before(family.anchor, names)), "")
    hub = {entry.name.removeprefix(scope): entry for entry in failed.entries}
    found: list[str] = []
    for name in head_candidates(roles, hub, layout):
        forms = [name] if _works(make, head=(name,)) else [f"{name}::{form}" for form in (AS_KERNEL, AS_WEIGHTS)]
        found += [text for text in forms if text == name or _works(make, head=(text,))]
    if not found:
        return None
    remedies = (give(head=found[0]),) if len(found) == 1 else choose(head=found)
    code = "head-found" if len(found) == 1 else "heads-found"
    return Issue(code, some(found, 3), repr(layout.name), str(len(found)), failed.prefix, remedies)


def _cuts_needed(make: Make, **options: Any) -> tuple[Remedy, ...] | None:
    """Return which tables must be cut besides: mostly none; None if that is not all that is wrong."""
    try:
        make(options)
        return ()
    except (PlanError, UsageError) as error:
        remedies = error.remedies
    sizes = dict(pair for remedy in remedies if remedy.action == "give" for pair in remedy.arguments)
    if not remedies or len(sizes) != len(remedies) or not {*sizes} <= {*CUT_BY.values()}:
        return None
    return remedies if _works(make, **options, **sizes) else None


def _works(make: Make, **options: Any) -> bool:
    try:
        make(options)
    except (PlanError, UsageError):
        return False
    return True
