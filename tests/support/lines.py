"""A kind of file that nobody else has: one line of JSON that lists the tensors, then their values, one after another."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tfckpt._proto.types_pb2 import DataType
from tfckpt.bundle.values.dtypes import NUMERIC, dtype_name
from tfckpt.errors import FormatError
from tfckpt.formats.archive import Archive, plain_member
from tfckpt.formats.container import Container, Tensor, register
from tfckpt.formats.sinks import FileSink
from tfckpt.storage import files

START = b'{"lines": '
DTYPES = {dtype_name(number): number for number in NUMERIC}


class LinesSink(FileSink):
    """Writes the header; tensors follow in the order in which they come, as `FileSink` writes them."""

    kind = "lines"

    def begin(self, tensors: Sequence[Tensor]) -> None:
        """Write the first line: name, dtype and shape of each tensor."""
        rows = [[t.name, dtype_name(self.form(t.data_type) or t.data_type), t.shape] for t in tensors]
        self.out.write(json.dumps({"lines": rows}).encode() + b"\n")


def open_lines(path: str) -> Archive:
    """Open such a file; what it says of itself is checked before it is believed."""
    file = files.open_input(path)
    try:
        head = file.read_at(0, min(file.size, 1 << 20)).partition(b"\n")[0]
        members, at = [], len(head) + 1
        for name, data_type, shape in _rows(head):
            members.append(plain_member(name, data_type, shape, file, at))
            at += members[-1].stored_nbytes
        if at != file.size:
            raise FormatError("file", path=path, expected=f"{at:,} bytes", got=f"{file.size:,}")
    except BaseException:
        file.close()
        raise
    return Archive(path, members, check=file.check_unchanged, close=file.close)


def _rows(head: bytes) -> list[tuple[str, DataType, tuple[int, ...]]]:
    try:
        rows = json.loads(head)["lines"]
        if any(size < 0 for _, _, shape in rows for size in shape):
            raise ValueError("a negative size")
        return [(str(name), DTYPES[dtype], tuple(shape)) for name, dtype, shape in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError("first line", expected="a list of tensors", got=str(error)) from None


register(
    Container("lines", open_lines, LinesSink, suffixes=(".lines",), detect=lambda head: head.startswith(START[:9]))
)
