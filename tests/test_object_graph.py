from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfckpt
from tfckpt.checkpoint.graph.object_graph import (
    OBJECT_GRAPH_KEY,
    Attribute,
    Node,
    ObjectGraph,
    SlotVariable,
    escape,
    join_path,
    split_path,
    unescape,
    variable_key,
)
from tfckpt.errors import FormatError, TensorNotFoundError, UsageError

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


UNKNOWN = bytes.fromhex("7a0178")  # field 15, the text "x": what a later TensorFlow may add
ODD = {  # messages that do not come out as they went in when they are only parsed and written
    "a value before the name of an edge": "0a07 0a05 120177 0800",
    "two edges of one name": "0a0c 0a05 0801 120177 0a03 120177 0a00",
    "a flag that is there and false": "0a02 2a00",
    "a flag spelled out as false": "0a04 2a02 0800",
    "an unknown field of a node": "0a03" + UNKNOWN.hex(),
    "an unknown field of the graph": "0a00" + UNKNOWN.hex(),
    "a number that is longer than it must be": "0a0b 0a09 088080808000 120177",
}


@pytest.mark.parametrize("serialized", ODD.values(), ids=ODD.keys())
def test_bytes_are_kept_while_nothing_changes(serialized: str) -> None:
    graph = ObjectGraph.parse(bytes.fromhex(serialized))
    assert graph.serialize() == bytes.fromhex(serialized)
    graph.node_at(("new",))
    assert graph.serialize() != bytes.fromhex(serialized)
    assert ObjectGraph.parse(graph.serialize()) == graph


def test_a_change_that_is_taken_back_gives_the_bytes_again() -> None:
    serialized = bytes.fromhex(ODD["two edges of one name"])
    graph = ObjectGraph.parse(serialized)
    graph.nodes[1].has_checkpoint_values = True
    assert graph.serialize() != serialized
    graph.nodes[1].has_checkpoint_values = None
    assert graph.serialize() == serialized


def test_nodes_that_did_not_change_keep_what_is_unknown_in_them() -> None:
    serialized = bytes.fromhex("0a07 0a05 0801 120177 0a03") + UNKNOWN + b"\x0a\x03" + UNKNOWN + UNKNOWN
    graph = ObjectGraph.parse(serialized)
    graph.nodes[1].has_checkpoint_values = True
    written = graph.serialize()
    assert written.count(UNKNOWN) == 2  # of the third node and of the graph, but not of the one that was changed
    assert ObjectGraph.parse(written) == graph
    del graph.nodes[2]
    assert graph.serialize().count(UNKNOWN) == 1


def test_where_a_graph_came_from_shows_in_neither_its_repr_nor_its_equality() -> None:
    read = ObjectGraph.parse(bytes.fromhex("0a04 2a02 0800"))
    made = ObjectGraph([Node(has_checkpoint_values=False)])
    assert read == made
    assert repr(read) == repr(made)
    assert read.serialize() != made.serialize()


def test_deep_and_circular_graphs_are_walked() -> None:
    depth = 3000  # more than Python's stack holds
    nodes = [Node(children={"next": (number + 1) % depth, "back": max(number - 1, 0)}) for number in range(depth)]
    nodes[-1].attributes.append(Attribute("VARIABLE_VALUE", variable_key("deep")))
    graph = ObjectGraph.parse(ObjectGraph(nodes).serialize())
    assert sum(1 for _ in graph.walk()) == depth
    assert graph.nodes_with_values() == set(range(depth))
    graph.drop_keys([variable_key("deep")])
    assert graph.nodes_with_values() == set()


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


def training_graph() -> ObjectGraph:
    """A model of two variables in a cycle, an optimizer with a step and a slot, and a placeholder without a value."""
    nodes = [
        Node({"model": 1, "optimizer": 4, "later": 7}),
        Node({"a": 2, "b": 3, "self": 0}),
        Node(attributes=[Attribute("VARIABLE_VALUE", variable_key("model/a"), "a")]),
        Node(attributes=[Attribute("VARIABLE_VALUE", variable_key("model/b"))]),
        Node({"iter": 5, "model": 1}, slot_variables=[SlotVariable(2, "m", 6)]),
        Node(attributes=[Attribute("VARIABLE_VALUE", variable_key("optimizer/iter"))]),
        Node(attributes=[Attribute("VARIABLE_VALUE", variable_key("model/a/.OPTIMIZER_SLOT/optimizer/m"))]),
        Node(),
    ]
    for node in nodes:
        node.has_checkpoint_values = True
    return ObjectGraph(nodes)


SLOT, STEP = variable_key("model/a/.OPTIMIZER_SLOT/optimizer/m"), variable_key("optimizer/iter")


def values_flags(graph: ObjectGraph) -> list[bool | None]:
    return [node.has_checkpoint_values for node in graph.nodes]


def test_dropping_a_slot_takes_the_reference_to_it_away() -> None:
    graph = training_graph()
    graph.drop_keys({SLOT})
    assert graph.nodes[4].slot_variables == []
    assert graph.nodes[6].attributes == []
    assert values_flags(graph) == [True, True, True, True, True, True, False, True]


def test_a_slot_that_keeps_another_value_stays() -> None:
    graph = training_graph()
    graph.nodes[6].attributes.append(Attribute("other", "other"))
    graph.drop_keys({SLOT})
    assert graph.nodes[4].slot_variables == [SlotVariable(2, "m", 6)]


def test_nodes_that_lead_to_no_value_any_more_say_so_and_placeholders_stay() -> None:
    graph = training_graph()
    del graph.nodes[4].children["model"]
    graph.nodes[5].has_checkpoint_values = None
    graph.drop_keys({SLOT, STEP, "no such key"})
    assert values_flags(graph) == [True, True, True, True, False, None, False, True]
    assert len(graph.nodes) == 8


def test_a_node_that_leads_to_another_value_in_a_cycle_stays_as_it_is() -> None:
    graph = training_graph()
    graph.drop_keys({variable_key("model/a"), variable_key("model/b"), SLOT})
    assert values_flags(graph) == [True, True, False, False, True, True, False, True]  # model leads to the root
    graph.drop_keys({STEP})
    assert values_flags(graph) == [False, False, False, False, False, False, False, True]


def test_renaming_changes_keys_and_nothing_else() -> None:
    graph = training_graph()
    a, b, c = (variable_key(name) for name in ("model/a", "model/b", "encoder/c"))
    graph.rename_keys({a: b, b: c, "no such key": "anything"})
    assert graph.nodes[2].attributes == [Attribute("VARIABLE_VALUE", b, "a")]
    assert graph.nodes[3].attributes == [Attribute("VARIABLE_VALUE", c)]
    graph.rename_keys({b: a, c: b})
    assert graph == training_graph()


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (variable_key("model/b"), "'model/a/.*' and 'model/b/.*' would both be called so"),
        ("encoder/a", "expected one that ends in '/.ATTRIBUTES/VARIABLE_VALUE', got 'encoder/a'"),
        (variable_key("\udcff"), "expected UTF-8 text"),
    ],
)
def test_keys_that_tensorflow_could_not_restore_by_are_refused(new: str, message: str) -> None:
    graph = training_graph()
    with pytest.raises(UsageError, match=message):
        graph.rename_keys({variable_key("model/a"): new})
    assert graph == training_graph()


def test_a_key_that_two_nodes_share_is_renamed_for_both() -> None:
    graph = training_graph()
    graph.nodes[3].attributes = [Attribute("VARIABLE_VALUE", variable_key("model/a"))]
    graph.rename_keys({variable_key("model/a"): variable_key("z")})
    assert [graph.nodes[n].attributes[0].checkpoint_key for n in (2, 3)] == [variable_key("z")] * 2


@pytest.mark.parametrize(
    "path", ["encoder/layer_with_weights-6/kernel", "model/_pooler_layer/kernel", "_pooler_layer/kernel"]
)
def test_a_key_is_found_by_any_path(bert: str, tmp_path: Path, path: str) -> None:
    tfckpt.convert(bert, tmp_path / "out")
    with tfckpt.open(tmp_path / "out") as checkpoint:
        assert checkpoint.key_at(path) == variable_key("encoder/layer_with_weights-6/kernel")
        assert checkpoint[checkpoint.key_at(path)].shape == (8, 8)


def save_graph(prefix: Path, graph: ObjectGraph) -> tfckpt.Checkpoint:
    tfckpt.save(prefix, {OBJECT_GRAPH_KEY: graph.serialize()})
    return tfckpt.open(prefix)


def test_a_path_is_in_key_form(tmp_path: Path) -> None:
    graph = ObjectGraph()
    graph.nodes[graph.node_at(("a/b", "c.d"))].attributes.append(Attribute("VARIABLE_VALUE", "the key"))
    with save_graph(tmp_path / "c", graph) as checkpoint:
        assert checkpoint.key_at(join_path(("a/b", "c.d"))) == "the key"
        with pytest.raises(TensorNotFoundError, match=r"did you mean 'a.Sb/c..d'\?"):
            checkpoint.key_at("a/b/c.d")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("model/aa", r"no object at 'model/aa'; did you mean 'model/a'"),
        ("mode/b", r"no object at 'mode/b'; did you mean 'model/b'"),
        ("x", r"no object at 'x'; the root leads to 'model', 'optimizer', 'later'$"),
        ("model/a/x/y/z/nothing/like/it", r"; 'model/a' leads to nothing$"),
        ("model", r"the object at 'model' holds no value; did you mean .*'model/a'"),
        ("", r"the object at '' holds no value; the root leads to 'model', 'optimizer', 'later'$"),
        ("optimizer/iter", r"several values at 'optimizer/iter': 'optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE', 'k2'$"),
    ],
)
def test_a_path_without_one_value_is_an_error_that_helps(tmp_path: Path, path: str, message: str) -> None:
    graph = training_graph()
    graph.nodes[5].attributes.append(Attribute("other", "k2"))
    with save_graph(tmp_path / "c", graph) as checkpoint, pytest.raises(TensorNotFoundError, match=message):
        checkpoint.key_at(path)


def test_the_key_of_an_object_that_is_no_variable_is_that_of_its_tensor(tmp_path: Path) -> None:
    graph = ObjectGraph()
    for path, key in ("it", "it/.ATTRIBUTES/ITERATOR"), ("table", "table/.ATTRIBUTES/table"):
        graph.nodes[graph.node_at((path,))].attributes.append(Attribute(key.rpartition("/")[2], key))
    graph.nodes[graph.node_at(("saved",))].registered_saver = ("my.Saver", "saved")
    names = ["it/.ATTRIBUTES/ITERATOR_STATE", "table/.ATTRIBUTES/table-keys", "table/.ATTRIBUTES/table-values", "saved"]
    tfckpt.save(tmp_path / "c", {OBJECT_GRAPH_KEY: graph.serialize(), **dict.fromkeys(names, 1)})
    with tfckpt.open(tmp_path / "c") as checkpoint:
        assert checkpoint.key_at("it") == names[0]
        assert checkpoint.key_at("saved") == "saved"
        with pytest.raises(TensorNotFoundError, match=f"several values at 'table': '{names[1]}', '{names[2]}'$"):
            checkpoint.key_at("table")


def test_a_name_based_checkpoint_has_no_paths(bert: str) -> None:
    with tfckpt.open(bert) as checkpoint, pytest.raises(TensorNotFoundError, match="a name-based checkpoint"):
        checkpoint.key_at("bert/pooler/dense/kernel")


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


def test_taking_all_that_is_stored_of_nodes_leaves_edges_and_slots_of_others() -> None:
    graph = training_graph()
    graph.nodes[3].attributes.append(Attribute("other", "model/b/.ATTRIBUTES/other"))
    graph.nodes[7].registered_saver = ("my.Saver", "later")
    graph.drop_values({3, 6, 7})
    assert [len(node.attributes) for node in graph.nodes] == [0, 0, 1, 0, 0, 1, 0, 0]
    assert graph.nodes[7].registered_saver is None
    assert graph.nodes[4].slot_variables == []
    assert graph.nodes[1].children == training_graph().nodes[1].children
    assert values_flags(graph) == [True, True, True, False, True, True, False, False]


def test_a_variable_that_lost_its_value_and_not_its_slot_is_waited_for() -> None:
    nodes = [Node({"model": 1, "optimizer": 3}), Node({"a": 2}), Node(), Node(), Node()]
    nodes[2].attributes = [Attribute("VARIABLE_VALUE", variable_key("model/a"))]
    nodes[3].slot_variables = [SlotVariable(2, "m", 4)]
    nodes[4].attributes = [Attribute("VARIABLE_VALUE", SLOT)]
    for node in nodes:
        node.has_checkpoint_values = True
    graph = ObjectGraph(nodes)
    graph.drop_values({2})
    assert values_flags(graph) == [True] * 5
    graph.drop_keys({SLOT})
    assert values_flags(graph) == [False] * 5
