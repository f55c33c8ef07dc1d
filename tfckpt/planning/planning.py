"""What every planner needs: complaints gathered until the end, names under a scope, sizes and where they come from.

Strategy of all of them: every source variable becomes a step, is dropped by a rule that has a name, or is a complaint; every
variable that the target wants and does not get is one too. All complaints are raised together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tfckpt._proto.types_pb2 import DT_FLOAT
from tfckpt.base.issues import Issue, Remedy, configure, leave_out
from tfckpt.bundle.values.dtypes import dtype_name
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.roles import MOVING_AVERAGE, OPTIMIZER, guessed_suffixes
from tfckpt.errors import PlanError, are, some
from tfckpt.families.language.axes import Mismatch, Size, Sizes
from tfckpt.planning.config import NUM_HEADS, Config
from tfckpt.planning.plan import Dropped
from tfckpt.planning.steps import Step, carrying, rearranged

AS_GIVEN = "as given"
# What is said of a shape by the size that it contradicts, where a configuration states that size.
CONFIGURED = {"vocab_size": "wrong-vocabulary", "max_position_embeddings": "wrong-positions"}


class Complaints:
    """Everything that is wrong, gathered; shapes that are wrong for one reason become one issue."""

    def __init__(self) -> None:
        self._issues: list[Issue] = []
        self._mismatches: dict[Mismatch, list[str]] = {}

    def add(self, code: str, subject: str = "", expected: str = "", got: str = "", *remedies: Remedy) -> None:
        """Add an issue of a kind that `CODES` has, and what would mend it."""
        self._issues.append(Issue(code, subject, expected, got, remedies=remedies))

    def add_issue(self, issue: Issue) -> None:
        """Add an issue."""
        self._issues.append(issue)

    def add_mismatch(self, mismatch: Mismatch, entry: Entry) -> None:
        """Add a tensor to those that are wrong for this reason."""
        self._mismatches.setdefault(mismatch, []).append(f"{entry.name} {list(entry.shape)}")

    def has_mismatch(self, field: str) -> bool:
        """Whether a tensor is wrong because this size is."""
        return any(mismatch.field == field for mismatch in self._mismatches)

    def raise_any(self, source: str) -> None:
        """Raise all there is as one PlanError; each issue begins with the source."""
        issues = [*self._issues, *(_issue_of(mismatch, names) for mismatch, names in self._mismatches.items())]
        if any(issue.code == "contradicting-heads" for issue in issues):
            issues = [_without_heads(issue) for issue in issues]
        if issues:
            raise PlanError([issue._replace(origin=source) for issue in issues])


def _issue_of(mismatch: Mismatch, names: Sequence[str]) -> Issue:
    """Return the issue of tensors whose shapes are wrong for one reason."""
    subject, (expected, got, field, size) = some(names, 1), mismatch
    if size is None or not size.config:
        return Issue("wrong-shape", subject, expected, got)
    remedy = configure(size.config, field, size.value, got)
    return Issue(CONFIGURED.get(field, "wrong-shape"), subject, expected, got, remedies=(remedy,))


def _without_heads(issue: Issue) -> Issue:
    """Return an issue with the remedy for the head count that contradicts, if it is of that count."""
    if issue.code == "wrong-shape" and issue.expected.endswith(f"({AS_GIVEN})"):
        return issue._replace(remedies=(leave_out("num_heads"),))
    return issue


def make_step(entry: Entry, target: str, axes: str | None, sizes: Sizes, complaints: Complaints) -> Step | None:
    """Return the step for one tensor, or complain about its shape."""
    if axes is None:
        return carrying(entry, target)
    bound = sizes.fit(entry.name, entry.shape, axes)
    if isinstance(bound, Mismatch):
        complaints.add_mismatch(bound, entry)
        return None
    letters, shape = bound
    return rearranged(entry, target, [(axes, letters)], shape)


def known_sizes(config: Config | None, num_heads: int | None, complaints: Complaints) -> dict[str, Size]:
    """Return the sizes that are given; a head count that is given twice must be one."""
    known = {name: Size(value, config.origin, config.path) for name, value in config.sizes.items()} if config else {}
    stated = known.get(NUM_HEADS)
    if num_heads:
        known[NUM_HEADS] = Size(num_heads, AS_GIVEN)
        if stated is not None and stated.value != num_heads:
            expected, got = f"{stated.value} in {stated.origin}", f"{num_heads} {AS_GIVEN}"
            complaints.add("contradicting-heads", NUM_HEADS, expected, got, leave_out("num_heads"))
    return known


def average_notes(dropped: Iterable[Dropped], roles: Mapping[str, str]) -> list[Issue]:
    """Return what to say of moving averages that do not go along."""
    names = [item.source for item in dropped if roles.get(item.source) == MOVING_AVERAGE]
    return [Issue("moving-average-left-out", some(names, 2))] if names else []


def guess_notes(entries: Sequence[Entry], dropped: Iterable[Dropped], roles: Mapping[str, str]) -> list[Issue]:
    """Return what to say of names that are taken for slots by where they stand alone."""
    gone = {item.source for item in dropped if roles.get(item.source) == OPTIMIZER}
    suffixes = guessed_suffixes(entries, {name: role for name, role in roles.items() if name in gone}) if gone else []
    return [Issue("guessed-slots", repr(suffix), OPTIMIZER) for suffix in suffixes]


def dtype_notes(steps: Iterable[Step]) -> list[Issue]:
    """Return what to know about values that are not float32."""
    others = Counter(step.data_type for step in steps if step.data_type != DT_FLOAT)
    return [
        Issue("other-dtype", dtype_name(data_type), got=are(count, "variable")) for data_type, count in others.items()
    ]


def find_scope(names: Iterable[str], anchor: str, complaints: Complaints) -> str | None:
    """Return what stands before the anchor, ``""`` or a text that ends in a slash; None if the anchor is not there."""
    scopes = scopes_before(anchor, names)
    if len(scopes) > 1:
        complaints.add("several-models", got=", ".join(scope + anchor for scope in scopes))
    return scopes[0] if scopes else None


def scopes_before(end: str, names: Iterable[str]) -> list[str]:
    """Return what stands before ``end`` in each of these names that ends in it, part by part, in order.

    >>> scopes_before("x/y", ["b/x/y", "x/y", "ax/y", "x"])
    ['b/', '']
    """
    return [name.removesuffix(end) for name in sorted(names) if f"/{name}".endswith(f"/{end}")]


def under_scope(entries: Iterable[Entry], scope: str, complaints: Complaints) -> Mapping[str, Entry]:
    """Return the entries by hub name: the scope before it is left out."""
    hub: dict[str, Entry] = {}
    for entry in entries:
        first = hub.setdefault(entry.name.removeprefix(scope), entry)
        if first is not entry:
            complaints.add("same-but-for-scope", first.name, repr(scope), entry.name)
    return hub
