"""A plan while it is made: what was read, the sizes known so far, the steps, and everything that is wrong.

Every source variable becomes a step, is dropped by a rule that has a name, or is a complaint; every variable that the target
wants and does not get is one too. All complaints are raised together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from tfckpt._proto.types_pb2 import DT_FLOAT
from tfckpt.base.issues import Issue, Remedy, configure, leave_out
from tfckpt.bundle.values.dtypes import dtype_name
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.roles import MOVING_AVERAGE, OPTIMIZER, guessed_suffixes
from tfckpt.errors import PlanError, are, some
from tfckpt.families.language.axes import Fit, Mismatch, Size, Sizes
from tfckpt.families.language.facts import NUM_HEADS
from tfckpt.planning.config import Config
from tfckpt.planning.dialect.dialect import PLAIN, Dialect
from tfckpt.planning.exclusion import Exclusion
from tfckpt.planning.plan import Dropped
from tfckpt.planning.steps import Rearrange, Step

AS_GIVEN = "as given"
# What is said of a shape by the size that it contradicts, where a configuration states that size.
CONFIGURED = {"vocab_size": "wrong-vocabulary", "max_position_embeddings": "wrong-positions"}
CUT_BY = {"vocab_size": "vocab_size", "max_position_embeddings": "max_positions"}  # the option that cuts a longer table


Form = tuple[tuple[Rearrange], tuple[int, ...]]  # how a tensor gets another form, and its shape then


class PlanBuilder:
    """Gathers a plan; shapes that are wrong for one reason become one issue.

    Args:
        source: prefix of the checkpoint, for messages and the report.
        entries: what its index says.
        excluded: what is left out.
        roles: what each tensor is for, by name.
        config: the model's configuration, if there is one.
        dialect: what tensors are called.
    """

    def __init__(
        self,
        source: str,
        entries: Sequence[Entry],
        excluded: Exclusion,
        roles: Mapping[str, str],
        config: Config | None,
        dialect: Dialect = PLAIN,
    ) -> None:
        self.source, self.entries, self.excluded, self.config = source, entries, excluded, config
        self.roles = roles
        self.dialect = dialect
        self.kept: dict[str, Entry] = {}
        self.rules: dict[str, str] = {}  # of what an exclusion takes, by name
        self.dropped: list[Dropped] = []
        self.notes: list[Issue] = [*dialect.notes]
        self.sizes = Sizes({})
        self._asked: Mapping[str, int] = {}
        self._issues: list[Issue] = []
        self._mismatches: dict[Mismatch, list[str]] = {}
        self._forms: dict[tuple[tuple[int, ...], str], Form] = {}
        for entry in entries:
            taken = excluded.taking(entry.name)
            if taken is None and entry.name in dialect.rules:
                self.drop(entry, dialect.rules[entry.name])
            elif taken is None:
                self.kept[entry.name] = entry
            else:
                self.rules[entry.name] = taken.rule
                self.drop(entry, taken.rule)

    def know(self, fields: Mapping[str, str], num_heads: int | None, asked: Mapping[str, int]) -> None:
        """Begin with the sizes that are given; a head count that is given twice must be one.

        Args:
            fields: the field of the configuration that each letter of an axes pattern means.
            num_heads: the head count, if it is given.
            asked: sizes that the target gets, whatever the source has.
        """
        config, self._asked = self.config, asked
        known = (
            {name: Size(value, config.origin, config.path) for name, value in config.sizes.items()} if config else {}
        )
        stated = known.get(NUM_HEADS)
        if num_heads:
            known[NUM_HEADS] = Size(num_heads, AS_GIVEN)
            if stated is not None and stated.value != num_heads:
                expected, got = f"{stated.value} in {stated.origin}", f"{num_heads} {AS_GIVEN}"
                self.complain("contradicting-heads", NUM_HEADS, expected, got, leave_out("num_heads"))
        self.sizes = Sizes(fields, known)

    def drop(self, entry: Entry, rule: str) -> None:
        """Leave a tensor out by a rule."""
        self.dropped.append(Dropped(entry.name, rule, entry.nbytes))

    def complain(self, code: str, subject: str = "", expected: str = "", got: str = "", *remedies: Remedy) -> None:
        """Add an issue of a kind that `CODES` has, and what would mend it."""
        self._issues.append(Issue(code, subject, expected, got, remedies=remedies))

    def complain_of(self, issue: Issue) -> None:
        """Add an issue."""
        self._issues.append(issue)

    def form(self, entry: Entry, pattern: str) -> Form | None:
        """Return the operations by which a tensor gets the form of a pattern, and its shape then; or complain about it.

        Those of a shape and a pattern are made once: a model has few of them.
        """
        form = self._forms.get((entry.shape, pattern))
        if form is None:
            bound = self.fit(entry, pattern)
            if bound is None:
                return None
            form = self._forms[entry.shape, pattern] = (Rearrange(pattern, bound[0]),), bound[1]
        return form

    def fit(self, entry: Entry, pattern: str) -> Fit | None:
        """Return what a pattern's letters stand for in a tensor, and the shape that it leads to; else complain."""
        bound = self.sizes.fit(entry.name, entry.shape, pattern)
        if isinstance(bound, Mismatch) and self._is_cut_anyway(bound):
            bound = self.sizes.fit_apart(entry.name, entry.shape, pattern, bound.field)
        if isinstance(bound, Mismatch):
            self._mismatches.setdefault(bound, []).append(f"{entry.name} {list(entry.shape)}")
            return None
        return bound

    def _is_cut_anyway(self, mismatch: Mismatch) -> bool:
        """Whether a table's number of rows is wrong, and makes no difference: what is asked for are the first of them.

        One with fewer rows than the configuration states may be another model's, however few are asked for.
        """
        asked, size = self._asked.get(mismatch.field), mismatch.size
        if asked is None or size is None:
            return False
        rows = int(mismatch.got)
        return asked <= min(rows, size.value) and (rows > size.value or not size.config)

    def has_mismatch(self, field: str) -> bool:
        """Whether a tensor is wrong because this size is."""
        return any(mismatch.field == field for mismatch in self._mismatches)

    def raise_any(self) -> None:
        """Raise all there is as one PlanError; each issue begins with the source."""
        mismatches = self._mismatches.items()
        issues = [*self._issues, *(_issue_of(mismatch, names, self._asked) for mismatch, names in mismatches)]
        if any(issue.code == "contradicting-heads" for issue in issues):
            issues = [_without_heads(issue) for issue in issues]
        if issues:
            raise PlanError([issue._replace(origin=self.source) for issue in issues])


def _issue_of(mismatch: Mismatch, names: Sequence[str], asked: Collection[str]) -> Issue:
    """Return the issue of tensors whose shapes are wrong for one reason; ``asked`` has the sizes that are asked for."""
    subject, (expected, got, field, size) = some(names, 1), mismatch
    if size is None or not size.config:
        return Issue("wrong-shape", subject, expected, got)
    remedy = configure(size.config, field, size.value, got)
    if field in CUT_BY and field not in asked and int(got) > size.value:
        cut = Remedy("give", ((CUT_BY[field], size.value),))
        return Issue("padded-table", subject, expected, got, remedies=(cut, remedy))
    return Issue(CONFIGURED.get(field, "wrong-shape"), subject, expected, got, remedies=(remedy,))


def _without_heads(issue: Issue) -> Issue:
    """Return an issue with the remedy for the head count that contradicts, if it is of that count."""
    if issue.code == "wrong-shape" and issue.expected.endswith(f"({AS_GIVEN})"):
        return issue._replace(remedies=(leave_out("num_heads"),))
    return issue


def is_copy(entry: Entry, other: Entry) -> bool:
    """Whether two tensors hold the same bytes, as far as an index tells."""
    return (entry.shape, entry.crc32c, entry.nbytes) == (other.shape, other.crc32c, other.nbytes)


def another_copy(name: str) -> str:
    """Return the rule that drops what is stored once more."""
    return f"another copy of {name}"


def average_notes(builder: PlanBuilder) -> list[Issue]:
    """Return what to say of moving averages that do not go along."""
    names = [item.source for item in builder.dropped if builder.roles.get(item.source) == MOVING_AVERAGE]
    return [Issue("moving-average-left-out", some(names, 2))] if names else []


def guess_notes(builder: PlanBuilder) -> list[Issue]:
    """Return what to say of names that are taken for slots by where they stand alone."""
    roles = builder.roles
    gone = {item.source for item in builder.dropped if roles.get(item.source) == OPTIMIZER}
    taken = {name: role for name, role in roles.items() if name in gone}
    suffixes = guessed_suffixes(builder.entries, taken) if gone else []
    return [Issue("guessed-slots", repr(suffix), OPTIMIZER) for suffix in suffixes]


def dtype_notes(steps: Iterable[Step]) -> list[Issue]:
    """Return what to know about values that are not float32."""
    found = (step.inputs[0].data_type for step in steps)
    others = Counter(data_type for data_type in found if data_type != DT_FLOAT)
    return [
        Issue("other-dtype", dtype_name(data_type), got=are(count, "variable")) for data_type, count in others.items()
    ]
