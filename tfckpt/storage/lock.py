"""One writer at a time: a lock file beside what is written, which the system frees when its writer dies.

    PREFIX.tfckpt-lock    (device u64, inode u64, size u64, mtime i64)*    the data files that are about to get their names

Strategy: the lock is ``flock``'s, so it ends with its process, however that ends. The file goes with the lock; one that lies
there unlocked is a dead writer's, and its journal says which data files without an index are nobody's. The journal is not
synced: without it the next writer asks to overwrite, and nothing is lost.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress

from tfckpt.base import log
from tfckpt.errors import StorageError
from tfckpt.storage.files import remove
from tfckpt.storage.local_input import Identity, check_path, refusals

LOCK_SUFFIX = ".tfckpt-lock"
PAUSE = 0.01  # seconds between two attempts
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_RECORD = struct.Struct("<QQQq")
_MOST_RECORDS = 100_000  # the numbers of data files have five digits


class Lock:
    """The right to write ``target``, from construction to `release`. Two threads of one process have it in turn, too.

    Args:
        target: a prefix, or a file.
        wait: seconds to wait for another writer to end.
    Raises: StorageError if another holds it, or no file can be made there.
    """

    def __init__(self, target: str, *, wait: float = 0.0) -> None:
        self.path = target + LOCK_SUFFIX
        self._fd = -1
        check_path(target)
        end = time.monotonic() + wait
        try:
            while not self._acquire():
                if time.monotonic() >= end:
                    raise StorageError(
                        f"{target}: another process is writing it, and holds {self.path}; try again later"
                    )
                time.sleep(PAUSE)
        except KeyboardInterrupt:  # which may have come when the file was made, and nobody had been told
            if self.held or self._acquire():
                self.release()
            raise
        _locks.add(self)

    @property
    def held(self) -> bool:
        """Whether no other writer is here; False after `release`, in a forked child, and where file systems know no locks."""
        return self._fd >= 0

    def read_journal(self) -> list[Identity]:
        """Return what a dead writer wrote down; nothing that it did not end to write."""
        with refusals("read", self.path):
            data = os.pread(self._fd, _RECORD.size * _MOST_RECORDS, 0)
        return list(_RECORD.iter_unpack(data)) if len(data) % _RECORD.size == 0 else []

    def write_journal(self, identities: Sequence[Identity]) -> None:
        """Write down which data files are about to get their names, or, if none, that all is well."""
        if not self.held:
            return
        data = memoryview(b"".join(_RECORD.pack(*identity) for identity in identities))
        with refusals("write", self.path):
            os.ftruncate(self._fd, 0)
            done = 0
            while done < len(data):
                done += os.pwrite(self._fd, data[done:], done)

    def release(self) -> None:
        """Remove the lock file and free the lock, in this order: whoever opened the file meanwhile looks for it again."""
        if self.held:
            with suppress(OSError):  # the next writer takes what lies there
                remove(self.path)
            self.forget()

    __del__ = release

    def forget(self) -> None:
        """Close the descriptor: in a forked child this frees nothing that the parent holds."""
        fd, self._fd = self._fd, -1
        with suppress(OSError):
            os.close(fd)

    def _acquire(self) -> bool:
        """Try once: whether the lock is ours, or there are no locks."""
        with refusals("lock", self.path):
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
            try:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:  # what is written there could be another's
                    raise OSError(errno.EINVAL, "expected a file of one name, got something else; remove it")
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(status, os.stat(self.path)):  # else its holder removed it before we had it
                    self._fd, fd = fd, -1
                return self.held
            except (BlockingIOError, FileNotFoundError):
                return False
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise
                log.info("%s: no locks here (%s)", self.path, error.strerror)
                remove(self.path)
                return True
            finally:
                if fd >= 0:
                    os.close(fd)


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forget_locks() -> None:
    for lock in _locks:
        if lock.held:
            lock.forget()


os.register_at_fork(after_in_child=_forget_locks)  # a child must not keep a lock whose writer has died
