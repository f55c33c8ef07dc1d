"""What a terminal gets and a pipe does not: colours, a pager, a bar that moves."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
NARROWEST_BAR, WIDEST_BAR, BESIDE_BAR = 4, 40, 52  # characters; beside it sizes, speed, and the time that is left
PAGER = "less"
LESS = "FRX"  # git's choice: not for what fits the screen, colours as they are, and the text stays when it ends


def human(nbytes: int) -> str:
    """Return a size as people say it.

    >>> human(21_704), human(7), human(1 << 40)
    ('21.2 KiB', '7 B', '1.0 TiB')
    """
    size, unit = float(nbytes), 0
    while size >= 1023.95 and unit < len(UNITS) - 1:  # what rounds to 1024.0 is one of the next unit
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {UNITS[unit]}" if unit else f"{nbytes} B"


def make_console(*, stderr: bool = False) -> Console:
    """Return rich's console for one of our streams; without any colour or weight if ``NO_COLOR`` is set, and not empty."""
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))  # which early versions of rich obey even if it is empty
    return Console(stderr=stderr, highlight=False, no_color=plain, color_system=None if plain else "auto")


@contextmanager
def progress_bar(label: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callback ``(bytes done, bytes in all)`` that moves a bar on stderr: how much, how fast, how long it will take.

    None where stderr is no terminal, and if ``quiet``.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Sizes(ProgressColumn):
        """How much is done, and how fast it goes, in the units of `human`."""

        def render(self, task: Task) -> Text:
            total = "" if task.total is None else f" of {human(int(task.total))}"
            speed = task.finished_speed or task.speed
            return Text(f"{human(int(task.completed))}{total}" + (f", {human(int(speed))}/s" if speed else ""))

    console = make_console(stderr=True)
    bar = BarColumn(bar_width=max(NARROWEST_BAR, min(WIDEST_BAR, console.width - len(label) - BESIDE_BAR)))
    columns = (TextColumn("{task.description}"), bar, Sizes(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def count_bar(label: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[], None]]:
    """Yield a callback that moves a bar on stderr by one of so many: how many are done, how long the rest will take.

    It does nothing where stderr is no terminal, and if ``quiet``. What is printed meanwhile comes above the bar.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console, above = make_console(stderr=True), sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stdout=above) as progress:
        task = progress.add_task(label, total=total)
        yield lambda: progress.advance(task)


class _Held(io.StringIO):
    """What is printed for a terminal, kept until it is known how long it is."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]  # it cannot be set, there nor here
        return self._encoding

    def isatty(self) -> bool:
        return True


@contextmanager
def paged(*, wanted: bool) -> Iterator[None]:
    """Show what is printed inside in a pager if it is longer than the terminal: `$PAGER`, or ``less``.

    Nothing happens in a pipe, and where `PAGER` is empty or ``cat``.
    """
    terminal = sys.stdout
    pager = os.environ.get("PAGER", PAGER).strip()
    if not wanted or pager in ("", "cat") or os.environ.get("TERM") == "dumb" or not terminal.isatty():
        yield
        return
    held = _Held(terminal.encoding)
    sys.stdout = held
    try:
        yield
    finally:
        sys.stdout = terminal
        _show(held.getvalue(), pager)


def _show(text: str, pager: str) -> None:
    import shutil

    if text.count("\n") < shutil.get_terminal_size().lines or not _show_in(pager, text):
        sys.stdout.write(text)


def _show_in(pager: str, text: str) -> bool:
    """Let a pager show the text, and wait for it; False if there is none."""
    import shlex
    import signal
    import subprocess

    environment = {"LESS": LESS, **os.environ}
    try:
        process = subprocess.Popen(shlex.split(pager), stdin=subprocess.PIPE, env=environment)  # noqa: S603 - the user's
    except (OSError, ValueError):
        return False
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the pager, which stops a search by it
    try:
        with suppress(BrokenPipeError):  # left before its end
            process.communicate(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
        process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return True
