"""Model Garden's release of October 2019, unpacked."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

RELEASE = "tf-models-official==0.0.3.dev1"
CACHE = Path(__file__).parents[1] / ".cache"


def fetch() -> Path:
    """Return the folder of the unpacked release, downloaded once; processes that want it at the same time do no harm."""
    target = CACHE / RELEASE
    if not target.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", temporary, RELEASE]
            subprocess.run(command, check=True)
            (wheel,) = Path(temporary).glob("tf_models_official-0.0.3*.whl")
            unpacked = Path(temporary) / "unpacked"
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked)
            with contextlib.suppress(OSError):  # another process was faster
                unpacked.rename(target)
    return target
