"""Layers below tfckpt that count calls of the system, and spoil one of them, or let something happen before it.

`PythonLayer` stands in for the functions of ``os`` that tfckpt calls to change files, `SourceLayer` for those that look at
them. `CLayer` is shim.c, preloaded: it sees what any library does. Each counts only what happens under one directory.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

PASS, KILL, FAIL, FAIL_FOR_GOOD, SHORT, INTERRUPT = range(6)  # as in shim.c
ACT = 6  # in Python alone
FICLONE = 0x40049409


class Fault(NamedTuple):
    """What happens to a call."""

    name: str
    action: int
    error: int = 0
    act: Callable[[], object] = lambda: None  # before the call, which then goes its way


NOTHING = Fault("nothing", PASS)
FAULTS = (
    Fault("kill -9", KILL),
    Fault("EIO", FAIL, errno.EIO),
    Fault("ENOSPC, for good", FAIL_FOR_GOOD, errno.ENOSPC),
    Fault("EINTR", FAIL, errno.EINTR),
    Fault("short write", SHORT),
    Fault("Ctrl-C", INTERRUPT),
)


class Layer(Protocol):
    """Arm it in a process of its own: it stays armed."""

    name: str
    under: str  # the directory whose files it watches

    def arm(self, root: str, at: int, fault: Fault) -> None:
        """Have the ``at``-th call under the directory suffer the fault."""

    def calls(self) -> list[str]:
        """Return the names of the calls since it was armed."""


TARGETS = {
    "open": 0,
    "write": 0,
    "pwrite": 0,
    "pwritev": 0,
    "copy_file_range": 1,
    "replace": 1,
    "rename": 1,
    "link": 1,
    "unlink": 0,
    "mkdir": 0,
    "rmdir": 0,
    "fsync": 0,
    "fdatasync": 0,
    "ftruncate": 0,
}  # functions of ``os``, and which argument says where


class PythonLayer:
    """Replaces functions of ``os`` in this process."""

    name, under = "python", "out"
    targets = TARGETS

    def __init__(self) -> None:
        self._calls: list[str] = []
        self._lock = threading.Lock()
        self._acting = False

    def arm(self, root: str, at: int, fault: Fault) -> None:
        """Replace the functions."""
        self._root, self._at, self._fault = root, at, fault
        for name, argument in self.targets.items():
            setattr(os, name, self._spoiled(name, getattr(os, name), argument))
        fcntl.ioctl = self._spoiled("ioctl", fcntl.ioctl, 0)

    def calls(self) -> list[str]:
        """Return the names as the C library calls them."""
        return [{"replace": "rename"}.get(name, name) for name in self._calls]

    def _spoiled(self, name: str, original: Callable[..., Any], argument: int) -> Callable[..., Any]:
        def function(*args: Any, **kwargs: Any) -> Any:
            if self._acting or not self._is_inside(args[argument]) or not self._counts(name, args):
                return original(*args, **kwargs)
            if self._next(name) and self._fault.action == SHORT:
                args = self._halved(name, args)
            return original(*args, **kwargs)

        return function

    def _counts(self, name: str, args: tuple[Any, ...]) -> bool:
        """Whether it is a call that changes something."""
        if name in {"open", "ioctl"}:
            return bool(args[1] & os.O_CREAT if name == "open" else args[1] == FICLONE)
        return True

    def _is_inside(self, target: Any) -> bool:
        if isinstance(target, int):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/self/fd/{target}")
        return isinstance(target, str) and target.startswith(self._root)

    def _next(self, name: str) -> bool:
        """Count a call; die or raise if it is its turn. Whether it is."""
        with self._lock:
            number = len(self._calls)
            self._calls.append(name)
        action, error = self._fault.action, self._fault.error
        turn = number == self._at or (action == FAIL_FOR_GOOD and number > self._at)
        if turn and action == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if turn and action == INTERRUPT:
            os.kill(os.getpid(), signal.SIGINT)
        if turn and action == ACT:
            self._acting = True
            self._fault.act()
            self._acting = False
        if turn and action in (FAIL, FAIL_FOR_GOOD) and not self._is_retried(name, error):
            raise OSError(error, os.strerror(error))
        return turn

    def _is_retried(self, name: str, error: int) -> bool:
        """Whether Python, between this layer and the system, would call again."""
        return error == errno.EINTR and name not in {"replace", "rename", "link", "unlink", "mkdir", "rmdir"}

    def _halved(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if name in {"write", "pwrite"}:
            data = memoryview(args[1])
            return args[0], data[: (len(data) + 1) // 2], *args[2:]
        if name == "copy_file_range":
            return *args[:2], (args[2] + 1) // 2, *args[3:]
        return args


class SourceLayer(PythonLayer):
    """Counts what looks at files and reads them."""

    name, under = "reads", "source"
    targets = dict.fromkeys(
        ["open", "stat", "lstat", "fstat", "lseek", "pread", "preadv", "copy_file_range", "link", "listdir"], 0
    )

    def _counts(self, name: str, args: tuple[Any, ...]) -> bool:
        return name != "ioctl"


class CLayer:
    """shim.c; this process must have been started with it in ``LD_PRELOAD``."""

    name, under = "c", "out"

    def __init__(self, library: str) -> None:
        self._library = ctypes.CDLL(library)
        self._library.faults_calls.restype = ctypes.c_char_p

    def arm(self, root: str, at: int, fault: Fault) -> None:
        """Tell the library."""
        self._library.faults_arm(os.fsencode(root), ctypes.c_long(at), fault.action, fault.error)

    def calls(self) -> list[str]:
        """Return the names, without what tells 64-bit offsets."""
        return [name.removesuffix("64") for name in self._library.faults_calls().decode().split()]


def build_shim(directory: str) -> str:
    """Compile the library; return its path."""
    library = os.path.join(directory, "shim.so")
    source = Path(__file__).with_name("shim.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library
