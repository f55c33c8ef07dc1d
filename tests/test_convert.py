from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.files import bundle_bytes

import tfckpt
from tfckpt.bundle.reader import BundleReader
from tfckpt.errors import CheckpointExistsError, FormatError, ProofError, UsageError
from tfckpt.execution.run import execute
from tfckpt.proof.prove import prove


def test_values_are_those_of_the_source(bert: str, tmp_path: Path) -> None:
    plan = tfckpt.convert(bert, tmp_path / "out")
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "out") as dest:
        assert len(dest) == 40
        for step in plan.steps:
            np.testing.assert_array_equal(dest[step.target], source[step.source].reshape(step.shape), step.source)


def test_missing_directories_are_made_and_nothing_else_is_left(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "a" / "b" / "out")
    assert sorted(os.listdir(tmp_path / "a" / "b")) == ["out.data-00000-of-00001", "out.index"]


def test_conversion_is_deterministic(bert: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        tfckpt.convert(bert, tmp_path / name)
    assert bundle_bytes(tmp_path / "one") == bundle_bytes(tmp_path / "two")


def test_an_existing_destination_needs_overwrite(bert: str, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "out", {"mine": 1})
    before = bundle_bytes(tmp_path / "out")
    with pytest.raises(CheckpointExistsError, match="already exists"):
        tfckpt.convert(bert, tmp_path / "out")
    assert bundle_bytes(tmp_path / "out") == before
    tfckpt.convert(bert, tmp_path / "out", overwrite=True)
    assert "mine" not in tfckpt.open(tmp_path / "out")


@pytest.mark.parametrize("suffix", ["", ".index", ".data-00000-of-00001"])
def test_source_and_destination_must_differ(bert_copy: str, suffix: str) -> None:
    before = bundle_bytes(bert_copy)
    with pytest.raises(UsageError):
        tfckpt.convert(bert_copy, bert_copy + suffix, overwrite=True)
    assert bundle_bytes(bert_copy) == before


def test_a_link_to_the_source_is_the_source(bert_copy: str, tmp_path: Path) -> None:
    for suffix in (".index", ".data-00000-of-00001"):
        (tmp_path / f"link{suffix}").symlink_to(bert_copy + suffix)
    with pytest.raises(UsageError, match="are the same checkpoint"):
        tfckpt.convert(bert_copy, tmp_path / "link", overwrite=True)


def test_a_directory_is_no_destination(bert: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a directory; give the prefix of the files to write, such as .*model.ckpt"):
        tfckpt.convert(bert, tmp_path)


def test_progress_counts_bytes_up_to_all_of_them(bert: str, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    plan = tfckpt.convert(bert, tmp_path / "out", progress=lambda done, total: calls.append((done, total)))
    assert {total for _, total in calls} == {plan.nbytes}
    assert calls == sorted(calls)
    assert calls[-1] == (plan.nbytes, plan.nbytes)


def test_without_verification_a_damaged_tensor_goes_over_with_its_old_checksum(bert_copy: str, tmp_path: Path) -> None:
    with tfckpt.open(bert_copy) as source:
        offset = source.entry("bert/pooler/dense/bias").offset
    with open(f"{bert_copy}.data-00000-of-00001", "r+b") as file:
        file.seek(offset)
        file.write(b"\xff")
    tfckpt.convert(bert_copy, tmp_path / "out", verify=False)
    with tfckpt.open(tmp_path / "out") as dest, pytest.raises(FormatError, match="checksum of tensor"):
        dest.verify()


def test_partitioned_sources_are_assembled(bert: str, tmp_path: Path, split: Any) -> None:
    """A table in three slices converts to the same files as the whole one."""
    tfckpt.save(tmp_path / "whole", dict(tfckpt.open(bert)))
    split(bert, tmp_path / "parts", "bert/embeddings/word_embeddings", [10, 10, 10])
    for name in ("whole", "parts"):
        tfckpt.convert(tmp_path / name, tmp_path / "out" / name, num_heads=2)
    with tfckpt.open(tmp_path / "out" / "whole") as whole, tfckpt.open(tmp_path / "out" / "parts") as parts:
        assert all(whole[name].tobytes() == parts[name].tobytes() for name in whole if whole[name].dtype != object)
        assert list(whole) == list(parts)


def test_a_source_that_changed_since_the_plan_is_noticed(bert: str, tmp_path: Path) -> None:
    plan = tfckpt.plan(bert)
    tensors = dict(tfckpt.open(bert)) | {"bert/pooler/dense/bias": np.zeros(9, np.float32)}
    tfckpt.save(tmp_path / "other", tensors)
    reader = BundleReader(str(tmp_path / "other"))
    with pytest.raises(FormatError, match=r"expected the tensor that was planned for, \[8\], got float32\[9\]"):
        execute(plan, reader, str(tmp_path / "out"))
    reader.close()
    assert not list(tmp_path.glob("out*"))


def _prove(bert: str, dest: Path) -> None:
    with tfckpt.open(bert) as source, tfckpt.open(dest) as after:
        prove(tfckpt.plan(bert), source, after)


def test_a_conversion_is_proved(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "out")
    _prove(bert, tmp_path / "out")


def test_a_proof_names_every_difference(bert: str, tmp_path: Path) -> None:
    plan = tfckpt.convert(bert, tmp_path / "out")
    tensors = dict(tfckpt.open(tmp_path / "out"))
    value, shape, gone = (step.target for step in plan.steps[:3])
    tensors[value] = np.nextafter(tensors[value], np.float32(1))
    tensors[shape] = tensors[shape].reshape(-1, 1)
    del tensors[gone]
    tfckpt.save(tmp_path / "wrong", tensors | {"extra": 1})
    with pytest.raises(ProofError) as caught:
        _prove(bert, tmp_path / "wrong")
    text = "\n".join(caught.value.reasons)
    assert f"{value}: values differ from {plan.steps[0].source}" in text
    assert f"{shape}: expected shape" in text
    assert f"{gone}: missing" in text
    assert "extra: nothing in the source corresponds to it" in text
    assert len(caught.value.reasons) == 4


def test_a_proof_looks_at_the_object_graph(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "out")
    tensors = dict(tfckpt.open(tmp_path / "out"))
    tensors["_CHECKPOINTABLE_OBJECT_GRAPH"] = np.array(b"\n\x00", object)
    tfckpt.save(tmp_path / "wrong", tensors)
    with pytest.raises(ProofError, match="not the object graph of 'encoder'"):
        _prove(bert, tmp_path / "wrong")
