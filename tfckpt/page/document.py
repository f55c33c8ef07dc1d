"""What a report says, as plain data: what the files are, where two of them differ, what their values look like.

Strategy: what a second checkpoint is taken for follows from its names, and is said. Values are read a piece at a time, so
that memory grows with the number of tensors and not with their size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import tfckpt
from tfckpt.about.kinds import KINDS
from tfckpt.about.places import Place, find_places
from tfckpt.about.summary import Summary, find_configuration, summarize
from tfckpt.base.options import AUTO, ModelOptions, ReportOptions, Request, given, options_of
from tfckpt.base.progress import stages
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.errors import count_of, redacted
from tfckpt.page.comparing import compare_by_layer, shared_names
from tfckpt.page.mapping import JSON, map_plan
from tfckpt.page.tensors import Reported, describe
from tfckpt.planning.plan import Plan
from tfckpt.planning.request import make_plan

COMPARISON, CONVERSION = "comparison", "conversion"
DESCRIBING = ("config", "num_heads")  # options that tell something of the model, and ask for no conversion


class Relation(NamedTuple):
    """What a second checkpoint is taken for: ``"comparison"`` or ``"conversion"``; and why."""

    taken_as: str
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says.

    Attributes:
        source: prefix of the checkpoint.
        dest: prefix of the other one; None if there is none.
        relation: what the other one is taken for: ``"comparison"`` or ``"conversion"``; and why. None without one.
        summary: what the checkpoint is.
        tensors: every tensor of it, in the order of its index.
        mapping: what a conversion makes of each, as JSON has it; None if none was asked for or found.
        comparison: where the two differ, as JSON has it; None if the other one is no such checkpoint.
        files: what the files of both are, as JSON has it: ``"source"`` and ``"destination"``.
    """

    source: str
    dest: str | None
    relation: Relation | None
    summary: Summary
    tensors: tuple[Reported, ...]
    mapping: Mapping[str, Any] | None
    comparison: Mapping[str, Any] | None
    files: Mapping[str, Any]

    def __repr__(self) -> str:
        return redacted(f"<Report on {'; '.join([f'{self.source!r}: {self._about}', *self.findings])}>")

    def _repr_html_(self) -> str:
        """Return a short summary for notebooks; what is from the files is escaped."""
        from tfckpt.base.html import listed, shown

        return shown(repr(self), listed([self._about, *self.findings, *self.problems[:1]]))

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, one line each: tensors that cannot be read, and differences from what a conversion makes."""
        lines = [] if self.mapping is None else list(self.mapping["differences"])
        if self.comparison is not None:
            lines += [tensor["problem"] for tensor in self.comparison["tensors"] if tensor["problem"]]
        lines += [tensor.problem for tensor in self.tensors if tensor.problem]
        return tuple(dict.fromkeys(lines))

    @property
    def findings(self) -> tuple[str, ...]:
        """What was found of the other checkpoint, one line each; empty without one."""
        if self.relation is None:
            return ()
        what = _differences(self.comparison) if self.mapping is None else _proof(self.mapping)
        return f"{self.dest}: taken as a {self.relation.taken_as}: {self.relation.why}", what

    @property
    def _about(self) -> str:
        """The checkpoint in a line."""
        s = self.summary
        sizes = [
            count_of(size.value, noun) for size, noun in ((s.layers, "layer"), (s.heads, "head")) if size is not None
        ]
        steps = [f"{name} {value:,}" for name, value in s.steps.items() if value is not None]
        parts = [s.family or "unknown model", count_of(len(self.tensors), "tensor"), f"{s.parameters:,} parameters"]
        return ", ".join([*parts, *sizes, *s.dtypes, *steps])

    def head_to_json(self) -> JSON:
        """Return all but the tensors as what ``json.dumps`` takes."""
        return {
            "tfckpt": tfckpt.__version__,
            **self.files,
            "relation": None if self.relation is None else self.relation._asdict(),
            "kinds": list(KINDS),
            "summary": self.summary.to_json(),
            "mapping": self.mapping,
            "comparison": self.comparison,
        }

    def to_json(self) -> JSON:
        """Return the report as what ``json.dumps`` takes; ``tensors`` has one object a tensor."""
        return {**self.head_to_json(), "tensors": [tensor.to_json() for tensor in self.tensors]}


def make_report(source: Checkpoint, dest: Checkpoint | None, options: ReportOptions) -> Report:
    """Return the report on an open checkpoint, and on what another one has to do with it.

    Args:
        source: the checkpoint.
        dest: the other one.
        options: those of `tfckpt.report`.
    Raises: PlanError, ConfigError, FormatError, UnsupportedError. Damaged values are no error but a part of the report.
    """
    request = given(Request, {**options, "to": options["to"] or AUTO})
    places = find_places(source)
    theirs: Mapping[str, Place] = {} if dest is None else find_places(dest)
    relation = None if dest is None else _relate(source, dest, options, theirs)
    taken_as = None if relation is None else relation.taken_as
    plan = _plan(source, dest, options, request, taken_as)
    reads = options["stats"]
    for checkpoint in (source, dest) if reads else ():
        if checkpoint is not None:
            checkpoint.reader.check_sharing(checkpoint.entries())
    whole = sum(entry.nbytes for entry in source.entries())
    comparing, measuring = stages(options["progress"], whole if dest is not None and reads else 0, whole)
    mapping = comparison = None
    if plan is not None:
        mapping = map_plan(plan, source, dest, values=reads, progress=comparing)
        mapping["recovered"] = not _asks(options)
    elif dest is not None:
        comparison = compare_by_layer(source, dest, {**theirs, **places}, values=reads, progress=comparing)
    tensors = tuple(describe(source, places, options["bins"] if reads else None, measuring))
    return Report(
        source=source.prefix,
        dest=None if dest is None else dest.prefix,
        relation=relation,
        summary=_summarize(source, tensors, places, request),
        tensors=tensors,
        mapping=mapping,
        comparison=comparison,
        files={"source": _facts(source), "destination": None if dest is None else _facts(dest)},
    )


def _summarize(
    source: Checkpoint, tensors: Iterable[Reported], places: Mapping[str, Place], request: Request
) -> Summary:
    """Return what the checkpoint is; the value of a scalar is its smallest one, if it was read."""
    config, _ = find_configuration(source, request["config"])
    measured = {tensor.entry.name: tensor.statistics for tensor in tensors}

    def read(entry: Entry) -> int | None:
        found = measured[entry.name]
        return None if found is None or found.minimum is None else int(found.minimum)

    return summarize(source, places, config, request["num_heads"], read)


def _asks(options: ReportOptions) -> bool:
    """Whether the options name a target."""
    return any(options[name] is not None for name in ("to", "layout", "families"))


def _relate(source: Checkpoint, dest: Checkpoint, options: ReportOptions, places: Mapping[str, Place]) -> Relation:
    """Return what the other checkpoint is taken for."""
    told = _told(options)
    if told:
        return Relation(CONVERSION, f"the option {told[0]!r} asks for one")
    if source.object_graph is None and dest.object_graph is not None:
        return Relation(CONVERSION, "it is object-based and the source is not")
    if source.object_graph is not None and dest.object_graph is None:
        return Relation(CONVERSION, "the source is object-based and it is not")
    shared = shared_names(source, dest, places)
    number, verb = f"{shared.shared:,}" if shared.shared else "none", "are" if shared.shared > 1 else "is"
    only = "" if shared.are_most or not shared.shared else "only "
    text = f"{only}{number} of its {count_of(shared.of, 'model tensor')} {verb} named as in the source"
    return Relation(COMPARISON if shared.are_most else CONVERSION, text)


def _told(options: ReportOptions) -> list[str]:
    """Return the names of the options that only a conversion has use for."""
    values: Mapping[str, Any] = {**options}
    known = options_of(ModelOptions).items()
    found = [name for name, option in known if name not in DESCRIBING and not _is_default(values[name], option.default)]
    return [*(["to"] if options["to"] is not None else []), *found]


def _is_default(value: Any, default: Any) -> bool:
    return bool(value == default) or (default == () and not value)


def _plan(
    source: Checkpoint, dest: Checkpoint | None, options: ReportOptions, request: Request, taken_as: str | None
) -> Plan | None:
    """Return the conversion that is asked for, or that made the other checkpoint; None if there is none."""
    if _asks(options):
        return make_plan(source, request)
    if dest is None or taken_as == COMPARISON:
        return None
    from tfckpt.proof.recover import recover_plan

    return recover_plan(source, dest, request)


def _facts(checkpoint: Checkpoint) -> JSON:
    entries = checkpoint.entries()
    return {
        "prefix": checkpoint.prefix,
        "format": checkpoint.format,
        "object_based": checkpoint.object_graph is not None,
        "data_files": checkpoint.num_shards,
        "tensors": len(entries),
        "nbytes": sum(entry.nbytes for entry in entries),
    }


def _proof(mapping: Mapping[str, Any]) -> str:
    """Return what was found of a conversion."""
    target = repr(mapping["to"]) if mapping["to"] else "the same names"
    if mapping["differences"]:
        return f"{target}: {count_of(len(mapping['differences']), 'difference')}"
    if not mapping["values_compared"]:
        return f"{target}: names, dtypes and shapes are as they should be, values were not compared"
    return f"{target}: proved, every value is as it should be"


def _differences(comparison: Mapping[str, Any] | None) -> str:
    """Return what was found of two checkpoints with the same names."""
    assert comparison is not None
    tensors = comparison["tensors"]
    problems = sum(tensor["problem"] is not None for tensor in tensors)
    left = "" if comparison["values_compared"] else ", values were not compared"
    if problems:
        left += f", {problems:,} cannot be read"
    if comparison["same"]:
        return f"{count_of(len(tensors), 'tensor')}, all the same"
    differing = f"{comparison['differing']:,} of {count_of(len(tensors), 'tensor')} differ"
    return f"{differing}{' by name, dtype or shape' if not comparison['values_compared'] else ''}{left}"
