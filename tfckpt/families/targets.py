"""The names of targets, for what checks or prints them now and then."""

from __future__ import annotations

from collections.abc import Iterator


class Targets:
    """The choices of an option that takes a target; the tables are built when there is a choice to check or to print."""

    def __init__(self, *others: str) -> None:
        self._others = others

    def __iter__(self) -> Iterator[str]:
        from tfckpt.families.catalog import CATALOG

        return iter((*self._others, *CATALOG.names))
