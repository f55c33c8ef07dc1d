"""An executor on a cluster of Dask. Imported on request alone: it opens connections, and needs the extra ``dask``."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from tfckpt.base.issues import install
from tfckpt.errors import StorageError, UsageError, remedied


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Yield an executor whose jobs run on the workers of a scheduler, such as ``"tcp://10.0.0.1:8786"``.

    The workers have tfckpt installed and see the files under the same paths. When one is lost, the scheduler gives its jobs
    to another. Jobs and their outcomes go over the connection as pickles: use a scheduler that you trust.

    Raises: UsageError if Dask is not installed, or the address is none; StorageError if no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError:
        text = f"{address}: Dask is not installed; pip install 'tfckpt[dask]'"
        raise remedied(UsageError(text), install("dask")) from None
    try:
        client = Client(address, set_as_default=False)
    except OSError as error:
        raise StorageError(f"{address}: no scheduler of Dask answers: {error}") from error
    except ValueError as error:
        raise UsageError(
            f"{address}: not the address of a scheduler of Dask, such as tcp://HOST:8786: {error}"
        ) from None
    with client, client.get_executor() as executor:
        yield executor
