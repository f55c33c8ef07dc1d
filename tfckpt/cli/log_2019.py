"""The log of Model Garden's tf1_to_keras_checkpoint_converter.py of 2019, line for line, from a plan to its names.

That script says every substitution that it makes in a name, in their order, so that one name has several lines; then a
change of shape, with a spelling of its own; then a transposition. Its variables come in the order of a hash table, which no
one can rely on; here they come in the order of their names.

Source: official/nlp/bert/tf1_checkpoint_converter_lib.py of tf-models-official 0.0.3.dev1.
"""

from __future__ import annotations

from collections.abc import Iterator

from tfckpt.families.language.layouts import Substitutions
from tfckpt.planning.plan import Plan
from tfckpt.planning.steps import Step

PERMUTATIONS = {"c h -> h c": (1, 0)}  # as that script spells them
RESHAPED_IN_VAIN = "attention/output/dense/bias"  # a head count gives it the shape that it has, and a line


def log_lines(plan: Plan, layout: Substitutions, *, source: str, dest: str) -> Iterator[str]:
    """Yield what the script logs when it does what a plan says.

    Args:
        plan: a plan for ``layout``.
        layout: one of the name-based targets of 2019.
        source: the path to read, as it was given.
        dest: the path to write, as it was given.
    """
    steps = sorted(plan.steps, key=lambda step: step.source)
    yield f"Reading checkpoint_from_path {source}"
    for step in steps:
        yield from _substituted(step.source, layout)
        yield from _reshaped(step, plan.num_heads)
    yield f"Writing checkpoint_to_path {dest}"
    yield "Summary:"
    yield f"  Converted {len(steps)} variable name(s)."
    yield f"  Converted: { ({step.source: step.target for step in steps if step.source != step.target}) }"


def _substituted(name: str, layout: Substitutions) -> Iterator[str]:
    """Yield a line for each substitution, from the name that the one before it left."""
    for old, new in layout.substitutions:
        if old in name:
            renamed = name.replace(old, new)
            yield f"Converted: {name} --> {renamed}"
            name = renamed


def _reshaped(step: Step, num_heads: int | None) -> Iterator[str]:
    """Yield a line if a variable gets another shape, or its axes change places."""
    if step.axes in PERMUTATIONS:
        yield f"Permuted: {step.source} --> {PERMUTATIONS[step.axes]}"
    elif step.axes is not None or (num_heads and RESHAPED_IN_VAIN in step.source):
        yield f"Veriable {step.source} has a shape change from {step.source_shape} to {step.shape}"
