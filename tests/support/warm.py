"""Programs that need TensorFlow, each in a process of its own, without the seconds that each would take to import it.

A process imports TensorFlow and its Keras, and computes nothing. For each program it forks, and the fork runs the program
as ``python PROGRAM`` would.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TextIO

LEGACY = "TF_USE_LEGACY_KERAS"


def run_warm(
    program: Path, *arguments: object, legacy_keras: bool, typed: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program of Python with what is typed as its input; return its exit code and all that it prints."""
    server = _server(legacy_keras)
    assert server.stdin is not None
    assert server.stdout is not None
    argv = [str(program), *map(str, arguments)]
    server.stdin.write(f"{json.dumps([argv, typed, str(cwd or os.getcwd())])}\n")
    server.stdin.flush()
    code, stdout, stderr = json.loads(server.stdout.readline())
    return subprocess.CompletedProcess(argv, code, stdout, stderr)


@cache
def _server(legacy_keras: bool) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        LEGACY: str(int(legacy_keras)),
    }
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), environment.get("PYTHONPATH", "")])
    command = [sys.executable, __file__]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    atexit.register(server.communicate)  # which ends its input, and so the process
    return server


def main() -> None:
    """Do what `run_warm` asks for, until nobody asks any more."""
    import tensorflow

    assert tensorflow.keras.Model  # or Keras would be imported later
    for line in sys.stdin:
        argv, typed, directory = json.loads(line)
        with (
            tempfile.TemporaryFile("w+") as given,
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
        ):
            given.write(typed)
            given.seek(0)
            child = os.fork()
            if not child:
                _be(argv, directory, (given, out, err))
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            for file in (out, err):
                file.seek(0)
            print(json.dumps([status, out.read(), err.read()]), flush=True)  # noqa: T201 - read by `run_warm`


def _be(argv: Sequence[str], directory: str, streams: Sequence[TextIO]) -> None:
    """Become the program, and end as it does."""
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 - as long as the process lives
    code: Any = 0
    try:
        os.chdir(directory)
        sys.argv[:] = argv
        sys.path[0] = os.path.dirname(argv[0])
        runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
