"""What a proof found, as plain data: every tensor compared, what else there is, every difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tfckpt.conversion.plan import Step
from tfckpt.issues import Issue, lines_of, notes_to_json

SAME = "same"  # what a proof says of a tensor that is as it should be


class Checked(NamedTuple):
    """One planned tensor, compared.

    Attributes:
        step: what was planned.
        key: the key under which the destination has it; empty if it has not.
        problem: what is wrong with it; empty if nothing is.
        damaged: prefix of the checkpoint whose bytes are not what their checksum says, if that is it.
    """

    step: Step
    key: str
    problem: str = ""
    damaged: str = ""

    @property
    def line(self) -> str:
        """The problem, and where it is."""
        where = self.key or self.step.target
        return f"{where}: {self.problem}"


class Extra(NamedTuple):
    """A tensor that the destination has beside the model.

    Attributes:
        name: its name.
        rule: name of the rule that accounts for it.
    """

    name: str
    rule: str


class Proof(NamedTuple):
    """A comparison of a converted checkpoint with its source.

    Attributes:
        source: prefix of the source.
        dest: prefix of what was compared with it.
        to: the target's layout.
        at: path of the model's node in the destination; empty for the root, and for name-based targets.
        tensors: every planned tensor, in the plan's order; a variable that several paths lead apart to is listed for each.
        extras: tensors beside the model's that a rule accounts for: a save counter, an optimizer.
        others: what is wrong and not with one planned tensor alone.
        issues: what the plan says that a user should know, as data.
        unaccounted: names of tensors that the destination has, and that neither the plan nor a rule accounts for.
        damaged: prefixes of those of both whose bytes are not what their checksums say.
        values_compared: whether values were compared, and not names, dtypes and shapes alone: else nothing is proved.
    """

    source: str
    dest: str
    to: str
    at: str
    tensors: tuple[Checked, ...]
    extras: tuple[Extra, ...]
    others: tuple[str, ...] = ()
    issues: tuple[Issue, ...] = ()
    unaccounted: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    values_compared: bool = True

    def __repr__(self) -> str:
        return f"<Proof of {self.dest!r}: {len(self.tensors)} tensors, {len(self.differences)} differences>"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, one line each."""
        return lines_of(self.issues)

    @property
    def differences(self) -> tuple[str, ...]:
        """Everything that is wrong, one line each; none if the destination is right."""
        lines = [checked.line for checked in self.tensors if checked.problem]
        lines += [f"{name}: nothing in the source accounts for it" for name in self.unaccounted]
        return tuple(f"{self.dest}: {line}" for line in (*lines, *self.others))

    @property
    def from_source(self) -> int:
        """Number of the planned tensors that hold the source's values, as they should."""
        held = (not checked.problem and checked.step.fill is None for checked in self.tensors)
        return sum(held) if self.values_compared else 0

    @property
    def filled(self) -> int:
        """Number of the planned tensors that hold what the plan fills in, as they should: no source has it."""
        held = (not checked.problem and checked.step.fill is not None for checked in self.tensors)
        return sum(held) if self.values_compared else 0

    def extras_by_rule(self) -> Mapping[str, list[str]]:
        """Return the names of what else there is, grouped."""
        groups: dict[str, list[str]] = {}
        for extra in self.extras:
            groups.setdefault(extra.rule, []).append(extra.name)
        return groups

    def to_json(self) -> dict[str, Any]:
        """Return the report as what ``json.dumps`` takes; ``tensors`` has one object a tensor."""
        return {
            "source": self.source,
            "destination": self.dest,
            "to": self.to,
            "at": self.at,
            "proved": self.values_compared and not self.differences,
            "from_source": self.from_source,
            "filled": self.filled,
            "extras": [{"name": extra.name, "rule": extra.rule} for extra in self.extras],
            **notes_to_json(self.issues),
            "differences": list(self.differences),
            "tensors": [_checked_to_json(checked) for checked in self.tensors],
        }


def _checked_to_json(checked: Checked) -> dict[str, Any]:
    step = checked.step
    return {
        "source": step.source,
        "key": checked.key or None,
        "verdict": checked.problem or SAME,
        "shape": list(step.shape),
        "axes": step.axes,
        "fill": None if step.fill is None else str(step.fill),
    }
