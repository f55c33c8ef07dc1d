"""What people and notebooks see of a result: its repr in a line, and its HTML, in which nothing from a file is markup."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfckpt
import tfckpt.types
from tfckpt._proto.types_pb2 import DT_BFLOAT16, DT_FLOAT, DT_HALF, DT_INT64, DT_STRING
from tfckpt.base import html
from tfckpt.bundle.values.entry import Entry
from tfckpt.bundle.values.slices import TensorSlice
from tfckpt.checkpoint import foldable
from tfckpt.errors import StorageError
from tfckpt.planning.steps import Cast, Fill, Identity, Pad, Part, Rearrange, Scale, carrying, filling, formed
from tfckpt.types import Pair

SCRIPT = "<script>alert(1)</script>"
HOSTILE = [SCRIPT, f"model/{SCRIPT}/w", "a\"b'c&amp;", "x</summary></details>", "\x1b[31mred\n", "\u202eover", "\udc80"]
TAGS = {
    "div",
    "p",
    "strong",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "details",
    "summary",
    "ul",
    "li",
    "code",
    "small",
}
ATTRIBUTES = {"style", "scope", "open"}


class Page(HTMLParser):
    """HTML as a browser reads it: its text, its elements, and whether each that begins also ends, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.tags, self.attributes = "", [""], set[str]()
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "

    def count(self, tag: str) -> int:
        return self.tags.count(tag)


def page_of(value: Any) -> Page:
    """Return what a notebook shows of a value, once it is known to be harmless."""
    text = value._repr_html_()
    page = Page(text)
    assert set(page.tags) - {""} <= TAGS
    assert page.attributes <= ATTRIBUTES
    text.encode("utf-8")  # which lone surrogates would not let
    assert "\x1b" not in text
    assert "\u202e" not in text
    return page


def run_jobs(jobs: list[dict[str, Any]]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return tfckpt.convert_many(jobs, pool)


def results(source: str, directory: Path) -> list[Any]:
    """Return a result of every call, and the records in them, of a BERT whose words are damaged in a second copy."""
    plan = tfckpt.convert(source, directory / "m", sync=False)
    filled = tfckpt.plan(source, exclude=["=bert/pooler/dense/bias"], fill="normal:1", vocab_size=40)
    proof = tfckpt.prove(source, directory / "m")
    tfckpt.rewrite(source, directory / "d", sync=False)
    data = bytearray((directory / "d.data-00000-of-00001").read_bytes())
    data[0] ^= 1
    (directory / "d.data-00000-of-00001").write_bytes(data)
    salvage = tfckpt.salvage(directory / "d", directory / "s", sync=False)
    comparison = tfckpt.diff(source, directory / "s")
    statistics = tfckpt.statistics(source)
    jobs: list[dict[str, Any]] = [{"source": source, "dest": str(directory / name)} for name in ("x", "y")]
    jobs[1]["num_heads"] = 3
    with tfckpt.open(directory / "d") as damaged, tfckpt.open(directory / "m") as converted:
        (damage,) = damaged.find_damage()
        found = converted.lookup.find("model/_pooler_layer/bias")
    with tfckpt.open(source) as checkpoint:
        entry = checkpoint.entry("bert/pooler/dense/kernel")
    (name,) = salvage.lost
    changed = tfckpt.diff(source, directory / "changed") if change(source, directory / "changed") else None
    assert changed is not None
    info = tfckpt.info(source)
    return [
        *(info, info.optimizer, info.targets[0], info.writers[0]),
        *(plan, filled, proof, salvage, comparison, changed, statistics, damage, found, entry, tfckpt.report(source)),
        *run_jobs(jobs),
        *(plan.steps[0], plan.dropped[0], plan.written, plan.constructors[0], plan.constructors[0].arguments[0]),
        *(filled.steps[0], *(step.fill for step in filled.steps if step.fill is not None)),
        *(resize for step in filled.steps for resize in step.resizes),
        *(*plan.facts.values(), *plan.sizes.values(), proof.tensors[0], salvage.damage[0]),
        *(comparison.pairs[0], changed.differing[0], changed.differing[0].distance),
        *(statistics.tensors["global_step"], statistics["global_step"]),
        tfckpt.types.Extra(name, "save counter"),
        *(item for step in plan.steps for item in (step.inputs[0], *step.inputs[0].ops)),
        *(Cast(DT_HALF), Scale(2.0), Pad(0, 1, 1), Part(0, 0, 4), Identity()),
    ]


def change(source: str, dest: Path) -> bool:
    """Write a checkpoint in which one value of the source is another."""
    with tfckpt.open(source) as checkpoint:
        values = {name: np.array(value) for name, value in checkpoint.items()}
    values["bert/pooler/dense/bias"][3] += 0.5
    tfckpt.save(dest, values)
    return True


# --- every result


def test_every_result_has_a_repr_of_a_line_a_document_and_html(bert: str, tmp_path: Path) -> None:
    found = results(bert, tmp_path)
    for value in found:
        assert "\n" not in repr(value)
        assert len(repr(value)) < 1000
        document = value.to_json()
        json.dumps(document)
        assert type(value).__name__ in page_of(value).text
        assert pickle.loads(pickle.dumps(value)) is not None
    seen = {type(value).__name__ for value in found}
    named = {name for name in tfckpt.types.__all__ if hasattr(getattr(tfckpt.types, name), "_repr_html_")}
    assert named | {"Plan", "Salvage"} == seen
    assert named >= {"Entry", "Step", "Dropped", "Checked", "Pair", "Proof", "Comparison", "Outcome", "Statistics"}


def test_results_that_a_notebook_shows_are_still_tuples(bert: str, tmp_path: Path) -> None:
    plan = tfckpt.convert(bert, tmp_path / "m", sync=False)
    assert isinstance(plan, tuple)
    assert isinstance(tfckpt.prove(bert, tmp_path / "m"), tuple)
    with tfckpt.open(bert) as checkpoint:
        entry = checkpoint.entry("global_step")
    assert entry == tuple(entry)
    assert pickle.loads(pickle.dumps(entry)) == entry
    assert hash(entry) == hash(tuple(entry))


# --- reprs


FULL = Entry("bert/pooler/dense/kernel", DT_FLOAT, (768, 768), 0, 1024, 2_359_296, 0x1A2B3C4D)
FLOATS = Entry("a", DT_FLOAT, (4,), 0, 0, 16, 0)
MATRIX = Entry("a", DT_FLOAT, (8, 8), 0, 0, 256, 0)
HALVES = (TensorSlice(((0, 1),)), TensorSlice(((1, 1),)))
REPRS: list[tuple[Any, str]] = [
    (
        FULL,
        "<Entry 'bert/pooler/dense/kernel': float32[768, 768], 2,359,296 bytes at 1,024 of shard 0, crc32c 0x1a2b3c4d>",
    ),
    (Entry("w", DT_INT64, (), 0, 0, 8, 0), "<Entry 'w': int64[], 8 bytes>"),  # of a V1 checkpoint
    (Entry("w", DT_FLOAT, (2,), 0, 0, 8, 0, HALVES), "<Entry 'w': float32[2], 8 bytes in 2 slices>"),
    (Entry("w", DT_STRING, (2,), 0, 0, 0, 0, HALVES), "<Entry 'w': string[2] in 2 slices>"),
    (
        Entry("w\n", DT_BFLOAT16, (1,), 1, 0, 2, 7),
        "<Entry 'w\\n': bfloat16[1], 2 bytes at 0 of shard 1, crc32c 0x00000007>",
    ),
    (carrying(FLOATS, "b"), "<Step 'a' -> 'b': float32[4]>"),
    (
        formed(MATRIX, "b", (Rearrange("h (a d) -> h a d", {"a": 2}),), (8, 2, 4)),
        "<Step 'a' -> 'b': float32[8, 8] -> float32[8, 2, 4], h (a d) -> h a d>",
    ),
    (carrying(FLOATS, "b", cast=DT_HALF), "<Step 'a' -> 'b': float32[4] -> float16[4]>"),
    (filling("b", DT_FLOAT, (4,), Fill()), "<Step zeros -> 'b': float32[4]>"),
    (Pair("w", "w", "same", ("float32",) * 2, ((2,),) * 2), "<Pair 'w': same, float32[2]>"),
    (Pair("", "w", "only in B", ("int8",), ((),)), "<Pair 'w': only in B, int8[]>"),
    (
        Pair("w", "v", "shape", ("float32", "float32"), ((2,), (3,))),
        "<Pair 'w' and 'v': shapes differ, float32[2] and float32[3]>",
    ),
]


@pytest.mark.parametrize(("value", "expected"), REPRS, ids=[expected for _, expected in REPRS])
def test_records_are_told_in_a_line_that_people_read(value: Any, expected: str) -> None:
    assert repr(value) == expected


def test_results_are_told_in_a_line_that_people_read(bert: str, tmp_path: Path) -> None:
    told = {type(value).__name__: repr(value) for value in results(bert, tmp_path)}
    name = "bert/embeddings/LayerNorm/beta"
    assert told["Salvage"] == (f"<Salvage of '{tmp_path}/d' to '{tmp_path}/s': 138 tensors saved, 1 known to be lost>")
    assert (
        told["Pair"] == "<Pair 'bert/pooler/dense/bias': values differ, float32[8], 1 of 8 values, at most 0.5 apart>"
    )
    assert told["CheckpointStatistics"] == f"<CheckpointStatistics of {bert!r}: 139 tensors>"
    assert told["Statistics"] == "<Statistics of 1 values: from 3 to 3, mean 3, deviation 0>"
    assert told["Measured"] == "<Measured 'global_step': int64[], from 3 to 3, mean 3, deviation 0>"
    assert told["Damage"].startswith(f"<Damage of {name!r}: ")
    assert told["Constructor"].startswith("<Constructor encoder = networks.BertEncoder(vocab_size=30, hidden_size=8, ")
    outcomes = run_jobs(
        [{"source": bert, "dest": f"{tmp_path}/{n}"} | more for n, more in ((1, {}), (2, {"num_heads": 3}))]
    )
    assert repr(outcomes[0]) == f"<Outcome of {bert!r} to '{tmp_path}/1': done, 'encoder', 39 tensors>"
    assert repr(outcomes[1]).startswith(f"<Outcome of {bert!r} to '{tmp_path}/2': failed, ")
    with tfckpt.open(tmp_path / "m") as checkpoint:
        assert repr(checkpoint.object_graph) == "<ObjectGraph: 68 objects>"
        assert repr(checkpoint.lookup) == f"<Lookup of '{tmp_path}/m': 40 names>"
    reader = tfckpt.load_checkpoint(str(tmp_path / "m"))
    assert repr(reader) == f"<CheckpointReader of <tfckpt.Checkpoint '{tmp_path}/m': 40 tensors>>"


def test_statistics_say_what_is_not_finite() -> None:
    told = tfckpt.types.Statistics
    assert repr(told("values", 0)) == "<Statistics of 0 values: no elements>"
    assert (
        repr(told("values", 3, nan=2, negative_inf=1)) == "<Statistics of 3 values: none is finite, 2 NaN, 1 infinite>"
    )


# --- html


def test_a_plan_has_its_steps_folded_and_its_notes_open(bert: str) -> None:
    plan = tfckpt.plan(bert, to="keras", fill="zeros")
    page = page_of(plan)
    text = plan._repr_html_()
    assert f"<details open><summary>{len(plan.notes)} notes</summary>" in text
    assert "<details><summary>139 steps</summary>" in text
    assert "has no use for it" in page.text
    assert "bert/pooler/dense/kernel" in page.text


def test_a_table_shows_its_first_rows_and_counts_the_others(bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MOST_ROWS", 10)
    plan = tfckpt.plan(bert)
    page = page_of(plan)
    assert "and 29 more" in page.text
    assert "and 90 more" in page.text
    assert plan.steps[9].source in page.text
    assert f" {plan.steps[10].target} " not in page.text


def test_a_proof_and_a_comparison_say_first_what_is_wrong(bert: str, tmp_path: Path) -> None:
    change(bert, tmp_path / "m")
    comparison = tfckpt.diff(bert, tmp_path / "m")
    text = comparison._repr_html_()
    assert "<details open><summary>1 differ</summary>" in text
    assert page_of(comparison).text.count(" bert/pooler/dense/bias ") == 2  # also among all pairs
    tfckpt.convert(bert, tmp_path / "k", to="keras", sync=False)
    assert "proved yes" in " ".join(page_of(tfckpt.prove(bert, tmp_path / "k", to="keras")).text.split())


def test_statistics_show_a_histogram(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"w": [0.0, 1.0, 1.0, np.nan]})
    found = tfckpt.statistics(tmp_path / "m", bins=2)
    assert " 0.5 1 2 " in page_of(found["w"]).text.replace("  ", " ")
    assert page_of(found).count("tr") == 2


def test_long_texts_are_cut() -> None:
    entry = Entry("x" * 100_000, DT_FLOAT, (), 0, 0, 4, 1)
    assert len(entry._repr_html_()) < 10_000


# --- names from a file


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    """A checkpoint with names that would be markup, or worse."""
    tfckpt.save(tmp_path / "hostile", {name: np.arange(2.0) for name in HOSTILE} | {f"{SCRIPT}s": ["<b>"]})
    return str(tmp_path / "hostile")


SHOWN: dict[str, Callable[[str, Path], Any]] = {
    "a checkpoint": lambda source, directory: tfckpt.open(source),
    "an entry": lambda source, directory: tfckpt.open(source).entry(SCRIPT),
    "a plan": lambda source, directory: tfckpt.rewrite(source, directory / "r", rename=[("^model", SCRIPT)]),
    "what is dropped": lambda source, directory: tfckpt.rewrite(source, directory / "r", drop=["<*"]),
    "a comparison": lambda source, directory: tfckpt.diff(source, source, ignore=["x*"]),
    "statistics": lambda source, directory: tfckpt.statistics(source),
    "a salvage": lambda source, directory: tfckpt.salvage(source, directory / "s"),
    "an outcome": lambda source, directory: run_jobs([{"source": source, "dest": f"{directory}/o"}])[0],
}


@pytest.mark.parametrize("what", SHOWN)
def test_names_from_a_file_are_text_and_never_markup(hostile: str, tmp_path: Path, what: str) -> None:
    page = page_of(SHOWN[what](hostile, tmp_path))
    if what != "an outcome":
        assert SCRIPT in page.text or "<script>alert(1)<" in page.text


@pytest.mark.parametrize("name", HOSTILE)
def test_parts_of_html_are_escaped_wherever_a_text_stands(name: str) -> None:
    parts = [
        html.facts({name: name, "nested": {name: [name]}, "rows": [{name: name}]}),
        html.table([name], [name], lambda item: [item]),
        html.listed([name]),
        html.folded(name, html.listed([name])),
        html.shown(name),
    ]
    for part in parts:
        page = Page(part)
        assert set(page.tags) - {""} <= TAGS
        part.encode("utf-8")


def test_neither_a_repr_nor_html_shows_the_credentials_of_a_url(bert: str, tmp_path: Path) -> None:
    """Both are kept in a notebook, which is passed on."""
    url = "https://me:secret@host/run/model?signature=secret"
    plan = tfckpt.convert(bert, tmp_path / "m", sync=False)
    comparison, statistics = tfckpt.diff(bert, bert), tfckpt.statistics(bert)
    (outcome,) = run_jobs([{"source": bert, "dest": f"{tmp_path}/x"}])
    found = [
        plan._replace(source=url),
        tfckpt.prove(bert, tmp_path / "m")._replace(source=url, dest=url, others=(f"{url}: wrong",)),
        dataclasses.replace(comparison, a=url, b=url),
        dataclasses.replace(tfckpt.salvage(bert, tmp_path / "s", sync=False), source=url, destination=url),
        dataclasses.replace(statistics, source=url),
        dataclasses.replace(tfckpt.report(bert, tmp_path / "m", stats=False), source=url, dest=url),
        dataclasses.replace(outcome, source=url, dest=url),
        dataclasses.replace(outcome, status="failed", error=StorageError(f"{url}: refused")),
    ]
    for value in found:
        assert "secret" not in repr(value) + page_of(value).text
        assert "https://***@host/run/model" in page_of(value).text


# --- a checkpoint


def test_a_checkpoint_is_a_tree_that_folds_at_the_slashes_of_names(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        text = checkpoint._repr_html_()
        page = page_of(checkpoint)
        assert all(entry.name.rpartition("/")[2] in page.text for entry in checkpoint.entries())
    assert "<details open><summary><code>bert</code> <small>117 variables, 20,064 bytes</small></summary>" in text
    assert "<details><summary><code>pooler</code> <small>6 variables, 864 bytes</small></summary>" in text
    assert "<li><code>adam_m</code> float32[8, 8]</li>" in text
    assert "<summary><code>kernel</code> float32[8, 8] <small>3 variables, 768 bytes</small></summary>" in text
    assert "<li><code>global_step</code> int64[]</li>" in text


def test_an_object_based_checkpoint_is_a_tree_of_objects_with_their_slots(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "m", to="pretrainer", slots="convert", sync=False)
    with tfckpt.open(tmp_path / "m") as checkpoint:
        page = page_of(checkpoint)
        assert "_CHECKPOINTABLE_OBJECT_GRAPH" not in page.text
        assert "slots m, v" in page.text
        assert "_pooler_layer" in page.text
        assert f"{len(checkpoint) - 1} variables" in page.text


def test_a_tree_is_bounded_and_counts_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foldable, "MOST_BRANCHES", 5)
    tfckpt.save(tmp_path / "m", {f"layer_{n}/{part}": np.zeros(2) for n in range(4) for part in "abc"} | {"z": 1})
    with tfckpt.open(tmp_path / "m") as checkpoint:
        text = checkpoint._repr_html_()
        assert text.count("<code>layer_") == 4
        assert "<li>and 3 more: 3 variables, 48 bytes</li>" in text
        monkeypatch.setattr(foldable, "MOST_BRANCHES", 3)
        assert "<li>and 2 more: 4 variables, 56 bytes</li>" in checkpoint._repr_html_()
        monkeypatch.setattr(foldable, "MOST_TENSORS", 7)
        page = page_of(checkpoint)
        assert "not in this tree: 6 variables, 88 bytes, from 'layer_2/b' on" in page.text


def test_a_closed_checkpoint_says_so(bert: str) -> None:
    checkpoint = tfckpt.open(bert)
    checkpoint.close()
    assert page_of(checkpoint).text.strip() == repr(checkpoint) == f"<tfckpt.Checkpoint {bert!r}: closed>"


def test_a_checkpoint_with_a_damaged_index_has_a_repr_and_says_what_is_wrong(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {f"layer_{number:05}/{'weight' * 9}": 1 for number in range(9000)}, sync=False)
    index = tmp_path / "m.index"
    data = bytearray(index.read_bytes())
    data[len(data) // 2] ^= 0xFF
    index.write_bytes(data)
    with tfckpt.open(tmp_path / "m") as checkpoint:  # whose first block is whole
        assert repr(checkpoint) == f"<tfckpt.Checkpoint '{tmp_path}/m': its index cannot be read>"
        assert f"{index}: block checksum" in page_of(checkpoint).text


def test_a_damaged_object_graph_leaves_the_tree_of_names(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {"_CHECKPOINTABLE_OBJECT_GRAPH": np.array(b"\xff", object), "a/w": [1.0]})
    with tfckpt.open(tmp_path / "m") as checkpoint:
        text = checkpoint._repr_html_()
        assert "expected a TrackableObjectGraph" in page_of(checkpoint).text
        assert "<li><code>w</code> float64[1]</li>" in text
