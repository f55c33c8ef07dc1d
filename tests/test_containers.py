"""Every kind of file is a source and a sink to the one loop that writes; another one comes by one call."""

from __future__ import annotations

import itertools
import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from support.commands import Captured, fail, succeed

import tfckpt
import tfckpt.formats.opening  # all that come with tfckpt are registered
from tfckpt._proto.types_pb2 import DT_FLOAT, DT_HALF
from tfckpt.bundle import carry
from tfckpt.errors import CheckpointExistsError, FormatError, PlanError, UnsupportedError, UsageError
from tfckpt.execution.run import run
from tfckpt.formats.container import Container, Destination, register, registered
from tfckpt.planning.plan import NO_SIZES, Plan
from tfckpt.planning.steps import Cast, Fill, Identity, Input, Pad, Part, Rearrange, Scale, Step

LINES = Path(__file__).parent / "support" / "lines.py"
PATHS = {"bundle": "b", "safetensors": "s.safetensors", "npz": "z.npz", "npy": "a/", "lines": "l.lines"}
QKV = np.arange(48, dtype=np.float32).reshape(4, 12) - 7
BIAS = np.linspace(-1, 1, 4, dtype=np.float32)


@pytest.fixture
def lines() -> Iterator[Container]:
    """Register the container of the recipe for one test."""
    runpy.run_path(str(LINES))
    yield registered["lines"]
    del registered["lines"]


def watched() -> tuple[list[tuple[int, int]], Any]:
    seen: list[tuple[int, int]] = []
    return seen, lambda done, total: seen.append((done, total))


def test_the_recipe_is_the_text_of_the_container() -> None:
    text = (LINES.parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")
    recipe = text.partition("## Add a container")[2]
    assert re.findall(r'```python title="lines.py"\n(.*?)```', recipe, re.DOTALL)[0] == LINES.read_text(
        encoding="utf-8"
    )


@pytest.mark.usefixtures("lines")
def test_a_real_model_goes_into_the_new_container_and_out_of_it(bert: str, tmp_path: Path) -> None:
    shutil.copy(Path(bert).parent / "bert_config.json", tmp_path)
    path, back = tmp_path / "model.lines", tmp_path / "back"
    seen, progress = watched()
    plan = tfckpt.export(bert, path, progress=progress)
    assert seen[-1] == (plan.nbytes, plan.nbytes)
    assert seen == sorted(seen)
    assert len(seen) > 2
    seen, progress = watched()
    plan = tfckpt.import_(path, back, to="pretrainer", progress=progress)
    assert seen[-1] == (plan.nbytes, plan.nbytes)
    assert tfckpt.prove(bert, back, to="pretrainer").tensors
    tfckpt.convert(bert, tmp_path / "converted", to="pretrainer")
    for name, value in tfckpt.open(tmp_path / "converted").items():
        assert tfckpt.open(back)[name].tobytes() == value.tobytes() or name == "_CHECKPOINTABLE_OBJECT_GRAPH"


@pytest.mark.usefixtures("lines")
def test_a_conversion_goes_into_the_new_container(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "converted")
    plan = tfckpt.export(bert, tmp_path / "model.lines", to="encoder")
    assert len(plan.steps) == 39
    tfckpt.import_(tmp_path / "model.lines", tmp_path / "back")
    with tfckpt.open(tmp_path / "converted") as expected, tfckpt.open(tmp_path / "back") as found:
        assert {*expected} - {*found} == {"_CHECKPOINTABLE_OBJECT_GRAPH"}
        for name in found:
            assert found[name].tobytes() == expected[name].tobytes()


@pytest.mark.usefixtures("lines")
def test_the_new_container_is_chosen_on_the_command_line(bert: str, tmp_path: Path, capsys: Captured) -> None:
    succeed(capsys, "export", bert, str(tmp_path / "model"), "--as", "lines")
    assert (tmp_path / "model").read_bytes().startswith(b'{"lines": ')
    succeed(capsys, "import", str(tmp_path / "model"), str(tmp_path / "back"))
    (said,) = fail(capsys, "export", bert, str(tmp_path / "model"), "--as", "lines")
    assert said.startswith(f"{tmp_path}/model: already exists")


@pytest.mark.usefixtures("lines")
def test_what_the_new_container_cannot_hold_is_said_before_anything_is_written(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "words", {"w": [1.0], "words": ["a", "b"]})
    with pytest.raises(PlanError, match="string has no form in lines"):
        tfckpt.export(tmp_path / "words", tmp_path / "w.lines")
    tfckpt.export(tmp_path / "words", tmp_path / "w.lines", drop=["words"])
    with pytest.raises(CheckpointExistsError):
        tfckpt.export(tmp_path / "words", tmp_path / "w.lines", drop=["words"])
    whole = (tmp_path / "w.lines").read_bytes()
    for data in (whole[:-1], whole + b"!", whole.replace(b'"lines"', b'"lines": [0], "l"')):
        (tmp_path / "damaged.lines").write_bytes(data)
        with pytest.raises(FormatError):
            tfckpt.import_(tmp_path / "damaged.lines", tmp_path / "back", kind="lines")
    assert not list(tmp_path.glob("back*"))


def test_a_writer_of_the_new_container_that_is_killed_leaves_the_old_file_or_none(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "support.killed", str(tmp_path), "lines"]
    result = subprocess.run(command, cwd=LINES.parents[1], check=True, capture_output=True, text=True, timeout=120)
    over, anew = sorted(result.stdout.splitlines(), reverse=True)
    assert re.fullmatch(r"lines over old [1-9]\d* new [1-9]\d* none 0", over)
    assert re.fullmatch(r"lines anew old 0 new [1-9]\d* none [1-9]\d*", anew)


def test_names_of_containers_are_taken_once(lines: Container) -> None:
    for name in ("lines", "npz", "bundle"):
        with pytest.raises(UsageError, match=f"container '{name}': there is one of that name"):
            register(lines._replace(name=name))
    with pytest.raises(UsageError, match="expected safetensors, npz, npy, lines, got 'bundle'"):
        tfckpt.export("nowhere", "x", kind="bundle")
    with pytest.raises(UsageError, match="expected safetensors, npz, npy, lines, got 'hdf5'"):
        tfckpt.import_("nowhere", "x", kind="hdf5")


# --- steps of every sort, from every kind of file to every kind


def part(axis: int, start: int, stop: int, *ops: Any) -> Input:
    return Input("qkv", DT_FLOAT, QKV.shape, Part(axis, start, stop), ops=ops)


def step(target: str, inputs: tuple[Input, ...], shape: tuple[int, ...], axis: int = 0, ops: Any = ()) -> Step:
    return Step(target, inputs, shape, 4 * int(np.prod(shape)), axis, ops)


TURNED = Rearrange("x y -> y x", {"x": 4, "y": 4})
STEPS = (
    step("carried", (Input("qkv", DT_FLOAT, QKV.shape),), QKV.shape),
    step("key", (part(1, 4, 8),), (4, 4)),
    step("swapped", (part(1, 8, 12, TURNED), part(1, 0, 4)), (8, 4)),
    step("padded", (Input("bias", DT_FLOAT, (4,), ops=(Scale(-2.0), Pad(0, 1, 0, 5.0))),), (5,)),
    step(
        "made",
        (Input("", DT_FLOAT, (2, 2), constant=Identity()), Input("", DT_FLOAT, (1, 2), constant=Fill(3.0))),
        (3, 2),
    ),
    step("half", (Input("bias", DT_FLOAT, (4,)),), (4,), ops=(Cast(DT_HALF),)),
    Step("again", (Input("qkv", DT_FLOAT, QKV.shape),), QKV.shape, QKV.nbytes, same_as="carried"),
)
VALUES: dict[str, np.ndarray[Any, Any]] = {
    "carried": QKV,
    "key": QKV[:, 4:8],
    "swapped": np.vstack([QKV[:, 8:].T, QKV[:, :4]]),
    "padded": np.append(np.float32(5), BIAS * -2),
    "made": np.vstack([np.eye(2), np.full((1, 2), 3)]).astype(np.float32),
    "half": BIAS.astype(np.float16),
    "again": QKV,
}


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize(("kind", "to"), [*itertools.product(PATHS, PATHS)])
def test_steps_of_every_sort_go_from_every_container_to_every_other(tmp_path: Path, kind: str, to: str) -> None:
    path = f"{tmp_path}/source/{PATHS[kind]}"
    tfckpt.save(tmp_path / "source" / "b", {"qkv": QKV, "bias": BIAS})
    if kind != "bundle":
        tfckpt.export(tmp_path / "source" / "b", path)
    seen: list[int] = []
    dest = f"{tmp_path}/dest/{PATHS[to]}"
    with closing(registered[kind].open(path)) as source:
        assert sorted(source) == ["bias", "qkv"]
        sink = registered[to].sink(Destination(dest, progress=seen.append))
        run(Plan(path, "", STEPS, (), NO_SIZES), source, sink)
    assert sum(seen) == sum(s.nbytes for s in STEPS if s.target not in ("half", "again")) + 8 + (
        0 if to == "bundle" else QKV.nbytes
    )
    with closing(registered[to].open(dest)) as found:
        for entry in found.entries():
            value = found.read(entry, verify=True, mapped=False)
            assert (value.dtype, value.shape) == (VALUES[entry.name].dtype, VALUES[entry.name].shape)
            np.testing.assert_array_equal(value, VALUES[entry.name])
        assert {*found} == {*VALUES}


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize("to", PATHS)
def test_a_writer_that_fails_half_way_leaves_nothing(tmp_path: Path, to: str) -> None:
    tfckpt.save(tmp_path / "b", {"qkv": QKV, "bias": BIAS})
    data = tmp_path / "b.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:20] + b"!" + data.read_bytes()[21:])
    with closing(registered["bundle"].open(str(tmp_path / "b"))) as source:
        sink = registered[to].sink(Destination(f"{tmp_path}/dest/{PATHS[to]}"))
        with pytest.raises(FormatError):
            run(Plan("", "", STEPS, (), NO_SIZES), source, sink)
    assert not (tmp_path / "dest").exists()


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize("to", [kind for kind in PATHS if kind != "bundle"])
def test_only_a_bundle_shares_the_bytes_of_other_files(tmp_path: Path, to: str) -> None:
    tfckpt.save(tmp_path / "b", {"qkv": QKV, "bias": BIAS})
    with closing(registered["bundle"].open(str(tmp_path / "b"))) as source:
        sink = registered[to].sink(Destination(f"{tmp_path}/dest/{PATHS[to]}"))
        with pytest.raises(UnsupportedError, match=f"{to} shares no bytes with other files"):
            run(Plan("", "", STEPS, (), NO_SIZES), source, sink, mode="link")
    assert not (tmp_path / "dest").exists()


def test_what_is_noted_goes_along(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "b", {"w": BIAS})
    note = {"source": "b", "layout": "mine"}
    with closing(registered["bundle"].open(str(tmp_path / "b"))) as source:
        plan = Plan("", "", (step("w", (Input("w", DT_FLOAT, (4,)),), (4,)),), (), NO_SIZES)
        run(plan, source, registered["npy"].sink(Destination(f"{tmp_path}/a", note=note)))
    document = json.loads((tmp_path / "a" / "index.json").read_text())
    assert {name: document[name] for name in note} == note
    assert document["tfckpt"] == 1


# --- bytes that another program's file and a bundle have in common


@pytest.mark.parametrize("mode", ["link", "auto"])
def test_a_checkpoint_shares_the_bytes_of_a_safetensors_file(
    bert: str, tmp_path: Path, mode: Literal["link", "auto"]
) -> None:
    path = tmp_path / "model.safetensors"
    tfckpt.export(bert, path)
    copied = tfckpt.import_(path, tmp_path / "copied")
    seen, progress = watched()
    plan = tfckpt.import_(path, tmp_path / "shared", mode=mode, progress=progress)
    assert copied.written is not None
    assert plan.written is not None
    assert (copied.written.mode, plan.written.mode in ("link", "reflink")) == ("copy", True)
    assert seen[-1] == (plan.nbytes, plan.nbytes)
    assert plan.written.carried_nbytes == path.stat().st_size - plan.nbytes  # the header
    data = tmp_path / "shared.data-00000-of-00001"
    assert plan.written.mode == "reflink" or data.samefile(path)
    assert data.read_bytes() == path.read_bytes()
    with tfckpt.open(tmp_path / "copied") as a, tfckpt.open(tmp_path / "shared") as b:
        b.verify()
        assert [e.name for e in a.entries()] == [e.name for e in b.entries()]
        assert [e.crc32c for e in a.entries()] == [e.crc32c for e in b.entries()]
        assert all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_what_changes_of_a_shared_file_goes_into_another_one(bert: str, tmp_path: Path) -> None:
    shutil.copy(Path(bert).parent / "bert_config.json", tmp_path)
    tfckpt.export(bert, tmp_path / "model.safetensors")
    tfckpt.import_(tmp_path / "model.safetensors", tmp_path / "shared", to="encoder", mode="link")
    assert len(list(tmp_path.glob("shared.data-*"))) == 2
    assert tfckpt.prove(bert, tmp_path / "shared").tensors


def test_a_checkpoint_shares_the_bytes_of_each_array_that_it_holds_as_it_is(tmp_path: Path) -> None:
    texts = np.array([b"yes", b"no"], object)
    tfckpt.save(tmp_path / "b", {"w": BIAS, "left/out": BIAS, "texts": texts, "qkv": QKV})
    tfckpt.export(tmp_path / "b", f"{tmp_path}/arrays/")
    plan = tfckpt.import_(tmp_path / "arrays", tmp_path / "shared", mode="link", drop=["left/out"])
    assert plan.written is not None
    assert plan.written.mode == "link"
    data = sorted(tmp_path.glob("shared.data-*"))
    arrays = [tmp_path / "arrays" / name for name in ("00001.qkv.npy", "00003.w.npy")]
    assert [a.samefile(b) for a, b in zip(data[:2], arrays, strict=True)] == [True, True]
    assert len(data) == 3  # the texts
    with tfckpt.open(tmp_path / "shared") as found:
        found.verify()
        assert (found["w"].tolist(), found["qkv"].tolist(), found["texts"].tolist()) == (
            BIAS.tolist(),
            QKV.tolist(),
            texts.tolist(),
        )


def test_an_array_that_was_replaced_since_the_directory_was_opened_is_not_shared(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "b", {"bias": BIAS, "qkv": QKV})
    tfckpt.export(tmp_path / "b", f"{tmp_path}/arrays/")
    with closing(registered["npy"].open(str(tmp_path / "arrays"))) as source:
        np.save(tmp_path / "arrays" / "00000.bias.npy", -BIAS)
        sink = registered["bundle"].sink(Destination(f"{tmp_path}/dest/b"))
        with pytest.raises(FormatError, match="expected the one that was opened, got another one"):
            run(Plan("", "", STEPS, (), NO_SIZES), source, sink, mode="link")
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize("to", ["x.npz", "texts/"])
def test_files_that_cannot_be_shared_are_copied_if_that_is_allowed(tmp_path: Path, to: str) -> None:
    tfckpt.save(tmp_path / "b", {"w": BIAS if to == "x.npz" else np.array([b"yes"], object)})
    tfckpt.export(tmp_path / "b", f"{tmp_path}/{to}")
    with pytest.raises(UnsupportedError, match="cannot be shared by mode 'link': no tensor lies in it"):
        tfckpt.import_(tmp_path / to, tmp_path / "shared", mode="link")
    written = tfckpt.import_(tmp_path / to, tmp_path / "shared", mode="auto").written
    assert written is not None
    assert written.mode == "copy"
    with tfckpt.open(tmp_path / "b") as a, tfckpt.open(tmp_path / "shared") as b:
        assert a["w"].tolist() == b["w"].tolist()


@pytest.mark.parametrize("kind", ["safetensors", "npy"])
def test_bytes_of_other_files_are_carried_by_runs_that_compute_their_checksums(
    bert: str, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tfckpt.export(bert, f"{tmp_path}/{PATHS[kind]}")
    runs: list[carry.Run] = []
    real = carry.do

    def do(run: carry.Run) -> list[Any]:
        runs.append(run)
        return list(real(run))

    monkeypatch.setattr(carry, "do", do)
    plan = tfckpt.import_(f"{tmp_path}/{PATHS[kind]}", tmp_path / "back", sync=False)
    assert sum(run.nbytes for run in runs) == plan.nbytes
    with tfckpt.open(bert) as a, tfckpt.open(tmp_path / "back") as b:
        assert {e.name: e.crc32c for e in a.entries()} == {e.name: e.crc32c for e in b.entries()}


def test_a_safetensors_file_whose_header_is_as_long_as_a_pickle_begins_is_one(tmp_path: Path) -> None:
    for size in range(1, 400, 8):
        tfckpt.save(tmp_path / "b", {"x" * size: BIAS}, overwrite=True)
        tfckpt.export(tmp_path / "b", tmp_path / "m.safetensors", overwrite=True)
        if (tmp_path / "m.safetensors").read_bytes()[0] == 0x80:
            break
    else:
        raise AssertionError("no such header")
    tfckpt.import_(tmp_path / "m.safetensors", tmp_path / "back")
    assert list(tfckpt.open(tmp_path / "back")) == ["x" * size]
