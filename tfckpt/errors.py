"""Everything tfckpt raises on purpose.

    TfckptError
    |- CheckpointNotFoundError(FileNotFoundError)  names what was looked for, and what lies there
    |- CheckpointExistsError(FileExistsError)      the destination is taken
    |- FormatError(ValueError)                     the bytes are not what the format says
    |  '- ChecksumError                            right shape, wrong bytes
    |- TensorNotFoundError(KeyError)               names the nearest
    |- UnsupportedError(NotImplementedError)       legal, but not handled here: dtype, compression, version
    |- PlanError(ValueError)                       rules and source disagree; lists every complaint at once
    |- ProofError(ValueError)                      a converted checkpoint does not hold what its source does
    |- LayoutError(ValueError)                     a layout file cannot be used; lists every complaint at once
    |- ManifestError(ValueError)                   of many conversions some cannot be done; lists every complaint at once
    |- ConfigError(ValueError)                     a model configuration cannot be used
    |- UsageError(ValueError)                      the call makes no sense: a closed checkpoint, an unknown target
    '- StorageError(OSError)                       the operating system refused to read or write

Each is also the builtin in brackets, so callers that know nothing of tfckpt catch it too. A message says where, what,
expected, got, next step. What it says is in ``issues``, as data: with what would mend each of them, where that is known. All
of them survive pickling, which process pools need. No message holds the credentials of a URL.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from errno import EEXIST, ENOENT
from typing import Any, NamedTuple, TypeVar

from tfckpt.base.issues import Issue, Remedy, common_remedies
from tfckpt.base.options import every_option

Error = TypeVar("Error", bound="TfckptError")

# What `Advice` has for other actions than to change options: its field, and the arguments that go there.
OLD_FIELDS = {
    "list": ("unknown", ("path",)),
    "verify": ("damaged", ("path",)),
    "look": ("folder", ("folder",)),
    "compare": ("compared", ("a", "b")),
    "run": ("command", ("command",)),
}

OS_FIELDS = ("errno", "strerror", "filename", "filename2")
# Compiled when a URL comes up, which costs more than importing all the rest of this file.
USERINFO = r"(?i)([a-z][a-z0-9+.-]*://)[^/\s'\"]*@"
QUERY = r"(?i)([a-z][a-z0-9+.-]*://[^\s'\"]*?(?<!\?)\?)(?!\?)[^\s'\"]*[^\s'\".,:;)]"


def redacted(text: str) -> str:
    """Return a text without what URLs in it hold besides an address: users and passwords, keys and signatures.

    >>> redacted("ftp://me:secret@host/a: no; 'https://host/model-?????-of-00002?sig=abc', 404")
    "ftp://***@host/a: no; 'https://host/model-?????-of-00002?***', 404"
    """
    return re.sub(QUERY, r"\1***", re.sub(USERINFO, r"\1***@", text)) if "://" in text else text


class Advice(NamedTuple):
    """What to type after a failure; `Remedy` says it better.

    Attributes:
        given: an argument as it was given.
        meant: what was probably meant by it.
        add: options, with their values, that the command lacks.
        drop: options that it has and should not.
        command: another command altogether.
        unknown: prefix of a checkpoint that holds something else: its tensors are to be listed.
        damaged: prefix of a checkpoint whose damage is to be looked for.
        folder: directory in which something is missing.
        compared: prefixes of two checkpoints that are to be compared.
    """

    given: str = ""
    meant: str = ""
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    command: str = ""
    unknown: str = ""
    damaged: str = ""
    folder: str = ""
    compared: tuple[str, ...] = ()


def _advice(error: TfckptError) -> Advice | None:
    """Deprecated: what the command line would type; ``remedies`` has it."""
    _deprecate("advice", "remedies")
    return _advice_of(error.remedies)


def _complaints(error: TfckptError) -> tuple[str, ...]:
    """Deprecated: every reason, one line each; ``reasons`` has them."""
    _deprecate("complaints", "reasons, or issues")
    return error.reasons


_ADVICE: Any = property(_advice)
_COMPLAINTS: Any = property(_complaints)


class TfckptError(Exception):
    """The root of the tree: ``except tfckpt.TfckptError`` catches every failure that tfckpt foresees."""

    __context__: BaseException | None
    advice: Advice | None = _ADVICE
    _issues: tuple[Issue, ...] = ()
    _remedies: tuple[Remedy, ...] = ()

    def __init__(self, *args: object) -> None:
        """Make an error of a text, of an issue, or of a list of both."""
        if args and isinstance(args[0], (list, tuple)) and not isinstance(args[0], Issue):
            self._issues = tuple(Issue("said", got=arg) if isinstance(arg, str) else arg for arg in args[0])
            args = ("\n".join(issue.text() for issue in self._issues), *args[1:])
        else:
            self._issues = tuple(arg for arg in args if isinstance(arg, Issue))
        super().__init__(*map(_said, args))

    @property
    def issues(self) -> tuple[Issue, ...]:
        """Everything that is wrong, as data; one that has the whole message where there is nothing finer."""
        return self._issues or (Issue("said", got=str(self)),)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Everything that is wrong, one line each."""
        return tuple(redacted(issue.text()) for issue in self.issues)

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """What mends all of it together; empty where nothing is known that does."""
        return self._remedies or common_remedies(self._issues)

    def __reduce__(self) -> tuple[Any, ...]:
        if (
            self.__suppress_context__
        ):  # nobody is shown it; but Dask takes it along, and an HTTP library's does not pickle
            self.__context__ = None
        # The default calls cls(*args), which keyword-only arguments would refuse.
        return _restore, (type(self), self.args, self.__dict__ | _os_fields(self))


def remedied(error: Error, *remedies: Remedy | None) -> Error:
    """Return the error with what would mend it, the best first."""
    error._remedies = tuple(filter(None, remedies))
    return error


def _said(arg: object) -> object:
    """Return what an exception holds of an argument: of a text or an issue, what may be shown."""
    return redacted(arg.text() if isinstance(arg, Issue) else arg) if isinstance(arg, (str, Issue)) else arg


def _deprecate(name: str, better: str) -> None:
    import warnings

    text = f"{name} of an error is deprecated, and will be gone in tfckpt 0.4: use {better}"
    warnings.warn(text, DeprecationWarning, stacklevel=3)


def _advice_of(remedies: Sequence[Remedy]) -> Advice | None:
    """Return what the command line would type for remedies, as `Advice` had it."""
    advice = Advice()
    for remedy in remedies:
        values = dict(remedy.arguments)
        if remedy.action in ("give", "leave out"):
            flags = {every_option()[name].flag: value for name, value in values.items()}
            if remedy.action == "leave out":
                advice = advice._replace(drop=(*advice.drop, *flags))
            else:
                words = [
                    word for flag, value in flags.items() for word in ((flag,) if value is True else (flag, str(value)))
                ]
                advice = advice._replace(add=(*advice.add, *words))
        elif remedy.action in OLD_FIELDS:
            field, names = OLD_FIELDS[remedy.action]
            found: Any = tuple(values[name] for name in names)
            advice = advice._replace(**{field: found if field == "compared" else found[0]})
        elif remedy.action == "take":
            advice = advice._replace(given=values["given"], meant=values["meant"])
    return advice if advice != Advice() else None


def _restore(cls: type[TfckptError], args: tuple[Any, ...], state: dict[str, Any]) -> TfckptError:
    error = cls.__new__(cls, *args)
    error.args = args
    for name, value in state.items():
        setattr(error, name, value)
    return error


def _os_fields(error: TfckptError) -> dict[str, Any]:
    """Return what an OSError holds in fields of its own: neither its ``args`` nor its ``__dict__`` has the file names."""
    fields = {name: getattr(error, name, None) for name in OS_FIELDS}
    return {name: value for name, value in fields.items() if value is not None}  # one set to None would be printed


class CheckpointNotFoundError(TfckptError, FileNotFoundError):
    """No checkpoint, or no other file, where one was looked for."""

    errno: int | None

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.errno = self.errno or ENOENT


class CheckpointExistsError(TfckptError, FileExistsError):
    """The destination prefix holds a checkpoint, and overwriting was not asked for."""

    errno: int | None

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.errno = self.errno or EEXIST


class FormatError(TfckptError, ValueError):
    """Bytes that are not what the format says.

    Prints ``model.index: block checksum at byte 41,123: expected 0x1, got 0x2``. Code that knows only bytes leaves
    ``path`` unset; `located` fills it in where the file is opened.
    """

    what: str
    expected: object
    got: object
    offset: int | None
    path: str | None
    hint: str

    def __init__(
        self,
        what: str,
        *,
        expected: object,
        got: object,
        offset: int | None = None,
        path: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(what)
        self.what, self.expected, self.got = what, expected, got
        self.offset, self.path, self.hint = offset, path, hint

    def __str__(self) -> str:
        where = "" if self.offset is None else f" at byte {self.offset:,}"
        hint = f"; {self.hint}" if self.hint else ""
        text = f"{self.path or '<bytes>'}: {self.what}{where}: expected {self.expected}, got {self.got}{hint}"
        return redacted(text)  # the path was set later


class ChecksumError(FormatError):
    """A stored CRC-32C does not match the bytes that it covers."""


class TensorNotFoundError(TfckptError, KeyError):
    """No tensor of that name; the message lists the nearest ones."""

    def __str__(self) -> str:  # KeyError would print the message quoted
        return str(self.args[0])


class UnsupportedError(TfckptError, NotImplementedError):
    """Legal, but not handled here: a dtype, a compression, a version."""


class PlanError(TfckptError, ValueError):
    """A source and a target that do not fit; ``issues`` has every reason."""

    complaints: tuple[str, ...] = _COMPLAINTS


class ProofError(TfckptError, ValueError):
    """A conversion that is not right; ``issues`` has the differences, or one for all that have one cause.

    ``report`` has every difference, as JSON.
    """

    complaints: tuple[str, ...] = _COMPLAINTS
    report: Mapping[str, Any] | None

    def __init__(self, issues: Sequence[str | Issue], report: Mapping[str, Any] | None = None) -> None:
        super().__init__(issues)
        self.report = report


class LayoutError(TfckptError, ValueError):
    """A layout file that is none; ``issues`` has everything that is wrong in it."""

    complaints: tuple[str, ...] = _COMPLAINTS


class ManifestError(TfckptError, ValueError):
    """Conversions of which some cannot be done; ``issues`` has every reason and where it stands."""

    complaints: tuple[str, ...] = _COMPLAINTS


class ConfigError(TfckptError, ValueError):
    """A model configuration that is unreadable or not one."""


class UsageError(TfckptError, ValueError):
    """A call that cannot mean anything: reading from a closed checkpoint, an unknown target."""


class StorageError(TfckptError, OSError):
    """The operating system refused: a full disk, a read-only directory, a vanished file."""


def some(names: Sequence[str], most: int = 5) -> str:
    """Return, for a message, the first names of a list, and how many more there are.

    >>> some(["a", "b", "c"]), some(["a", "b", "c"], 1)
    ('a, b, c', 'a and 2 more')
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def count_of(things: int | Collection[object], noun: str) -> str:
    """Return, for a message, how many things there are.

    >>> count_of(["a"], "tensor"), count_of(2, "tensor")
    ('1 tensor', '2 tensors')
    """
    count = things if isinstance(things, int) else len(things)
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def are(things: int | Collection[object], noun: str, one: str = "is", many: str = "are") -> str:
    """Return, for a message, how many things there are, and the verb for so many.

    >>> are(1, "row"), are(2, "name", "passes", "pass")
    ('1 row is', '2 names pass')
    """
    count = things if isinstance(things, int) else len(things)
    return f"{count_of(count, noun)} {one if count == 1 else many}"


def printable(text: str) -> str:
    r"""Return ``text`` with what would move a terminal's cursor, or end the line, spelled out.

    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def located(path: str, base: int | None = 0, tensor: str | None = None) -> Iterator[None]:
    """Say in which file a `FormatError` from inside happened.

    Args:
        path: the file, set unless a lower floor already did.
        base: file offset of the bytes being parsed, added to the error's offset; None if they are not file bytes.
        tensor: whose bytes they are, if one's: the hint names it.
    """
    try:
        yield
    except FormatError as error:
        if error.path is None:
            error.path = path
            if tensor is not None:
                error.hint = error.hint or f"tensor {tensor!r} is damaged: fetch the file again"
            if error.offset is not None:
                error.offset = None if base is None else error.offset + base
        raise
