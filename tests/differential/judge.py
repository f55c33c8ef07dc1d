"""One case, tried on both: the same bytes written, the same names, dtypes, shapes, values and refusals read.

Where TensorFlow is missing, everything that tfckpt does is held against the case alone.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.files import bundle_bytes
from support.kernels import merge_v2

import tfckpt
from differential import ours, theirs
from differential.cases import Case, Write
from differential.outcomes import Expected, Outcome, Verdict, same_refusal
from tfckpt._proto import types_pb2
from tfckpt._proto.types_pb2 import DT_FLOAT, DT_STRING, DataType
from tfckpt.bundle.values.dtypes import MOST_SLICED_RANK, SLICEABLE
from tfckpt.bundle.values.slices import Ranges, TensorSlice
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.errors import ChecksumError, TensorNotFoundError

UNSWAPPED = range(types_pb2.DT_FLOAT8_E5M2, types_pb2.DT_FLOAT4_E2M1FN)
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"

Listing = dict[str, tuple[DataType, tuple[int, ...]]]


def try_case(case: Case, directory: Path, tf: Any = None) -> Verdict:
    """Judge a case in a directory that is gone afterwards. An error that neither expects is a finding, too."""
    verdict = Verdict()
    directory.mkdir(parents=True)
    try:
        with warnings.catch_warnings():  # NumPy's and TensorFlow's, about random bits
            warnings.simplefilter("ignore")
            _judge(tf, case, directory, verdict)
    except Exception as error:
        verdict.found.append(f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(directory)
    return verdict


def _judge(tf: Any, case: Case, directory: Path, verdict: Verdict) -> None:
    """Write, change and read one case, in an empty directory."""
    if case.policy is not None:
        _judge_policy(tf, case, case.policy, directory, verdict)
        return
    sources = [directory / f"part{n}" for n in range(len(case.bundles))]
    if not all(_write(tf, case, *bundle, verdict) for bundle in zip(case.bundles, sources, strict=True)):
        return
    prefix = sources[0] if len(sources) == 1 else _merge(tf, case, sources, verdict)
    if prefix is None:
        return
    expected, swapped = ours.expected_of(case, prefix, verdict), case.big_endian
    if case.rewrite is not None:
        dest = directory / "rewritten"
        changed = ours.rewritten(case.rewrite, expected, prefix, dest, verdict)
        if changed is None:
            return
        expected, prefix = changed, dest
        swapped = case.big_endian if case.rewrite.big_endian is None else case.rewrite.big_endian
    if case.damage is not None:
        ours.damage(case.damage, prefix)
        verdict.done["damaged"] += 1
    Reading(tf, prefix, expected, verdict, swapped=swapped, damaged=case.damage is not None).compare(case.box)


def _write(tf: Any, case: Case, writes: Sequence[Write], prefix: Path, verdict: Verdict) -> bool:
    """Write a bundle, by both where both can; return whether it is there to be read."""
    our_outcome = Outcome(lambda: ours.write(case, writes, prefix))
    if tf is None or not case.plain or not writes:  # SaveV2 writes one tensor or more
        verdict.check(our_outcome.error is None or len(set(writes)) < len(writes), f"writing: {our_outcome}")
        verdict.done["written by tfckpt alone"] += our_outcome.error is None
        return our_outcome.error is None
    other = prefix.with_name(f"{prefix.name}_theirs")
    their_outcome = Outcome(lambda: theirs.write(tf, case, writes, other))
    if our_outcome.error is None and their_outcome.error is None:
        verdict.check(bundle_bytes(prefix) == bundle_bytes(other), "other bytes than SaveV2 writes")
        verdict.done["written by both"] += 1
        return True
    refused = same_refusal(their_outcome, our_outcome, verdict)
    verdict.check(refused, f"writing: TensorFlow {their_outcome}, tfckpt {our_outcome}")
    verdict.done["refused by both"] += refused
    return False


def _merge(tf: Any, case: Case, sources: Sequence[Path], verdict: Verdict) -> Path | None:
    """Merge bundles by both; return the prefix of what tfckpt made of them."""
    dest, other = sources[0].with_name("merged"), sources[0].with_name("merged_theirs")
    our_outcome = Outcome(
        lambda: tfckpt.merge(sources, dest, partial=True, sync=False)
    )  # TensorFlow asks not whether all is there
    if tf is None:
        return dest if our_outcome.error is None else None
    their_outcome = Outcome(lambda: merge_v2(tf, sources, other))  # moves its sources away
    if our_outcome.error is not None or their_outcome.error is not None:
        refused = same_refusal(their_outcome, our_outcome, verdict)
        verdict.check(refused, f"merging: TensorFlow {their_outcome}, tfckpt {our_outcome}")
        verdict.done["refused by both"] += refused
        return None
    same = bundle_bytes(dest) == bundle_bytes(other)
    if all(case.bundles):
        verdict.check(same, "merging: other files than MergeV2Checkpoints makes")
    elif not same:
        verdict.see("empty-source-merged")
    verdict.done["merged by both"] += 1
    return dest


def _judge_policy(tf: Any, case: Case, limit: int, directory: Path, verdict: Verdict) -> None:
    """Compare a checkpoint of variables that TensorFlow itself has cut into files."""
    if tf is None:
        return
    prefix = directory / "policy"
    written = Outcome(lambda: theirs.write_by_policy(tf, case.tensors, limit, prefix))
    if isinstance(written.error, TimeoutError):
        verdict.see("policy-never-ends")
        return
    verdict.check(written.error is None, f"writing by a policy: {written}")
    verdict.done["written by a policy"] += 1
    tfckpt.rewrite(prefix, directory / "same", sync=False)
    verdict.check(bundle_bytes(prefix) == bundle_bytes(directory / "same"), "a policy's files, rewritten, are others")
    with tfckpt.open(prefix) as checkpoint:
        parts = {entry.name: entry.slices for entry in checkpoint.entries()}
        graph = checkpoint[OBJECT_GRAPH_KEY]
    expected = {OBJECT_GRAPH_KEY: Expected(DT_STRING, graph)}
    for tensor in case.tensors:
        key = tensor.key + VALUE
        expected[key] = Expected(tensor.number, tensor.value, parts[key])
        if parts[key] and tensor.number not in SLICEABLE:
            verdict.see("policy-slices-not-read")
    Reading(tf, prefix, expected, verdict, swapped=False, damaged=False).compare(case.box)


class Reading:
    """One checkpoint, read by both."""

    def __init__(
        self, tf: Any, prefix: Path, expected: dict[str, Expected], verdict: Verdict, *, swapped: bool, damaged: bool
    ) -> None:
        self.tf, self.prefix, self.expected, self.verdict = tf, prefix, expected, verdict
        self.swapped, self.damaged = swapped, damaged

    def compare(self, place: float) -> None:
        """Compare names, dtypes, shapes, values; and, unless the files are damaged, a part of the tensor at a place."""
        with tfckpt.open(self.prefix) as checkpoint:
            listed = {e.name: (e.data_type, e.shape) for e in checkpoint.entries()}
            values = {name: Outcome(lambda name=name: checkpoint[name]) for name in listed}  # type: ignore[misc]
            missing = Outcome(lambda: checkpoint["no such tensor"])
        wanted = {name: (tensor.number, tensor.value.shape) for name, tensor in self.expected.items()}
        self.verdict.check(listed == wanted, "tfckpt lists other names, dtypes or shapes than were written")
        self.verdict.check(isinstance(missing.error, TensorNotFoundError), f"a missing tensor: tfckpt {missing}")
        if self.tf is not None:
            self._compare_lists(listed)
            self._compare_missing(missing)
        read = self._read_theirs() if self.tf is not None else {}
        for name, tensor in self.expected.items():
            if name in values:
                self._compare_values(name, tensor, read.get(name), values[name])
        if self.expected and not self.damaged:
            self._compare_box(place)

    def _compare_lists(self, listed: Listing) -> None:
        outcome = Outcome(lambda: theirs.listing(self.tf, self.prefix))
        if all(_is_utf8(name) for name in listed):
            self.verdict.check(outcome.value == listed, f"TensorFlow lists other names, dtypes or shapes: {outcome}")
        else:
            refused = isinstance(outcome.error, UnicodeDecodeError)
            self.verdict.check(refused, f"names that are no UTF-8: TensorFlow {outcome}")
            self.verdict.see("name-not-utf8")

    def _compare_missing(self, missing: Outcome) -> None:
        outcome = Outcome(lambda: theirs.restore(self.tf, self.prefix, [("no such tensor", DT_FLOAT)]))
        agreed = same_refusal(outcome, missing, self.verdict)
        self.verdict.check(agreed, f"a missing tensor: TensorFlow {outcome}, tfckpt {missing}")

    def _read_theirs(self) -> dict[str, Outcome]:
        """Restore all that should go well at once, for that is faster, and everything else by itself."""
        easy = [name for name, tensor in self.expected.items() if tensor.complete and self._why_not(tensor) is None]
        wanted = [(name, self.expected[name].number) for name in easy]
        together = Outcome(lambda: theirs.restore(self.tf, self.prefix, wanted)) if easy else None
        outcomes = {}
        if together is not None and together.error is None:
            outcomes = {
                name: Outcome(lambda value=value: value)  # type: ignore[misc]
                for name, value in zip(easy, together.value, strict=True)
            }
        for name in self.expected.keys() - outcomes.keys():
            outcomes[name] = self._restore(name)
        return outcomes

    def _restore(self, name: str, box: str = "") -> Outcome:
        wanted = [(name, self.expected[name].number)]
        return Outcome(lambda: theirs.restore(self.tf, self.prefix, wanted, box)[0])

    def _why_not(self, tensor: Expected) -> str | None:
        """Return the name of the known difference by which TensorFlow does not restore a tensor; None if it should."""
        if tensor.parts and tensor.number not in SLICEABLE:
            return "slices-not-read"
        if self.swapped and tensor.number in UNSWAPPED:
            return "one-byte-not-swapped"
        return None

    def _compare_values(self, name: str, tensor: Expected, theirs: Outcome | None, ours: Outcome) -> None:
        if not tensor.complete or (self.damaged and ours.error is not None):
            self._compare_refusals(name, tensor, theirs, ours)
            return
        self.verdict.check(ours.is_value(tensor.value), f"{name!r}: tfckpt {ours} that is not what was written")
        if theirs is not None:
            self._judge_theirs(repr(name), theirs, tensor.value, self._why_not(tensor))
            self.verdict.done["tensors read by both"] += theirs.error is None

    def _compare_refusals(self, name: str, tensor: Expected, theirs: Outcome | None, ours: Outcome) -> None:
        if theirs is None:
            self.verdict.check(ours.error is not None, f"{name!r}: tfckpt {ours} of what is not complete")
        elif theirs.is_value(tensor.value) and not tensor.value.size and not isinstance(ours.error, ChecksumError):
            self.verdict.see("empty-behind-the-end")
        else:
            known = self._why_not(tensor) is not None and theirs.error is not None and ours.error is not None
            refused = same_refusal(theirs, ours, self.verdict) or known
            self.verdict.check(refused, f"{name!r}: TensorFlow {theirs}, tfckpt {ours}")
            self.verdict.done["refused by both"] += refused

    def _judge_theirs(self, what: str, theirs: Outcome, value: Any, reason: str | None) -> None:
        if reason is not None and theirs.error is not None:
            self.verdict.see(reason)
            return
        self.verdict.check(theirs.is_value(value), f"{what}: TensorFlow {theirs} that is not what was written")
        self.verdict.check(reason is None, f"{what}: TensorFlow can do it: {reason}")

    def _compare_box(self, place: float) -> None:
        """Read a part of one tensor by both."""
        name = sorted(self.expected)[int(place * len(self.expected))]
        tensor = self.expected[name]
        shape = tensor.value.shape
        if 0 in shape or not shape or len(shape) > MOST_SLICED_RANK or not tensor.complete:
            return
        box = _box(shape, place)
        with tfckpt.open(self.prefix) as checkpoint:
            ours = Outcome(lambda: checkpoint.get_slice(name)[box])
        good = ours.is_value(tensor.value[box])
        self.verdict.check(good, f"{name!r} {box}: tfckpt {ours} that is not what was written")
        if self.tf is not None:
            part = TensorSlice.of(box, shape)
            text = theirs.spec(shape, part)
            outcome = self._restore(name, text)
            self._judge_theirs(f"{name!r} {text}", outcome, tensor.value[box], self._why_no_part(tensor, part))
            self.verdict.done["parts read by both"] += outcome.error is None

    def _why_no_part(self, tensor: Expected, part: TensorSlice) -> str | None:
        """Return the same for a part of a tensor; a slice that is stored just so is read whatever its dtype.

        A full range that is written in numbers is another slice, unless all ranges begin at 0.
        """
        shape = tensor.value.shape
        box, boxes = part.within(shape), [stored.within(shape) for stored in tensor.parts]
        if part in tensor.parts or (box in boxes and not any(side.start for side in box)):
            return self._why_not(Expected(tensor.number, tensor.value))
        if not tensor.parts and tensor.number not in SLICEABLE and not part.is_full(shape):
            return "part-not-read"
        return self._why_not(tensor)


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _box(shape: Sequence[int], place: float) -> Ranges:
    starts = [int(n * place / 2) for n in shape]
    return tuple(slice(s, max(s + 1, int(n * (1 + place) / 2))) for s, n in zip(starts, shape, strict=True))
