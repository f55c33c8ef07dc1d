"""What a process has that a library should leave alone. Run it to use all of tfckpt, and to print what that has changed."""

from __future__ import annotations

import builtins
import gc
import importlib
import locale
import logging
import multiprocessing
import os
import pkgutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

import tfckpt
import tfckpt.families.catalog
import tfckpt.storage.local_output

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD, signal.SIGALRM)
LIBRARIES = (
    "crc32c",
    "einops",
    "google.protobuf.message",
    "ml_dtypes",
    "snappy",
    "rich.console",
    "rich.progress",
    "shtab",
)
DESCRIPTORS = "/proc/self/fd"
# What needs an extra, what runs, and what protobuf made, which fills in its classes as they are used.
LEFT_OUT = ("tfckpt.storage.remote", "tfckpt.many.cluster", "tfckpt.__main__", "tfckpt._proto.")


def modules() -> list[ModuleType]:
    """Import all of tfckpt that needs no extra."""
    names = ["tfckpt", *(found.name for found in pkgutil.walk_packages(tfckpt.__path__, "tfckpt."))]
    return [importlib.import_module(name) for name in names if not name.startswith(LEFT_OUT)]


def of_process() -> dict[str, Any]:
    """Return what a process has one of, by the name of what has it."""
    logger = logging.getLogger("tfckpt")
    speaking = [handler for handler in logger.handlers if not isinstance(handler, logging.NullHandler)]
    root = logging.getLogger()
    umask = os.umask(0)
    os.umask(umask)
    gc.collect()  # a map of a file in a cycle, such as that of an error and its traceback, has a descriptor
    return {
        "warnings": (list(warnings.filters), warnings.showwarning, warnings.formatwarning),
        "logging": (root.level, root.handlers[:], logging.root.manager.disable, logging.raiseExceptions),
        "logger": (logger.level, logger.propagate, logger.disabled, speaking, logger.filters[:]),
        "numpy": (np.geterr(), np.geterrcall(), np.get_printoptions()),
        "random": repr(np.random.get_state()),
        "signals": [signal.getsignal(number) for number in SIGNALS],
        "hooks": (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook, sys.gettrace()),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "imports": (sys.path[:], sys.meta_path[:], sys.path_hooks[:]),
        "builtins": dict(vars(builtins)),
        "environ": dict(os.environ),
        "directory": os.getcwd(),
        "umask": umask,
        "locale": locale.setlocale(locale.LC_ALL),
        "interpreter": (sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled(), gc.get_threshold()),
        "processes": multiprocessing.get_start_method(allow_none=True),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir(DESCRIPTORS)) if os.path.isdir(DESCRIPTORS) else None,
    }


def of_package() -> dict[str, Any]:
    """Return the globals of every module of ours, the attributes of its classes and the defaults of its functions."""
    found: dict[str, Any] = {}
    for module in modules():
        for name, value in vars(module).items():
            where = f"{module.__name__}.{name}"
            if isinstance(value, ModuleType) or name == "__builtins__" or (module is tfckpt and name in tfckpt.__all__):
                continue
            if getattr(value, "__module__", None) != module.__name__:
                found[where] = described(value)
            elif isinstance(value, FunctionType):
                found[where] = repr((value.__defaults__, value.__kwdefaults__))
            elif isinstance(value, type):
                found[where] = {key: described(item) for key, item in list(vars(value).items()) if key != "__doc__"}
            else:
                found[where] = described(value)
    return found


def described(value: object) -> tuple[int, str]:
    """Return which object it is, and what is in it."""
    return id(value), repr(value)


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the names of what is not as it was."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def use(source: str, directory: Path) -> None:
    """Do everything that the package is for; what goes wrong on purpose, too."""
    with tfckpt.open(source) as checkpoint:
        tensors = dict(checkpoint)
        checkpoint.verify()
        with suppress(KeyError):
            checkpoint["no such tensor"]
        with suppress(FileNotFoundError):
            tfckpt.open(directory / "nothing")
    out = str(directory / "out")
    tfckpt.save(directory / "saved", tensors, sync=False)
    tfckpt.convert(source, out, prove=True, sync=False, update_state=True)
    tfckpt.convert(out, directory / "back", to="tf1", sync=False)
    tfckpt.convert(source, directory / "keras", to="keras", sync=False)
    tfckpt.prove(source, out)
    assert tfckpt.diff(source, directory / "saved").same
    tfckpt.rewrite(source, directory / "half", cast="float16", sync=False)
    tfckpt.merge([source], directory / "merged", sync=False)
    tfckpt.salvage(source, directory / "salvaged", sync=False)
    with ThreadPoolExecutor(1) as pool:  # processes would have multiprocessing start its resource tracker, which stays
        tfckpt.convert_many([{"source": source, "dest": directory / "many", "sync": False}], pool)
    tfckpt.list_variables(directory)


def main(source: str, directory: Path) -> Iterator[str]:
    """Yield what importing and using the package has changed."""
    for name in LIBRARIES:
        importlib.import_module(name)
    untouched = of_process()
    package = of_package()  # imports it
    yield from changed(untouched, of_process())
    use(source, directory)
    yield from changed(untouched, of_process())
    yield from changed(package, of_package())


@contextmanager
def _thread() -> Iterator[None]:
    """Have one thread more for as long as the block lasts."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


# One change of each kind, to see that it is seen. What a patch or a stack undoes is undone.
CHANGES: dict[str, Callable[[pytest.MonkeyPatch, ExitStack], object]] = {
    "warnings": lambda patch, _: patch.setattr(
        warnings, "filters", [*warnings.filters, ("ignore", None, Warning, None, 0)]
    ),
    "logging": lambda patch, _: patch.setattr(logging.getLogger(), "level", logging.CRITICAL),
    "logger": lambda patch, _: patch.setattr(logging.getLogger("tfckpt"), "propagate", False),
    "numpy": lambda patch, _: patch.setattr(np, "geterr", dict),
    "signals": lambda patch, _: patch.setattr(signal, "getsignal", lambda number: None),
    "hooks": lambda patch, _: patch.setattr(sys, "excepthook", print),
    "streams": lambda patch, _: patch.setattr(sys, "stdin", None),
    "imports": lambda patch, _: patch.syspath_prepend("/nowhere"),
    "builtins": lambda patch, _: patch.setattr(builtins, "open", None),
    "environ": lambda patch, _: patch.setenv("TFCKPT", "1"),
    "directory": lambda patch, _: patch.chdir("/"),
    "threads": lambda _, stack: stack.enter_context(_thread()),
    "tfckpt.families.catalog.CATALOG": lambda patch, _: patch.setattr(tfckpt.families.catalog, "CATALOG", ()),
    "tfckpt.storage.local_output.REFUSALS": lambda patch, _: patch.setattr(
        tfckpt.storage.local_output, "REFUSALS", set()
    ),
}


if __name__ == "__main__":
    lines = list(main(sys.argv[1], Path(sys.argv[2])))
    print(*lines, sep="\n", end="\n" if lines else "")  # noqa: T201
    sys.exit(1 if lines else 0)
