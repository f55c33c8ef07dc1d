"""A manifest of conversions: a CSV file with a row for each, options spelled as on the command line."""

from __future__ import annotations

import argparse
import csv
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from tfckpt.base.flags import add_flags, home_path, options_from
from tfckpt.base.options import AUTO, ConvertOptions
from tfckpt.errors import ManifestError, UsageError
from tfckpt.families.targets import TargetParser, Targets
from tfckpt.many.many import PATHS, absolute, check_jobs
from tfckpt.storage import files

COLUMNS = SOURCE, DESTINATION, OPTIONS = ("source", "destination", "options")
CALLED = {"src": SOURCE, "input": SOURCE, "dest": DESTINATION, "output": DESTINATION, "flags": OPTIONS}  # by others
MANIFEST_LIMIT = 1 << 26  # bytes; some hundred thousand rows


class Row(NamedTuple):
    """One conversion, and the line of the manifest on which it begins."""

    line: int
    job: dict[str, Any]


def read_manifest(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the jobs of a manifest, for `convert_many`.

    A manifest is a CSV file in UTF-8. Its first row names the columns: ``source``, ``destination`` and ``options``. Options
    are spelled as on the command line of ``tfckpt convert``; they may be empty, and the column missing. Relative paths, those
    in the options too, start at the manifest's own directory.

    Args:
        path: the file.
    Returns:
        The arguments of `convert` by name, for each row.
    Raises:
        ManifestError: it cannot be used; lists every reason with its line.
        CheckpointNotFoundError, FormatError, StorageError: it cannot be read.
    Example:
        >>> import pathlib
        >>> rows = "source,destination", "bert_model.ckpt,tf2/bert"
        >>> _ = pathlib.Path("manifest.csv").write_text("\\n".join(rows))
        >>> [(job["source"], job["dest"], job["to"]) for job in tfckpt.read_manifest("manifest.csv")]
        [('bert_model.ckpt', 'tf2/bert', 'encoder')]
    """
    return [row.job for row in read_rows(path)]


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """Return the rows of a manifest; raises what `read_manifest` does."""
    name = os.fspath(path)
    return parse_rows(files.read_text(name, MANIFEST_LIMIT), name, os.path.dirname(name))


def parse_rows(text: str, name: str, directory: str) -> list[Row]:
    """Return the rows of a manifest's text.

    Args:
        text: all of it.
        name: what messages call it.
        directory: where relative paths in it start.
    Raises: ManifestError.
    """
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")  # spreadsheets put it there
    rows: list[Row] = []
    complaints: list[tuple[int, str]] = []
    parser = _row_parser()
    try:
        for line, cells in _records(text):
            job = _job(cells, parser, directory)
            if isinstance(job, str):
                complaints.append((line, job))
            else:
                rows.append(Row(line, job))
    except _BrokenError as error:
        complaints.append((error.line, str(error)))
    lines = {f"line {row.line}": row.line for row in rows}
    complaints += [(lines[issue.origin], issue.got) for issue in check_jobs([row.job for row in rows], list(lines))]
    if complaints:
        raise ManifestError([f"{name}: line {line}: {what}" for line, what in sorted(complaints)])
    return rows


class _BrokenError(Exception):
    """What ends the reading of a manifest: nothing that follows can be told apart."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


class _RowParser(TargetParser):
    """A parser that raises where the command line's would end the process."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _row_parser() -> _RowParser:
    """Return a parser of the flags of ``tfckpt convert``."""
    parser = _RowParser(add_help=False)
    parser.add_argument("source")
    parser.add_argument("dest")
    add_flags(parser, ConvertOptions, choices={"to": Targets(AUTO)})
    return parser


def _records(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row that is not blank, by column, and the line on which it begins."""
    reader = csv.reader(text.splitlines(keepends=True), skipinitialspace=True, strict=True)
    columns: Sequence[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise _BrokenError(line, f"not CSV: {error}") from None
        if columns is None:
            columns = _header(line, cells)
        elif cells:
            # A cell too many has no column; one too few is an empty one.
            yield line, dict(zip(columns, cells, strict=False)) | {"": ",".join(cells[len(columns) :])}
    if columns is None:
        raise _BrokenError(1, f"expected the columns {','.join(COLUMNS)}, got an empty file")


def _header(line: int, cells: Sequence[str]) -> Sequence[str]:
    if len(set(cells)) < len(cells) or not {SOURCE, DESTINATION} <= set(cells) <= set(COLUMNS):
        got = ",".join(cells) or "a blank line"
        raise _BrokenError(line, f"expected the columns {','.join(COLUMNS)}, got {got}{_meant(cells)}")
    return cells


def _meant(cells: Sequence[str]) -> str:
    """Return which columns were probably meant by others."""
    import difflib

    near = {cell: difflib.get_close_matches(cell.lower(), [*COLUMNS, *CALLED], n=1) for cell in cells}
    meant = {cell: CALLED.get(found[0], found[0]) for cell, found in near.items() if found and cell not in COLUMNS}
    return "".join(f"; {column} for {cell!r}" for cell, column in meant.items())


def _job(cells: Mapping[str, str], parser: argparse.ArgumentParser, directory: str) -> dict[str, Any] | str:
    """Return what a row asks for, as the arguments of `tfckpt.convert`; or what is wrong with it."""
    if cells[""]:
        return f"more cells than columns: {cells['']!r}; a cell with a comma needs quotes around it"
    if missing := [column for column in (SOURCE, DESTINATION) if not cells.get(column)]:
        return f"no {' and no '.join(missing)}"
    source, dest, options = home_path(cells[SOURCE]), home_path(cells[DESTINATION]), cells.get(OPTIONS, "")
    try:
        args, unknown = parser.parse_known_args([*shlex.split(options), "--", source, dest])
    except ValueError as error:  # of shlex, or a UsageError
        return f"options {options!r}: {error}"
    if unknown or (args.source, args.dest) != (source, dest):
        return f"options {options!r}: expected options of tfckpt convert and nothing else"
    job = {"source": source, "dest": dest} | options_from(args, ConvertOptions)
    return {name: absolute(value, directory) if name in PATHS else value for name, value in job.items()}
