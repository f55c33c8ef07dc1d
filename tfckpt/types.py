"""The types of what public calls take and return, for annotations and ``isinstance``: public as the calls are.

>>> from tfckpt.types import Outcome, Progress
>>> def show(done: int, total: int) -> None:
...     print(f"{done / total:.0%}")
>>> watch: Progress = show
>>> watch(1, 2)
50%
"""

from __future__ import annotations

from tfckpt.about.info import Info
from tfckpt.about.origin import Writer
from tfckpt.about.state import State
from tfckpt.about.summary import Summary
from tfckpt.about.targets import Target
from tfckpt.base.issues import Issue, Remedy
from tfckpt.base.progress import Progress
from tfckpt.bundle.carry import Damage
from tfckpt.bundle.damage import Finding
from tfckpt.bundle.values.entry import Entry
from tfckpt.bundle.values.typed import TypedArray
from tfckpt.checkpoint.find.lookup import Found, Lookup
from tfckpt.checkpoint.graph.object_graph import Node, ObjectGraph
from tfckpt.checkpoint.partial import PartialTensor
from tfckpt.checkpoint.statistics import CheckpointStatistics, Measured, Statistics
from tfckpt.checkpoint.train import CheckpointReader
from tfckpt.edit.comparison.diff import Comparison, Pair
from tfckpt.edit.comparison.differences import Distance
from tfckpt.families.language.axes import Size
from tfckpt.families.language.facts import Fact
from tfckpt.formats.container import Writable
from tfckpt.many.many import Job, Outcome
from tfckpt.page.document import Relation, Report
from tfckpt.page.tensors import Reported
from tfckpt.planning.plan import Argument, Constructor, Dropped, Written
from tfckpt.planning.steps import Cast, Fill, Identity, Input, Pad, Part, Rearrange, Resize, Scale, Step
from tfckpt.proof.proof import Checked, Extra, Proof

__all__ = [
    "Argument",
    "Cast",
    "Checked",
    "CheckpointReader",
    "CheckpointStatistics",
    "Comparison",
    "Constructor",
    "Damage",
    "Distance",
    "Dropped",
    "Entry",
    "Extra",
    "Fact",
    "Fill",
    "Finding",
    "Found",
    "Identity",
    "Info",
    "Input",
    "Issue",
    "Job",
    "Lookup",
    "Measured",
    "Node",
    "ObjectGraph",
    "Outcome",
    "Pad",
    "Pair",
    "Part",
    "PartialTensor",
    "Progress",
    "Proof",
    "Rearrange",
    "Relation",
    "Remedy",
    "Report",
    "Reported",
    "Resize",
    "Scale",
    "Size",
    "State",
    "Statistics",
    "Step",
    "Summary",
    "Target",
    "TypedArray",
    "Writable",
    "Writer",
    "Written",
]
