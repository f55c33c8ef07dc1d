"""Tables cut or extended on request: the vocabulary, the positions, and whatever else has as many rows.

The source must still agree with its configuration; only what is written has the new size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tfckpt.base.arguments import whole_number
from tfckpt.base.issues import Issue, give
from tfckpt.base.options import Fixed
from tfckpt.bundle.values.dtypes import NUMERIC, item_size
from tfckpt.errors import are
from tfckpt.families.language import axes
from tfckpt.planning.builder import PlanBuilder
from tfckpt.planning.steps import Op, Rearrange, Resize, Step

ZEROS, MEAN = "zeros", "mean"
OPTIONS = {"vocab_size": "vocabulary size", "max_position_embeddings": "number of positions"}
ZEROED = give(resize_fill=ZEROS)


class Resizing(NamedTuple):
    """The sizes that the target gets instead of the source's, by field, and what new rows hold."""

    sizes: Mapping[str, int]
    fill: str = ZEROS


def parse_resizing(vocab_size: int | None, max_positions: int | None, fill: str) -> Resizing:
    """Return what was asked for.

    >>> parse_resizing(32, None, "mean")
    Resizing(sizes={'vocab_size': 32}, fill='mean')

    Raises: UsageError.
    """
    wanted = zip(OPTIONS, (vocab_size, max_positions), strict=True)
    sizes = {field: whole_number(OPTIONS[field], size) for field, size in wanted if size is not None}
    return Resizing(sizes, fill)


def resize_steps(
    steps: Sequence[Step], fields: Mapping[str, str], resizing: Resizing, builder: PlanBuilder
) -> tuple[list[Step], list[Issue]]:
    """Return the steps with the sizes asked for, and notes that say what changes.

    Args:
        steps: a plan's.
        fields: the field of the configuration that each letter of the axes patterns means.
        resizing: what was asked for.
        builder: where to say that nothing has such a size, or that it cannot be changed.
    """
    resized, notes = list(steps), []
    for field, size in resizing.sizes.items():
        letters = [letter for letter, name in fields.items() if name == field]
        changed: dict[int, list[str]] = {}
        for number, step in enumerate(resized):
            named = _named(step)
            letter = next((letter for letter in letters if named is not None and letter in named.letters), None)
            if letter is not None and named is not None:
                changed.setdefault(named.letters[letter], []).append(step.source or step.target)
                resized[number] = _resize(step, named, letter, size, resizing.fill, builder)
        if not changed and not builder.has_mismatch(field):
            builder.complain("no-such-size", field, str(size))
        notes += [_note(field, old, size, names, resizing.fill) for old, names in changed.items()]
    return resized, notes


def _ops(step: Step) -> tuple[Op, ...]:
    """Return what becomes of a step's values: of those of its one input, or of all of its inputs together."""
    return step.ops or step.inputs[0].ops


def _named(step: Step) -> Rearrange | None:
    """Return the first operation that names a step's axes."""
    return next((op for op in _ops(step) if isinstance(op, Rearrange)), None)


def _resize(step: Step, named: Rearrange, letter: str, size: int, fill: str, builder: PlanBuilder) -> Step:
    old = named.letters[letter]
    if size == old:
        return step
    if step.data_type not in NUMERIC:
        builder.complain("no-numbers", step.source, got=step.dtype_name)
        return step
    first = step.inputs[0]
    moves = [op for op in _ops(step) if isinstance(op, Rearrange)]
    renewed = [op._replace(letters=Fixed({**op.letters, letter: size})) for op in moves]
    shape = axes.target_shape(renewed[-1].pattern, renewed[-1].letters)
    nbytes = item_size(step.data_type) * math.prod(shape)
    if step.fill is not None:
        return step._replace(shape=shape, nbytes=nbytes, inputs=(first._replace(shape=shape, ops=(*renewed,)),))
    if old == 0 and fill == MEAN:
        builder.complain("no-mean", step.source, "", "", ZEROED)
        return step
    source = axes.parse(named.pattern)[0]
    if (letter,) not in source:
        builder.complain("joined-axis", step.source, named.pattern, str(old))
        return step
    others = [op for op in _ops(step) if not isinstance(op, Rearrange)]
    ops: tuple[Op, ...] = (*others, Resize(source.index((letter,)), old, size, fill), *renewed)
    resized = step._replace(shape=shape, nbytes=nbytes)
    return resized._replace(ops=ops) if step.ops else resized._replace(inputs=(first._replace(ops=ops),))


def _note(field: str, old: int, new: int, names: Sequence[str], fill: str) -> Issue:
    where, what = ", ".join(names), f"{field}: {old} -> {new}"
    if new == old:
        return Issue("size-as-it-is", where, field, str(old))
    if new < old:
        return Issue("rows-cut", where, what, are(old - new, "row"))
    return Issue("rows-of-zeros" if fill == ZEROS else "rows-of-means", where, what, are(new - old, "row"))
