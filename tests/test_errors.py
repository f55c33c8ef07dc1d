from __future__ import annotations

import copy
import errno
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import tfckpt
from tfckpt.base.issues import give, leave_out
from tfckpt.errors import (
    Advice,
    CheckpointExistsError,
    CheckpointNotFoundError,
    ChecksumError,
    ConfigError,
    FormatError,
    LayoutError,
    ManifestError,
    PlanError,
    ProofError,
    StorageError,
    TensorNotFoundError,
    TfckptError,
    UnsupportedError,
    UsageError,
    count_of,
    located,
    remedied,
    some,
)

BUILTINS: dict[type[TfckptError], type[Exception]] = {
    CheckpointNotFoundError: FileNotFoundError,
    CheckpointExistsError: FileExistsError,
    FormatError: ValueError,
    ChecksumError: ValueError,
    TensorNotFoundError: KeyError,
    UnsupportedError: NotImplementedError,
    PlanError: ValueError,
    ProofError: ValueError,
    LayoutError: ValueError,
    ManifestError: ValueError,
    ConfigError: ValueError,
    UsageError: ValueError,
    StorageError: OSError,
}

# Each with every attribute that it can carry, and what it prints.
EXAMPLES: list[tuple[TfckptError, str]] = [
    (CheckpointNotFoundError("m: no such checkpoint"), "m: no such checkpoint"),
    (CheckpointExistsError("m: already exists"), "m: already exists"),
    (
        FormatError("block", expected="8 bytes", got=7, offset=41_123, path="m.index", hint="copy it again"),
        "m.index: block at byte 41,123: expected 8 bytes, got 7; copy it again",
    ),
    (FormatError("block", expected=8, got=7), "<bytes>: block: expected 8, got 7"),
    (FormatError("block", expected=8, got=7, offset=0), "<bytes>: block at byte 0: expected 8, got 7"),
    (FormatError("shard", expected=8, got=7, path="m.data"), "m.data: shard: expected 8, got 7"),
    (ChecksumError("block checksum", expected="0x1", got="0x2"), "<bytes>: block checksum: expected 0x1, got 0x2"),
    (TensorNotFoundError("no tensor 'w'\nnearest: 'v'"), "no tensor 'w'\nnearest: 'v'"),
    (UnsupportedError("variant values"), "variant values"),
    (PlanError(["first: too long", "second: missing"]), "first: too long\nsecond: missing"),
    (ProofError(("one",), {"proved": False}), "one"),
    (LayoutError(["my.toml: [family]: missing"]), "my.toml: [family]: missing"),
    (ManifestError(["jobs.csv: line 2: no source"]), "jobs.csv: line 2: no source"),
    (ConfigError("bert_config.json: not JSON"), "bert_config.json: not JSON"),
    (UsageError("the checkpoint is closed"), "the checkpoint is closed"),
    (StorageError("m.index: cannot write: disk full"), "m.index: cannot write: disk full"),
    (StorageError(28, "No space left on device", "m.index"), "[Errno 28] No space left on device: 'm.index'"),
    (CheckpointNotFoundError(2, "No such file", "a", None, "b"), "[Errno 2] No such file: 'a' -> 'b'"),
    (CheckpointExistsError(17, "File exists"), "[Errno 17] File exists"),
]
ERRORS = [error for error, _ in EXAMPLES]
IDS = [type(error).__name__ for error in ERRORS]


def descendants(cls: type[TfckptError]) -> Iterator[type[TfckptError]]:
    for child in cls.__subclasses__():
        yield child
        yield from descendants(child)


def test_the_systems_numbers_are_those_of_the_builtins(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as absent:
        tfckpt.open(tmp_path / "m")
    tfckpt.save(tmp_path / "m", {"w": 1})
    with pytest.raises(FileExistsError) as taken:
        tfckpt.save(tmp_path / "m", {"w": 1})
    for error, number in ((absent.value, errno.ENOENT), (taken.value, errno.EEXIST)):
        again = pickle.loads(pickle.dumps(error))
        assert (error.errno, again.errno, str(again)) == (number, number, str(error))


def test_a_place_that_is_not_there_to_write_to_is_a_refusal() -> None:
    with pytest.raises(StorageError, match="/proc/none: cannot create: ") as refused:
        tfckpt.save("/proc/none/m", {"w": 1})
    assert refused.value.errno == errno.ENOENT


def test_every_error_class_is_tried_here() -> None:
    defined = {cls for cls in descendants(TfckptError) if cls.__module__ == TfckptError.__module__}
    assert defined == set(BUILTINS) == {type(error) for error in ERRORS}


@pytest.mark.parametrize("error", ERRORS, ids=IDS)
def test_an_error_is_also_the_builtin_that_callers_know(error: TfckptError) -> None:
    with pytest.raises(BUILTINS[type(error)]):
        raise error


def test_a_checksum_error_is_a_format_error() -> None:
    assert issubclass(ChecksumError, FormatError)


@pytest.mark.parametrize(("error", "message"), EXAMPLES, ids=IDS)
def test_a_message_says_where_what_expected_got_next_step(error: TfckptError, message: str) -> None:
    assert str(error) == message


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", ERRORS, ids=IDS)
def test_an_error_survives_pickling(error: TfckptError, protocol: int) -> None:
    assert_same(pickle.loads(pickle.dumps(error, protocol)), error)


@pytest.mark.parametrize("error", ERRORS, ids=IDS)
def test_an_error_can_be_copied(error: TfckptError) -> None:
    assert_same(copy.copy(error), error)


def assert_same(restored: TfckptError, error: TfckptError) -> None:
    assert restored is not error
    assert type(restored) is type(error)
    assert str(restored) == str(error)
    assert restored.args == error.args
    assert vars(restored) == vars(error)
    assert os_fields(restored) == os_fields(error)


def os_fields(error: TfckptError) -> list[object]:
    """Return what only an OSError has, in fields that ``vars`` does not show."""
    return [getattr(error, name, None) for name in ("errno", "strerror", "filename", "filename2", "characters_written")]


@pytest.mark.parametrize("cls", [PlanError, ProofError, ManifestError])
def test_complaints_are_kept_apart(cls: type[PlanError | ProofError | ManifestError]) -> None:
    error = pickle.loads(pickle.dumps(cls(["a", "b\nc"])))
    assert error.reasons == ("a", "b\nc")


def raised_in(error: FormatError, *places: tuple[str, int | None]) -> FormatError:
    """Return an error after it left the given places, the innermost first."""
    if not places:
        return error
    *inner, (path, base) = places
    with pytest.raises(FormatError) as caught, located(path, base):
        raise raised_in(error, *inner)
    assert caught.value is error
    return error


@pytest.mark.parametrize(
    ("offset", "base", "expected"),
    [(7, 0, 7), (7, 100, 107), (0, 100, 100), (7, None, None), (None, 100, None), (None, None, None)],
)
def test_an_error_is_located_in_its_file(offset: int | None, base: int | None, expected: int | None) -> None:
    error = raised_in(FormatError("block", expected=1, got=2, offset=offset), ("m.index", base))
    assert (error.path, error.offset) == ("m.index", expected)


@pytest.mark.parametrize("base", [100, None])
def test_an_error_is_located_once(base: int | None) -> None:
    error = raised_in(FormatError("block", expected=1, got=2, offset=7), ("inner", 10), ("outer", base))
    assert (error.path, error.offset) == ("inner", 17)


def test_offsets_stay_where_no_base_is_given() -> None:
    error = FormatError("block", expected=1, got=2, offset=7)
    with pytest.raises(FormatError), located("m.index"):
        raise error
    assert str(error) == "m.index: block at byte 7: expected 1, got 2"


def test_only_format_errors_are_located() -> None:
    with pytest.raises(UnsupportedError, match=r"^variant$"), located("m.index", 5):
        raise UnsupportedError("variant")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host/a.index: no", "https://***@host/a.index: no"),
        ("s3://b/a?X-Amz-Signature=ab%2Fc&d=e, then", "s3://b/a?***, then"),
        ("'https://host/a?t=x'", "'https://host/a?***'"),
        ("https://host/m-?????-of-00003: no", "https://host/m-?????-of-00003: no"),
        ("run/what?t=x@home", "run/what?t=x@home"),
    ],
)
def test_messages_hold_no_credentials_of_urls(text: str, shown: str) -> None:
    errors = [
        StorageError(text),
        PlanError([text]),
        FormatError("table", path=text, expected="a", got="b"),
        pickle.loads(pickle.dumps(CheckpointNotFoundError(text))),
    ]
    assert [shown in str(error) for error in errors] == [True] * 4
    assert errors[1].reasons == (shown,)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (1, "a"), (2, "a, a"), (3, "a, a, a"), (4, "a, a, a and 1 more"), (5, "a, a, a and 2 more")],
)
def test_names_are_all_there_or_those_that_are_not_are_counted(count: int, text: str) -> None:
    assert some(["a"] * count, 3) == text
    assert some(["a"] * 5) == "a, a, a, a, a"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 tensors"), (1, "1 tensor"), (2, "2 tensors"), (1000, "1,000 tensors")]
)
def test_one_thing_alone_is_no_plural(count: int, text: str) -> None:
    assert count_of(count, "tensor") == count_of(["a"] * count, "tensor") == text


def test_what_to_type_next_survives_pickling_and_adds_up() -> None:
    error = pickle.loads(pickle.dumps(remedied(UsageError("both"), leave_out("num_heads"), give(fill="zeros"))))
    assert error.remedies == (leave_out("num_heads"), give(fill="zeros"))
    with pytest.warns(DeprecationWarning, match="use remedies"):
        assert error.advice == Advice(add=("--fill", "zeros"), drop=("--num-heads",))
    with pytest.warns(DeprecationWarning, match="use remedies"):
        assert UsageError("nothing known").advice is None
    with pytest.warns(DeprecationWarning, match="use reasons"):
        assert PlanError(["one", "two"]).complaints == ("one", "two")
