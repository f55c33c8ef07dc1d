"""The restores, under every TensorFlow that we promise them for.

    tests/matrix/run [--environments DIRECTORY] [NAME ...]

makes a virtual environment for each row of `ROWS` (or only for those named), installs this checkout into it, runs the restore
tests there, and writes the table of docs/matrix.md. Needs the Pythons of the rows, an index of packages, and 2 GB of disk
or so for a row. An environment that is there already is used as it is, but for tfckpt itself, which is installed anew.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "docs" / "matrix.md"
TESTS = ("tests/tf/test_encoder_restores.py", "tests/tf/test_restore*.py")


@dataclass(frozen=True)
class Row:
    """One environment."""

    name: str
    python: str
    together: tuple[str, ...]  # installed in one go with what tfckpt and its tests need, every pin heeded
    alone: tuple[
        str, ...
    ]  # installed afterwards without looking at pins: Model Garden, and what its time pinned too low


# What Model Garden's networks import; tensorflow-hub imports pkg_resources, which newer setuptools have not.
GARDEN = ("gin-config", "pyyaml", "scipy", "sentencepiece", "setuptools<81", "tensorflow-hub")
TESTING = ("pytest>=8", "hypothesis>=6.100")
OURS = (
    "numpy>=1.24",
    "protobuf>=4.25",
    "python-snappy>=0.7",
    "crc32c>=2.3.post0",
    "einops>=0.7",
    "rich>=13",
    "tomli>=2; python_version < '3.11'",
)
ML_DTYPES = "ml-dtypes>=0.5"
ROWS = (
    Row("2.12", "3.10", ("tensorflow==2.12.*", "tensorflow-addons", ML_DTYPES), ("tf-models-official==2.12.*",)),
    Row("2.15", "3.11", ("tensorflow==2.15.*", "tf-keras==2.15.*"), ("ml-dtypes==0.5.*", "tf-models-official==2.15.*")),
    Row("newest", "3.12", ("tensorflow", "tf-keras", ML_DTYPES), ("tf-models-official",)),
)
SHOWN = ("tensorflow", "tf-models-official", "numpy", "protobuf", "ml-dtypes")
HEADER = ("environment", "Python", *SHOWN, "passed", "failed", "skipped", "against a pin")

HEADING = "# Tested TensorFlow and Python versions"
REPORT_TEXT = """\
This table is from the last run of `tests/matrix/run`, which runs the tests that restore converted checkpoints into the real
models. Each environment has its own TensorFlow and Model Garden. "Against a pin" names what is installed although a package
there (in brackets) asks for a different version. Model Garden is installed without packages that its networks do not import.

{table}
"""


def find_python(version: str) -> str:
    """Return a Python of this version from the path: one that runs, as a shim there need not."""
    for directory in os.environ["PATH"].split(os.pathsep):
        python = shutil.which(f"python{version}", path=directory)
        if python and not subprocess.run([python, "--version"], capture_output=True, check=False).returncode:
            return python
    raise SystemExit(f"python{version}: not on the path; put its directory there, or name other rows")


def prepare(row: Row, environment: Path) -> None:
    """Make the environment if it is not there, and install this checkout into it."""
    pip = [str(environment / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    finished = environment / "finished"
    if not finished.exists():
        subprocess.run([find_python(row.python), "-m", "venv", "--clear", str(environment)], check=True)
        subprocess.run([*pip, *OURS, *TESTING, *GARDEN, *row.together], check=True)
        subprocess.run([*pip, "--no-deps", *row.alone], check=True)
        finished.touch()
    subprocess.run([*pip, "--no-deps", "--force-reinstall", str(ROOT)], check=True)


def versions(environment: Path) -> dict[str, str]:
    """Return the installed version of every package, by its name in small letters with dashes."""
    command = [str(environment / "bin" / "pip"), "list", "--format=json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {package["name"].lower().replace("_", "-"): package["version"] for package in listed}


def against_pins(environment: Path) -> str:
    """Return what pip finds installed against another package's wish."""
    command = [str(environment / "bin" / "pip"), "check", "--disable-pip-version-check"]
    complaints = []
    for line in subprocess.run(command, check=False, capture_output=True, text=True).stdout.splitlines():
        asking, conflict, rest = line.partition(" has requirement ")
        if conflict:
            wanted, _, got = rest.rstrip(".").partition(", but you have ")
            complaints.append(f"{got} ({asking} wants {wanted})")
    return "; ".join(complaints) or "nothing"


def run_tests(environment: Path) -> dict[str, int]:
    """Run the restore tests; return how many passed, failed and were skipped.

    A warning is no failure here: old TensorFlows give plenty of their own.
    """
    results = environment / "results.xml"
    results.unlink(missing_ok=True)
    files = sorted(path for pattern in TESTS for path in glob.glob(pattern, root_dir=ROOT))
    command = [str(environment / "bin" / "pytest"), "-q", "-m", "tf", "-W", "default", "-p", "no:cacheprovider"]
    subprocess.run([*command, f"--junitxml={results}", *files], cwd=ROOT, check=False)
    return count_tests(results)


def count_tests(results: Path) -> dict[str, int]:
    """Return how many tests passed, failed and were skipped, from what pytest left."""
    if not results.exists():
        raise SystemExit(f"{results}: pytest left no results; see its output above")
    (suite,) = ET.parse(results).getroot().iter("testsuite")
    counted = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    failed = counted["failures"] + counted["errors"]
    return {
        "passed": counted["tests"] - failed - counted["skipped"],
        "failed": failed,
        "skipped": counted["skipped"],
    }


def measure(row: Row, environment: Path) -> tuple[str, ...]:
    """Return the row's line of the table."""
    prepare(row, environment)
    counted, installed = run_tests(environment), versions(environment)
    shown = (installed.get(name, "-") for name in SHOWN)
    return (row.name, row.python, *shown, *map(str, counted.values()), against_pins(environment))


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return the table in Markdown."""
    rows = [header, ("---",) * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def replace_section(path: Path, heading: str, text: str) -> None:
    """Write what stands under a heading up to the next one, and leave the rest of the file; a new one goes to the end."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    sections = [part for part in re.split(r"^(?=#)", old, flags=re.MULTILINE) if part.strip()]
    new = f"{heading}\n\n{text}"
    found = [n for n, part in enumerate(sections) if part.startswith(f"{heading}\n")]
    if found:
        sections[found[0]] = new
    else:
        sections.append(new)
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(part.rstrip("\n") + "\n" for part in sections), encoding="utf-8")


def main() -> int:
    """Run the rows asked for; the report is written only if that was all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(row.name for row in ROWS)}")
    parser.add_argument("--environments", type=Path, default=ROOT / "tests" / ".cache" / "matrix")
    args = parser.parse_args()
    chosen = [row for row in ROWS if not args.names or row.name in args.names]
    lines = [measure(row, args.environments.resolve() / row.name) for row in chosen]
    print(table(HEADER, lines))
    if not args.names:
        replace_section(REPORT, HEADING, REPORT_TEXT.format(table=table(HEADER, lines)))
    return int(any(line[HEADER.index("failed")] != "0" for line in lines))


if __name__ == "__main__":
    raise SystemExit(main())
