"""TensorFlow checkpoints without TensorFlow: read, write, convert.

>>> import tfckpt
>>> with tfckpt.open("bert_model.ckpt") as ckpt:
...     kernel = ckpt["bert/pooler/dense/kernel"]
>>> kernel.shape
(8, 8)
>>> report = tfckpt.convert("bert_model.ckpt", "tf2/bert_encoder")
>>> len(report.steps)
39
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfckpt.checkpoint.checkpoint import Checkpoint as Checkpoint
    from tfckpt.checkpoint.checkpoint import open as open
    from tfckpt.checkpoint.checkpoint import save as save
    from tfckpt.checkpoint.state_file import latest_checkpoint as latest_checkpoint
    from tfckpt.checkpoint.train import list_variables as list_variables
    from tfckpt.checkpoint.train import load_checkpoint as load_checkpoint
    from tfckpt.checkpoint.train import load_variable as load_variable
    from tfckpt.cli.manifest import read_manifest as read_manifest
    from tfckpt.conversion.convert import convert as convert
    from tfckpt.conversion.convert import plan as plan
    from tfckpt.conversion.convert import prove as prove
    from tfckpt.conversion.many import convert_many as convert_many
    from tfckpt.conversion.plan import Plan as Plan
    from tfckpt.edit.average import average as average
    from tfckpt.edit.diff import diff as diff
    from tfckpt.edit.draft import Draft as Draft
    from tfckpt.edit.merge import merge as merge
    from tfckpt.edit.rewrite import rewrite as rewrite
    from tfckpt.edit.salvage import Salvage as Salvage
    from tfckpt.edit.salvage import salvage as salvage
    from tfckpt.errors import PlanError as PlanError
    from tfckpt.errors import TfckptError as TfckptError
    from tfckpt.exchange.export import export as export
    from tfckpt.exchange.importing import import_ as import_

__version__ = "0.1.0"

# Public name -> where it lives. Imported on first use, so that `tfckpt --help` needs no NumPy.
_EXPORTS = {
    "Checkpoint": "tfckpt.checkpoint.checkpoint",
    "Draft": "tfckpt.edit.draft",
    "Plan": "tfckpt.conversion.plan",
    "PlanError": "tfckpt.errors",
    "Salvage": "tfckpt.edit.salvage",
    "TfckptError": "tfckpt.errors",
    "average": "tfckpt.edit.average",
    "convert": "tfckpt.conversion.convert",
    "convert_many": "tfckpt.conversion.many",
    "diff": "tfckpt.edit.diff",
    "export": "tfckpt.exchange.export",
    "import_": "tfckpt.exchange.importing",
    "latest_checkpoint": "tfckpt.checkpoint.state_file",
    "list_variables": "tfckpt.checkpoint.train",
    "load_checkpoint": "tfckpt.checkpoint.train",
    "load_variable": "tfckpt.checkpoint.train",
    "merge": "tfckpt.edit.merge",
    "open": "tfckpt.checkpoint.checkpoint",
    "plan": "tfckpt.conversion.convert",
    "prove": "tfckpt.conversion.convert",
    "read_manifest": "tfckpt.cli.manifest",
    "rewrite": "tfckpt.edit.rewrite",
    "salvage": "tfckpt.edit.salvage",
    "save": "tfckpt.checkpoint.checkpoint",
}

__all__ = [
    "Checkpoint",
    "Draft",
    "Plan",
    "PlanError",
    "Salvage",
    "TfckptError",
    "average",
    "convert",
    "convert_many",
    "diff",
    "export",
    "import_",
    "latest_checkpoint",
    "list_variables",
    "load_checkpoint",
    "load_variable",
    "merge",
    "open",
    "plan",
    "prove",
    "read_manifest",
    "rewrite",
    "salvage",
    "save",
]


# What annotations and handlers look up behind a dot: ``except tfckpt.errors.FormatError``.
_MODULES = ("errors", "types")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"tfckpt.{name}")
    if name not in _EXPORTS:
        raise AttributeError(f"module 'tfckpt' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
