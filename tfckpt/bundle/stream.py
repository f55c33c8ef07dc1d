"""The values of one tensor in bounded memory, read without the map.

Strategy: a whole tensor is one run of bytes, read in chunks. Of a partitioned one, boxes are read that are runs of the whole:
each touches a run of every slice that it shares with, however the tensor was cut.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values.arrays import swap
from tfckpt.bundle.values.entry import Entry
from tfckpt.bundle.values.slices import Ranges
from tfckpt.storage.paths import V2

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array

AT_ONCE = 1 << 16  # bytes of a whole tensor that are read at once, which is quicker than piece by piece
RUN_SIZE = 1 << 20  # elements of a partitioned tensor that are put together at a time


def stream(reader: TensorReader, entry: Entry, *, verify: bool) -> Iterator[Array]:
    """Yield a tensor's values in row-major order, as one-dimensional arrays of the stored dtype.

    Numbers come in pieces of 1 MiB, or of `RUN_SIZE` elements if the tensor is partitioned. Strings and variants, and
    whatever a V1 checkpoint holds, come all at once: they are stored with their lengths, or as messages.

    Raises: ChecksumError, with ``verify``: after the last piece of a large whole tensor, before the first of others;
        FormatError, UnsupportedError (a resource).
    """
    if not entry.is_numeric or reader.format != V2 or (entry.nbytes <= AT_ONCE and not entry.slices):
        yield reader.read(entry, verify=verify, mapped=False).reshape(-1)
    elif entry.slices:
        if verify:
            reader.verify(entry)
        for box in runs(entry.shape, RUN_SIZE):
            yield reader.read_box(entry, box, mapped=False).reshape(-1)
    else:
        for chunk in reader.chunks(entry, verify=verify):
            values: Array = np.frombuffer(chunk, entry.dtype)
            yield swap(values) if reader.big_endian else values


def runs(shape: tuple[int, ...], most: int) -> Iterator[Ranges]:
    """Yield boxes that make up an array, in row-major order, each a run of at most ``most`` elements of it.

    >>> list(runs((2, 3), 2))[:2]
    [(slice(0, 1, None), slice(0, 2, None)), (slice(0, 1, None), slice(2, 3, None))]
    """
    if 0 in shape:
        return
    sizes = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]  # of one step along each axis
    cut = next((axis for axis, size in enumerate(sizes) if size <= most), len(shape))
    rest = tuple(slice(0, size) for size in shape[cut + 1 :])
    for at in itertools.product(*map(range, shape[:cut])):
        outer = tuple(slice(i, i + 1) for i in at)
        if cut == len(shape):  # a scalar
            yield outer
            continue
        step = most // sizes[cut]
        for start in range(0, shape[cut], step):
            yield (*outer, slice(start, min(start + step, shape[cut])), *rest)
