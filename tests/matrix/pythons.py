"""Every Python that we promise, with the oldest dependencies allowed and with the newest.

    tests/matrix/pythons [--environments DIRECTORY] [--processes N] [NAME ...]

makes a virtual environment for each row (or only for those named, as in "3.12-oldest"), installs this checkout into it from
wheels alone, runs every test that needs no TensorFlow, and writes its section of docs/matrix.md. A Python that is missing
ends the run: it is looked for as python3.10 and so on, then in ~/.pyenv/versions. Environments are made anew each time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from matrix.matrix import REPORT, ROOT, count_tests, find_python, replace_section, table, versions

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
OLDEST = ROOT / ".ci" / "oldest.txt"
# Where .ci/oldest.txt names a release without a wheel for this Python: the oldest one that has a wheel.
RAISED = {
    "3.12": {"crc32c": "2.4", "numpy": "1.26.0"},
    "3.13": {"crc32c": "2.7", "numpy": "2.1.0"},
}
TESTING = ("pytest", "pytest-xdist", "hypothesis", "hatchling")
SHOWN = ("numpy", "protobuf", "python-snappy", "crc32c", "ml-dtypes", "einops", "rich", "pytest", "hypothesis")
HEADER = ("Python", "dependencies", *SHOWN, "passed", "failed", "skipped")
HEADING = "## Every Python, with the oldest dependencies and the newest"
TEXT = """\
What `tests/matrix/pythons` measured last: every test that needs no TensorFlow. "Oldest" is what `.ci/oldest.txt` names, or
the oldest release that has a wheel for that Python.

{table}
"""


@dataclass(frozen=True)
class Row:
    """One environment."""

    python: str
    dependencies: str  # "oldest" or "newest"

    @property
    def name(self) -> str:
        return f"{self.python}-{self.dependencies}"


ROWS = tuple(Row(python, dependencies) for python in PYTHONS for dependencies in ("oldest", "newest"))


def constraints(python: str) -> str:
    """Return the oldest dependencies for this Python, as pip reads constraints."""
    raised = RAISED.get(python, {})
    pins = (line.partition("==") for line in OLDEST.read_text(encoding="utf-8").splitlines() if "==" in line)
    return "".join(f"{name}=={raised.get(name, version)}\n" for name, _, version in pins)


def prepare(row: Row, environment: Path) -> None:
    """Make the environment and install this checkout into it, its dependencies from wheels."""
    subprocess.run([find_python(row.python), "-m", "venv", "--clear", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    command = [*pip, "--only-binary", ":all:", str(ROOT), *TESTING]
    if row.dependencies == "oldest":
        pins = environment / "oldest.txt"
        pins.write_text(constraints(row.python), encoding="utf-8")
        command += ["--constraint", str(pins)]
    subprocess.run(command, check=True)


def run_tests(environment: Path, processes: int) -> dict[str, int]:
    """Run every test that needs no TensorFlow; return how many passed, failed and were skipped."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    results = environment / "results.xml"
    command = [str(environment / "bin" / "pytest"), "-q", "-m", "not tf", "-p", "no:cacheprovider"]
    options = ["-n", str(processes), "--dist", "loadfile", f"--junitxml={results}"]
    subprocess.run([*command, *options], cwd=ROOT, env=ours, check=False)
    return count_tests(results)


def measure(row: Row, environment: Path, processes: int) -> tuple[str, ...]:
    """Return the row's line of the table."""
    prepare(row, environment)
    counted, installed = run_tests(environment, processes), versions(environment)
    python = subprocess.run(
        [str(environment / "bin" / "python"), "-c", "import platform; print(platform.python_version())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return (python, row.dependencies, *(installed[name] for name in SHOWN), *map(str, counted.values()))


def main() -> int:
    """Run the rows asked for; the report is written only if that was all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(row.name for row in ROWS)}")
    parser.add_argument("--environments", type=Path, default=ROOT / "tests" / ".cache" / "pythons")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    if unknown := set(args.names) - {row.name for row in ROWS}:
        parser.error(f"no row {', '.join(sorted(unknown))}")
    chosen = [row for row in ROWS if not args.names or row.name in args.names]
    for row in chosen:
        find_python(row.python)  # what is missing is said before an hour has passed
    environments = args.environments.resolve()
    lines = [measure(row, environments / row.name, args.processes) for row in chosen]
    text = TEXT.format(table=table(HEADER, lines))
    print(text)
    if not args.names:
        replace_section(REPORT, HEADING, text)
    return int(any(line[HEADER.index("failed")] != "0" for line in lines))


if __name__ == "__main__":
    raise SystemExit(main())
