"""Saving, comparing and exporting 100,000 small variables, beside the least that each of these must do.

    python -m benchmarks.many [ROUNDS]

prints the table that RESULTS.md holds. Times are those of the processor, each of a fresh process, which imports its library,
and reads what it saves, before the clock starts. The floors are programs of their own:

- of saving: every array's bytes, their checksum and a protobuf entry, one file for all of them, and an index of the sorted
  entries with its checksum. It shares no prefixes of names, and a crash may leave half of it.
- of comparing: both indexes read by tfckpt, then tensor by tensor two reads, two checksums and one comparison.
- of exporting: what the library of the format does with a dictionary of arrays that are in memory: `numpy.savez`,
  `safetensors.numpy.save_file`, and `numpy.save` for each array. None of these reads a checkpoint.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import tfckpt
from benchmarks.index import names
from benchmarks.measure import beside_floors, machine, processor_time

VARIABLES = 100_000
SHAPES = ((4,), (2, 4), (4, 2), (16,))
IMPORTS = """
import os
import crc32c, numpy as np, safetensors.numpy
import tfckpt, tfckpt.bundle.writer, tfckpt.calls.diff, tfckpt.calls.export, tfckpt.checkpoint.graph.roles
import tfckpt.cli.commands.diff, tfckpt.cli.commands.exchange, tfckpt.cli.main
from tfckpt._proto.tensor_bundle_pb2 import BundleEntryProto
source, other, dest = sys.argv[1:]
"""
ARRAYS = """
with tfckpt.open(source) as checkpoint:
    tensors = {name: np.array(value) for name, value in checkpoint.items()}
"""
SAVE_FLOOR = """
rows = []
with open(dest, "wb") as data:
    for name, array in tensors.items():
        stored = array.tobytes()
        entry = BundleEntryProto(dtype=1, offset=data.tell(), size=len(stored), crc32c=crc32c.crc32c(stored))
        for size in array.shape:
            entry.shape.dim.add(size=size)
        rows.append((name.encode(), entry.SerializeToString()))
        data.write(stored)
index = b"".join(part for key, entry in sorted(rows) for part in (bytes((len(key), len(entry))), key, entry))
with open(f"{dest}.index", "wb") as file:
    file.write(index + crc32c.crc32c(index).to_bytes(4, "little"))
"""
DIFF_FLOOR = """
with tfckpt.open(source) as a, tfckpt.open(other) as b:
    ours, theirs = a.reader.entries, b.reader.entries
first, second = (os.open(f"{prefix}.data-00000-of-00001", os.O_RDONLY) for prefix in (source, other))
for name, x in ours.items():
    y = theirs[name]
    p, q = os.pread(first, x.nbytes, x.offset), os.pread(second, y.nbytes, y.offset)
    crc32c.crc32c(p), crc32c.crc32c(q)
    assert (np.frombuffer(p, np.float32) == np.frombuffer(q, np.float32)).all()
"""
NPY_FLOOR = """
os.mkdir(dest)
for number, array in enumerate(tensors.values()):
    np.save(f"{dest}/{number}.npy", array)
"""
SAVE, DIFF = "the floor of saving", "the floor of comparing"
NPZ, SAFETENSORS, NPY = "numpy.savez", "safetensors.numpy.save_file", "numpy.save for each array"
EXPORT = "tfckpt.export(source, dest + {!r}, sync=False)"
MAIN = "tfckpt.cli.main.main({!r}.split() + [source, {}])"
# name -> the floor that it is compared with, what it does before the clock starts, and what then
PROGRAMS = {
    SAVE: (SAVE, ARRAYS, SAVE_FLOOR),
    "save": (SAVE, ARRAYS, "tfckpt.save(dest, tensors, sync=False)"),
    DIFF: (DIFF, "", DIFF_FLOOR),
    "diff": (DIFF, "", "assert tfckpt.diff(source, other).same"),
    "tfckpt diff": (DIFF, "", MAIN.format("diff", "other")),
    NPZ: (NPZ, ARRAYS, "np.savez(dest, **tensors)"),
    "export to .npz": (NPZ, "", EXPORT.format(".npz")),
    "tfckpt export to .npz": (NPZ, "", MAIN.format("export", "dest + '.npz'")),
    SAFETENSORS: (SAFETENSORS, ARRAYS, "safetensors.numpy.save_file(tensors, dest)"),
    "export to .safetensors": (SAFETENSORS, "", EXPORT.format(".safetensors")),
    NPY: (NPY, ARRAYS, NPY_FLOOR),
    "export to a directory": (NPY, "", EXPORT.format("/")),
}


def write(prefix: Path) -> None:
    """Write the variables; the same ones each time."""
    random = np.random.default_rng(0)
    values = {
        name: random.standard_normal(SHAPES[number % len(SHAPES)], np.float32)
        for number, name in enumerate(names(VARIABLES))
    }
    tfckpt.save(prefix, values, sync=False)


def main(rounds: int) -> list[str]:
    """Measure in turn; return the table and where it comes from."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as directory:
        sources = Path(directory, "a"), Path(directory, "b")
        for source in sources:
            write(source)
        for _ in range(rounds):
            for name, (_, before, work) in PROGRAMS.items():
                with tempfile.TemporaryDirectory(dir=directory) as dest:
                    found[name].append(processor_time(IMPORTS + before, work, *map(str, sources), f"{dest}/out"))
    lines = beside_floors("program", {name: floor for name, (floor, _, _) in PROGRAMS.items()}, found)
    about = machine("numpy", "protobuf", "safetensors")
    return [*lines, "", f"{VARIABLES:,} variables; medians of {rounds}; {about}"]


if __name__ == "__main__":
    print("\n".join(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
