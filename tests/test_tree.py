from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfckpt
from tfckpt._proto.types_pb2 import DT_FLOAT
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import (
    OBJECT_GRAPH_KEY,
    Attribute,
    Node,
    ObjectGraph,
    SlotVariable,
    split_path,
    variable_key,
)
from tfckpt.checkpoint.graph.outline import Branch, outline_names, outline_objects
from tfckpt.cli.main import main

DATA = Path(__file__).parent / "data"


def draw(capsys: pytest.CaptureFixture[str], prefix: str | Path, *options: str) -> list[str]:
    """Return the lines that the command prints, without the first, which is the prefix, and without trailing blanks."""
    assert main(["tree", str(prefix), *options]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith(str(prefix))
    return lines


def save(prefix: Path, graph: ObjectGraph, shapes: Mapping[str, tuple[int, ...] | None] | None = None) -> Path:
    """Write a checkpoint of a graph: a float32 scalar for every attribute, unless ``shapes`` tells its shape, or None."""
    keys = [attribute.checkpoint_key for node in graph.nodes for attribute in node.attributes]
    known: dict[str, tuple[int, ...] | None] = {}
    known.update(dict.fromkeys(keys, ()))
    known.update(shapes or {})
    tensors = {key: np.zeros(shape, np.float32) for key, shape in known.items() if shape is not None}
    tfckpt.save(prefix, tensors | {OBJECT_GRAPH_KEY: graph.serialize()})
    return prefix


def graph_of(variables: dict[str, str], aliases: dict[str, str] | None = None) -> ObjectGraph:
    """Return a graph with a variable of the given key at each path, and second ways to nodes."""
    graph = ObjectGraph()
    for path, key in variables.items():
        graph.nodes[graph.node_at(split_path(path))].attributes.append(Attribute("VARIABLE_VALUE", variable_key(key)))
    for alias, path in (aliases or {}).items():
        graph.add_edge(split_path(alias), graph.node_at(split_path(path)))
    return graph


def test_the_tree_of_a_converted_bert_is_as_expected(
    bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tfckpt.convert(bert, tmp_path / "bert_encoder")
    golden = (DATA / "trees" / "bert_encoder.txt").read_text(encoding="utf-8").splitlines()
    assert draw(capsys, tmp_path / "bert_encoder") == golden


def test_names_without_an_object_graph_are_drawn_as_a_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shapes = {"bert/layer_10/w": (2, 3), "bert/layer_9/w": (3,), "bert/layer_9/w/adam_m": (3,), "global_step": ()}
    tfckpt.save(tmp_path / "c", {name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    assert draw(capsys, tmp_path / "c") == [
        "├─ bert",
        "│  ├─ layer_9",
        "│  │  └─ w          float32 [3]",
        "│  │     └─ adam_m  float32 [3]",
        "│  └─ layer_10",
        "│     └─ w          float32 [2, 3]",
        "└─ global_step      float32 []",
        "4 variables, 52 bytes",
    ]


def test_an_encoder_that_tensorflow_wrote_is_drawn_as_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real graph has its edges in another order, numbers for every Keras layer, and nodes without values."""
    dump = json.loads((DATA / "graphs" / "encoder_v1.json").read_text(encoding="utf-8"))
    nodes = [
        Node(n.get("children", {}), [Attribute(a["name"], a["checkpoint_key"]) for a in n.get("attributes", [])])
        for n in dump["nodes"]
    ]
    for node in [
        node for node in nodes if "_attention_layer" in node.children
    ]:  # ours has an edge for old readers, too
        attention = nodes[node.children["_attention_layer"]]
        node.children = {**node.children, "_attention_output_dense": attention.children["_output_dense"]}
    shapes = {key: tuple(tensor["shape"]) for key, tensor in dump["tensors"].items() if key != OBJECT_GRAPH_KEY}
    lines = draw(capsys, save(tmp_path / "c", ObjectGraph(nodes), shapes))
    golden = (DATA / "trees" / "bert_encoder.txt").read_text(encoding="utf-8").splitlines()
    assert [line.partition("  = ")[0] for line in lines] == [line.partition("  = ")[0] for line in golden]
    assert lines[1] == "   ├─ _embedding_layer  = layer_with_weights-0, layer-1"

    everything = draw(capsys, tmp_path / "c", "--all")
    assert (
        len(everything)
        == len(lines) + 115 - sum("─" in line for line in lines if "─ _attention_output_dense" not in line) - 1
    )
    assert "   ├─ layer-0" in everything


def training() -> ObjectGraph:
    graph = graph_of(
        {name: name for name in ("model/w", "optimizer/iter")}, {"optimizer/target": "model", "model/self": "model"}
    )
    optimizer, variable = graph.nodes[graph.node_at(("optimizer",))], graph.node_at(("model", "w"))
    for slot in ("m", "v"):
        optimizer.slot_variables.append(SlotVariable(variable, slot, len(graph.nodes)))
        graph.nodes.append(Node(attributes=[Attribute("VARIABLE_VALUE", variable_key(f"slot {slot}"))]))
    graph.node_at(("model", "activation"))
    return graph


def test_slots_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = save(tmp_path / "c", training(), {variable_key("slot m"): (2, 3)})
    assert draw(capsys, prefix) == [
        "├─ model  = optimizer/target",
        "│  ├─ w           float32 []",
        "│  └─ self  -> model",
        "└─ optimizer",
        "   ├─ iter        float32 []",
        "   ├─ target  -> model",
        "   └─ slots m, v  2 variables, 28 bytes",
        "4 variables, 36 bytes",
    ]


def test_all_shows_each_slot_and_what_holds_no_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = save(tmp_path / "c", training(), {variable_key("slot m"): (2, 3)})
    assert draw(capsys, prefix, "--all") == [
        "├─ model  = optimizer/target",
        "│  ├─ w     float32 []",
        "│  ├─ self  -> model",
        "│  └─ activation",
        "└─ optimizer",
        "   ├─ iter  float32 []",
        "   ├─ target  -> model",
        "   ├─ m     float32 [2, 3]  of model/w",
        "   └─ v     float32 []  of model/w",
        "4 variables, 36 bytes",
    ]


def test_a_slot_that_an_edge_leads_to_is_drawn_there_and_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = training()
    graph.add_edge(("moments",), graph.nodes[graph.node_at(("optimizer",))].slot_variables[0].slot_variable)
    lines = draw(capsys, save(tmp_path / "c", graph))
    assert lines[-3:] == [
        "│  └─ slots v  1 variable, 4 bytes",
        "└─ moments     float32 []",
        "4 variables, 16 bytes",
    ]


def test_lists_are_in_numeric_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = graph_of({f"list/{n}": f"list/{n}" for n in sorted(map(str, range(12)))})
    lines = draw(capsys, save(tmp_path / "c", graph))
    assert [line.split()[1] for line in lines[1:-1]] == [str(n) for n in range(12)]


def test_a_long_list_of_pointers_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in the new Keras optimizers, which list their variables by kind and all together."""
    variables = {f"all/{n}": f"all/{n}" for n in range(8)}
    aliases = {f"momentums/{n}": f"all/{2 * n}" for n in range(4)} | {"few/0": "all/1"}
    prefix = save(tmp_path / "c", graph_of(variables, aliases))
    assert draw(capsys, prefix)[9:-1] == [
        "├─ momentums",
        "│  └─ 0..3  -> all/0 .. all/6",
        "└─ few",
        "   └─ 0  -> all/1",
    ]
    assert "│  ├─ 1  -> all/2" in draw(capsys, prefix, "--all")


def test_a_path_of_names_is_preferred_to_a_shorter_one_of_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = graph_of(
        {"layer_with_weights-0/w": "a", "layer_with_weights-1/w": "b"},
        {"layer-3": "layer_with_weights-0", "named/0": "layer_with_weights-0", "layer-7": "layer_with_weights-1"},
    )
    assert draw(capsys, save(tmp_path / "c", graph)) == [
        "├─ named",
        "│  └─ 0  = layer_with_weights-0, layer-3",
        "│     └─ w  float32 []",
        "└─ layer_with_weights-1  = layer-7",
        "   └─ w     float32 []",
        "2 variables, 8 bytes",
    ]


def test_aliases_are_in_key_form_and_lead_to_the_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = graph_of({"a.Sb/w": "w"}, {"c..d/x": "a.Sb/w"})
    prefix = save(tmp_path / "c", graph)
    assert draw(capsys, prefix)[:2] == ["├─ a/b", "│  └─ w  float32 []  = c..d/x"]
    assert tfckpt.open(prefix).key_at("c..d/x") == variable_key("w")


def test_tables_values_without_tensors_and_tensors_without_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = graph_of({"gone": "gone"})
    graph.nodes[graph.node_at(("table",))].attributes.append(Attribute("table", "table/.ATTRIBUTES/table"))
    graph.nodes[graph.node_at(("custom",))].registered_saver = ("my.Saver", "custom")
    shapes: dict[str, tuple[int, ...] | None] = {
        variable_key("gone"): None,
        "table/.ATTRIBUTES/table": None,
        "table/.ATTRIBUTES/table-keys": (2,),
        "table/.ATTRIBUTES/table-values": (2,),
        "other": (),
    }
    assert draw(capsys, save(tmp_path / "c", graph, shapes)) == [
        "├─ gone",
        "│  └─ VARIABLE_VALUE  (no such tensor)",
        "├─ table",
        "│  ├─ table-keys    float32 [2]",
        "│  └─ table-values  float32 [2]",
        "└─ custom  (saved by my.Saver)",
        "no object leads to:",
        "  other             float32 []",
        "3 variables, 20 bytes",
    ]


def test_a_root_that_is_a_variable_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = save(tmp_path / "c", graph_of({"": "w"}))
    assert main(["tree", str(prefix)]) == 0
    assert capsys.readouterr().out == f"{prefix}  float32 []\n1 variable, 4 bytes\n"


def test_names_cannot_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = graph_of({"a\x1b[2J": "k"}, {"\n": "a\x1b[2J", "p\r/x": "a\x1b[2J"})
    assert draw(capsys, save(tmp_path / "c", graph))[0] == r"├─ a\x1b[2J  float32 []  = \n, p\r/x"
    tfckpt.save(tmp_path / "n", {"a\x1b/b": 1})
    assert draw(capsys, tmp_path / "n")[0] == r"└─ a\x1b"


def test_json_is_nested_and_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = save(tmp_path / "c", training(), {"other": (3,)})
    assert main(["tree", str(prefix), "--json"]) == 0

    def tensor(name: str, shape: list[int]) -> dict[str, Any]:
        return {"name": name, "dtype": "float32", "shape": shape, "nbytes": 4 * sum(shape or [1])}

    slots = [{"slot": s, "variable": "model/w", "tensor": tensor(variable_key(f"slot {s}"), [])} for s in "mv"]
    model = {
        "name": "model",
        "path": "model",
        "aliases": ["optimizer/target"],
        "children": [
            {"name": "w", "path": "model/w", "tensor": tensor(variable_key("model/w"), [])},
            {"name": "self", "path": "model/self", "points_to": "model"},
        ],
    }
    optimizer = {
        "name": "optimizer",
        "path": "optimizer",
        "slots": slots,
        "children": [
            {"name": "iter", "path": "optimizer/iter", "tensor": tensor(variable_key("optimizer/iter"), [])},
            {"name": "target", "path": "optimizer/target", "points_to": "model"},
        ],
    }
    assert json.loads(capsys.readouterr().out) == {
        "prefix": str(prefix),
        "object_based": True,
        "variables": 5,
        "nbytes": 28,
        "tree": {"name": "", "path": "", "children": [model, optimizer]},
        "rest": [tensor("other", [3])],
    }


def test_deeper_levels_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shapes = {"a/w": (2, 3), "a/w/adam_m": (5,), "a/w/adam_v": (5,), "a/b/c/d": (7,), "step": ()}
    tfckpt.save(tmp_path / "c", {name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    assert draw(capsys, tmp_path / "c", "--depth", "1") == [
        "├─ a     4 variables, 92 bytes",
        "└─ step  float32 []",
        "5 variables, 96 bytes",
    ]
    assert draw(capsys, tmp_path / "c", "--depth", "2") == [
        "├─ a",
        "│  ├─ b  1 variable, 28 bytes",
        "│  └─ w  float32 [2, 3], and 2 variables, 40 bytes below",
        "└─ step  float32 []",
        "5 variables, 96 bytes",
    ]
    assert draw(capsys, tmp_path / "c", "--depth", "4") == draw(capsys, tmp_path / "c")


def test_slots_below_the_depth_are_counted_and_pointers_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = save(tmp_path / "c", training(), {variable_key("slot m"): (2, 3)})
    assert draw(capsys, prefix, "--depth", "1") == [
        "├─ model      1 variable, 4 bytes  = optimizer/target",
        "└─ optimizer  3 variables, 32 bytes",
        "4 variables, 36 bytes",
    ]
    lines = draw(capsys, prefix, "--depth", "1", "--all")
    assert lines[0].startswith("├─ model")


def test_a_glob_or_a_regular_expression_leaves_what_leads_to_its_tensors(
    bert: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [
        "└─ bert",
        "   └─ pooler",
        "      └─ dense",
        "         ├─ bias       float32 [8]",
        "         │  └─ adam_m  float32 [8]",
        "         └─ kernel     float32 [8, 8]",
        "3 of 139 variables, 320 bytes",
    ]
    assert draw(capsys, bert, "--regex", "pooler/dense/(kernel|bias)(/adam_m)?$")[:3] == expected[:3]
    assert draw(capsys, bert, "*pooler*", "--regex", "kernel$|bias$|bias/adam_m") == expected
    assert draw(capsys, bert, "*adam_v", "--regex", "pooler", "--depth", "1") == [
        "└─ bert  2 variables, 288 bytes",
        "2 of 139 variables, 288 bytes",
    ]
    assert main(["tree", bert, "pooler"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == ["0 of 139 variables, 0 bytes"]
    assert err == "tfckpt tree: none of 139 tensors matches; a glob matches whole names, as '*pooler*' does\n"


def test_a_filter_knows_keys_paths_of_objects_and_slots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = graph_of({"named/w": "k/w", "other/w": "o/w"}, {"also": "named"})
    prefix = save(tmp_path / "c", graph, {"nobody/w": ()})
    for pattern in ("named/*", "k/*"):
        assert draw(capsys, prefix, pattern) == [
            "└─ named  = also",
            "   └─ w  float32 []",
            "1 of 3 variables, 4 bytes",
        ]
    assert draw(capsys, prefix, "nobody*") == [
        "no object leads to:",
        "  nobody/w  float32 []",
        "1 of 3 variables, 4 bytes",
    ]
    prefix = save(tmp_path / "t", training())
    assert draw(capsys, prefix, "slot v*") == [
        "└─ optimizer",
        "   └─ slots v  1 variable, 4 bytes",
        "1 of 4 variables, 4 bytes",
    ]


def test_json_has_what_depth_hides(bert: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tree", bert, "bert/*", "--depth", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["variables"], document["nbytes"]) == (117, 20064)
    assert document["tree"]["children"] == [
        {"name": "bert", "path": "bert", "hidden": {"variables": 117, "nbytes": 20064}}
    ]


def branches(branch: Branch) -> Iterator[Branch]:
    yield branch
    for child in branch.children:
        yield from branches(child)


NUMBERS = st.integers(0, 7)
NAMES = st.sampled_from(["a", "b", "0", "1", "layer-0", "layer_with_weights-0", "x.y/z", "."])
KEYS = st.sampled_from([variable_key(name) for name in "abcde"])


@st.composite
def graphs(draw: st.DrawFn) -> ObjectGraph:
    node = st.builds(
        Node,
        st.dictionaries(NAMES, NUMBERS, max_size=4),
        st.lists(st.builds(Attribute, st.sampled_from(["VARIABLE_VALUE", "t"]), KEYS), max_size=2),
        st.lists(st.builds(SlotVariable, NUMBERS, NAMES, NUMBERS), max_size=2),
    )
    return ObjectGraph(draw(st.lists(node, min_size=8, max_size=8)))


@given(graphs(), st.booleans())
def test_every_graph_is_drawn_with_each_place_once_and_no_tensor_forgotten(
    graph: ObjectGraph, everything: bool
) -> None:
    entries = [Entry(variable_key(name), DT_FLOAT, (), 0, 0, 4, 0) for name in "abc"]
    outline = outline_objects(graph, entries, everything=everything)
    drawn = list(branches(outline.root))
    places = [branch.path for branch in drawn if branch.points_to is None and "/.ATTRIBUTES/" not in branch.path]
    held = [branch.entry for branch in drawn if branch.entry] + [s.entry for branch in drawn for s in branch.slots]
    for branch in drawn:
        if branch.points_to is not None:
            assert graph.find(split_path(branch.points_to)) is graph.find(split_path(branch.path))
    assert len(places) == len({id(graph.find(split_path(place))) for place in places})
    assert {entry.name for entry in (*held, *outline.rest)} == {entry.name for entry in entries}
    assert not set(held) & set(outline.rest)
    if everything:
        assert len(places) == sum(1 for _ in graph.walk())


def test_a_chain_of_any_length_is_drawn_down_to_a_depth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = graph_of({"/".join("x" * 3000): "deep"})
    with tfckpt.open(save(tmp_path / "c", graph)) as checkpoint:
        outline = outline_objects(graph, checkpoint.entries())
    *_, deepest = branches(outline.root)
    assert deepest.path.count("x") == 100
    assert deepest.note == "deeper levels are not drawn"
    assert [entry.name for entry in outline.rest] == [variable_key("deep")]
    assert main(["tree", str(tmp_path / "c"), "--json"]) == 0


def test_a_name_of_any_number_of_slashes_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "/".join("x" * 3000)
    tfckpt.save(tmp_path / "c", {name: 1, "x": 2, "//": 3})
    with tfckpt.open(tmp_path / "c") as checkpoint:
        drawn = list(branches(outline_names(checkpoint.entries()).root))
    assert max(branch.path.count("/") for branch in drawn if branch.entry is None) == 98
    assert {branch.path for branch in drawn if branch.entry is not None} == {name, "x", "//"}
    assert main(["tree", str(tmp_path / "c"), "--json"]) == 0


def test_a_stdout_without_lines_gets_plain_ones(
    bert: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main(["tree", bert, "--all"]) == 0
    stdout.seek(0)
    lines = stdout.read().splitlines()
    assert lines[1:3] == ["|- bert", "|  |- embeddings"]
    assert lines[-2].startswith("`- global_step ")


def test_a_terminal_gets_the_same_lines_with_all_however_narrow_it_is(
    bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed(terminal: bool) -> str:
        stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        monkeypatch.setattr(stdout, "isatty", lambda: terminal, raising=False)
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["tree", bert, "--all"]) == 0
        stdout.seek(0)
        return stdout.read()

    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "dumb")
    assert printed(terminal=True).replace("21.2 KiB (21,704 bytes)", "21,704 bytes") == printed(terminal=False)


def test_a_pattern_that_matches_none_of_thousands_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tfckpt.save(tmp_path / "c", {f"w{n}": 1 for n in range(1200)})
    assert main(["tree", str(tmp_path / "c"), "nothing"]) == 0
    out, err = capsys.readouterr()
    assert "none of 1200 tensors matches" in err
    assert out.splitlines()[-1] == "0 of 1,200 variables, 0 bytes"
