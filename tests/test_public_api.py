from __future__ import annotations

import importlib.metadata
import inspect
import logging
from pathlib import Path

import pytest

import tfckpt
from tfckpt import errors

NAMES = [
    "Checkpoint",
    "Plan",
    "PlanError",
    "TfckptError",
    "convert",
    "diff",
    "latest_checkpoint",
    "list_variables",
    "load_checkpoint",
    "load_variable",
    "merge",
    "open",
    "plan",
    "prove",
    "rewrite",
    "save",
]


def test_the_public_names() -> None:
    assert tfckpt.__all__ == NAMES
    assert set(NAMES) <= set(dir(tfckpt))
    assert all(getattr(tfckpt, name).__name__ == name for name in NAMES)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        tfckpt.opne  # noqa: B018


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        (
            "open",
            "(path: 'str | os.PathLike[str]', *, verify: 'bool' = True, format: 'str | None' = None) -> 'Checkpoint'",
        ),
        (
            "latest_checkpoint",
            "(checkpoint_dir: 'str | os.PathLike[str]', latest_filename: 'str | None' = None) -> 'str | None'",
        ),
        ("load_checkpoint", "(ckpt_dir_or_file: 'str | os.PathLike[str]') -> 'CheckpointReader'"),
        ("load_variable", "(ckpt_dir_or_file: 'str | os.PathLike[str]', name: 'str') -> 'Any'"),
        ("list_variables", "(ckpt_dir_or_file: 'str | os.PathLike[str]') -> 'list[tuple[str, list[int]]]'"),
    ],
)
def test_signatures_are_kept(name: str, signature: str) -> None:
    assert str(inspect.signature(getattr(tfckpt, name))) == signature


def test_convert_takes_its_options_by_name() -> None:
    parameters = inspect.signature(tfckpt.convert).parameters
    assert {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY} == {
        "to": "encoder",
        "config": None,
        "num_heads": None,
        "exclude": (),
        "fill": None,
        "slots": None,
        "optimizer": None,
        "learning_rate": None,
        "keep_names": False,
        "scope": "",
        "model": "",
        "vocab_size": None,
        "max_positions": None,
        "resize_fill": "zeros",
        "layout": None,
        "source_format": None,
        "verify": True,
        "sync": True,
        "overwrite": False,
        "update_state": False,
        "prove": False,
        "progress": None,
    }


def test_public_docstrings_have_an_example_and_say_what_is_raised() -> None:
    for name in NAMES:
        value = getattr(tfckpt, name)
        if inspect.isfunction(value):
            assert "Example:" in (value.__doc__ or ""), name
            assert "Raises:" in (value.__doc__ or ""), name


def test_the_logger_is_quiet() -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("tfckpt").handlers)


def test_the_package_is_typed_and_pure() -> None:
    assert (Path(tfckpt.__path__[0]) / "py.typed").exists()
    wheel = importlib.metadata.distribution("tfckpt").read_text("WHEEL") or ""
    assert "Tag: py3-none-any" in wheel
    assert importlib.metadata.version("tfckpt") == tfckpt.__version__


def test_every_error_is_a_tfckpt_error() -> None:
    classes = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]
    assert len(classes) > 10
    assert all(issubclass(value, tfckpt.TfckptError) for value in classes)
