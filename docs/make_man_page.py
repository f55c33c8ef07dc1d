"""Write docs/tfckpt.1, the man page, from the parser of the command: ``python docs/make_man_page.py``.

The wheel brings the page to ``share/man/man1``; a test compares it with the parser. Nothing in it depends on the version of
Python, as argparse's own layout of a help text does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import tfckpt
from tfckpt.cli.main import EXIT_CODES, build_parser

PAGE = Path(__file__).with_name("tfckpt.1")
ENVIRONMENT = (
    ("NO_COLOR", "if set and not empty: no colours"),
    ("PAGER", "what shows long output on a terminal; less unless set, nothing if empty or cat"),
    ("LESS", "options of less; FRX unless set"),
)
ALSO = "https://pypi.org/project/tfckpt/, docs/cli.md and docs/json.md there"


def man_page() -> str:
    """Return the page in the language of man."""
    parser = build_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    abouts = {action.dest: action.help or "" for action in commands._choices_actions}
    lines = [
        f'.TH TFCKPT 1 "" "tfckpt {tfckpt.__version__}" "User Commands"',
        ".SH NAME",
        r"tfckpt \- TensorFlow checkpoints without TensorFlow",
        ".SH SYNOPSIS",
        r".B tfckpt",
        r"\fICOMMAND\fR [\fIARGUMENTS\fR]",
        ".SH DESCRIPTION",
        "Reads and writes TensorFlow checkpoints, and converts those of TensorFlow 1's BERTs to TensorFlow 2.",
        ".SH COMMANDS",
    ]
    for name, command in commands.choices.items():
        lines += [f".SS {_text(_usage(name, command))}", _text(_sentence(abouts[name])), *_arguments(command)]
    lines += [".SH EXIT STATUS", *_table((str(code), meaning) for code, meaning in EXIT_CODES)]
    lines += [".SH ENVIRONMENT", *_table(ENVIRONMENT), ".SH SEE ALSO", _text(ALSO)]
    return "\n".join(lines) + "\n"


def _usage(name: str, command: argparse.ArgumentParser) -> str:
    places = [action for action in command._actions if not action.option_strings]
    marks = {"?": "[{}]", "+": "{}...", None: "{}"}
    words = [marks[action.nargs].format(action.metavar) for action in places]  # type: ignore[index]
    return " ".join(["tfckpt", name, "[OPTIONS]", *words])


def _arguments(command: argparse.ArgumentParser) -> Iterator[str]:
    for action in command._actions:
        if action.help is argparse.SUPPRESS:
            continue
        value = "" if action.nargs == 0 else f" \\fI{_text(_value(action))}\\fR"
        names = ", ".join(rf"\fB{_text(option)}\fR" for option in action.option_strings)
        about = (action.help or "").replace("%(choices)s", ", ".join(map(str, action.choices or ())))
        yield ".TP"
        yield (names + value).strip()
        yield _text(_sentence(about.replace("%(default)s", str(action.default))))


def _value(action: argparse.Action) -> str:
    if action.metavar is not None:
        return str(action.metavar)
    return "|".join(map(str, action.choices)) if action.choices is not None else action.dest.upper()


def _table(rows: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Iterator[str]:
    for name, about in rows:
        yield from (".TP", rf"\fB{_text(name)}\fR", _text(_sentence(about)))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _text(text: str) -> str:
    """Return text with what means something to man escaped."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("%%", "%")
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


if __name__ == "__main__":
    PAGE.write_text(man_page(), encoding="utf-8")
