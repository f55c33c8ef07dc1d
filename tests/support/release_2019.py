"""Model Garden's release of October 2019, unpacked."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

RELEASE = "tf-models-official==0.0.3.dev1"
CACHE = Path(__file__).parents[1] / ".cache"


def fetch() -> Path:
    """Return the folder of the unpacked release, downloaded once."""
    target = CACHE / RELEASE
    if not target.exists():
        wheels = CACHE / "wheels"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), RELEASE]
        subprocess.run(command, check=True)
        (wheel,) = wheels.glob("tf_models_official-0.0.3*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    return target
