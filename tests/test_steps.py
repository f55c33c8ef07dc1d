"""A step says what a tensor is made of; its values are what NumPy makes of the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfckpt._proto.types_pb2 import DT_FLOAT, DT_HALF
from tfckpt.bundle.values.entry import Entry
from tfckpt.execution.values import apply, joined
from tfckpt.planning.steps import (
    Cast,
    Fill,
    Identity,
    Input,
    Op,
    Pad,
    Part,
    Rearrange,
    Resize,
    Scale,
    Step,
    carrying,
    filling,
    formed,
)

KERNEL = np.arange(6, dtype=np.float32).reshape(3, 2)  # of a head: three features, two classes
TENSORS = {"kernel": KERNEL, "qkv": np.arange(24, dtype=np.float32).reshape(2, 12)}
TURNED = Rearrange("h n -> n h", {"h": 3, "n": 2})


def read(item: Input) -> np.ndarray[Any, Any]:
    return TENSORS[item.source]


def tensor(name: str, *ops: Op, part: Part | None = None) -> Input:
    return Input(name, DT_FLOAT, TENSORS[name].shape, part, ops=ops)


def constant(value: Fill | Identity, *shape: int, ops: tuple[Op, ...] = ()) -> Input:
    return Input("", DT_FLOAT, shape, constant=value, ops=ops)


def made_of(*inputs: Input, shape: tuple[int, ...], axis: int = 0, ops: tuple[Op, ...] = ()) -> Step:
    return Step("out", inputs, shape, 4 * int(np.prod(shape)), axis, ops)


@pytest.mark.parametrize(
    ("op", "made"),
    [
        (TURNED, KERNEL.T),
        (Rearrange("h n", {}), KERNEL),
        (Resize(0, 3, 2), KERNEL[:2]),
        (Resize(1, 2, 3), np.pad(KERNEL, [(0, 0), (0, 1)])),
        (Resize(0, 3, 4, "mean"), np.vstack([KERNEL, KERNEL.mean(0)])),
        (Cast(DT_HALF), KERNEL.astype(np.float16)),
        (Scale(-0.5), KERNEL * np.float32(-0.5)),
        (Pad(1, 1, 2, 7.0), np.pad(KERNEL, [(0, 0), (1, 2)], constant_values=7)),
    ],
    ids=lambda value: type(value).__name__.lower() if hasattr(value, "inverse") else "",
)
def test_an_operation_makes_what_numpy_makes(op: Op, made: np.ndarray[Any, Any]) -> None:
    found = apply(op, KERNEL)
    assert found.dtype == made.dtype
    np.testing.assert_array_equal(found, made)
    assert op.shape_after(KERNEL.shape) == made.shape


@pytest.mark.parametrize("op", [TURNED, Scale(-0.5), Scale(2.0), Resize(0, 3, 5)])
def test_an_inverse_undoes_its_operation(op: Op) -> None:
    inverse = op.inverse()
    assert inverse is not None
    np.testing.assert_array_equal(apply(inverse, apply(op, KERNEL)), KERNEL)


@pytest.mark.parametrize("op", [Cast(DT_HALF), Scale(3.0), Scale(0.0), Resize(0, 3, 2), Pad(0, 0, 1)])
def test_what_loses_values_has_no_inverse(op: Op) -> None:
    assert op.inverse() is None


def test_a_fused_weight_is_taken_apart_and_joined_again() -> None:
    parts = [tensor("qkv", part=Part(1, start, start + 4)) for start in (0, 4, 8)]
    for number, part in enumerate(parts):
        step = made_of(part, shape=(2, 4))
        assert not step.keeps_bytes
        np.testing.assert_array_equal(joined(step, read), TENSORS["qkv"][:, 4 * number : 4 * number + 4])
    whole = made_of(*parts, shape=(2, 12), axis=1)
    assert (whole.sources, whole.keeps_bytes) == (("qkv",), False)
    np.testing.assert_array_equal(joined(whole, read), TENSORS["qkv"])


def test_a_head_without_a_hidden_layer_is_folded_into_one_with_a_hidden_layer() -> None:
    """Gelu of z less gelu of -z is z: rows of the kernel, of its opposite, and zeros; then the identity and its opposite."""
    rows = tensor("kernel", TURNED), tensor("kernel", TURNED, Scale(-1.0)), constant(Fill(), 1, 3)
    hidden = joined(made_of(*rows, shape=(5, 3)), read)
    np.testing.assert_array_equal(hidden, np.vstack([KERNEL.T, -KERNEL.T, np.zeros((1, 3))]))
    one = Identity()
    columns = constant(one, 2, 2), constant(one, 2, 2, ops=(Scale(-1.0),)), constant(Fill(), 2, 1)
    out = joined(made_of(*columns, shape=(2, 5), axis=1), read)
    np.testing.assert_array_equal(out, np.hstack([np.eye(2), -np.eye(2), np.zeros((2, 1))]))


def test_operations_of_a_step_follow_the_joining() -> None:
    step = made_of(tensor("kernel"), tensor("kernel"), shape=(2, 6), ops=(Rearrange("x y -> y x", {"x": 6, "y": 2}),))
    np.testing.assert_array_equal(joined(step, read), np.vstack([KERNEL, KERNEL]).T)


def test_random_values_are_made_in_their_last_shape() -> None:
    fill = Fill(deviation=0.02, seed=3)
    turned, plain = filling("a", DT_FLOAT, (2, 3), fill, (TURNED,)), filling("a", DT_FLOAT, (2, 3), fill)
    np.testing.assert_array_equal(joined(turned, read), joined(plain, read))


def test_what_older_code_asks_of_a_step_is_told_by_its_first_input() -> None:
    entry = Entry("kernel", DT_FLOAT, (3, 2), 0, 0, 24, 0)
    step = formed(entry, "k", (TURNED,), (2, 3))
    assert (step.source, step.source_shape, step.axes) == ("kernel", (3, 2), "h n -> n h")
    assert (step.letters, step.cast, step.fill, step.resizes) == ({"h": 3, "n": 2}, None, None, ())
    assert (step.is_transposed, step.keeps_bytes) == (True, False)
    cast = carrying(entry, cast=DT_HALF)
    assert (cast.cast, cast.stored_type, cast.data_type, cast.keeps_bytes) == (DT_HALF, DT_HALF, DT_FLOAT, False)
    filled = filling("k", DT_FLOAT, (2,), Fill(1.0))
    assert (filled.source, filled.sources, filled.fill, filled.nbytes) == ("", (), Fill(1.0), 8)
