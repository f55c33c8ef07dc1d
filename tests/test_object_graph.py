from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfckpt
from tfckpt.checkpoint.object_graph import (
    OBJECT_GRAPH_KEY,
    Attribute,
    Node,
    ObjectGraph,
    SlotVariable,
    escape,
    split_path,
    unescape,
    variable_key,
)
from tfckpt.errors import FormatError

GRAPHS = Path(__file__).parent / "data" / "graphs"


@given(st.text())
def test_escaping_is_undone(name: str) -> None:
    assert unescape(escape(name)) == name
    assert "/" not in escape(name)


@pytest.mark.parametrize(
    ("path", "edges"),
    [("", ()), ("a/b", ("a", "b")), ("a.Sb", ("a/b",)), ("a..b/c", ("a.b", "c")), ("a...Sb", ("a./b",))],
)
def test_a_path_in_key_form_is_split_at_its_slashes_only(path: str, edges: tuple[str, ...]) -> None:
    assert split_path(path) == edges


def full_graph() -> ObjectGraph:
    return ObjectGraph(
        [
            Node(children={"model": 1, "optimizer": 3}, has_checkpoint_values=True),
            Node(children={"w": 2, "loop": 0}),
            Node(attributes=[Attribute("VARIABLE_VALUE", variable_key("model/w"), "w")], has_checkpoint_values=True),
            Node(slot_variables=[SlotVariable(2, "m", 4)], has_checkpoint_values=False),
            Node(attributes=[Attribute("VARIABLE_VALUE", "slot")], registered_saver=("saver", "object")),
        ]
    )


def test_a_graph_with_everything_round_trips() -> None:
    assert ObjectGraph.parse(full_graph().serialize()) == full_graph()


def test_walk_yields_each_node_once_by_its_shortest_path() -> None:
    graph = full_graph()
    graph.nodes[0].children["short"] = 2
    assert [path for path, _ in graph.walk()] == [(), ("model",), ("optimizer",), ("short",)]


def test_find_follows_edges() -> None:
    graph = full_graph()
    assert graph.find(("model", "loop", "model", "w")) is graph.nodes[2]
    assert graph.find(("model", "nothing", "w")) is None


@pytest.mark.parametrize("target", [-1, 5, 2**31 - 1])
def test_an_edge_to_nowhere_is_an_error(target: int) -> None:
    graph = full_graph()
    graph.nodes[3].slot_variables = [SlotVariable(2, "m", target)]
    with pytest.raises(FormatError, match="reference in node 3"):
        ObjectGraph.parse(graph.serialize())


@pytest.mark.parametrize("serialized", [b"", b"\xff\xff", b"\x0a\x7f"])
def test_what_is_no_graph_is_an_error(serialized: bytes) -> None:
    with pytest.raises(FormatError):
        ObjectGraph.parse(serialized)


@pytest.mark.parametrize("value", [[b""], 7], ids=["shape", "dtype"])
def test_a_graph_must_be_a_string_scalar(tmp_path: Path, value: Any) -> None:
    tfckpt.save(tmp_path / "c", {OBJECT_GRAPH_KEY: value})
    with tfckpt.open(tmp_path / "c") as checkpoint, pytest.raises(FormatError, match="expected a string scalar"):
        checkpoint.object_graph  # noqa: B018


def test_a_name_based_checkpoint_has_no_graph(bert: str) -> None:
    assert tfckpt.open(bert).object_graph is None


@pytest.mark.parametrize(("dump", "root"), [("encoder_v1", "encoder"), ("model_encoder_v2", "model")])
def test_our_encoder_has_every_variable_where_tensorflow_has_it(
    bert: str, tmp_path: Path, dump: str, root: str
) -> None:
    """By every path that the real object's graph has, aliases of Keras's numbered layers (``layer-N``) aside."""
    theirs = json.loads((GRAPHS / f"{dump}.json").read_text(encoding="utf-8"))
    tfckpt.convert(bert, tmp_path / "ours")
    with tfckpt.open(tmp_path / "ours") as checkpoint:
        ours, shapes = checkpoint.object_graph, {entry.name: list(entry.shape) for entry in checkpoint.entries()}
    assert ours is not None
    paths = dict(_variable_paths(theirs["nodes"]))
    assert len(set(paths.values())) == 39
    for path, key in paths.items():
        node = ours.find((root, *path[1:]))
        assert node is not None, path
        (attribute,) = node.attributes
        assert shapes[attribute.checkpoint_key] == theirs["tensors"][key]["shape"], path
        if dump == "encoder_v1":
            assert attribute.checkpoint_key == key


def _variable_paths(nodes: list[dict[str, Any]]) -> list[tuple[tuple[str, ...], str]]:
    """Return (path, checkpoint key) for every way to a variable."""
    by_id = {node["id"]: node for node in nodes}
    found: list[tuple[tuple[str, ...], str]] = []
    queue: list[tuple[tuple[str, ...], dict[str, Any]]] = [((), by_id[0])]
    while queue:
        path, node = queue.pop()
        found += [(path, attribute["checkpoint_key"]) for attribute in node.get("attributes", [])]
        for name, child in node.get("children", {}).items():
            if not name.startswith("layer-"):
                queue.append(((*path, name), by_id[child]))
    return found
