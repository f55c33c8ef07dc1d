"""Models of Keras 3 and of tf_keras, trained and saved, or restored; in processes of their own, since one holds one Keras.

``python keras_runs.py WHICH JOBS`` with WHICH one of ``keras3``, ``new`` and ``legacy`` (tf_keras with new or with legacy
optimizers), JOBS a JSON list of [function, arguments]; prints a JSON list of what they return.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from support.warm import run_warm

KINDS = ("keras3", "new", "legacy")
RATE = 0.01


def run(which: str, *jobs: tuple[str, dict[str, Any]]) -> list[Any]:
    """Run jobs in a process with the Keras that is asked for; return what each returned."""
    result = run_warm(Path(__file__), which, json.dumps(jobs), legacy_keras=which != "keras3")
    assert result.returncode == 0, result.stderr[-3000:]
    found: list[Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run the jobs of the command line."""
    from support import keras_jobs  # which needs the Keras that `run` has chosen

    results = [getattr(keras_jobs, name)(**arguments) for name, arguments in json.loads(sys.argv[2])]
    print(json.dumps(results))  # noqa: T201 - read by `run`


if __name__ == "__main__":
    main()
