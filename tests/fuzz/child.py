"""One harness under atheris, in a process of its own: `run` starts it. Needs the extra ``fuzz``."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

import atheris

MEMORY = 512 << 20  # bytes of address space that a harness may have


def main() -> None:
    """Fuzz the harness that the first argument names, its seeds in the directory of the second; the rest is libFuzzer's."""
    name, seeds = sys.argv.pop(1), Path(sys.argv.pop(1))
    with atheris.instrument_imports(include=["tfckpt"]):
        from fuzz import harnesses
    harness = harnesses.HARNESSES[name]

    change = harness.mutate

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        if seed % 4 == 0 or change is None:
            return bytes(atheris.Mutate(data, max_size))
        changed = change(data, lambda part: atheris.Mutate(part, len(part) + 64))
        return changed if len(changed) <= max_size else bytes(atheris.Mutate(data, max_size))

    seeds.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(harness.seeds()):
        (seeds / f"{number:03}").write_bytes(seed)
        with suppress(Exception):  # to import what is imported late before memory is counted
            harnesses.run_one(name, seed)
    options = {} if change is None else {"custom_mutator": mutate}
    atheris.Setup([*sys.argv, str(seeds)], lambda data: harnesses.run_one(name, data), **options)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
