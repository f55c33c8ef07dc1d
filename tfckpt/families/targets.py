"""The names of targets, for what checks or prints them now and then, and the parsers that check them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any


class Targets:
    """The choices of an option that takes a target; the tables are built when there is a choice to check or to print."""

    def __init__(self, *others: str) -> None:
        self._others = others

    def __iter__(self) -> Iterator[str]:
        from tfckpt.families.catalog import CATALOG

        return iter((*self._others, *CATALOG.names))


class TargetParser(argparse.ArgumentParser):
    """A parser that leaves it to the plan to refuse a target where a folder of families may have more of them."""

    _has_families = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse what is known, and note whether a folder of families is given."""
        from tfckpt.base.options import ModelOptions, options_of

        flag = options_of(ModelOptions)["families"].flag
        self._has_families |= any(arg.partition("=")[0] == flag for arg in args or ())
        return super().parse_known_args(args, namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if not (self._has_families and isinstance(action.choices, Targets)):
            super()._check_value(action, value)
