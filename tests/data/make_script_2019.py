"""Logs of the 2019 script itself, under TensorFlow 2.20: ``python make_script_2019.py`` writes script_2019/*.log.

Only what TensorFlow 1 prints is kept, ``INFO:tensorflow:...``: absl repeats each line with a time and a line number. The
order of the variables is that of a hash table.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

DATA = Path(__file__).parent
SCRIPT = DATA.parent / "support" / "script_2019.py"
SOURCE = "bert_tf115/model.ckpt-3"
RUNS = {  # name of the log -> the flags besides the two paths, as one writes them in shells
    "heads": ["--num_heads=2", "--exclude_patterns=adam,layer_1"],
    "plain": ["-exclude_patterns", "adam,layer_1"],
    "v2": ["--create_v2_checkpoint", "--num_heads=2", "--exclude_patterns=adam,layer_1"],
}


def main() -> None:
    sys.path.insert(0, str(DATA.parent))
    from support.release_2019 import fetch

    for name, flags in RUNS.items():
        with tempfile.TemporaryDirectory() as directory:
            paths = [f"--checkpoint_from_path={SOURCE}", f"--checkpoint_to_path={directory}/out"]
            command = [sys.executable, str(SCRIPT), str(fetch()), *paths, *flags]
            done = subprocess.run(command, cwd=DATA, check=True, capture_output=True, text=True)
        lines = [line for line in done.stderr.splitlines() if line.startswith("INFO:tensorflow:")]
        text = "\n".join(lines).replace(f"{directory}/out", "DEST")
        (DATA / "script_2019" / f"{name}.log").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
