"""Checkpoints on web servers: few requests, few bytes, and every way in which a server can fail."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from remote.conftest import DATA
from support import foreign, graphs
from support.files import bundle_bytes
from support.web import BROKEN, FORBIDDEN, SHORT, SILENT, WHOLE, Site, serve

import tfckpt
from tfckpt.checkpoint.find.state_file import CheckpointState, write_state
from tfckpt.cli.main import main
from tfckpt.errors import (
    CheckpointNotFoundError,
    FormatError,
    StorageError,
    TfckptError,
    UnsupportedError,
    UsageError,
)

pytestmark = pytest.mark.remote

BIG = 1 << 20  # elements, of 4 bytes each
SECRET = "hunter2"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a checkpoint of 50 MB: 12 large tensors with a small one after each."""
    directory = tmp_path_factory.mktemp("site")
    tensors: dict[str, npt.ArrayLike] = {}
    for n in range(12):
        tensors[f"layer_{n:02}/kernel"] = np.full(BIG, n, np.float32)
        tensors[f"layer_{n:02}/zbias"] = np.full(64, n, np.float32)
    tfckpt.save(directory / "model", tensors)
    with serve(directory) as site:
        yield site


@pytest.fixture(autouse=True)
def _each_test_counts_its_own(large: Site) -> None:
    large.requests.clear()


def test_opening_and_reading_a_large_tensor_moves_its_bytes_and_the_index(large: Site) -> None:
    with tfckpt.open(f"{large.url}/model") as checkpoint:
        assert (checkpoint["layer_07/kernel"] == 7).all()
    assert len(large.requests) <= 6
    assert large.nbytes() <= 4 * BIG + 10_000


def test_opening_and_reading_a_small_tensor_moves_little(large: Site) -> None:
    with tfckpt.open(f"{large.url}/model") as checkpoint:
        assert (checkpoint["layer_07/zbias"] == 7).all()
    assert len(large.requests) <= 7
    assert large.nbytes() <= 300_000


def test_listing_asks_for_the_index_alone_and_once(large: Site) -> None:
    with tfckpt.open(f"{large.url}/model") as checkpoint:
        assert len(list(checkpoint.entries())) == 24
        assert [request.method for request in large.requests].count("GET") == 1
    assert not any(".data" in request.path for request in large.requests)


def test_a_part_of_a_tensor_is_a_part_of_its_bytes(large: Site) -> None:
    with tfckpt.open(f"{large.url}/model") as checkpoint:
        assert (checkpoint.get_slice("layer_03/kernel")[1000 : BIG // 4] == 3).all()
    assert large.nbytes() <= BIG + 10_000


def test_rows_of_a_list_of_ids_are_fetched_alone(large: Site) -> None:
    with tfckpt.open(f"{large.url}/model") as checkpoint:
        assert checkpoint.get_slice("layer_03/kernel")[[BIG // 4 - 1, 0, BIG // 8, 0]].tolist() == [3.0] * 4
    assert large.nbytes() <= 3 * 131_072 + 10_000 < BIG  # a request each, with what stands around


def test_large_runs_of_bytes_are_carried_as_they_are(large: Site, tmp_path: Path) -> None:
    tfckpt.rewrite(f"{large.url}/model", tmp_path / "model", sync=False)
    assert bundle_bytes(tmp_path / "model") == bundle_bytes(large.directory / "model")
    assert large.nbytes() <= 12 * 4 * (BIG + 64) + 20_000  # nothing twice


def test_neighbouring_small_tensors_come_in_one_request(site: Site) -> None:
    with tfckpt.open(f"{site.url}/bert/model.ckpt-3") as checkpoint:
        opened = len(site.requests)
        assert len(dict(checkpoint.items())) == 139
    assert len(site.requests) == opened + 2  # how large the data file is, and all of it


def test_a_conversion_takes_the_configuration_beside_its_source(site: Site, tmp_path: Path, bert: str) -> None:
    for source, name in ((bert, "local"), (f"{site.url}/bert/model.ckpt-3.index", "remote")):
        tfckpt.convert(source, tmp_path / name, prove=True)
    assert "/bert/bert_config.json" in {request.path for request in site.requests}
    assert bundle_bytes(tmp_path / "remote") == bundle_bytes(tmp_path / "local")


def test_a_query_goes_with_every_file(site: Site, tmp_path: Path) -> None:
    with tfckpt.open(f"{site.url}/bert/model.ckpt-3?sig={SECRET}") as checkpoint:
        assert checkpoint["global_step"] == 3
    tfckpt.convert(f"{site.url}/bert/model.ckpt-3.data-00000-of-00001?sig={SECRET}", tmp_path / "dest")
    queries = {request.path.partition("?")[2] for request in site.requests}
    assert queries == {f"sig={SECRET}"}


def test_a_state_file_leads_to_a_checkpoint_though_nothing_can_be_listed(site: Site) -> None:
    for url in (f"{site.url}/bert", f"{site.url}/bert/"):
        with tfckpt.open(url) as checkpoint:
            assert checkpoint["global_step"] == 3
    assert tfckpt.latest_checkpoint(f"{site.url}/bert") == f"{site.url}/bert/model.ckpt-3"


@pytest.mark.parametrize("named", ["/home/me/bert/model.ckpt-3", "C:\\bert\\model.ckpt-3", "../run/model.ckpt-3"])
def test_of_a_path_that_leads_elsewhere_the_last_part_counts(
    site: Site, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_state(str(site.directory / "bert"), CheckpointState(named))
    with caplog.at_level("WARNING", logger="tfckpt"):
        assert tfckpt.open(f"{site.url}/bert").prefix.endswith("/bert/model.ckpt-3")
    (record,) = caplog.records
    assert f"names {named}, which is not in here: reading " in record.getMessage()


def test_a_state_file_does_not_lead_out_of_its_directory(site: Site) -> None:
    write_state(str(site.directory / "other"), CheckpointState("../bert/model.ckpt-3"))
    with pytest.raises(CheckpointNotFoundError):
        tfckpt.open(f"{site.url}/other")


@pytest.mark.parametrize("name", ["saver", "shards-00000-of-00002", "shards-?????-of-00002"])
def test_v1_checkpoints_are_told_by_looking_at_them(site: Site, name: str) -> None:
    shutil.copytree(DATA / "v1", site.directory / "v1")
    with tfckpt.open(f"{site.url}/v1/{name}") as remote, tfckpt.open(DATA / "v1" / name) as local:
        assert remote.format == "v1"
        assert all(np.array_equal(remote[tensor], local[tensor]) for tensor in local)


def test_what_cannot_be_listed_is_said(site: Site) -> None:
    (site.directory / "bert" / "checkpoint").unlink()
    with pytest.raises(CheckpointNotFoundError, match=r"bert\.index; over HTTP a directory cannot be listed: give the"):
        tfckpt.open(f"{site.url}/bert")


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (WHOLE, StorageError, r"model\.data-.* at byte .*: the server does not answer range requests; download"),
        (SHORT, FormatError, r"range request at byte 0: expected [\d,]+ bytes, got [\d,]+; the file has changed, or"),
        (BROKEN, StorageError, r"model\.index: cannot read: ClientPayloadError"),
        (FORBIDDEN, StorageError, r"model\.index: cannot open: .*403"),
        (SILENT, StorageError, r"model\.index: cannot open: the server does not say how large it is"),
    ],
)
def test_a_server_that_fails_is_an_error_that_says_how(
    large: Site, kind: str, error: type[TfckptError], message: str
) -> None:
    large.kind = kind
    try:
        with pytest.raises(error, match=message), tfckpt.open(f"{large.url}/model") as checkpoint:
            checkpoint["layer_07/kernel"]
    finally:
        large.kind = "ranges"
    assert large.nbytes() < 5_000_000  # of a file of 50 MB


def test_a_server_that_ends_in_the_middle_of_a_conversion_leaves_nothing(site: Site, tmp_path: Path) -> None:
    site.kind, site.concerns = BROKEN, ".data"
    with pytest.raises(StorageError, match=r"model\.ckpt-3\.data-.*: cannot read: ClientPayloadError"):
        tfckpt.convert(f"{site.url}/bert/model.ckpt-3", tmp_path / "dest" / "encoder")
    assert not (tmp_path / "dest").exists()


def test_a_server_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with serve(tmp_path) as gone:
        url = gone.url
    with pytest.raises(StorageError, match=r"127\.0\.0\.1.*: cannot look for it: .*[Cc]onnect"):
        tfckpt.open(f"{url}/model")


@pytest.mark.parametrize("kind", [SHORT, BROKEN, FORBIDDEN, SILENT, "missing", "closed"])
def test_no_error_holds_credentials(
    large: Site, kind: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    url = large.url.replace("://", f"://user:{SECRET}@") + f"/model?token={SECRET}"
    if kind == "missing":
        url = url.replace("/model", "/modle")
    elif kind == "closed":
        url = url.replace(large.url.rpartition(":")[2], "1")
    large.kind = kind
    try:
        with pytest.raises(TfckptError) as caught, tfckpt.open(url) as checkpoint:
            checkpoint["layer_07/kernel"]
        main(["verify", url])
    finally:
        large.kind = "ranges"
    error = caught.value
    assert "***@127.0.0.1" in str(error)
    assert SECRET not in str(error) + repr(error) + str(pickle.loads(pickle.dumps(error)))
    assert error.__cause__ is None
    assert SECRET not in capsys.readouterr().err + caplog.text


def test_nothing_is_written_to_a_web_server(site: Site, bert: str) -> None:
    with pytest.raises(UnsupportedError, match="HTTP servers are only read from"):
        tfckpt.convert(bert, f"{site.url}/new/encoder")


def test_a_url_with_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(UsageError, match=r"what://is/this\.index: .* Protocol not known: what"):
        tfckpt.open("what://is/this")


def test_a_missing_package_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(
        UnsupportedError,
        match=r"https://host/model\.index: .*fsspec.*; install what most URLs need with: pip install 'tfckpt\[remote\]'",
    ):
        tfckpt.open("https://host/model")


def test_a_file_of_another_program_is_told_from_few_bytes(site: Site) -> None:
    (site.directory / "m.h5").write_bytes(foreign.HDF5 + bytes(1 << 20))
    (site.directory / "m.bin").write_bytes(foreign.TORCH + bytes(1 << 20) + foreign.TORCH)
    (site.directory / "m.pb").write_bytes(graphs.FROZEN * 99)  # a graph may take many reads
    for name, what in ("m.h5", "an HDF5 file"), ("m.bin", "a PyTorch file"), ("m.pb", "no checkpoint"):
        site.requests.clear()
        with pytest.raises(CheckpointNotFoundError, match=what):
            tfckpt.open(f"{site.url}/{name}")
        assert site.nbytes() < 300_000
        assert [request.method for request in site.requests].count("GET") < 12


def test_a_state_file_is_a_source(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    write_state(str(site.directory / "bert"), CheckpointState("/gone/model.ckpt-3"))
    (site.directory / "bert" / "best_checkpoint").write_text('model_checkpoint_path: "model.ckpt-3"')
    for name in "checkpoint", "best_checkpoint":
        with caplog.at_level("WARNING", logger="tfckpt"), tfckpt.open(f"{site.url}/bert/{name}") as checkpoint:
            assert checkpoint["global_step"] == 3
        assert caplog.records.pop().getMessage().endswith(f"reading {site.url}/bert/model.ckpt-3")
