"""All benchmarks, in turn: builds the inputs, runs everything several times, writes RESULTS.md and RESULTS.svg.

    python -m benchmarks [--rounds N] [--ten-gigabytes] [--only NAME...]

Needs the extra ``bench``, about 6 GB of disk (30 with ten gigabytes) and a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from benchmarks import convert, edits, index, many, read, sizes, startup
from benchmarks.plot import draw

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """# Measurements

These results are from the last run of `python -m benchmarks`. Times differ from machine to machine. The ratios in a table
come from one run, in which the programs took turns.
"""


def _sizes(arguments: argparse.Namespace) -> list[str]:
    chosen = (*sizes.USUAL, "10 GB") if arguments.ten_gigabytes else sizes.USUAL
    results = sizes.run(arguments.rounds, chosen)
    draw(results, RESULTS.with_suffix(".svg"))
    return [*sizes.report(results, arguments.rounds), "", "![seconds against bytes](RESULTS.svg)"]


# name -> title, what measures it
SECTIONS: dict[str, tuple[str, Callable[[argparse.Namespace], list[str]]]] = {
    "convert": ("Converting BERT-base: whole processes", lambda a: convert.main(a.rounds)),
    "sizes": ("Cost against size", _sizes),
    "read": ("Reading all of BERT-base", lambda a: read.main(a.rounds)),
    "index": ("Opening and listing an index", lambda a: index.main(a.rounds)),
    "edits": ("Editing 100,000 objects", lambda a: edits.main(a.rounds)),
    "many": ("Saving, comparing and exporting 100,000 variables", lambda a: many.main(a.rounds)),
    "startup": ("Starting", lambda a: startup.main(4 * a.rounds)),
}


def _sections(text: str) -> dict[str, str]:
    """Return the sections of a RESULTS.md by title."""
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def main() -> None:
    """Run what is asked for; sections that are not keep what they have."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ten-gigabytes", action="store_true", help="measure a checkpoint of 10 GB, too")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    arguments = parser.parse_args()
    found = _sections(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in arguments.only:
        title, measure = SECTIONS[name]
        found[title] = "\n" + "\n".join(measure(arguments)) + "\n\n"
        text = "".join(f"## {title}\n{found[title]}" for title, _ in SECTIONS.values() if title in found)
        RESULTS.write_text(f"{HEAD}\n{text.rstrip()}\n", encoding="utf-8")
        print(f"{title}: done")


if __name__ == "__main__":
    main()
