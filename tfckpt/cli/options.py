"""Arguments that several commands take."""

from __future__ import annotations

import argparse

CHECKPOINT = "checkpoint: a prefix, one of its files, or its directory"


def add_source(parser: argparse.ArgumentParser, name: str = "prefix") -> None:
    """Add the checkpoint to read, and the option that says in which format."""
    parser.add_argument(name, metavar=name.upper(), help=CHECKPOINT)
    parser.add_argument("--format", choices=("v1", "v2"), help="format to read (default: what is there, v2 before v1)")


def add_dest(parser: argparse.ArgumentParser) -> None:
    """Add the prefix to write to, and how."""
    parser.add_argument("dest", metavar="DEST", help="exact prefix of the files to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint that is there")
    parser.add_argument("--no-verify", dest="verify", action="store_false", help="believe the source's checksums")
    parser.add_argument("--no-sync", dest="sync", action="store_false", help="do not wait for the disk")
