"""What is wrong, and what would mend it, as data: who shows it chooses the words.

An exception shows keywords, the command line flags; both are made from the same texts, in which options stand in double
backticks. What comes out of a file is put in last, so it is never taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tfckpt.base.codes import CODES

DIGITS = "0123456789"
OPTION = re.compile("``([^`]+)``")
Say = Callable[[str], str]  # what is made of a text with options in it


class Remedy(NamedTuple):
    """What to do next.

    Attributes:
        action: one of `ACTIONS`.
        arguments: what it is done with, as (name, value) pairs.
        loses: which trained values that costs, in words; empty if it costs none.
    """

    action: str
    arguments: tuple[tuple[str, Any], ...] = ()
    loses: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {"action": self.action, "arguments": [list(pair) for pair in self.arguments], "loses": self.loses}

    def argument(self, name: str) -> Any:
        """Return one of the arguments."""
        return dict(self.arguments)[name]

    @property
    def options(self) -> list[str]:
        """The options that it gives, or leaves out, as they stand in a text."""
        if self.action == "leave out":
            return [f"``{name}``" for name, _ in self.arguments]
        values = {name: f'"{value}"' if isinstance(value, str) else value for name, value in self.arguments}
        return [f"``{name}={value}``" for name, value in values.items()] if self.action == "give" else []

    def for_python(self) -> str:
        """Return it in words for a Python caller.

        >>> give(num_heads=12).for_python(), take("modle", "model").for_python()
        ('give num_heads=12', "take 'model' for 'modle'")
        """
        named = ", ".join(f"{name}={value!r}" for name, value in self.arguments)
        listed = ", ".join(name for name, _ in self.arguments)
        values = {name: repr(value) for name, value in self.arguments}
        return ACTIONS[self.action].format(named=named, listed=listed, **values)


# What each action is called, and how a Python caller is told of it.
ACTIONS: Mapping[str, str] = {
    "give": "give {named}",
    "choose": "give {named}, if that is right",
    "give instead": "give {named} instead",
    "leave out": "leave out {listed}",
    "take": "take {meant} for {given}",
    "list": "list(tfckpt.open({path})) shows what it holds",
    "draw": "tfckpt.open({path}).object_graph shows what it holds",
    "verify": "tfckpt.open({path}).verify() finds what is damaged",
    "look": "look into {folder}",
    "compare": "tfckpt.diff({a}, {b}) shows what differs",
    "export": "tfckpt.export({source}, {dest}) writes its arrays",
    "configure": "give a config like {path}, in which {field} is {own}",
    "retype": "type the command without {without} and with {words}",
    "run": "run {command} in a shell",
}


def give(loses: str = "", **options: Any) -> Remedy:
    """Return the remedy to give options that the call lacks."""
    return Remedy("give", tuple(options.items()), loses)


def lossy(remedy: Remedy, name: str) -> Remedy:
    """Return a remedy that costs the trained values of a variable: it is said, and never a command to type."""
    return remedy._replace(loses=f"the trained values of {name}")


def instead(**options: Any) -> Remedy:
    """Return the remedy to give options that the call has other values: those that it has for them do not count."""
    return Remedy("give instead", tuple(options.items()))


def leave_out(*options: str) -> Remedy:
    """Return the remedy to leave out options that the call has."""
    return Remedy("leave out", tuple((name, None) for name in options))


def take(given: str, meant: str) -> Remedy:
    """Return the remedy to write what was meant for what was given."""
    return Remedy("take", (("given", given), ("meant", meant)))


def list_tensors(path: str) -> Remedy:
    """Return the remedy to look at what a checkpoint holds."""
    return Remedy("list", (("path", path),))


def find_damage(path: str) -> Remedy:
    """Return the remedy to look for the damage of a checkpoint."""
    return Remedy("verify", (("path", path),))


def look(folder: str) -> Remedy:
    """Return the remedy to look at what lies in a directory."""
    return Remedy("look", (("folder", folder),))


def compare(a: str, b: str) -> Remedy:
    """Return the remedy to see where two checkpoints differ."""
    return Remedy("compare", (("a", a), ("b", b)))


def export(source: str) -> tuple[Remedy, ...]:
    """Return a remedy for each kind of file to which values may be written: one needs no package, one takes more dtypes."""
    return tuple(Remedy("export", (("source", source), ("dest", source + end))) for end in (".npz", ".safetensors"))


def configure(path: str, field: str, stated: int, own: str) -> Remedy:
    """Return the remedy to state a source's own size where its configuration states another."""
    return Remedy("configure", (("path", path), ("field", field), ("stated", stated), ("own", own)))


def install(extra: str) -> Remedy:
    """Return the remedy to install what an extra of the package brings."""
    return run(f"python3 -m pip install 'tfckpt[{extra}]'")


def choose(**options: Sequence[Any]) -> tuple[Remedy, ...]:
    """Return a remedy for each of several values that an option may get; only the user knows which."""
    return tuple(Remedy("choose", ((name, value),)) for name, values in options.items() for value in values)


def draw(path: str) -> Remedy:
    """Return the remedy to look at the objects that a checkpoint holds."""
    return Remedy("draw", (("path", path),))


def retype(*, without: Sequence[str] = (), words: Sequence[str] = ()) -> Remedy:
    """Return the remedy to type a command again without some of its words and with others."""
    return Remedy("retype", (("without", tuple(without)), ("words", tuple(words))))


def run(command: str) -> Remedy:
    """Return the remedy to run a command that is not ours."""
    return Remedy("run", (("command", command),))


class Issue(NamedTuple):
    """One thing that is wrong, or that a user should know.

    Attributes:
        code: which kind of thing, one of `tfckpt.base.codes.CODES`.
        subject: what it is about: a variable with its shape, a field, a path.
        expected: what was expected.
        got: what was got.
        origin: where: the checkpoint or the file that has it.
        remedies: what would mend it, the best first.
    """

    code: str
    subject: str = ""
    expected: str = ""
    got: str = ""
    origin: str = ""
    remedies: tuple[Remedy, ...] = ()

    def text(self, say: Say | None = None) -> str:
        """Return the issue as one line.

        Args:
            say: what makes words of a text with options in it; unless given, they are keywords.

        >>> Issue("stray-variable", "x", "'encoder'", "[3]", "bert.ckpt").text()
        "bert.ckpt: x [3]: 'encoder' neither takes nor drops this variable; exclude leaves out its trained values"
        """
        template, say = CODES[self.code], say or keywords
        given = [option for remedy in self.remedies for option in remedy.options] if "{given}" in template else []
        options = (" " if say is not keywords else ", ").join(map(say, given))
        line = say(template).format(subject=self.subject, expected=self.expected, got=self.got, given=options)
        return f"{self.origin}: {line}" if self.origin else line

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        return {**self._asdict(), "remedies": [remedy.to_json() for remedy in self.remedies]}


def lines_of(issues: Iterable[Issue]) -> tuple[str, ...]:
    """Return issues in the words of Python, one line each."""
    return tuple(issue.text() for issue in issues)


def notes_to_json(issues: Sequence[Issue]) -> dict[str, Any]:
    """Return what a user should know as what ``json.dumps`` takes: one line each, and the same as data."""
    return {"notes": list(lines_of(issues)), "issues": [issue.to_json() for issue in issues]}


def keywords(text: str) -> str:
    """Return a text with its options as a Python caller writes them.

    >>> keywords('``to="tf1"`` is the way back')
    'to="tf1" is the way back'
    """
    return OPTION.sub(r"\1", text)


def like(names: Sequence[str]) -> str:
    """Return one pattern that all of several names match.

    >>> like(["bert/layer_0/output/beta", "bert/layer_11/output/gamma", "bert/layer_0/beta"])
    'bert/layer_*'
    """
    parts = [name.split("/") for name in names]
    if len({len(part) for part in parts}) == 1:
        return "/".join(_common(column) for column in zip(*parts, strict=True))
    return f"{start_of(names)}*"


def _common(parts: Sequence[str]) -> str:
    if len(set(parts)) == 1:
        return parts[0]
    start = start_of(parts)
    end = start_of([part[len(start) :][::-1] for part in parts])[::-1]
    return f"{start.rstrip(DIGITS)}*{end.lstrip(DIGITS)}"  # numbers differ as a whole


def start_of(texts: Sequence[str]) -> str:
    """Return what all of the texts begin with."""
    least, most = min(texts), max(texts)
    return least[: next((n for n, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), len(least))]


def common_remedies(issues: Iterable[Issue]) -> tuple[Remedy, ...]:
    """Return what mends all of several issues together, each thing once; nothing if one of them has no remedy."""
    first = [issue.remedies[0] if issue.remedies else None for issue in issues]
    return () if None in first else tuple(dict.fromkeys(filter(None, first)))
