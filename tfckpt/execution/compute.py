"""What a step reads of a source: its entries, and its values, which are written, or compared by a proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfckpt.bundle.values.entry import Entry
from tfckpt.errors import FormatError
from tfckpt.formats.container import Readable
from tfckpt.planning.steps import Input, Step

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array


def planned_entry(item: Input, source: Readable) -> Entry:
    """Return the source's entry for an input that is no constant.

    Raises: FormatError if the source has changed since the plan was made.
    """
    entry = source.entry(item.source)
    if entry is None or (entry.data_type, entry.shape) != (item.data_type, item.shape):
        got = "none" if entry is None else f"{entry.dtype_name}{list(entry.shape)}"
        expected = f"the tensor that was planned for, {list(item.shape)}"
        raise FormatError(f"tensor {item.source!r}", path=source.prefix, expected=expected, got=got)
    return entry


def compute(step: Step, source: Readable, *, verify: bool) -> Array:
    """Return a step's values, in the shape that the target has.

    Raises: FormatError, ChecksumError.
    """
    from tfckpt.execution.values import joined  # many steps are bytes that stay as they are, and need no NumPy

    return joined(step, lambda item: source.read(planned_entry(item, source), verify=verify, mapped=False))
