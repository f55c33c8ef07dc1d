"""Every Python that we promise, with the wheel and with the sdist, the oldest dependencies allowed and the newest.

    tests/matrix/pythons [--environments DIRECTORY] [--processes N] [NAME ...]

builds both as `python -m build` does, and for each row (or only for those named, as in "3.12-wheel-oldest") makes an
empty virtual environment, installs one of them into it, its dependencies from wheels alone, and runs the quick tests there.
They come from the sdist, without the package beside them, and start in an empty directory: what they test is what is
installed. Then the section of docs/matrix.md is written anew. A Python is looked for on the path as python3.10 and so on;
one that is missing ends the run. The lines of rows are kept in the directory of environments, for a run that names the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
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
TESTING = ("pytest", "pytest-xdist", "hypothesis", "jsonschema", "safetensors", "hatchling")
QUICK = "not tf and not remote and not dask and not exhaustive"
OF_THE_CHECKOUT = ("test_wheel.py", "test_release.py")  # read the package's source beside them
SHOWN = ("numpy", "protobuf", "python-snappy", "crc32c", "ml-dtypes", "einops", "rich", "shtab", "pytest")
HEADER = ("Python", "from", "dependencies", *SHOWN, "passed", "failed", "skipped")
HEADING = "## Python versions, with the oldest and the newest dependencies"
TEXT = """\
This table is from the last run of `tests/matrix/pythons`. `python -m build` makes a wheel and an sdist. Each is installed
into an empty environment with what the tests need. Outside the checkout, the quick tests
(`-m "{quick}"`) then run against the installed package. "Oldest" means the
versions in `.ci/oldest.txt`, or the oldest release with a wheel for that Python. Tests of packages that are not installed
are skipped.

{table}
"""


@dataclass(frozen=True)
class Row:
    """One environment."""

    python: str
    archive: str  # "wheel" or "sdist"
    dependencies: str  # "oldest" or "newest"

    @property
    def name(self) -> str:
        return f"{self.python}-{self.archive}-{self.dependencies}"


KINDS = (("wheel", "oldest"), ("wheel", "newest"), ("sdist", "newest"))
ROWS = tuple(Row(python, *kind) for python in PYTHONS for kind in KINDS)


def constraints(python: str) -> str:
    """Return the oldest dependencies for this Python, as pip reads constraints."""
    raised = RAISED.get(python, {})
    pins = (line.partition("==") for line in OLDEST.read_text(encoding="utf-8").splitlines() if "==" in line)
    return "".join(f"{name}=={raised.get(name, version)}\n" for name, _, version in pins)


def clean_environment(python: str, directory: Path) -> list[str]:
    """Make an empty virtual environment; return the command that installs into it."""
    subprocess.run([python, "-m", "venv", "--clear", str(directory)], check=True)
    pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    return pip


def build(directory: Path) -> dict[str, Path]:
    """Build the wheel and the sdist of this checkout with the package `build`; return both."""
    dist = directory / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    pip = clean_environment(sys.executable, directory / "builder")
    subprocess.run([*pip, "build"], check=True)
    subprocess.run([pip[0], "-m", "build", "--outdir", str(dist), str(ROOT)], check=True, stdout=subprocess.DEVNULL)
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


def unpack_tests(sdist: Path, directory: Path) -> Path:
    """Return a directory with all that is in the sdist, but for the package."""
    unpacked = directory / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    shutil.unpack_archive(sdist, unpacked)
    (source,) = unpacked.iterdir()
    shutil.rmtree(source / "tfckpt")
    return source


def prepare(row: Row, archive: Path, environment: Path) -> None:
    """Make the environment and install the archive into it, its dependencies from wheels."""
    pip = clean_environment(find_python(row.python), environment)
    command = [*pip, "--only-binary", ":all:", "--no-binary", "tfckpt", str(archive), *TESTING]
    if row.dependencies == "oldest":
        pins = environment / "oldest.txt"
        pins.write_text(constraints(row.python), encoding="utf-8")
        command += ["--constraint", str(pins)]
    subprocess.run(command, check=True)


def run_tests(environment: Path, source: Path, processes: int) -> dict[str, int]:
    """Run the quick tests of an unpacked sdist; return how many passed, failed and were skipped."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    ours["PATH"] = f"{environment / 'bin'}{os.pathsep}{ours['PATH']}"  # some tests call the command by its name
    results, empty = environment / "results.xml", environment / "empty"
    empty.mkdir()
    command = [str(environment / "bin" / "pytest"), "-q", "-m", QUICK, "-p", "no:cacheprovider", str(source / "tests")]
    options = [
        *(f"--ignore={source}/tests/{name}" for name in OF_THE_CHECKOUT),
        f"--rootdir={source}",
        f"--config-file={source}/pyproject.toml",
    ]
    many = ["-n", str(processes), "--dist", "loadfile", f"--junitxml={results}"]
    subprocess.run([*command, *options, *many], cwd=empty, env=ours, check=False)
    return count_tests(results)


def measure(row: Row, archive: Path, source: Path, environment: Path, processes: int) -> list[str]:
    """Return the row's line of the table."""
    prepare(row, archive, environment)
    program = "import platform, tfckpt; print(platform.python_version(), tfckpt.__file__)"
    command = [str(environment / "bin" / "python"), "-I", "-c", program]
    python, where = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split(maxsplit=1)
    assert where.startswith(str(environment)), where
    counted, installed = run_tests(environment, source, processes), versions(environment)
    shown = (installed.get(name, "-") for name in SHOWN)
    return [python, row.archive, row.dependencies, *shown, *map(str, counted.values())]


def report(environments: Path) -> str:
    """Return the section, of every row that is done."""
    lines: list[Sequence[str]] = []
    for row in ROWS:
        kept = environments / f"{row.name}.json"
        if kept.exists():
            lines.append(json.loads(kept.read_text(encoding="utf-8")))
    return TEXT.format(table=table(HEADER, lines), quick=QUICK)


def main() -> int:
    """Run the rows asked for; the report is written when all of them have been."""
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
    environments.mkdir(parents=True, exist_ok=True)
    archives = build(environments)
    source = unpack_tests(archives["sdist"], environments)
    failed = False
    for row in chosen:
        line = measure(row, archives[row.archive], source, environments / row.name, args.processes)
        (environments / f"{row.name}.json").write_text(json.dumps(line), encoding="utf-8")
        failed = failed or line[HEADER.index("failed")] != "0"
    print(report(environments))
    if all((environments / f"{row.name}.json").exists() for row in ROWS):
        replace_section(REPORT, HEADING, report(environments))
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
