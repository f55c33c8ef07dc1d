from __future__ import annotations

import importlib.metadata
import inspect
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from support.api import describe

import tfckpt
from tfckpt import errors

NAMES = [
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


def test_the_public_names_are_listed_and_have_their_own_names() -> None:
    assert tfckpt.__all__ == NAMES
    assert set(NAMES) <= set(dir(tfckpt))
    assert all(getattr(tfckpt, name).__name__ == name for name in NAMES)


def test_what_callers_can_rely_on_is_as_it_is_written_down() -> None:
    """Print the new text with ``python tests/support/api.py``; docs/embedding.md says what may change, and how."""
    pinned = (Path(__file__).parent / "data" / "public_api.txt").read_text(encoding="utf-8")
    assert list(describe()) == pinned.splitlines()


@pytest.mark.parametrize("name", ["errors", "types"])
def test_the_public_modules_are_found_behind_a_dot(name: str) -> None:
    program = f"import tfckpt; print(tfckpt.{name}.__name__, {name!r} in dir(tfckpt), 'Any' in dir(tfckpt))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == f"tfckpt.{name} True False\n"


def test_what_is_large_is_told_in_a_line(bert: str, tmp_path: Path) -> None:
    plan = tfckpt.convert(bert, tmp_path / "out")
    assert repr(plan) == f"<tfckpt.Plan of {bert!r} to 'encoder': 39 steps, 100 dropped>"
    assert plan.steps[0].dtype_name == "float32"
    assert repr(tfckpt.prove(bert, tmp_path / "out")) == f"<Proof of '{tmp_path}/out': 39 tensors, 0 differences>"
    assert repr(tfckpt.diff(bert, bert)) == f"<Comparison of {bert!r} and {bert!r}: 139 pairs, 0 differ>"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        tfckpt.opne  # type: ignore[attr-defined]  # noqa: B018


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
        "rename": (),
        "source_scope": "",
        "averages": False,
        "head": (),
        "config": None,
        "families": None,
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
        "mode": "copy",
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


def test_the_logger_is_quiet_unless_it_is_told_to_speak(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "gone"', encoding="utf-8")
    work = f"import logging, tfckpt; {{}}; tfckpt.latest_checkpoint({str(tmp_path)!r})"

    def says(setup: str) -> str:
        command = [sys.executable, "-c", work.format(setup)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stderr

    assert not says("0")
    assert says("logging.basicConfig()").startswith("WARNING:tfckpt:")


def test_a_log_record_tells_who_wrote_it(bert: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tfckpt"):
        tfckpt.convert(bert, tmp_path / "out", sync=False)
    (record,) = caplog.records
    assert (record.name, record.levelname, record.module, record.funcName) == ("tfckpt", "INFO", "convert", "convert")


def test_the_package_is_typed_and_pure() -> None:
    assert (Path(tfckpt.__path__[0]) / "py.typed").exists()
    wheel = importlib.metadata.distribution("tfckpt").read_text("WHEEL") or ""
    assert "Tag: py3-none-any" in wheel
    assert importlib.metadata.version("tfckpt") == tfckpt.__version__


def test_every_error_is_a_tfckpt_error() -> None:
    classes = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]
    assert len(classes) > 10
    assert all(issubclass(value, tfckpt.TfckptError) for value in classes)
