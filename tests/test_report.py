"""The command report, without a browser: what the page says, where it goes, what cannot get into it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shlex
import shutil
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, fail, fail_and_advise, run, succeed, succeed_json

import tfckpt
from tfckpt.about.modules import module_paths
from tfckpt.base.options import Request, given
from tfckpt.checkpoint.graph.object_graph import ObjectGraph
from tfckpt.page.page import write_page
from tfckpt.proof.recover import recover_plan


class Found(HTMLParser):
    """The elements of a page, with the text of those that hold no markup."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.append("")
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attrs, text) for (name, attrs), text in zip(self.tags, self.texts, strict=True) if name == tag]


def read(path: Path) -> tuple[Found, Any]:
    """Return what a page is made of, and the document in it."""
    found = Found(path.read_text(encoding="utf-8"))
    (data,) = (text for attrs, text in found.all("script") if attrs.get("id") == "data")
    return found, json.loads(data)


def test_the_page_says_what_json_says(bert: str, tmp_path: Path, capsys: Captured) -> None:
    lines = succeed(capsys, "report", bert, "--to", "encoder", "-o", str(tmp_path / "r.html"))
    size = (tmp_path / "r.html").stat().st_size
    assert lines == [f"written: {tmp_path}/r.html ({size:,} bytes)"]
    assert read(tmp_path / "r.html")[1] == succeed_json(capsys, "report", bert, "--to", "encoder")


def test_the_mapping_is_the_plan_with_checksums(bert: str, tmp_path: Path, capsys: Captured) -> None:
    tfckpt.convert(bert, tmp_path / "out", vocab_size=40, fill="zeros")
    document = succeed_json(capsys, "report", bert, str(tmp_path / "out"), "--vocab-size", "40")
    mapping = document["mapping"]
    assert (mapping["to"], mapping["proved"], mapping["recovered"], mapping["differences"]) == (
        "encoder",
        True,
        True,
        [],
    )
    steps = {step["source"]: step for step in mapping["steps"]}
    assert len(steps) == 39
    assert len(mapping["dropped"]) == 100
    assert {item["rule"] for item in mapping["dropped"]} == {
        *("optimizer state", "masked-LM head", "next-sentence head", "training step")
    }
    words = steps["bert/embeddings/word_embeddings"]
    assert (words["change"], words["how"]) == ("resized", ["axis 0: 30 to 40, added rows: zeros"])
    query = steps["bert/encoder/layer_0/attention/self/query/kernel"]
    assert (query["change"], query["how"]) == ("reshaped", ["h (a d) -> h a d"])
    assert (query["source_shape"], query["shape"]) == ([8, 8], [8, 2, 4])
    assert steps["bert/pooler/dense/bias"]["change"] == "renamed"
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "out") as dest:
        for step in steps.values():
            assert step["source_crc32c"] == source.entry(step["source"]).crc32c
            assert step["target_crc32c"] == dest.entry(step["target"]).crc32c
            assert (step["source_crc32c"] == step["target_crc32c"]) == (step["change"] != "resized")
            assert step["problem"] == ""


def test_without_a_destination_a_checksum_is_known_where_bytes_stay(bert: str, capsys: Captured) -> None:
    document = succeed_json(capsys, "report", bert, "--to", "encoder", "--vocab-size", "40")
    assert document["destination"] is None
    assert document["mapping"]["proved"] is None
    for step in document["mapping"]["steps"]:
        assert step["target_crc32c"] == (None if step["change"] == "resized" else step["source_crc32c"])
        assert step["problem"] is None


def test_tensors_have_their_statistics_paths_and_roles(bert: str, capsys: Captured) -> None:
    document = succeed_json(capsys, "report", bert, "--bins", "7")
    assert document["mapping"] is None
    tensors = {tensor["name"]: tensor for tensor in document["tensors"]}
    name = "bert/encoder/layer_1/output/dense/kernel"
    (shown,) = succeed_json(capsys, "show", bert, name, "--bins", "7")
    assert tensors[name]["statistics"] == shown["statistics"]
    assert tensors[name]["crc32c"] == shown["stored"]["crc32c"]
    assert tensors[name]["path"] == name.split("/")
    assert tensors[name]["layer"] == ["bert", "encoder", "layer_1"]
    assert tensors[f"{name}/adam_m"]["role"] == "optimizer state"
    listed = succeed_json(capsys, "ls", bert, "--columns", "name,dtype,shape,elements,bytes,slices,crc32c,role")
    assert [
        {key: tensor[key] for key in row} for tensor, row in zip(document["tensors"], listed, strict=True)
    ] == listed


def test_without_statistics_no_value_is_read(bert: str, tmp_path: Path, capsys: Captured) -> None:
    shutil.copy(f"{bert}.index", tmp_path / "c.index")
    document = succeed_json(capsys, "report", str(tmp_path / "c"), "--no-stats")
    assert {tensor["statistics"] for tensor in document["tensors"]} == {None}
    assert fail(capsys, "report", str(tmp_path / "c"), "--json")


def test_objects_are_found_by_their_paths(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "out", slots="convert")
    with tfckpt.open(tmp_path / "out") as checkpoint:
        paths = module_paths(checkpoint.object_graph, checkpoint.entries())
    assert len(set(paths.values())) == len(paths)
    assert ("encoder", "_transformer_layers", "1", "_output_dense", "kernel") in paths.values()
    assert any(path[:3] == ("optimizer", "slots m", "encoder") for path in paths.values())
    assert module_paths(ObjectGraph(), []) == {}


@pytest.mark.parametrize(
    ("to", "options"),
    [
        ("encoder", {}),
        ("encoder", {"slots": "convert"}),
        ("encoder", {"keep_names": True}),
        ("pretrainer", {}),
        ("bert-pretrainer", {}),
        ("keras", {"slots": "drop"}),
        ("keras", {}),
    ],
    ids=str,
)
def test_the_target_is_found_by_what_the_destination_holds(
    bert: str, tmp_path: Path, to: str, options: dict[str, Any]
) -> None:
    made = tfckpt.convert(bert, tmp_path / "out", to=to, **options)
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "out") as dest:
        plan = recover_plan(source, dest, given(Request, {}))
        assert (plan.to, plan.steps) == (made.to, made.steps)
    found = tfckpt.report(bert, tmp_path / "out")
    assert found.mapping is not None
    assert (found.mapping["to"], found.mapping["proved"], found.problems) == (made.to, True, ())


def test_the_way_back_and_a_rewrite_are_found_too(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "there")
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    tfckpt.rewrite(bert, tmp_path / "less", strip_optimizer=True)
    with tfckpt.open(tmp_path / "there") as source, tfckpt.open(tmp_path / "back") as dest:
        assert recover_plan(source, dest, given(Request, {})).to == "tf1"
    with tfckpt.open(bert) as source, tfckpt.open(tmp_path / "less") as dest:
        plan = recover_plan(source, dest, given(Request, {}))
    assert (plan.to, len(plan.steps), len(plan.dropped)) == ("", 47, 92)


def test_a_destination_of_another_model_is_refused_with_the_next_step(
    bert: str, tmp_path: Path, capsys: Captured
) -> None:
    tfckpt.save(tmp_path / "other", {"w": 1})
    (line,) = fail(capsys, "report", bert, str(tmp_path / "other"), "-o", str(tmp_path / "r.html"))
    assert line == f"{tmp_path}/other: no target matches it; name one with --to; tfckpt layouts lists them"
    assert not (tmp_path / "r.html").exists()


def test_what_keeps_us_from_the_target_is_said(bert: str, tmp_path: Path, capsys: Captured) -> None:
    tfckpt.convert(bert, tmp_path / "out")
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(f"{bert}{suffix}", tmp_path / f"source{suffix}")  # without its configuration
    lines = fail(capsys, "report", str(tmp_path / "source"), str(tmp_path / "out"), "--json")
    assert lines[1].startswith("target 'encoder': ")
    assert "num_attention_heads" in lines[1]
    assert "give --config or --num-heads" in lines[1]


def test_a_difference_is_in_the_page_and_in_the_exit_code(bert: str, tmp_path: Path, capsys: Captured) -> None:
    tfckpt.convert(bert, tmp_path / "out")
    with tfckpt.open(tmp_path / "out") as checkpoint:
        tensors = dict(checkpoint)
        key = checkpoint.key_at("encoder/_pooler_layer/bias")
    tfckpt.save(tmp_path / "wrong", tensors | {key: tensors[key] + 1})
    (line,) = fail(capsys, "report", bert, str(tmp_path / "wrong"), "-o", str(tmp_path / "r.html"))
    assert f"{key}: values differ" in line
    _, document = read(tmp_path / "r.html")
    assert document["mapping"]["differences"] == [line]
    (problem,) = (step["problem"] for step in document["mapping"]["steps"] if step["problem"])
    assert problem in line


def test_damage_is_in_the_page_and_in_the_exit_code(tmp_path: Path, capsys: Captured) -> None:
    tfckpt.save(tmp_path / "c", {"a": np.arange(3), "b": np.arange(4)})
    with open(tmp_path / "c.data-00000-of-00001", "r+b") as file:
        file.write(b"!")
    (line,) = fail(capsys, "report", str(tmp_path / "c"), "-o", str(tmp_path / "r.html"))
    _, document = read(tmp_path / "r.html")
    assert [tensor["problem"] for tensor in document["tensors"]] == [line, None]
    assert document["tensors"][0]["statistics"] is None
    assert document["tensors"][1]["statistics"]["max"] == 3


def test_v1_partitioned_and_strange_tensors_are_reported(tmp_path: Path, capsys: Captured) -> None:
    v1 = Path(__file__).parent / "data" / "v1" / "slices"
    document = succeed_json(capsys, "report", str(v1), "--format", "v1")
    assert {(tensor["stored"], tensor["crc32c"]) for tensor in document["tensors"]} == {(None, None)}
    tfckpt.save(tmp_path / "c", {"big": np.arange(64.0), "s": [b"a"], "z": np.zeros(0), "c": [1j]}, max_shard_size=200)
    tensors = {t["name"]: t for t in succeed_json(capsys, "report", str(tmp_path / "c"))["tensors"]}
    assert (tensors["big"]["slices"], tensors["big"]["crc32c"]) == (3, None)
    assert [tensors[name]["statistics"]["of"] for name in "scz"] == ["lengths", "magnitudes", "values"]


def test_the_page_is_one_file_that_loads_nothing_and_runs_one_script(
    bert: str, tmp_path: Path, capsys: Captured
) -> None:
    succeed(capsys, "report", bert, "--to", "encoder", "-o", str(tmp_path / "r.html"))
    found, _ = read(tmp_path / "r.html")
    assert {tag for tag, _ in found.tags}.isdisjoint(
        {"link", "img", "iframe", "object", "base", "form", "video", "audio"}
    )
    attributes = [(name, value) for _, attrs in found.tags for name, value in attrs.items()]
    assert not [name for name, _ in attributes if name in ("src", "style", "action") or name.startswith("on")]
    assert {value for name, value in attributes if name == "href"} == {"#main"}
    (policy,) = (a["content"] for a, _ in found.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    ((_, style),) = found.all("style")
    (script,) = (text for attrs, text in found.all("script") if "id" not in attrs)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    for text in (style, script):
        assert "url(" not in text
        assert "@import" not in text
        assert "innerHTML" not in text


def test_no_name_becomes_markup(tmp_path: Path, capsys: Captured) -> None:
    names = [
        "</script><script>alert(1)</script>",
        "<!--",
        "]]>&amp;",
        "\u2028\0\udcff",
        '"\\',
        "{{ data }}{{ policy }}",
    ]
    directory = tmp_path / "<b>&'"
    tfckpt.save(directory / "c", dict.fromkeys(names, 1))
    succeed(capsys, "report", str(directory / "c"), "-o", str(tmp_path / "r.html"))
    found, document = read(tmp_path / "r.html")
    assert [tag for tag, _ in found.tags].count("script") == 2
    assert not found.all("b")
    shown = {r"\u2028\x00\udcff" if name.startswith("\u2028") else name for name in names}
    assert {tensor["name"] for tensor in document["tensors"]} == shown
    ((_, title),) = found.all("title")
    assert title == f"{directory}/c - tfckpt report"


def test_a_file_that_is_there_stays_unless_told(bert: str, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "new" / "r.html"
    path.parent.mkdir()
    path.write_text("mine")
    (line,) = fail(capsys, "report", bert, "-o", str(path))
    assert line == f"{path}: already exists; choose another name, or give --overwrite to replace it"
    assert path.read_text() == "mine"
    succeed(capsys, "report", bert, "-o", str(path), "--overwrite")
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert [item.name for item in path.parent.iterdir()] == ["r.html"]


def test_a_page_never_replaces_the_checkpoint(bert_copy: str, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "link").symlink_to(f"{bert_copy}.index")
    for path in (f"{bert_copy}.index", f"{bert_copy}.data-00000-of-00001", str(tmp_path / "link")):
        (line,) = fail(capsys, "report", bert_copy, "-o", path, "--overwrite")
        assert line == f"{path}: a file of the checkpoint itself; choose another name"
    (line,) = fail(capsys, "report", bert_copy, "-o", str(tmp_path), "--overwrite")
    assert line == f"{tmp_path}: a directory; expected the name of a file"
    assert tfckpt.open(bert_copy).entries()


def test_a_page_never_replaces_a_device_or_a_pipe(bert: str, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    (line,) = fail(capsys, "report", bert, "-o", str(path), "--overwrite")
    assert line == f"{path}: not a regular file; expected the name of a file, or - for stdout"
    assert path.is_fifo()


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def pieces() -> Any:
        yield "x" * 1_000_000
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_page(str(tmp_path / "new" / "r.html"), pieces())
    assert list(tmp_path.iterdir()) == []


def test_a_dash_is_stdout_and_quiet_says_nothing(bert: str, tmp_path: Path, capsys: Captured) -> None:
    printed = run("report", bert, "-o", "-", "-q", capture_output=True)
    assert printed.returncode == 0
    assert printed.stderr == b""
    assert succeed(capsys, "report", bert, "-o", str(tmp_path / "r.html"), "-q") == []
    assert printed.stdout == (tmp_path / "r.html").read_bytes()


@pytest.mark.parametrize(
    ("options", "better"),
    [
        ([], ["-o", "report.html"]),
        (["--json", "-o", "r.html"], ["--json"]),
        (["r.html"], ["-o", "r.html"]),
    ],
    ids=["neither", "both", "a page as DEST"],
)
def test_a_page_or_json_is_asked_for(bert: str, capsys: Captured, options: list[str], better: list[str]) -> None:
    lines, advice = fail_and_advise(capsys, "report", bert, *options, code=2)  # as argparse's own complaints
    assert lines == ["expected -o FILE for the page, or --json for what it says, and not both"]
    assert advice == shlex.join(["tfckpt", "report", bert, *better])


def test_progress_counts_the_proof_and_the_tensors_once(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "out")
    for dest in (None, bert, tmp_path / "out"):
        seen: list[tuple[int, int]] = []
        tfckpt.report(bert, dest, progress=lambda *step: seen.append(step))  # noqa: B023
        assert len(seen) >= 139
        assert seen == sorted(seen)
        assert {total for _, total in seen} == {seen[-1][0]}


def test_the_docs_show_a_small_picture_of_the_page() -> None:
    docs = Path(__file__).parents[1] / "docs"
    assert "](report.png)" in (docs / "cli.md").read_text(encoding="utf-8")
    picture = (docs / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 150_000


def test_one_tensor_at_a_time_is_in_memory(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {name: np.ones(1 << 21, np.float32) for name in "abcd"})  # 8 MiB each
    tracemalloc.start()
    try:
        tfckpt.report(tmp_path / "c", tmp_path / "c", output=tmp_path / "r.html")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "r.html").stat().st_size < 100_000
    assert peak < 6 << 20
