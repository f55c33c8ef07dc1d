"""What comes of a case: results, refusals, and differences with and without a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from support.kernels import Array

from differential.known import KNOWN
from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.errors import CheckpointNotFoundError, FormatError, PlanError, TensorNotFoundError, TfckptError, UsageError

# What TensorFlow raises, and what tfckpt raises for the same reason.
SAME_ERRORS = {
    "NotFoundError": (TensorNotFoundError, CheckpointNotFoundError),
    "DataLossError": (FormatError,),
    "OutOfRangeError": (FormatError,),
    "InternalError": (FormatError,),
    "InvalidArgumentError": (FormatError, PlanError, UsageError),
}


@dataclass
class Verdict:
    """What came of a case: names of known differences that were seen, differences without one, and what was done."""

    known: set[str] = field(default_factory=set)
    found: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def see(self, name: str) -> None:
        """Note a known difference."""
        assert name in KNOWN, name
        self.known.add(name)

    def check(self, agreed: bool, text: str) -> None:
        """Note a difference that nobody knows, unless both agreed."""
        if not agreed:
            self.found.append(text)


@dataclass(frozen=True)
class Expected:
    """One tensor that both should find, and the slices it is stored in."""

    number: DataType
    value: Array
    parts: tuple[TensorSlice, ...] = ()
    complete: bool = True


class Outcome:
    """A result, or the error instead of it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.value: Any = None
        self.error: Exception | None = None
        try:
            self.value = call()
        except Exception as error:
            self.error = error

    def __str__(self) -> str:
        return "a result" if self.error is None else f"{type(self.error).__name__}: {str(self.error)[:200]}"

    def is_value(self, expected: Array) -> bool:
        """Whether it is an array of the same shape and the same bits, or strings."""
        return self.error is None and same_bits(self.value, expected)


def same_bits(value: Any, expected: Array) -> bool:
    """Whether two arrays have the same shape and the same bits, or strings."""
    array = np.asarray(value, object) if isinstance(value, bytes) else np.asarray(value)
    if expected.dtype.hasobject:
        return array.shape == expected.shape and bool(array.tolist() == expected.tolist())
    return array.shape == expected.shape and array.tobytes() == expected.tobytes()


def same_refusal(theirs: Outcome, ours: Outcome, verdict: Verdict) -> bool:
    """Whether both refused, for the same reason; or TensorFlow for one that it cannot say, for it names no UTF-8."""
    if isinstance(theirs.error, UnicodeDecodeError) and isinstance(ours.error, TfckptError):
        verdict.see("name-not-utf8")
        return True
    return isinstance(ours.error, SAME_ERRORS.get(type(theirs.error).__name__, ()))
