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
import sys
from typing import Any

__version__ = "0.1.0"

if sys.platform == "win32":
    from tfckpt.base.windows import refuse

    refuse()

# Public name -> where it lives. Imported on first use, so that the command line's help needs no NumPy.
_EXPORTS = {
    "Checkpoint": "tfckpt.checkpoint.checkpoint",
    "Draft": "tfckpt.edit.draft",
    "Plan": "tfckpt.planning.plan",
    "PlanError": "tfckpt.errors",
    "Salvage": "tfckpt.edit.salvage",
    "TfckptError": "tfckpt.errors",
    "average": "tfckpt.calls.average",
    "convert": "tfckpt.calls.convert",
    "convert_many": "tfckpt.many.many",
    "diff": "tfckpt.calls.diff",
    "export": "tfckpt.calls.export",
    "import_": "tfckpt.calls.importing",
    "info": "tfckpt.calls.info",
    "latest_checkpoint": "tfckpt.checkpoint.find.state_file",
    "list_variables": "tfckpt.checkpoint.train",
    "load_checkpoint": "tfckpt.checkpoint.train",
    "load_variable": "tfckpt.checkpoint.train",
    "merge": "tfckpt.calls.merge",
    "open": "tfckpt.checkpoint.checkpoint",
    "plan": "tfckpt.calls.convert",
    "prove": "tfckpt.calls.convert",
    "read_manifest": "tfckpt.many.manifest",
    "report": "tfckpt.page.report",
    "rewrite": "tfckpt.calls.rewrite",
    "salvage": "tfckpt.calls.salvage",
    "save": "tfckpt.checkpoint.checkpoint",
    "statistics": "tfckpt.checkpoint.statistics",
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
    "info",
    "latest_checkpoint",
    "list_variables",
    "load_checkpoint",
    "load_variable",
    "merge",
    "open",
    "plan",
    "prove",
    "read_manifest",
    "report",
    "rewrite",
    "salvage",
    "save",
    "statistics",
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
