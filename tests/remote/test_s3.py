"""What S3 has that others do not: uploads that wait for each other, buckets, and credentials."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from remote.conftest import BUCKET, Store

import tfckpt
from tfckpt.bundle.writer import BundleWriter
from tfckpt.errors import CheckpointNotFoundError, StorageError

pytestmark = pytest.mark.remote

LARGE: dict[str, npt.ArrayLike] = {"a": np.arange(10 << 20, dtype=np.uint32)}  # more than two parts of an upload


def uploads(store: Store) -> list[str]:
    """Return the keys of uploads that were begun and not ended."""
    found = store.fs.call_s3("list_multipart_uploads", Bucket=BUCKET)
    return [upload["Key"] for upload in found.get("Uploads", ())]


def test_nothing_is_there_before_everything_is(s3: Store) -> None:
    with BundleWriter(f"{s3.url}/model") as writer:
        writer.add("a", LARGE["a"])
        writer.next_shard()
        assert s3.content() == {}
        assert len(uploads(s3)) == 1
        writer.finish()
    assert len(s3.content()) == 3
    assert uploads(s3) == []
    with tfckpt.open(s3.url) as checkpoint:
        assert np.array_equal(checkpoint["a"], LARGE["a"])


def test_an_upload_that_is_given_up_costs_no_storage(s3: Store) -> None:
    with BundleWriter(f"{s3.url}/model") as writer:
        writer.add("a", LARGE["a"])
        writer.next_shard()
        assert uploads(s3)
    assert uploads(s3) == []
    assert s3.content() == {}


def test_a_bucket_that_does_not_exist_is_an_error_that_names_it(s3_server: str) -> None:
    with pytest.raises(CheckpointNotFoundError, match=r"s3://nowhere/run/model: no checkpoint"):
        tfckpt.open("s3://nowhere/run/model")
    with pytest.raises((CheckpointNotFoundError, StorageError), match=r"s3://nowhere/run/model\.data-.*: cannot "):
        tfckpt.save("s3://nowhere/run/model", LARGE)


def test_missing_credentials_are_said(s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    type(s3.fs).clear_instance_cache()
    try:
        with pytest.raises(StorageError, match=r"s3://.*model\.index: cannot look for it: NoCredentialsError"):
            tfckpt.open(f"{s3.url}/model")
    finally:
        type(s3.fs).clear_instance_cache()
