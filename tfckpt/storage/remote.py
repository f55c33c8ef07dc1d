"""Stores behind URLs, through fsspec: ``s3://``, ``gs://``, ``https://``, and whatever else it has a file system for.

Nothing is cached: every call sees the store as it is. Every exception of fsspec and of the libraries below it leaves here as
a tfckpt error, without its cause, whose text may hold credentials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tfckpt.base.issues import Issue, install
from tfckpt.errors import CheckpointNotFoundError, StorageError, TfckptError, UnsupportedError, UsageError, remedied
from tfckpt.storage.paths import split

HTTP = {"http", "https"}  # has no listing and takes no files
NOTHING_THERE = {401, 403, 404, 410}  # stores say 403 of what is missing, too, to those who may not list


def protocols(fs: Any) -> set[str]:
    """Return the schemes of a file system."""
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)


def open_store(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path that means it there.

    Raises: UsageError for an unknown scheme; UnsupportedError if a package is missing; StorageError.
    """
    with refusals("reach", url):
        try:
            from fsspec.core import url_to_fs

            fs, path = url_to_fs(url)
        except ImportError as error:
            text = f"{url}: {error}; install what most URLs need with: pip install 'tfckpt[remote]'"
            raise remedied(UnsupportedError(text), install("remote")) from None
        except ValueError as error:
            raise UsageError(f"{url}: not a URL that fsspec can open: {error}") from None
        fs.invalidate_cache()
    return fs, path


@contextmanager
def refusals(action: str, url: str) -> Iterator[None]:
    """Turn whatever goes wrong into the tfckpt error that names the URL and what was tried."""
    try:
        yield
    except TfckptError:
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError) and _is_absence(error):
            raise CheckpointNotFoundError(Issue("refused", url, action, "nothing is there")) from None
        raise StorageError(Issue("refused", url, action, _reason(error))) from None


def _is_absence(error: FileNotFoundError) -> bool:
    """Whether a file is missing. To fsspec, every failure of HTTP is that, but the cause tells."""
    cause = error.__cause__
    is_http = type(cause).__module__.split(".")[0] == "aiohttp" or isinstance(cause, TimeoutError)
    return not is_http or getattr(cause, "status", None) in {404, 410}


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return text if text and isinstance(error, OSError) else f"{type(error).__name__}: {text}".removesuffix(": ")


def _look(url: str) -> Mapping[str, Any] | None:
    """Return what the store says of a URL; None if nothing is there, or nothing that may be read."""
    fs, path = open_store(url)
    with refusals("look for it", url):
        try:
            info: Mapping[str, Any] = fs.info(path)
        except PermissionError:
            return None
        except FileNotFoundError as error:
            if _is_absence(error) or getattr(error.__cause__, "status", None) in NOTHING_THERE:
                return None
            raise
    return info


def exists(url: str) -> bool:
    """Whether something is there, a directory included. What may not be read counts as missing."""
    return _look(url) is not None


def is_file(url: str) -> bool:
    """Whether a file is there. An answer of unknown length over HTTP is none: it is a page."""
    info = _look(url)
    return info is not None and info["type"] == "file" and info.get("size") is not None


def is_directory(url: str) -> bool:
    """Whether a directory is there; never over HTTP, which has none."""
    fs, _ = open_store(url)
    if protocols(fs) & HTTP:
        return False
    info = _look(url)
    return info is not None and info["type"] == "directory"


def can_list(url: str) -> bool:
    """Whether directories can be listed there."""
    fs, _ = open_store(url)
    return not protocols(fs) & HTTP


def is_same(a: str, b: str) -> bool:
    """Whether both URLs lead to one file that is there."""
    return open_store(a) == open_store(b) and exists(a)


def list_directory(url: str) -> list[str]:
    """Return the sorted names in a directory.

    Raises: UnsupportedError over HTTP; CheckpointNotFoundError, StorageError.
    """
    fs, path = open_store(url)
    if not can_list(url):
        raise UnsupportedError(f"{url}: cannot list: HTTP has no directories; give a prefix, or the name of an index")
    with refusals("list", url):
        found = [name.rstrip("/") for name in fs.ls(path, detail=False)]
    return sorted({split(f"{url}/{name}")[1] for name in found if name != path.rstrip("/")})  # itself: a marker


def remove(url: str) -> None:
    """Remove a file that may be gone already."""
    fs, path = open_store(url)
    with suppress(CheckpointNotFoundError), refusals("remove", url):
        fs.rm_file(path)
