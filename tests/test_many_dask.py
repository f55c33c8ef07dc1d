"""A real cluster of two worker processes, of which some are killed at moments that the test chooses."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.files import bundle_bytes
from support.many import hold_at
from support.patience import PATIENCE

import tfckpt
from tfckpt.cli.main import main
from tfckpt.storage.local_output import TEMPORARY_MARK

pytestmark = pytest.mark.dask

MOMENTS = {
    "all-written": ".data-00000-of-00001",
    "half-renamed": ".index",
}  # the rename that the worker does not live to do
TARGETS = ("encoder", "keras", "pretrainer", "bert-model")


class Killing(NamedTuple):
    """A manifest that was run while one of two workers was killed."""

    code: int
    manifest: str
    out: Path  # directory of what it wrote
    there: set[str]  # names that were in it when the worker died


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, protocol="tcp", dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module", params=MOMENTS)
def killing(cluster: Any, bert: str, tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[Killing]:
    """Run a manifest on the cluster, and kill the worker that does its second row."""
    from distributed import Client

    directory = tmp_path_factory.mktemp("killed")
    out, manifest = directory / "out", str(directory / "manifest.csv")
    rows = [f"{bert},out/{to},--to {to}" for to in TARGETS]
    Path(manifest).write_text("\n".join(["source,destination,options", *rows]))
    fifo = str(directory / "fifo")
    os.mkfifo(fifo)
    listening = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with Client(cluster.scheduler_address, set_as_default=False) as client, ThreadPoolExecutor(1) as thread:
        client.wait_for_workers(2, timeout=PATIENCE)
        client.run(hold_at, f"{out / TARGETS[1]}{MOMENTS[request.param]}", fifo)
        run = thread.submit(main, ["convert-many", manifest, "--scheduler", cluster.scheduler_address])
        ready, _, _ = select.select([listening], [], [], PATIENCE)
        assert ready, run.exception(0)
        there = set(os.listdir(out))
        os.kill(int(os.read(listening, 100)), signal.SIGKILL)
        yield Killing(run.result(PATIENCE), manifest, out, there)
    os.close(listening)


def test_the_worker_was_killed_midway(killing: Killing) -> None:
    (kept,) = (name for name in killing.there if name.startswith(f"{TARGETS[1]}.index"))
    assert TEMPORARY_MARK in kept


def test_everything_is_done_as_if_nothing_had_happened(killing: Killing, bert: str, tmp_path: Path) -> None:
    assert killing.code == 0
    for to in TARGETS:
        tfckpt.convert(bert, tmp_path / to, to=to)
        for suffix, content in bundle_bytes(tmp_path / to).items():
            assert (killing.out / f"{to}{suffix}").read_bytes() == content


def test_only_the_results_are_left_in_the_folder(killing: Killing) -> None:
    names = {f"{to}{suffix}" for to in TARGETS for suffix in (".index", ".data-00000-of-00001")}
    assert set(os.listdir(killing.out)) == names


def test_the_cluster_finds_it_done_the_next_time(
    killing: Killing, cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert-many", killing.manifest, "--scheduler", cluster.scheduler_address]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(": 0 done, 4 proven before and skipped, 0 failed")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:1", "no scheduler of Dask answers"),
        ("carrier-pigeon://roof", "not the address of a scheduler"),
    ],
)
def test_a_scheduler_that_is_not_there_is_said_to_be_missing(
    address: str, message: str, bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import dask

    (tmp_path / "manifest.csv").write_text(f"source,destination\n{bert},out\n")
    with dask.config.set({"distributed.comm.timeouts.connect": "200ms"}):
        assert main(["convert-many", str(tmp_path / "manifest.csv"), "--scheduler", address]) == 1
    assert f"{address}: {message}" in capsys.readouterr().err
