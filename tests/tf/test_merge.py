"""Bundles merged as TensorFlow's MergeBundles merges them: the same index, the same data, the same names."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.files import bundle_bytes
from support.kernels import DTYPES, make, merge_v2, restore_v2, save_slices, save_v2, type_name
from support.warm import run_warm

import tfckpt
from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.bundle.writer import BundleWriter
from tfckpt.errors import PlanError, UsageError

pytestmark = pytest.mark.tf

W = np.arange(50, dtype=np.float32).reshape(5, 10)


def assert_merged_alike(tf: Any, directory: Path, sources: Sequence[str]) -> dict[str, bytes]:
    """Merge bundles by both programs; return the files. TensorFlow moves its sources away, so it comes second.

    TensorFlow does not mind slices that are missing.
    """
    paths = [directory / source for source in sources]
    tfckpt.merge(paths, directory / "ours", partial=True)
    merge_v2(tf, paths, directory / "theirs")
    ours, theirs = bundle_bytes(directory / "ours"), bundle_bytes(directory / "theirs")
    assert ours == theirs
    return ours


@pytest.mark.parametrize("number", DTYPES, ids=type_name)
def test_two_bundles_are_merged_into_the_files_that_tensorflow_makes(tf: Any, tmp_path: Path, number: DataType) -> None:
    for name in ("foo", "bar"):
        save_v2(tf, tmp_path / name, {f"{name}_{i}": make(tf, number, (2, i)) for i in (3, 0, 2, 1)})
    files = assert_merged_alike(tf, tmp_path, ["foo", "bar"])
    assert sorted(files) == [".data-00000-of-00002", ".data-00001-of-00002", ".index"]
    with tfckpt.open(tmp_path / "ours") as merged:
        assert list(merged) == [f"{name}_{i}" for name in ("bar", "foo") for i in range(4)]
        assert {merged.entry(f"foo_{i}").shard for i in range(4)} == {0}  # in the order given, not that of names
        for name, value in merged.items():
            expected = make(tf, number, (2, int(name[-1])))
            assert (value.shape, value.tobytes()) == (expected.shape, expected.tobytes())


def test_merging_one_bundle_renames_it(tf: Any, tmp_path: Path) -> None:
    save_v2(tf, tmp_path / "worker0", {"tensor0": W})
    assert sorted(assert_merged_alike(tf, tmp_path, ["worker0"])) == [".data-00000-of-00001", ".index"]


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "a", "b"), ("b", "c", "a")], ids="".join)
def test_slices_of_one_tensor_are_collected_from_several_bundles(
    tf: Any, tmp_path: Path, order: tuple[str, ...]
) -> None:
    save_slices(tf, tmp_path / "a", [("other", "", W), ("w", "5 10 0,2:-", W[:2])])
    save_slices(tf, tmp_path / "b", [("plain", "", W)])
    save_slices(tf, tmp_path / "c", [("w", "5 10 2,3:4,6", W[2:, 4:]), ("w", "5 10 2,3:0,4", W[2:, :4])])
    assert_merged_alike(tf, tmp_path, order)
    with tfckpt.open(tmp_path / "ours") as merged:
        assert list(merged) == ["other", "plain", "w"]
        assert len(merged.entry("w").slices) == 3
        np.testing.assert_array_equal(merged["w"], W)
    np.testing.assert_array_equal(restore_v2(tf, tmp_path / "ours", "w", tf.float32), W)


def test_merged_bundles_are_merged_again(tf: Any, tmp_path: Path) -> None:
    save_slices(tf, tmp_path / "a", [("z", "", W)])
    save_slices(tf, tmp_path / "b", [("w", "5 10 0,2:-", W[:2]), ("a", "", W)])
    save_slices(tf, tmp_path / "c", [("w", "5 10 2,3:-", W[2:]), ("y", "", W)])
    merge_v2(tf, [tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    files = assert_merged_alike(tf, tmp_path, ["ab", "c"])
    assert len(files) == 4
    with tfckpt.open(tmp_path / "ours") as merged:
        # As the index of "ab" names them first: the slice in its second file, then "z".
        assert {name: merged.entry(name).shard for name in ("a", "z", "y")} == {"a": 0, "z": 1, "y": 2}


@pytest.mark.parametrize("seed", range(8))
def test_merges_of_merges_list_their_slices_as_tensorflow_does(tf: Any, tmp_path: Path, seed: int) -> None:
    """In the order of the sources, not of the data, and under the number of a file that means nothing any more."""
    rng = np.random.default_rng(seed)
    left = []
    for row, name in enumerate("abcde"):
        rows: list[tuple[str, str, Any]] = [("w", f"5 10 {row},1:-", W[row : row + 1]), (f"{name}_plain", "", W)]
        save_slices(tf, tmp_path / name, rows if rng.integers(2) else rows[::-1])
        left.append(name)
    while len(left) > 1:
        sources = [left.pop(rng.integers(len(left))) for _ in range(min(len(left), int(rng.integers(1, 4))))]
        name = "_".join(sources)
        for path in tmp_path.glob("ours.*"):
            path.unlink()
        assert_merged_alike(tf, tmp_path, sources)
        for path in tmp_path.glob("theirs.*"):
            path.rename(path.with_name(path.name.replace("theirs", f"_{name}")))
        tfckpt.rewrite(tmp_path / f"_{name}", tmp_path / "same", overwrite=True)
        assert bundle_bytes(tmp_path / "same") == bundle_bytes(tmp_path / f"_{name}")
        left.append(f"_{name}")
    np.testing.assert_array_equal(tfckpt.open(tmp_path / left[0])["w"], W)


def test_a_name_in_two_bundles_is_refused_by_both(tf: Any, tmp_path: Path) -> None:
    save_v2(tf, tmp_path / "a", {"x": W, "twice": W})
    save_v2(tf, tmp_path / "b", {"twice": W, "y": W})
    save_slices(tf, tmp_path / "c", [("twice", "5 10 0,2:-", W[:2])])
    before = sorted(tmp_path.iterdir())
    for sources in (["a", "b"], ["a", "c"], ["c", "a"]):
        paths = [tmp_path / name for name in sources]
        with pytest.raises(PlanError, match=rf"^{paths[1]}: tensor 'twice' is in {paths[0]} already$"):
            tfckpt.merge(paths, tmp_path / "merged")
        assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(tf.errors.InvalidArgumentError, match="Duplicate tensor keyed by twice"):
        merge_v2(tf, [tmp_path / "a", tmp_path / "b"], tmp_path / "merged")


def test_one_slice_in_two_bundles_is_refused_by_both(tf: Any, tmp_path: Path) -> None:
    for name in "ab":
        save_slices(tf, tmp_path / name, [("w", "5 10 0,2:-", W[:2])])
    save_slices(tf, tmp_path / "c", [("w", "5 10 2,3:-", W[2:])])
    with pytest.raises(PlanError, match=rf"^{tmp_path}/b: tensor 'w' is in {tmp_path}/a already$"):
        tfckpt.merge([tmp_path / "c", tmp_path / "a", tmp_path / "b"], tmp_path / "merged")
    assert not list(tmp_path.glob("merged*"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Duplicate tensor keyed by"):
        merge_v2(tf, [tmp_path / "a", tmp_path / "b"], tmp_path / "merged")


@pytest.mark.parametrize("sources", [["empty", "one"], ["one", "empty"]], ids="+".join)
def test_an_empty_bundle_is_counted_by_tensorflow_and_breaks_its_merge_but_not_ours(
    tf: Any, tmp_path: Path, sources: list[str]
) -> None:
    tfckpt.save(tmp_path / "empty", {})
    save_v2(tf, tmp_path / "one", {"x": W})
    for name in ("empty", "one"):
        for path in tmp_path.glob(f"{name}.*"):
            shutil.copy(path, tmp_path / f"our_{path.name}")
    merge_v2(tf, [tmp_path / source for source in sources], tmp_path / "theirs")
    with tfckpt.open(tmp_path / "theirs") as theirs:
        assert theirs.num_shards == 2
    assert len(bundle_bytes(tmp_path / "theirs")) == 2
    with pytest.raises(tf.errors.OpError):
        restore_v2(tf, tmp_path / "theirs", "x", tf.float32)

    tfckpt.merge([tmp_path / f"our_{source}" for source in sources], tmp_path / "ours")
    with tfckpt.open(tmp_path / "ours") as ours:
        assert f".data-00000-of-{ours.num_shards:05d}" in bundle_bytes(tmp_path / "ours")
        ours.verify()
    np.testing.assert_array_equal(restore_v2(tf, tmp_path / "ours", "x", tf.float32), W)


def test_bundles_of_two_byte_orders_are_refused_by_both(tf: Any, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "little", {"x": W})
    tfckpt.save(tmp_path / "big", {"y": W}, big_endian=True)
    with pytest.raises(UsageError, match="byte order"):
        tfckpt.merge([tmp_path / "little", tmp_path / "big"], tmp_path / "merged")
    with pytest.raises(tf.errors.InvalidArgumentError, match="conflicting endianness"):
        merge_v2(tf, [tmp_path / "little", tmp_path / "big"], tmp_path / "merged")


def test_big_endian_bundles_are_merged_and_restored(tf: Any, tmp_path: Path) -> None:
    for name in "ab":
        tfckpt.save(tmp_path / name, {name: W, f"{name}/complex": W.astype(np.complex128) * 1j}, big_endian=True)
    assert_merged_alike(tf, tmp_path, ["a", "b"])
    with tfckpt.open(tmp_path / "ours") as ours:
        assert ours.reader.big_endian
    for name in "ab":
        np.testing.assert_array_equal(restore_v2(tf, tmp_path / "ours", name, tf.float32), W)
        read = restore_v2(tf, tmp_path / "ours", f"{name}/complex", tf.complex128)
        np.testing.assert_array_equal(read, W * 1j)


def test_a_merge_keeps_the_numbers_of_explicit_full_ranges(tf: Any, tmp_path: Path) -> None:
    with BundleWriter(str(tmp_path / "a")) as writer:
        writer.add_slice("w", (5, 10), TensorSlice(((0, 2), (0, 10))), W[:2])
        writer.finish()
    save_slices(tf, tmp_path / "b", [("w", "5 10 2,3:-", W[2:])])
    assert_merged_alike(tf, tmp_path, ["a", "b"])
    assert tfckpt.open(tmp_path / "ours").entry("w").slices == (
        TensorSlice(((0, 2), (0, 10))),
        TensorSlice(((2, 3), (0, -1))),
    )


# What several object-based checkpoints have


def keras_process(library: str, cases: Sequence[dict[str, Any]], directory: Path) -> list[dict[int, list[float]]]:
    """Write or restore training checkpoints in a process of their own; return what each restored one holds, by number."""
    program = Path(__file__).parents[1] / "support" / "merging.py"
    done = run_warm(program, library, legacy_keras=library != "keras3", typed=json.dumps(cases), cwd=directory)
    assert done.returncode == 0, done.stderr[-3000:]
    return [dict(json.loads(line)) for line in done.stdout.splitlines()]


@contextlib.contextmanager
def inside(directory: Path) -> Iterator[None]:
    """Work in a directory, so that sources have short names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        yield


def assert_values(held: dict[int, list[float]], expected: Callable[[int], int]) -> None:
    """Compare each variable, moment and step: numbers that end in 00 and 50 are a model's, 0 is the step."""
    assert len(held) > 12
    assert held == {number: [expected(number) + number] for number in held}


def is_weight(number: int) -> bool:
    return number > 0 and number % 50 == 0


LISTED = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "Nadam", "RMSprop", "momentum"]
LISTED += ["amsgrad", "accumulating", "centered", "scaled"]
SLOTTED = ["Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "RMSprop"]


@pytest.mark.parametrize(
    ("library", "kinds"), [pytest.param("keras3", LISTED, marks=pytest.mark.exhaustive), ("legacy", SLOTTED)]
)
def test_an_optimizer_goes_to_a_model_that_was_made_in_another_order(
    tmp_path: Path, library: str, kinds: list[str]
) -> None:
    cases = [
        {"prefix": f"{kind}-{order}", "kind": kind, "order": order, "run": run}
        for kind in kinds
        for order, run in (("abc", 1000), ("cab", 2000))
    ]
    keras_process(library, cases, tmp_path)
    with inside(tmp_path):
        for kind in kinds:
            a, b = f"{kind}-abc", f"{kind}-cab"
            plan = tfckpt.merge([a, b], f"{kind}-ab", prefer=[f"optimizer state={b}", a])
            assert {item.rule for item in plan.dropped} == {
                f"also in {b}, taken from {a}",
                f"also in {a}, taken from {b}",
            }
            tfckpt.merge([a, b], f"{kind}-a", prefer=[f"model/*={b}", a])
    again = [{"prefix": f"{kind}-{end}", "kind": kind, "order": "abc"} for end in ("ab", "a") for kind in kinds]
    held = keras_process(library, again, tmp_path)
    assert len(held) == 2 * len(kinds)
    for values in held[: len(kinds)]:
        assert_values(values, lambda number: 1000 if is_weight(number) else 2000)
    for values in held[len(kinds) :]:
        assert_values(values, lambda number: 2000 if is_weight(number) else 1000)


def test_moments_are_the_right_variables_though_an_optimizer_was_given_them_in_an_order_of_its_own(
    tmp_path: Path,
) -> None:
    a, b = {"prefix": "a", "order": "abc", "run": 1000}, {"prefix": "b", "order": "abc", "given": "cab", "run": 2000}
    keras_process("keras3", [case | {"kind": "Adam"} for case in (a, b)], tmp_path)
    with inside(tmp_path):
        tfckpt.merge(["a", "b"], "ab", prefer=["a", "optimizer=b"])
        tfckpt.merge(["b", "a"], "ba", prefer=["b", "optimizer/*=a"])
    to_read = [{"prefix": "ab", "order": "abc"}, {"prefix": "ba", "order": "abc", "given": "cab"}]
    ab, ba = keras_process("keras3", [case | {"kind": "Adam"} for case in to_read], tmp_path)
    assert_values(ab, lambda number: 1000 if is_weight(number) else 2000)
    assert_values(ba, lambda number: 2000 if is_weight(number) else 1000)


def test_an_optimizer_of_another_kind_replaces_the_first_in_the_order_of_its_model(tmp_path: Path) -> None:
    a = {"prefix": "a", "kind": "momentum", "order": "abc", "run": 1000}
    keras_process("keras3", [a, {"prefix": "b", "kind": "Adam", "order": "bca", "run": 2000}], tmp_path)
    with inside(tmp_path):
        with pytest.raises(PlanError, match="optimizers of two kinds: lists _momentums of 6, _velocities of 6 in b"):
            tfckpt.merge(["a", "b"], "ab", prefer=["model/*=a"])
        tfckpt.merge(["a", "b"], "ab", prefer=["a", "optimizer state=b"])
    (held,) = keras_process("keras3", [{"prefix": "ab", "kind": "Adam", "order": "abc"}], tmp_path)
    assert_values(held, lambda number: 1000 if is_weight(number) else 2000)


@pytest.mark.parametrize(("library", "kind", "how"), [("new", "Adam", "bare"), ("keras3", "Adafactor", "")])
def test_an_order_that_is_not_known_is_refused(tmp_path: Path, library: str, kind: str, how: str) -> None:
    files = [("a", "abc", 1000), ("b", "cab", 2000), ("same", "abc", 3000)]
    cases = [{"prefix": name, "kind": kind, "order": order, "how": how, "run": run} for name, order, run in files]
    keras_process(library, cases, tmp_path)
    with inside(tmp_path):
        for preferred in ("optimizer state=b", "optimizer=b"):
            with pytest.raises(PlanError, match="b: 'optimizer': the order of its lists is not known to be that of a"):
                tfckpt.merge(["a", "b"], "ab", prefer=["a", preferred])
        assert not list(tmp_path.glob("ab*"))
        if how:  # that the models look the same tells nothing of places whose variables have one name
            with pytest.raises(PlanError, match="same: 'optimizer': the order of its lists is not known"):
                tfckpt.merge(["a", "same"], "ab", prefer=["a", "optimizer/_momentums/3=same"])
            tfckpt.merge(["same"], "ab")
        else:
            tfckpt.merge(["a", "same"], "ab", prefer=["a", "optimizer state=same"])
        tfckpt.merge(["a", "b"], "kept", prefer=["a"])
        tfckpt.merge(["a", "b"], "other", prefer=["b"])
        tfckpt.merge(["a", "b"], "model", prefer=["model/*=a", "b"])
    to_read = [("ab", "abc"), ("kept", "abc"), ("other", "cab"), ("model", "cab")]
    held = keras_process(library, [{"prefix": p, "kind": kind, "order": o, "how": how} for p, o in to_read], tmp_path)
    assert_values(held[0], lambda number: 1000 if is_weight(number) and not how else 3000)
    assert_values(held[1], lambda number: 1000)
    assert_values(held[2], lambda number: 2000)
    assert_values(held[3], lambda number: 1000 if is_weight(number) else 2000)


NEW = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Nadam"]


def test_moments_called_after_their_variables_go_to_the_places_of_these(tmp_path: Path) -> None:
    files = [("a", "abc", "", 1000), ("b", "cab", "", 2000), ("given", "abc", "bca", 3000)]
    cases = [
        {"prefix": f"{kind}-{name}", "kind": kind, "order": order, "given": given, "run": run}
        for kind in NEW
        for name, order, given, run in files
    ]
    keras_process("new", cases, tmp_path)
    merges = [("a", "b", 2000), ("a", "given", 3000), ("given", "b", 2000)]
    with inside(tmp_path):
        for kind in NEW:
            for first, other, _ in merges:
                sources = [f"{kind}-{first}", f"{kind}-{other}"]
                tfckpt.merge(sources, f"{kind}-{first}-{other}", prefer=[f"optimizer={sources[1]}", sources[0]])
    to_read = [
        {"prefix": f"{kind}-{a}-{b}", "kind": kind, "order": "abc", "given": "bca" if a == "given" else ""}
        for kind in NEW
        for a, b, _ in merges
    ]
    held = keras_process("new", to_read, tmp_path)
    assert len(held) == len(NEW) * len(merges)
    for values, (first, _, run) in zip(held, merges * len(NEW), strict=True):
        own = 3000 if first == "given" else 1000
        assert_values(values, lambda number, own=own, run=run: own if is_weight(number) else run)  # type: ignore[misc]


@pytest.mark.parametrize("library", ["keras3", "new"])
def test_moments_of_some_variables_go_to_the_places_of_these(tmp_path: Path, library: str) -> None:
    a, b = {"prefix": "a", "order": "abc", "run": 1000}, {"prefix": "b", "order": "cab", "given": "cb", "run": 2000}
    keras_process(library, [case | {"kind": "Adam"} for case in (a, b)], tmp_path)
    with inside(tmp_path):
        plan = tfckpt.merge(["a", "b"], "ab", prefer=["optimizer=b", "a"])
    assert any("what b does not have is of a" in note for note in plan.notes)
    (held,) = keras_process(library, [{"prefix": "ab", "kind": "Adam", "order": "abc"}], tmp_path)
    assert_values(held, lambda number: 1000 if is_weight(number) or 100 < number < 200 else 2000)


@pytest.mark.parametrize("library", ["keras3", "new"])
@pytest.mark.parametrize("how", ["numbered", "attributes"])
def test_models_whose_layers_have_other_numbers_are_not_mixed(tmp_path: Path, library: str, how: str) -> None:
    files = [("a", "abc", 1000), ("b", "cab", 2000)]
    cases = [{"prefix": name, "kind": "Adam", "order": order, "how": how, "run": run} for name, order, run in files]
    keras_process(library, cases, tmp_path)
    with inside(tmp_path):
        for prefer in (["optimizer=b", "a"], ["model/*=b", "a"], ["optimizer state=a", "b"]):
            with pytest.raises(PlanError, match="layers stand in another order"):
                tfckpt.merge(["a", "b"], "ab", prefer=prefer)
        tfckpt.merge(["a", "b"], "whole-a", prefer=["a"])
        tfckpt.merge(["a", "b"], "whole-b", prefer=["b"])
    to_read = [
        {"prefix": f"whole-{name}", "kind": "Adam", "order": order, "how": how}
        for name, order in (("a", "abc"), ("b", "cab"))
    ]
    first, second = keras_process(library, to_read, tmp_path)
    assert_values(first, lambda number: 1000)
    assert_values(second, lambda number: 2000)


@pytest.mark.parametrize("library", ["keras3", "legacy", "new"])
def test_a_moment_whose_variable_has_another_shape_in_the_result_is_refused(tmp_path: Path, library: str) -> None:
    hows = ["", "bare"] if library == "new" else [""]
    cases = [{"prefix": f"a{how}", "order": "abc", "how": how, "run": 1000} for how in hows]
    keras_process(
        library,
        [c | {"kind": "Adam"} for c in (*cases, {"prefix": "w", "order": "abc", "how": "wide", "run": 2000})],
        tmp_path,
    )
    with inside(tmp_path):
        for how in hows:
            with pytest.raises(
                PlanError, match=r"a\w*: '.*': \[4(, 4)?\], (for a variable of \[(4, )?7\] of w|which may be for)"
            ):
                tfckpt.merge([f"a{how}", "w"], "aw", prefer=["model/c=w", f"a{how}"])
        tfckpt.merge(["a", "w"], "wa", prefer=["model/a=a", "w"])
    (held,) = keras_process(library, [{"prefix": "wa", "kind": "Adam", "order": "abc", "how": "wide"}], tmp_path)
    assert_values(held, lambda number: 1000 if number in (100, 150) else 2000)


@pytest.mark.parametrize("library", ["keras3", "new"])
def test_optimizers_that_were_saved_without_their_models_are_not_mixed(tmp_path: Path, library: str) -> None:
    files = [("a", "abc", "optimizer", 1000), ("b", "cab", "optimizer", 2000), ("m", "abc", "model", 3000)]
    cases = [{"prefix": name, "kind": "Adam", "order": o, "what": what, "run": run} for name, o, what, run in files]
    keras_process(library, cases, tmp_path)
    with inside(tmp_path):
        for other, prefer in (("b", ["optimizer=b", "a"]), ("b", ["optimizer/_momentums/2=b", "a"]), ("m", ["m"])):
            with pytest.raises(PlanError, match=r"the order of .* is not known"):
                tfckpt.merge(["a", other], "ab", prefer=prefer)
        tfckpt.merge(["a", "b"], "whole", prefer=["b"])
        tfckpt.merge(["a", "m"], "am", prefer=["a"])  # in the program of a, whose order it is
    to_read = [{"prefix": "whole", "order": "cab", "what": "optimizer", "kind": "Adam"}]
    if library == "new":  # of Keras 3 the weights of a are in its optimizer
        to_read.append({"prefix": "am", "order": "abc", "kind": "Adam"})
    held, *both = keras_process(library, to_read, tmp_path)
    for values in both:
        assert_values(values, lambda number: 3000 if is_weight(number) else 1000)
    moments = {number: values for number, values in held.items() if not is_weight(number)}
    assert_values(moments, lambda number: 2000)


def test_copies_of_weights_follow_their_originals(tf: Any, tmp_path: Path) -> None:
    names, orders = "vwxyz", {"a": "zxvyw", "b": "wvzxy"}

    def archive(order: str, run: float) -> tuple[Any, dict[str, list[Any]]]:
        made: dict[str, list[Any]] = {n: [] for n in names}
        for n in (*names, *order):
            made[n].append(tf.Variable(run + names.index(n), name=n))
        lists = {"variables": [made[n][0] for n in names], "_all_variables": [made[n][1] for n in order]}
        return tf.train.Checkpoint(**lists), made

    for name, run in (("a", 100.0), ("b", 200.0)):
        archive(orders[name], run)[0].write(str(tmp_path / name))
    with inside(tmp_path):
        plan = tfckpt.merge(["a", "b"], "ab", prefer=["variables/1=a", "b"])
        with pytest.raises(PlanError, match=r"is a copy of 'variables/.*', and would be taken from another source"):
            tfckpt.merge(["a", "b"], "no", prefer=["_all_variables/0=a", "b"])
    assert "copies of weights, as Keras 3 exports them, are taken from where their originals are" in plan.notes
    checkpoint, made = archive(orders["b"], 0.0)
    checkpoint.read(str(tmp_path / "ab")).assert_consumed()
    expected = {n: [(100.0 if n == "w" else 200.0) + names.index(n)] * 2 for n in names}
    assert {n: [float(v) for v in both] for n, both in made.items()} == expected


@pytest.mark.parametrize("library", ["keras3", "legacy", "new"])
def test_weights_of_one_file_and_the_optimizer_of_another_are_one_file(tmp_path: Path, library: str) -> None:
    cases = [
        {"prefix": "a", "order": "abc", "what": "model", "run": 1000},
        {"prefix": "b", "order": "abc", "run": 2000},
        {"prefix": "c", "order": "cba", "run": 3000},
    ]
    keras_process(library, [case | {"kind": "Adam"} for case in cases], tmp_path)
    with inside(tmp_path):
        tfckpt.merge(["a", "b"], "ab", prefer=["a"])
        if library == "legacy":
            tfckpt.merge(["a", "c"], "ac", prefer=["a"])
        else:
            with pytest.raises(PlanError, match="c: 'optimizer': the order of its lists is not known to be that of a"):
                tfckpt.merge(["a", "c"], "ac", prefer=["a"])
            tfckpt.merge(["a", "c"], "ac", prefer=["model/*=a", "c"])
    order = "abc" if library == "legacy" else "cba"
    to_read = [{"prefix": "ab", "order": "abc"}, {"prefix": "ac", "order": order}]
    ab, ac = keras_process(library, [case | {"kind": "Adam"} for case in to_read], tmp_path)
    assert_values(ab, lambda number: 1000 if is_weight(number) else 2000)
    assert_values(ac, lambda number: 1000 if is_weight(number) else 3000)


@pytest.mark.parametrize("library", ["keras3", "legacy", "new"])
def test_a_part_of_one_model_and_the_rest_of_another(tmp_path: Path, library: str) -> None:
    files = [("a", "abc", 1000), ("b", "abc", 2000)]
    cases = [{"prefix": name, "kind": "Adam", "order": order, "run": run} for name, order, run in files]
    keras_process(library, cases, tmp_path)
    with inside(tmp_path):
        tfckpt.merge(["a", "b"], "ab", prefer=["model/b=a", "b"])
        tfckpt.rewrite("a", "only", keep=["model/b/*"])
        tfckpt.rewrite("b", "rest", drop=["model/b/*/.ATTRIBUTES/*"])  # keys alone: slots in lists stay
        tfckpt.merge(["only", "rest"], "whole")
    ab, whole = keras_process(
        library, [{"prefix": p, "kind": "Adam", "order": "abc"} for p in ("ab", "whole")], tmp_path
    )
    assert_values(ab, lambda number: 1000 if number in (200, 250) else 2000)
    slots = range(200, 300) if library == "legacy" else (200, 250)  # whose names begin with their variable's
    assert_values(whole, lambda number: 1000 if number in slots else 2000)


@pytest.mark.parametrize("values", [1, 2])
def test_tables_go_whole_from_the_preferred_one(tf: Any, tmp_path: Path, values: int) -> None:
    def table(keys: list[str], number: int) -> Any:
        kind = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
        kind.insert(tf.constant(keys), tf.constant([number] * len(keys), tf.int64))
        return kind

    for name, keys, number in (("a", ["x", "y"], 1), ("b", ["z"], 2)):
        tf.train.Checkpoint(table=table(keys, number), v=tf.Variable(float(number))).write(str(tmp_path / name))
    chosen = tmp_path / "ab"[values - 1]
    tfckpt.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab", prefer=[f"table={chosen}", str(tmp_path / "a")])
    restored = tf.train.Checkpoint(table=table(["none"], 7), v=tf.Variable(0.0))
    restored.read(str(tmp_path / "ab")).assert_consumed()
    found = restored.table.lookup(tf.constant(["x", "y", "z", "none"])).numpy().tolist()
    assert found == [[1, 1, -1, -1], [-1, -1, 2, -1]][values - 1]
    assert float(restored.v) == 1.0


def test_objects_that_one_source_alone_has_come_under_keys_that_no_other_has(tf: Any, tmp_path: Path) -> None:
    for name, number in (("a", 1.0), ("b", 2.0)):
        shared = tf.Variable(number)
        lists = {"first": [tf.Variable(10 * number)], "own": shared, "alias": shared}
        tf.train.Checkpoint(**{f"only_{name}": tf.train.Checkpoint(v=tf.Variable(number))}, **lists).write(
            str(tmp_path / name)
        )
    tfckpt.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab", prefer=[f"own={tmp_path}/b", f"{tmp_path}/a"])
    shared = tf.Variable(0.0)
    parts = {f"only_{name}": tf.train.Checkpoint(v=tf.Variable(0.0)) for name in "ab"}
    restored = tf.train.Checkpoint(first=[tf.Variable(0.0)], own=shared, alias=shared, **parts)
    restored.read(str(tmp_path / "ab")).assert_consumed()
    assert [float(v) for v in (restored.first[0], shared, restored.only_a.v, restored.only_b.v)] == [
        10.0,
        2.0,
        1.0,
        2.0,
    ]


def test_partitioned_tensors_go_whole_from_the_preferred_one(tf: Any, tmp_path: Path) -> None:
    save_slices(tf, tmp_path / "a", [("w", "5 10 0,2:-", W[:2]), ("w", "5 10 2,3:-", W[2:])])
    save_slices(tf, tmp_path / "b", [("w", "5 10 0,3:-", W[:3] + 100), ("w", "5 10 3,2:-", W[3:] + 100)])
    with pytest.raises(PlanError, match=rf"^{tmp_path}/b: tensor 'w' is in {tmp_path}/a already$"):
        tfckpt.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    tfckpt.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab", prefer=[f"w={tmp_path}/b"])
    np.testing.assert_array_equal(restore_v2(tf, tmp_path / "ab", "w", tf.float32), W + 100)


def test_v1_checkpoints_that_share_a_partitioned_tensor_are_joined(tf: Any, tmp_path: Path) -> None:
    for name, box, rows in (("a", "5 10 0,2:-", W[:2]), ("b", "5 10 2,3:-", W[2:])):
        tf.raw_ops.SaveSlices(
            filename=str(tmp_path / name), tensor_names=["w", name], shapes_and_slices=[box, ""], data=[rows, W]
        )
    tfckpt.merge([tmp_path / "b", tmp_path / "a"], tmp_path / "ab")
    for name in ("a", "b", "w"):
        np.testing.assert_array_equal(restore_v2(tf, tmp_path / "ab", name, tf.float32), W)
