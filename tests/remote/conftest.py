"""Stores behind URLs: fsspec's memory, a directory as ``file://``, a bucket of a real S3 server, and a web site."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.web import Site, serve

DATA = Path(__file__).parent.parent / "data"
BUCKET = "models"


@dataclass
class Store:
    """A directory of a store, new for each test."""

    url: str
    fs: Any
    path: str

    def put(self, file: Path, name: str) -> None:
        """Copy a file there."""
        self.fs.makedirs(self.fs._parent(f"{self.path}/{name}"), exist_ok=True)
        self.fs.pipe_file(f"{self.path}/{name}", file.read_bytes())

    def put_directory(self, directory: Path, name: str) -> None:
        """Copy the files of a directory there."""
        for file in directory.iterdir():
            self.put(file, f"{name}/{file.name}")

    def content(self) -> dict[str, bytes]:
        """Return all files that are there, by name."""
        self.fs.invalidate_cache()
        files = [path for path in self.fs.find(self.path) if self.fs.isfile(path)]
        return {path.split(self.path.lstrip("/") + "/", 1)[1]: self.fs.cat_file(path) for path in files}

    def damage(self, name: str, at: int) -> None:
        """Change one byte of a file."""
        data = bytearray(self.fs.cat_file(f"{self.path}/{name}"))
        data[at] ^= 1
        self.fs.pipe_file(f"{self.path}/{name}", bytes(data))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Run a server of S3 on a free port; its URL, which botocore reads from the environment, as it does the credentials."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-environment")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        import s3fs
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        app = DomainDispatcherApplication(create_backend_app)
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        s3fs.S3FileSystem.clear_instance_cache()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _store(url: str) -> Store:
    from fsspec.core import url_to_fs

    fs, path = url_to_fs(url)
    return Store(url, fs, path)


@pytest.fixture
def memory() -> Iterator[Store]:
    """Return a directory of fsspec's memory."""
    store = _store("memory://tests/run")
    yield store
    store.fs.store.clear()
    store.fs.pseudo_dirs[:] = [""]


@pytest.fixture
def s3(s3_server: str, request: pytest.FixtureRequest) -> Store:
    """Return a directory of a bucket."""
    import s3fs

    fs = s3fs.S3FileSystem()
    if not fs.exists(BUCKET):
        fs.mkdir(BUCKET)
    return _store(f"s3://{BUCKET}/{abs(hash(request.node.nodeid))}/run")


@pytest.fixture
def file(tmp_path: Path) -> Store:
    """Return a directory of the disk, behind a URL."""
    return _store(f"file://{tmp_path}/store/run")


@pytest.fixture(params=["memory", "file"])
def simple_store(request: pytest.FixtureRequest) -> Store:
    """Return a directory of each kind of store that costs nothing."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(params=["memory", "file", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    """Return a directory of each kind of store that can be written to."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Serve the directory ``site``, which holds a BERT in ``bert``."""
    shutil.copytree(DATA / "bert_tf115", tmp_path / "site" / "bert")
    with serve(tmp_path / "site") as site:
        yield site
