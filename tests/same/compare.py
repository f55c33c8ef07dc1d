"""Whether this checkout does what another commit did: same files, same exit codes, documents that gained at most.

    tests/same/run COMMIT

The other commit's tree is brought up beside this one, and all cases of outputs.py run with each. A document may have more
than the old one; what the old one has must be there, and be equal. Texts of notes and issues are words, and may change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WORDS = {"notes", "text", "subject", "expected", "got", "next", "problem", "differences", "verdict", "origin", "load"}
MOST_SHOWN = 40


def outcomes(tree: Path, target: Path) -> Iterator[dict[str, Any]]:
    """Run all cases with the code of a tree; yield what came of each."""
    script = Path(__file__).with_name("outputs.py")
    path = os.pathsep.join([str(tree), str(ROOT / "tests")])
    subprocess.run([sys.executable, str(script), str(target)], check=True, env={**os.environ, "PYTHONPATH": path})
    with open(target, encoding="utf-8") as file:
        yield from map(json.loads, file)


def lost(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield where a document lacks what the old one has, words apart."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in old.items():
            if name not in new:
                yield f"{where}.{name}: gone"
            elif name not in WORDS:
                yield from lost(value, new[name], f"{where}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from lost(a, b, f"{where}[{number}]")
    elif old != new:
        yield f"{where}: {str(old)[:80]} became {str(new)[:80]}"


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return what is not as it was in one case."""
    if old["code"] != new["code"]:
        return [f"exit code {old['code']} became {new['code']}"]
    files = {name for name in {*old["files"], *new["files"]} if old["files"].get(name) != new["files"].get(name)}
    return [*(f"{name}: other bytes" for name in sorted(files)), *lost(old["document"], new["document"])]


def main(commit: str) -> int:
    """Compare, print what differs, and return 1 if anything does."""
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        subprocess.run(
            ["git", "-C", str(ROOT), "worktree", "add", "--detach", "--quiet", str(tree), commit], check=True
        )
        try:
            pairs = zip(outcomes(tree, Path(place) / "old"), outcomes(ROOT, Path(place) / "new"), strict=True)
            found = [(old, differences(old, new)) for old, new in pairs]
        finally:
            subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(tree)], check=True)
    other = [(case, lines) for case, lines in found if lines]
    for case, lines in other[:MOST_SHOWN]:
        print(f"{case['source']}: tfckpt {' '.join(case['argv'])}: {'; '.join(lines[:3])}")
    codes = sum(case["code"] == 0 for case, _ in found)
    print(f"{len(found):,} cases, of which {codes:,} succeed: {len(other):,} are not as they were at {commit}")
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
