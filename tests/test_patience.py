"""A limit on how long a test may take sees what never ends, and does not count what other processes take."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from support import patience
from support.patience import ends

LOOP = "import time\nwhile time.process_time() < 0.5: pass"


def test_a_loop_without_an_end_is_ended() -> None:
    def loop() -> None:
        while True:
            pass

    with pytest.raises(AssertionError, match=r"still running after .* seconds of the processor"), ends(0.05):
        loop()


def test_a_wait_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.05)
    with pytest.raises(AssertionError, match=r"still running after 0\.05 seconds$"), ends(60):
        time.sleep(60)


def test_what_other_processes_take_does_not_count() -> None:
    with ends(0.4):
        subprocess.run([sys.executable, "-c", LOOP], check=True)
