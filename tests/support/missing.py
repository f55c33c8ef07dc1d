"""What a test does where something that it needs is not there: in CI it fails, elsewhere it is skipped."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def is_ci() -> bool:
    """Whether everything that tests need has to be there."""
    return os.environ.get("CI") == "true"


def missing(what: str) -> NoReturn:
    """End the test."""
    if is_ci():
        pytest.fail(what)
    pytest.skip(what)
