"""The tensors of a plan on their way out: their forms, what has none, and their bytes in pieces."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfckpt._proto.types_pb2 import DT_STRING, DataType
from tfckpt.base.issues import Issue
from tfckpt.bundle.stream import stream
from tfckpt.bundle.tensor_reader import TensorReader
from tfckpt.bundle.values.dtypes import EXTENSIONS, dtype_name, item_size, numpy_dtype
from tfckpt.errors import PlanError
from tfckpt.execution.compute import compute, planned_entry
from tfckpt.formats.defaults import NPY, NPZ, SAFETENSORS
from tfckpt.formats.dtypes import form_of
from tfckpt.formats.npy import MAX_RANK, pad_strings
from tfckpt.formats.safetensors import METADATA
from tfckpt.planning.plan import Plan
from tfckpt.planning.steps import Step

if TYPE_CHECKING:
    from tfckpt.bundle.values.arrays import Array

MAX_ZIP_NAME = 0xFFFF - len(".npy")  # bytes
LEADS_AWAY = re.compile(r"[/\\]|[A-Za-z]:|(?:.*[/\\])?\.\.(?:[/\\]|$)", re.DOTALL)
ELSEWHERE = {SAFETENSORS: ".npz and directories take it, ", NPZ: "", NPY: ""}


class Item(NamedTuple):
    """One tensor to write, and the dtype that it is written as."""

    step: Step
    form: DataType
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.step.target

    @property
    def nbytes(self) -> int:
        """The size of its values; of strings that is known when they are read."""
        return math.prod(self.shape) * item_size(self.form)

    @property
    def dtype(self) -> np.dtype[np.void]:
        """NumPy's dtype of a number's form."""
        return numpy_dtype(self.form)


def choose_forms(plan: Plan, kind: str, reader: TensorReader) -> list[Item]:
    """Return what to write of a plan, in its order. Strings are read, to see whether they can be given one width.

    Raises: PlanError, with everything that cannot go.
    """
    items: list[Item] = []
    complaints: list[Issue] = []
    names = [step.target for step in plan.steps]
    for step in plan.steps:
        form = form_of(step.data_type, kind)
        why = _against_name(step.target, kind) or _against_form(step, form, kind, reader)
        if why is not None:
            complaints.append(why._replace(subject=repr(step.source or step.target), origin=plan.source))
        elif form is not None:
            items.append(Item(step, form, step.shape))
    complaints += [issue._replace(origin=plan.source) for issue in _ambiguous(names, kind)]
    if complaints:
        raise PlanError(complaints)
    return items


def _against_form(step: Step, form: DataType | None, kind: str, reader: TensorReader) -> Issue | None:
    """Return why values cannot go, if they cannot."""
    if form is None:
        also = ELSEWHERE[kind] if form_of(step.data_type, NPZ) is not None else ""
        return Issue("no-form", got=f"{dtype_name(step.data_type)} has no form in {kind}", expected=also)
    if kind != SAFETENSORS and len(step.shape) > MAX_RANK:
        return Issue("no-form", got=f"rank {len(step.shape)}: NumPy reads at most {MAX_RANK}")
    if form == DT_STRING and _padded(step, reader, verify=False) is None:
        return Issue(
            "no-form", got="strings that end in NUL, or of very different lengths, have no form in NumPy's files"
        )
    return None


def _against_name(name: str, kind: str) -> Issue | None:
    """Return why a kind of file cannot hold a name, if it cannot."""
    if kind == NPY:  # whose index can hold any
        return None
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return Issue("no-name", got=f"the name is not UTF-8, which {kind} wants", expected=", and a directory takes it")
    if kind == SAFETENSORS:
        return Issue("no-name", got=f"{kind} has that name for itself") if name == METADATA else None
    if LEADS_AWAY.match(name):
        return Issue("no-name", got="who unpacks the .npz would write that elsewhere")
    if "\0" in name or size > MAX_ZIP_NAME:
        return Issue("no-name", got="a zip archive cannot hold that name")
    return None


def _ambiguous(names: Sequence[str], kind: str) -> Iterator[Issue]:
    """Yield complaints of names that `numpy.load` would take for one another."""
    if kind == NPZ:
        for name in sorted({*names} & {f"{name}.npy" for name in names}):
            yield Issue("alike-names", repr(name.removesuffix(".npy")), got=repr(name))


def chunks(item: Item, reader: TensorReader, *, verify: bool) -> Iterator[bytes | memoryview]:
    """Yield a tensor's values as they are written: little-endian, in row-major order.

    Raises: ChecksumError, FormatError, StorageError.
    """
    step = item.step
    if step.keeps_bytes and item.form == step.data_type:
        entry = planned_entry(step.inputs[0], reader)
        if entry.is_numeric and reader.stores_as_written(entry):
            yield from reader.chunks(entry, verify=verify)
            return
    for array in _arrays(step, reader, verify=verify):
        yield np.ascontiguousarray(array.astype(item.dtype, copy=False)).reshape(-1).view(np.uint8).data


def padded(item: Item, reader: TensorReader, *, verify: bool) -> Array:
    """Return a string tensor in NumPy's form."""
    array = _padded(item.step, reader, verify=verify)
    assert array is not None, item
    return array.reshape(item.shape)


def _padded(step: Step, reader: TensorReader, *, verify: bool) -> Array | None:
    """Return a step's strings in NumPy's form, None if they have none."""
    return pad_strings(reader.read(planned_entry(step.inputs[0], reader), verify=verify, mapped=False))


def _arrays(step: Step, reader: TensorReader, *, verify: bool) -> Iterable[Array]:
    if step.keeps_bytes:
        return stream(reader, planned_entry(step.inputs[0], reader), verify=verify)
    return [compute(step, reader, verify=verify)]


def npy_dtype(item: Item) -> np.dtype[np.void]:
    """Return the dtype that stands in a .npy file: void for what ml_dtypes brings, as `numpy.load` returns it.

    `numpy.save` mostly writes that, too; but float8_e5m2 as ``<f1``, which nothing reads.
    """
    return np.dtype(f"V{item.dtype.itemsize}") if item.form in EXTENSIONS else item.dtype
