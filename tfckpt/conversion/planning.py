"""What every planner needs: complaints gathered until the end, names under a scope, sizes and where they come from.

Strategy of all of them: every source variable becomes a step, is dropped by a rule that has a name, or is a complaint; every
variable that the target wants and does not get is one too. All complaints are raised together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tfckpt._proto.types_pb2 import DT_FLOAT
from tfckpt.bundle.dtypes import dtype_name
from tfckpt.bundle.entry import Entry
from tfckpt.checkpoint.roles import MOVING_AVERAGE, OPTIMIZER, guessed_suffixes
from tfckpt.conversion.config import NUM_HEADS, Config
from tfckpt.conversion.exclusion import Exclusion, whole_name
from tfckpt.conversion.plan import Dropped, Step, carrying
from tfckpt.errors import Advice, PlanError, advised, some
from tfckpt.layouts.axes import Mismatch, Size, Sizes

AS_GIVEN = "as given"
WITHOUT_HEADS = Advice(drop=("--num-heads",))  # where a configuration states another number
OWN_SIZE = "; the configuration has to state the source's own size, and {} gives the target another"
CONFIGURED = (".json)", "(stdin)")  # how what a configuration states ends
RESIZED = {
    "vocab_size": OWN_SIZE.format("--vocab-size"),
    "max_position_embeddings": OWN_SIZE.format("--max-positions"),
}


class Complaints:
    """Everything that is wrong, gathered; shapes that are wrong for one reason become one line."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._advice: list[Advice | None] = []  # what mends each of them, if that is known
        self._mismatches: dict[Mismatch, list[str]] = {}

    def add(self, line: str, advice: Advice | None = None) -> None:
        """Add one line, and what would mend that."""
        self._lines.append(line)
        self._advice.append(advice)

    def add_mismatch(self, mismatch: Mismatch, entry: Entry) -> None:
        """Add a tensor to those that are wrong for this reason."""
        self._mismatches.setdefault(mismatch, []).append(f"{entry.name} {list(entry.shape)}")

    def raise_any(self, source: str) -> None:
        """Raise all there is as one PlanError; each line begins with the source. Advice is given if it mends all of it."""
        lines, advice = list(self._lines), list(self._advice)
        for mismatch, names in self._mismatches.items():
            hint = RESIZED.get(mismatch.expected.split(" = ")[0], "") if mismatch.expected.endswith(CONFIGURED) else ""
            lines.append(f"{some(names, 1)}: expected {mismatch.expected}, got {mismatch.got}{hint}")
            contradicts = WITHOUT_HEADS in advice and mismatch.expected.endswith(f"({AS_GIVEN})")
            advice.append(WITHOUT_HEADS if contradicts else None)
        if lines:
            error = PlanError([f"{source}: {line}" for line in lines])
            raise advised(error, None if None in advice else sum(filter(None, dict.fromkeys(advice)), Advice()))


def exclude(entries: Iterable[Entry], excluded: Exclusion) -> tuple[list[Entry], list[Dropped]]:
    """Return the entries that stay, and the others as dropped."""
    kept, dropped = [], []
    for entry in entries:
        taken = excluded.taking(entry.name)
        if taken is None:
            kept.append(entry)
        else:
            dropped.append(Dropped(entry.name, taken.rule, entry.nbytes))
    return kept, dropped


def leaving_out(entry: Entry) -> Advice:
    """Return the advice that leaves out this variable and no other."""
    return Advice(add=("--exclude", whole_name(entry.name)))


def make_step(entry: Entry, target: str, axes: str | None, sizes: Sizes, complaints: Complaints) -> Step | None:
    """Return the step for one tensor, or complain about its shape."""
    if axes is None:
        return carrying(entry, target)
    bound = sizes.fit(entry.name, entry.shape, axes)
    if isinstance(bound, Mismatch):
        complaints.add_mismatch(bound, entry)
        return None
    letters, shape = bound
    return Step(entry.name, target, entry.data_type, entry.shape, shape, entry.nbytes, axes, letters)


def known_sizes(config: Config | None, num_heads: int | None, complaints: Complaints) -> dict[str, Size]:
    """Return the sizes that are given; a head count that is given twice must be one."""
    known = {name: Size(value, config.origin) for name, value in config.sizes.items()} if config else {}
    stated = known.get(NUM_HEADS)
    if num_heads:
        known[NUM_HEADS] = Size(num_heads, AS_GIVEN)
        if stated is not None and stated.value != num_heads:
            complaints.add(f"{NUM_HEADS}: {num_heads} {AS_GIVEN}, but {stated.value} in {stated.origin}", WITHOUT_HEADS)
    return known


def average_notes(dropped: Iterable[Dropped], roles: Mapping[str, str]) -> list[str]:
    """Return what to say of moving averages that do not go along."""
    names = [item.source for item in dropped if roles.get(item.source) == MOVING_AVERAGE]
    if not names:
        return []
    text = "a moving average, with which the model may be meant to be evaluated, is left out"
    return [f"{some(names, 2)}: {text}; the variables that were trained are taken"]


def guess_notes(entries: Sequence[Entry], dropped: Iterable[Dropped], roles: Mapping[str, str]) -> list[str]:
    """Return what to say of names that are taken for slots by where they stand alone."""
    gone = {item.source for item in dropped if roles.get(item.source) == OPTIMIZER}
    suffixes = guessed_suffixes(entries, {name: role for name, role in roles.items() if name in gone}) if gone else []
    return [
        f"{s!r} behind the variables' names is taken for {OPTIMIZER}: it stands behind nearly all" for s in suffixes
    ]


def dtype_notes(steps: Iterable[Step]) -> list[str]:
    """Return what to know about values that are not float32."""
    others = Counter(step.data_type for step in steps if step.data_type != DT_FLOAT)
    return [
        f"{count} variables are {dtype_name(data_type)}: TensorFlow does not cast when it restores, "
        "so the model must have that dtype too"
        for data_type, count in others.items()
    ]


def find_scope(names: Iterable[str], anchor: str, complaints: Complaints) -> str | None:
    """Return what stands before the anchor, ``""`` or a text that ends in a slash; None if the anchor is not there."""
    anchors = [name for name in sorted(names) if ("/" + name).endswith("/" + anchor)]
    if len(anchors) > 1:
        complaints.add(f"several models, and one is expected: {', '.join(anchors)}")
    return anchors[0].removesuffix(anchor) if anchors else None


def under_scope(entries: Iterable[Entry], scope: str, complaints: Complaints) -> Mapping[str, Entry]:
    """Return the entries by hub name: the scope before it is left out."""
    hub: dict[str, Entry] = {}
    for entry in entries:
        first = hub.setdefault(entry.name.removeprefix(scope), entry)
        if first is not entry:
            complaints.add(f"{first.name} and {entry.name} differ only by the scope {scope!r}")
    return hub
