"""Arrays of the dtypes for which NumPy has no word of its own: they remember TensorFlow's.

qint8 values are int8 to NumPy, and variants are objects as strings are. An array that comes from a checkpoint and goes into
another must stay what it is, so these few are of a class that says so. All others are plain arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.values.dtypes import UNNAMED, data_type_of, dtype_name, numpy_dtype

# NumPy's functions that move elements, or make an array like another; what any other returns has been computed.
MOVES = frozenset(
    [
        *(
            "atleast_1d",
            "atleast_2d",
            "atleast_3d",
            "broadcast_to",
            "copy",
            "expand_dims",
            "moveaxis",
            "ravel",
            "reshape",
        ),
        *("rollaxis", "squeeze", "swapaxes", "transpose", "permute_dims", "matrix_transpose"),
        *("flip", "fliplr", "flipud", "roll", "rot90", "sort", "repeat", "resize", "tile"),
        *("compress", "delete", "diagonal", "take", "take_along_axis"),
        *("array_split", "split", "dsplit", "hsplit", "vsplit", "unstack"),
        *("column_stack", "concat", "concatenate", "dstack", "hstack", "stack", "vstack"),
        *("empty_like", "full_like", "ones_like", "zeros_like"),
    ]
)
# Methods that compute, and whose results NumPy would make arrays of our class.
COMPUTING = ("argmax", "argmin", "argpartition", "argsort", "dot", "searchsorted")


class TypedArray(np.ndarray[Any, np.dtype[Any]]):
    """An array of quantized numbers or of variants, which knows TensorFlow's dtype of them. Made by `tfckpt.open`.

    Views, slices, copies, pickles and what moves elements, such as ``reshape``, keep it. What is computed is a plain array:
    the sum of a quantized number and 1 is no quantized number. So is what ``np.asarray`` makes of it, and ``astype`` with
    another dtype.

    Example:
        >>> array = typed(np.int8([1, 2, 3]), DataType.Value("DT_QINT8"))
        >>> array.dtype_name, array[:2].dtype_name, type(array + 1).__name__, type(np.asarray(array)).__name__
        ('qint8', 'qint8', 'ndarray', 'ndarray')
    """

    _data_type: DataType | None = None

    @property
    def data_type(self) -> DataType:
        """TensorFlow's number of the dtype."""
        own = self._data_type
        return own if own is not None and numpy_dtype(own) == self.dtype else data_type_of(self.dtype)

    @property
    def dtype_name(self) -> str:
        """TensorFlow's name of the dtype, e.g. ``"qint8"``; ``dtype`` is NumPy's."""
        return dtype_name(self.data_type)

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """Return a copy; with another dtype, a plain one."""
        found = super().astype(dtype, *args, **options)
        return found if found.dtype == self.dtype else _plain(found)

    def view(self, *args: Any, **options: Any) -> Any:
        """Return a view; with another dtype, a plain one."""
        found = super().view(*args, **options)
        return found if found.dtype == self.dtype else _plain(found)

    def __array_finalize__(self, source: object) -> None:
        if isinstance(source, TypedArray):
            self._data_type = source._data_type

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Compute with plain arrays; what is written into one of ours stays in it."""
        out = options.get("out", ())
        if out:
            options["out"] = tuple(map(_plain, out))
        found = getattr(ufunc, method)(*map(_plain, inputs), **options)
        if len(out) == 1 and out[0] is not None:
            return out[0]
        if isinstance(found, tuple) and out:
            return tuple(one if given is None else given for one, given in zip(found, out, strict=True))
        return found

    def __array_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Iterable[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Let what only moves elements keep the dtype, if all arrays that they come from are of one."""
        found = super().__array_function__(func, tuple(types), tuple(args), dict(kwargs))
        if func.__name__ not in MOVES:
            return _each(_plain, found)
        source = next(iter((*args, *kwargs.values())), None)
        data_types = {_data_type_of(one) for one in (source if isinstance(source, list | tuple) else [source])}
        only = data_types.pop() if len(data_types) == 1 else None
        return _each(lambda one: _retyped(one, only), found)

    def __reduce__(self) -> tuple[Any, ...]:
        return typed, (_plain(self), self.data_type)


def typed(array: npt.NDArray[Any], data_type: DataType) -> npt.NDArray[Any]:
    """Return a view that remembers its dtype if NumPy has no word for it; any other array as it is."""
    if data_type not in UNNAMED:
        return array
    assert numpy_dtype(data_type) == array.dtype, (data_type, array.dtype)
    found = array.view(TypedArray)
    found._data_type = data_type
    return found


def _plain(value: Any) -> Any:
    """Return an array of ours as a plain view, and anything else as it is."""
    return np.ndarray.view(value, np.ndarray) if isinstance(value, TypedArray) else value


def _data_type_of(value: object) -> DataType | None:
    return value.data_type if isinstance(value, TypedArray) else None


def _retyped(value: Any, data_type: DataType | None) -> Any:
    """Return what elements of that dtype, or of several, became when they were moved."""
    if data_type is None or not isinstance(value, np.ndarray) or value.dtype != numpy_dtype(data_type):
        return _plain(value)
    return typed(_plain(value), data_type)


def _each(change: Callable[[Any], Any], found: Any) -> Any:
    """Return a function's result with each of its arrays changed; ``split`` returns several, ``unique`` a named tuple."""
    if isinstance(found, tuple) and hasattr(found, "_fields"):
        return type(found)(*map(change, found))
    return type(found)(map(change, found)) if type(found) in (list, tuple) else change(found)


def _computing(name: str) -> Callable[..., Any]:
    def method(self: TypedArray, *args: Any, **options: Any) -> Any:
        return getattr(_plain(self), name)(*map(_plain, args), **options)

    return method


for _name in COMPUTING:
    setattr(TypedArray, _name, _computing(_name))
