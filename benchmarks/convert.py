"""Converting BERT-base, beside its ceiling (a copy of the data file) and its peer (Model Garden's converter).

    python -m benchmarks.convert [ROUNDS]

prints the table that RESULTS.md holds. Needs the extra ``test`` and about 2 GB of disk.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Contender, Run, in_turn, machine, table

SYNCED_CP, COPY, DURABLE = "cp, then sync", "tfckpt convert --no-sync", "tfckpt convert"
GARDEN = "Model Garden 2.20, convert()"

MODEL_GARDEN = """
import sys
from official.nlp.tools import tf1_bert_checkpoint_converter_lib as lib
lib.convert(sys.argv[1], sys.argv[2], 12, lib.BERT_NAME_REPLACEMENTS, lib.BERT_PERMUTATIONS)
"""


def contenders(source: str, output: Path) -> dict[str, Contender]:
    """Return the commands, each of which writes into an empty directory."""

    def clear() -> None:
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()

    data, dest = f"{source}.data-00000-of-00001", str(output / "out")
    tfckpt = [sys.executable, "-m", "tfckpt", "convert", source, dest]
    commands = {
        "cp": ["cp", data, dest],
        SYNCED_CP: ["sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", data, dest],
        COPY: [*tfckpt, "--no-sync"],
        "tfckpt convert --no-sync --no-verify": [*tfckpt, "--no-sync", "--no-verify"],
        DURABLE: tfckpt,
        "tfckpt convert --no-sync --mode link": [*tfckpt, "--no-sync", "--mode", "link"],
        "tfckpt convert --no-sync --no-verify --mode link": [*tfckpt, "--no-sync", "--no-verify", "--mode", "link"],
        "tfckpt convert --to keras --num-heads 12": [*tfckpt, "--to", "keras", "--num-heads", "12"],
        GARDEN: [sys.executable, "-c", MODEL_GARDEN, source, dest],
    }
    return {name: Contender(command, clear) for name, command in commands.items()}


def main(rounds: int) -> list[str]:
    """Measure; return the table and where it comes from."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        # Built by a process of its own: a child starts out with its parent's peak memory.
        subprocess.run([sys.executable, "-m", "benchmarks.inputs", temporary], check=True)
        source = str(directory / "bert_model.ckpt")
        nbytes = Path(f"{source}.data-00000-of-00001").stat().st_size
        runs = in_turn(contenders(source, directory / "out"), rounds)
    about = f"BERT-base, 206 variables, {nbytes:,} bytes; {rounds} rounds, in turn"
    lines = [about, machine("tfckpt", "numpy", "tensorflow", "tf-models-official"), "", *table(runs, baseline="cp")]
    return [*lines, "", _ratios(runs)]


def _ratios(runs: Mapping[str, Sequence[Run]]) -> str:
    """Return a sentence with what the table's baseline does not show, of medians."""
    median = {name: statistics.median(run.seconds for run in measured) for name, measured in runs.items()}
    durable, garden = median[DURABLE] / median[SYNCED_CP], median[GARDEN] / median[COPY]
    return (
        f"`{DURABLE}` takes {durable:.2f} times `{SYNCED_CP}`; `{COPY}` is {garden:.0f} times as fast as Model Garden."
    )


if __name__ == "__main__":
    print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 5), sep="\n")
