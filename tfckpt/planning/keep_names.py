"""One data file, two generations: each tensor under its TF2 key and under its TF1 name, over the same bytes.

TensorFlow reads whatever range an entry names, so two entries may name one. What changes its bytes on the way to TF2, a
transposed head, is stored in both forms.
"""

from __future__ import annotations

from tfckpt.base.issues import Issue
from tfckpt.planning.plan import Plan, noting
from tfckpt.planning.steps import Step


def keep_names(plan: Plan) -> Plan:
    """Return the plan with TF1 names beside the keys; what one TF1 variable goes to several times is stored once as well."""
    steps: list[Step] = []
    stored: dict[str, str] = {}  # TF1 name -> the key or name that its bytes, as TF1 has them, are stored under
    transposed: list[str] = []
    for step in plan.steps:
        if not step.keeps_bytes:
            steps.append(step)
            if step.source and step.source not in stored:
                stored[step.source] = step.source
                transposed.append(step.source)
                steps.append(_original(step))
        elif step.source in stored:
            steps.append(step._replace(same_as=stored[step.source]))
        else:
            stored[step.source] = step.target
            steps += [step, _original(step)._replace(same_as=step.target)]
    notes = [Issue("stored-twice", name) for name in transposed]
    return noting(plan._replace(steps=tuple(steps)), notes)


def _original(step: Step) -> Step:
    """Return the step that writes a variable as TF1 has it."""
    return step._replace(target=step.source, shape=step.source_shape, inputs=(step.inputs[0]._replace(ops=()),))
