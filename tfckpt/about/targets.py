"""What a file of tensors can become: a plan is tried for each target, and of one that fails what its error says it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tfckpt.base.html import in_notebooks
from tfckpt.base.issues import Issue
from tfckpt.base.options import DEFAULT, Request, given
from tfckpt.errors import PlanError, TfckptError
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language.family import Family
from tfckpt.planning.choose import choose_target
from tfckpt.planning.request import find_model, make_plan
from tfckpt.planning.source import Source

HEADS, FILL = "num_heads", "fill"
HELPFUL = frozenset({HEADS, FILL, "config"})  # options that may be all that a conversion lacks
ANY_HEADS = 1  # a number with which every size can be split, to see what else is missing
# Variables without a place in an encoder: where there are more, they are no head that another target takes.
MOST_STRAYS = 100
MOST_TRIALS = 3  # of one target: as it stands, with one option, with two


@in_notebooks
class Target(NamedTuple):
    """A target that a file can be converted to.

    Attributes:
        name: what ``to`` takes.
        needs: options that such a conversion needs, by name: the value that would do, or None if nothing tells it. Empty if
            it needs none.
    """

    name: str
    needs: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {"name": self.name, "needs": [{"option": name, "value": value} for name, value in self.needs.items()]}


class Trials(NamedTuple):
    """What became of a plan for each target.

    Attributes:
        targets: those that the source fits, first what needs nothing.
        obstacles: what is wrong with the plan of an encoder, if that is none of them.
    """

    targets: tuple[Target, ...] = ()
    obstacles: tuple[Issue, ...] = ()


def try_targets(source: Source, family: Family, request: Request) -> Trials:
    """Try a plan for each target of a family.

    Args:
        source: the file; its names, dtypes and shapes decide.
        family: what it is a model of.
        request: what is known of the model.
    """
    names = dict.fromkeys(layout.name for layout in CATALOG.layouts if layout.family in (None, family))
    found: dict[str, Mapping[str, Any]] = {}
    needs, obstacles = _try(source, {**request, "to": DEFAULT})
    if needs is not None:
        found[DEFAULT] = needs
    for name in names:
        takes_strays = source.object_graph is None and CATALOG.find_layout(name, family).renames
        if name != DEFAULT and (takes_strays or len(obstacles) <= MOST_STRAYS):
            needs, _ = _try(source, {**request, "to": name})
            found |= {} if needs is None else {name: needs}
    targets = [Target(name, found[name]) for name in names if name in found]
    return Trials(tuple(sorted(targets, key=lambda target: len(target.needs))), tuple(obstacles))


def choose(source: Source, request: Request) -> tuple[str, ...]:
    """Return the fullest target for what a source holds; several where only the user knows which; none if none is.

    Raises: nothing that planning raises.
    """
    names = list(source)
    try:
        match, _ = find_model(source, request, CATALOG, names, request["to"])
        return (choose_target(source.prefix, dict(zip(names, names, strict=True)), CATALOG, match=match).to,)
    except TfckptError as error:
        return tuple(r.argument("to") for r in error.issues[0].remedies if r.action == "choose")


def _try(source: Source, request: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Sequence[Issue]]:
    """Return the options that a conversion needs besides those that it has, or None and what is wrong if none would help."""
    needs: dict[str, Any] = {}
    tried: dict[str, Any] = {}
    for _ in range(MOST_TRIALS):
        try:
            make_plan(source, given(Request, {**request, **tried}), explained=False)
            return needs, ()
        except PlanError as error:
            issues = error.issues
        except TfckptError as error:
            return None, error.issues
        lacking = [_lacking(issue) for issue in issues]
        more = {name: value for options in lacking for name, value in options.items() if name not in needs}
        if not more or not all(lacking):
            break
        needs |= more
        tried |= {name: ANY_HEADS if value is None else value for name, value in more.items()}
    return None, issues


def _lacking(issue: Issue) -> Mapping[str, Any]:
    """Return the options that would mend an issue, with their values; None for one that nothing tells."""
    for remedy in issue.remedies:
        options = dict(remedy.arguments)
        if remedy.action == "give" and not remedy.loses and options.keys() <= HELPFUL:
            return options
    return {HEADS: None} if issue.code == "unknown-heads" else {}
