"""Which tests pytest leaves out, and that it says so; tests/conftest.py chooses them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = "tests/faults"  # all of its tests are exhaustive
SAID = "The tests marked exhaustive were left out: pytest --exhaustive runs them as well."


@pytest.mark.parametrize(
    ("arguments", "are_chosen"),
    [
        ([FOLDER], False),
        ([FOLDER, "-m", "not tf"], False),
        ([FOLDER, "--exhaustive"], True),
        ([FOLDER, "-m", "exhaustive"], True),
        ([f"{FOLDER}/test_crashes.py"], True),
        ([f"{FOLDER}/test_crashes.py::test_a_disk_that_is_full_after_any_page_leaves_the_old_checkpoint"], True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_exhaustive_tests_are_left_out_unless_an_option_or_the_name_of_their_file_asks_for_them(
    arguments: list[str], are_chosen: bool
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert ("test_a_disk_that_is_full_after_any_page" in done.stdout) == are_chosen
    assert (SAID in done.stdout) == (not are_chosen)
    assert done.returncode == (pytest.ExitCode.OK if are_chosen else pytest.ExitCode.NO_TESTS_COLLECTED)
