"""What a proof found, as plain data: every tensor compared, what else there is, every difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tfckpt.base.html import in_notebooks
from tfckpt.base.issues import Issue, lines_of, notes_to_json
from tfckpt.errors import count_of, printable, redacted
from tfckpt.planning.steps import Step

SAME = "same"  # what a proof says of a tensor that is as it should be


@in_notebooks
class Checked(NamedTuple):
    """One planned tensor, compared.

    Attributes:
        step: what was planned.
        key: the key under which the destination has it; empty if it has not.
        problem: what is wrong with it; empty if nothing is.
        damaged: prefix of the checkpoint whose bytes are not what their checksum says, if that is it.
        has_other_values: whether nothing is wrong with it but its values.
    """

    step: Step
    key: str
    problem: str = ""
    damaged: str = ""
    has_other_values: bool = False

    @property
    def issue(self) -> Issue:
        """The problem, and where it is."""
        code = "other-values" if self.has_other_values else "not-the-same"
        return Issue(code, self.key or self.step.target, got=self.problem)

    @property
    def line(self) -> str:
        """The problem, and where it is, as a line."""
        return self.issue.text()

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {
            "source": self.step.source,
            "key": self.key or None,
            "verdict": self.problem or SAME,
            "shape": list(self.step.shape),
            "axes": self.step.axes,
            "fill": None if self.step.fill is None else str(self.step.fill),
        }

    def __repr__(self) -> str:
        return f"<Checked {self.key or self.step.target!r}: {printable(self.problem) or SAME}>"


@in_notebooks
class Extra(NamedTuple):
    """A tensor that the destination has beside the model.

    Attributes:
        name: its name.
        rule: name of the rule that accounts for it.
    """

    name: str
    rule: str

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return self._asdict()


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
        return redacted(
            f"<Proof of {self.dest!r}: {count_of(self.tensors, 'tensor')}, {count_of(self.differences, 'difference')}>"
        )

    def _repr_html_(self) -> str:
        from tfckpt.base.html import facts, folded, listed, shown, table

        differences = self.differences
        counts = {"from the source": self.from_source, "filled": self.filled, "target": self.to, "model at": self.at}
        tensors = table(
            ("source", "destination", "verdict"),
            self.tensors,
            lambda c: (
                c.step.source if c.step.fill is None else c.step.fill,
                c.key or c.step.target,
                c.problem or SAME,
            ),
        )
        beside = table(("name", "rule"), self.extras, lambda extra: extra)
        return shown(
            repr(self),
            facts({"source": self.source, "proved": "no" if differences else "yes", **counts}),
            folded(count_of(differences, "difference"), listed(differences), is_open=True),
            folded(count_of(self.issues, "note"), listed(self.notes), is_open=True),
            folded(count_of(self.tensors, "tensor"), tensors),
            folded(f"{len(self.extras):,} beside the model", beside if self.extras else ""),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, one line each."""
        return lines_of(self.issues)

    @property
    def differences(self) -> tuple[str, ...]:
        """Everything that is wrong, one line each; none if the destination is right."""
        return lines_of(self.problems)

    @property
    def problems(self) -> tuple[Issue, ...]:
        """Everything that is wrong, as data; none if the destination is right."""
        issues = [item.issue for item in self.tensors if item.problem]
        issues += [Issue("unaccounted", name) for name in self.unaccounted]
        issues += [Issue("said", got=line) for line in self.others]
        return tuple(issue._replace(origin=self.dest) for issue in issues)

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
            "extras": [extra.to_json() for extra in self.extras],
            **notes_to_json(self.issues),
            "differences": list(self.differences),
            "tensors": [checked.to_json() for checked in self.tensors],
        }
