"""What a person types, and the tensors that it means: keys, paths of objects, full names."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.commands import Captured, fail, fail_and_advise, succeed
from support.patience import ends

import tfckpt
from tfckpt.checkpoint.find.lookup import Found, How, Lookup
from tfckpt.checkpoint.graph.object_graph import (
    OBJECT_GRAPH_KEY,
    Attribute,
    Node,
    ObjectGraph,
    SlotVariable,
    join_path,
    path_to,
    split_path,
    variable_key,
)
from tfckpt.checkpoint.graph.outline import outline_objects
from tfckpt.checkpoint.graph.ways import paths_of_variables
from tfckpt.cli.main import main
from tfckpt.errors import FormatError, TensorNotFoundError, UsageError

GRAPHS = sorted((Path(__file__).parent / "data" / "graphs").glob("*.json"))

TABLE = ("table/.ATTRIBUTES/table-keys", "table/.ATTRIBUTES/table-values")
STATE = "it/.ATTRIBUTES/ITERATOR_STATE"
KERNEL, BIAS, STEP = (
    variable_key("net/layer_with_weights-0/kernel"),
    variable_key("net/layer_with_weights-0/bias"),
    variable_key("net/step"),
)
SLOT = variable_key("net/layer_with_weights-0/kernel/.OPTIMIZER_SLOT/opt/m")
TWINS = (variable_key("one"), variable_key("two"))


def value(key: str, full_name: str = "") -> Attribute:
    return Attribute("VARIABLE_VALUE", key, full_name)


def small_graph() -> ObjectGraph:
    """A model whose layer has two names and leads back to it, an optimizer with a slot, a table, an iterator, and twins."""
    return ObjectGraph(
        [
            Node({"net": 1, "opt": 5, "table": 7, "it": 8, "one": 9, "two": 10}),
            Node({"layer_with_weights-0": 2, "dense": 2, "step": 6}),
            Node({"kernel": 3, "bias": 4, "owner": 1}),
            Node(attributes=[value(KERNEL, "dense/kernel")]),
            Node(attributes=[value(BIAS, "dense/bias")]),
            Node({"model": 1}, slot_variables=[SlotVariable(3, "m", 11)]),
            Node(attributes=[value(STEP)]),
            Node(attributes=[Attribute("table", "table/.ATTRIBUTES/table", "words")]),
            Node(attributes=[Attribute("ITERATOR", "it/.ATTRIBUTES/ITERATOR")]),
            Node(attributes=[value(TWINS[0], "twin")]),
            Node(attributes=[value(TWINS[1], "twin")]),
            Node(attributes=[value(SLOT, "Adam/dense/kernel/m")]),
        ]
    )


def values() -> dict[str, Any]:
    names = (KERNEL, BIAS, STEP, SLOT, *TWINS, STATE, *TABLE)
    return {name: np.float32(number) for number, name in enumerate(names)}


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    tfckpt.save(tmp_path / "c", values() | {OBJECT_GRAPH_KEY: small_graph().serialize()})
    return str(tmp_path / "c")


MEANT: dict[str, tuple[str, How]] = {
    KERNEL: (KERNEL, "key"),
    "net/layer_with_weights-0/kernel": (KERNEL, "path"),
    "net/dense/kernel": (KERNEL, "path"),
    "opt/model/dense/kernel": (KERNEL, "path"),
    "net/dense/owner/dense/bias": (BIAS, "path"),  # there is no end of these, and each of them leads there
    "net/dense/bias/.ATTRIBUTES/VARIABLE_VALUE": (BIAS, "path"),
    "dense/kernel": (KERNEL, "full name"),
    "Adam/dense/kernel/m": (SLOT, "full name"),
    "net/dense/kernel/.OPTIMIZER_SLOT/opt/m": (SLOT, "path"),
    "it": (STATE, "path"),
    "it/ITERATOR_STATE": (STATE, "path"),
    "it/.ATTRIBUTES/ITERATOR": (STATE, "path"),
    "table/table-keys": (TABLE[0], "path"),
}


@pytest.mark.parametrize("text", MEANT)
def test_a_tensor_is_read_by_its_key_by_any_path_and_by_its_full_name(prefix: str, text: str) -> None:
    name, how = MEANT[text]
    with tfckpt.open(prefix) as checkpoint:
        expected = values()[name]
        assert checkpoint.lookup.find(text) == Found((name,), how)
        assert checkpoint[text] == checkpoint.get(text) == checkpoint.get_slice(text)[...] == expected
        assert checkpoint.entry(text).name == name
        assert text in checkpoint
        assert [entry.name for entry in checkpoint.entries(text)] == [name]
        checkpoint.verify(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table", f"'table' is not one tensor; there are '{TABLE[0]}', '{TABLE[1]}'"),
        ("words", f"'words' is not one tensor; there are '{TABLE[0]}', '{TABLE[1]}'"),
        (
            "table/.ATTRIBUTES/table",
            f"'table/.ATTRIBUTES/table' is not one tensor; there are '{TABLE[0]}', '{TABLE[1]}'",
        ),
        ("twin", f"2 variables have the full name 'twin'; name one by its key or a path: '{TWINS[0]}', '{TWINS[1]}'"),
        ("net", "no tensor 'net'; did you mean "),
        ("dense/kernal", "no tensor 'dense/kernal'; did you mean 'dense/kernel', "),
        ("net/dense/bia", "no tensor 'net/dense/bia'; did you mean 'net/dense/bias', "),
        ("zzz", "no tensor 'zzz'; the root leads to 'net', 'opt', 'table', 'it', 'one' and 1 more"),
        (
            "net/layer_with_weights-0/kernel/.OPTIMIZER_SLOT/opt/x",
            "no tensor 'net/layer_with_weights-0/kernel/.OPTIMIZER_SLOT/opt/x'; did you mean ",
        ),
        (
            "net/layer_with_weights-0/kernel/.OPTIMIZER_SLOT/zzz/m",
            "no tensor 'net/layer_with_weights-0/kernel/.OPTIMIZER_SLOT/zzz/m'; did you mean ",
        ),
    ],
)
def test_what_is_not_one_tensor_is_the_same_error_everywhere(prefix: str, text: str, message: str) -> None:
    with tfckpt.open(prefix) as checkpoint:
        for ask in (checkpoint.__getitem__, checkpoint.get_slice, checkpoint.entry, checkpoint.verify):
            with pytest.raises(TensorNotFoundError) as caught:
                ask(text)
            assert str(caught.value).startswith(f"{prefix}: {message}")
        assert text not in checkpoint
        assert checkpoint.get(text, "nothing") == "nothing"


def test_iterating_and_counting_are_of_keys(prefix: str) -> None:
    with tfckpt.open(prefix) as checkpoint:
        assert list(checkpoint) == sorted([*values(), OBJECT_GRAPH_KEY])
        assert len(checkpoint) == 10
        assert {name: found for name, found in checkpoint.items() if name in values()} == values()
        assert [number for number in range(2) if checkpoint.__contains__(number)] == []


def test_the_drop_in_knows_tensors_by_the_names_that_tensorflow_knows(prefix: str) -> None:
    reader = tfckpt.load_checkpoint(prefix)
    assert reader.has_tensor(KERNEL)
    assert not reader.has_tensor("dense/kernel")
    assert tfckpt.load_variable(prefix, "dense/bias") == values()[BIAS]


def test_a_key_is_never_taken_for_anything_else_and_a_glob_is_of_keys_and_paths(tmp_path: Path) -> None:
    graph = ObjectGraph(
        [Node({"a": 1, "b": 2}), Node(attributes=[value("b", "c")]), Node(attributes=[value("d", "a")])]
    )
    tfckpt.save(tmp_path / "c", {"b": 1, "c": 2, "d": 3, OBJECT_GRAPH_KEY: graph.serialize()})
    with tfckpt.open(tmp_path / "c") as checkpoint:
        assert [int(checkpoint[name]) for name in "abcd"] == [1, 1, 2, 3]
        assert [checkpoint.lookup.match(f"{name}*") for name in "abc"] == [
            Found(("b",), "path"),
            Found(("b", "d"), "path"),
            Found(("c",), "key"),
        ]


@pytest.mark.parametrize(
    ("pattern", "names", "how"),
    [
        ("net/layer_with_weights-0/*", (BIAS, KERNEL, SLOT), "key"),
        ("net/dense/*", (BIAS, KERNEL, SLOT), "path"),
        ("net/dense/[!k]*", (BIAS,), "path"),
        ("opt/*", (BIAS, KERNEL, SLOT, STEP), "path"),
        ("*/kernel", (KERNEL,), "path"),
        ("dense/*", (BIAS, KERNEL), "full name"),
        ("twi?", TWINS, "full name"),
        ("tab*e", TABLE, "path"),
        ("*/table-k*", (TABLE[0],), "key"),
        ("it/I*", (STATE,), "path"),
        ("table", TABLE, "path"),
        ("net/dens?", (BIAS, KERNEL), "path"),
        ("net/dense", (BIAS, KERNEL), "path"),
    ],
)
def test_a_glob_is_of_keys_and_paths_or_else_of_full_names(
    prefix: str, pattern: str, names: tuple[str, ...], how: How
) -> None:
    with tfckpt.open(prefix) as checkpoint:
        assert checkpoint.lookup.match(pattern) == Found(names, how)
        assert tuple(entry.name for entry in checkpoint.entries(pattern)) == names
        assert checkpoint.lookup.match("nothing*") is None
        assert checkpoint.entries("nothing*") == checkpoint.entries("nothing") == []


def test_a_glob_does_not_run_round_in_a_circle(prefix: str) -> None:
    with tfckpt.open(prefix) as checkpoint:
        assert checkpoint.lookup.match("net/dense/owner/*") is None  # else it would be the whole model
        assert checkpoint.lookup.is_complete


def test_the_name_of_several_variables_is_no_pattern_without_a_wildcard(prefix: str) -> None:
    with tfckpt.open(prefix) as checkpoint, pytest.raises(TensorNotFoundError, match="2 variables have the full name"):
        checkpoint.entries("twin")


def test_key_at_names_a_tensor_that_is_there(prefix: str) -> None:
    with tfckpt.open(prefix) as checkpoint:
        assert checkpoint.key_at("it") == STATE
        with pytest.raises(TensorNotFoundError, match=f"several values at 'table': '{TABLE[0]}', '{TABLE[1]}'$"):
            checkpoint.key_at("table")


def test_ipython_is_offered_keys_and_paths(prefix: str) -> None:
    with tfckpt.open(prefix) as checkpoint:
        offered = checkpoint._ipython_key_completions_()
        assert offered[: len(checkpoint)] == list(checkpoint)
        assert {"net/dense/kernel", "table/table-values", "net/dense/kernel/.OPTIMIZER_SLOT/opt/m"} <= {*offered}
        assert all(name in checkpoint for name in offered)


def test_a_name_that_is_missing_in_a_name_based_checkpoint_parses_nothing(
    bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ObjectGraph, "parse", None)
    monkeypatch.setattr(Lookup, "find", None)
    with tfckpt.open(bert) as checkpoint:
        assert "bert/pooler/dense" not in checkpoint
        assert "entries" not in vars(checkpoint.reader)  # one block of the index was enough


def test_a_key_that_is_there_parses_nothing(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectGraph, "parse", None)
    with tfckpt.open(prefix) as checkpoint:
        assert checkpoint[KERNEL] == 0
        assert KERNEL in checkpoint
        assert KERNEL in checkpoint.get_slice(KERNEL).entry.name


def test_a_damaged_graph_leaves_the_keys_and_is_said_where_a_path_is_asked_for(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {"a": 1, OBJECT_GRAPH_KEY: b"\xff"})
    with tfckpt.open(tmp_path / "c") as checkpoint:
        assert checkpoint["a"] == 1
        assert [entry.name for entry in checkpoint.entries("a*")] == ["a"]
        assert checkpoint._ipython_key_completions_() == list(checkpoint)
        for ask in (checkpoint.__getitem__, checkpoint.__contains__, checkpoint.get, checkpoint.entries):
            with pytest.raises(FormatError, match="expected a TrackableObjectGraph"):
                ask("b")


# --- all ways


def graph_of(path: Path) -> ObjectGraph:
    """Return the graph of a checkpoint that real TensorFlow wrote."""
    nodes = {node["id"]: node for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]}
    graph = ObjectGraph([Node() for _ in range(max(nodes) + 1)])
    for number, node in nodes.items():
        graph.nodes[number].children = dict(node.get("children", {}))
        graph.nodes[number].attributes = [
            Attribute(a["name"], a["checkpoint_key"], a.get("full_name", "")) for a in node.get("attributes", [])
        ]
    return graph


def keys_of(graph: ObjectGraph) -> list[str]:
    return sorted({attribute.checkpoint_key for node in graph.nodes for attribute in node.attributes})


def drawn(graph: ObjectGraph) -> Mapping[str, str]:
    """Return the path of each tensor in the tree, by its key."""
    from tfckpt._proto.types_pb2 import DT_FLOAT
    from tfckpt.bundle.values.entry import Entry

    entries = [Entry(key, DT_FLOAT, (), 0, 0, 4, 0) for key in keys_of(graph)]
    found, branches = {}, [outline_objects(graph, entries).root]
    while branches:
        branch = branches.pop()
        branches += branch.children
        if branch.entry is not None:
            found[branch.entry.name] = branch.path
    return found


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_every_way_of_a_real_graph_is_found_and_leads_there(path: Path) -> None:
    graph = graph_of(path)
    paths = paths_of_variables(graph)
    ways = graph.ways()
    assert paths.is_complete
    assert set(paths) == {number for number, node in enumerate(graph.nodes) if node.attributes and number in ways}
    tree = drawn(graph)
    for number, spelled in paths.items():
        (key,) = (attribute.checkpoint_key for attribute in graph.nodes[number].attributes)
        assert all(graph.number_at(split_path(text)) == number for text in spelled)
        assert list(spelled) == sorted(spelled, key=len)
        assert len(spelled) == len(set(spelled))
        assert {tree[key], join_path(path_to(number, ways)), key.partition("/.ATTRIBUTES/")[0]} <= {*spelled}


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_what_a_tree_draws_is_what_ls_calls_it_and_what_is_found(path: Path) -> None:
    graph = graph_of(path)
    lookup = Lookup(graph, keys_of(graph))
    tree = drawn(graph)
    assert {key: text for key, text in lookup.called("path").items() if "/.OPTIMIZER_SLOT/" not in text} == tree
    for key, text in tree.items():
        assert lookup.find(text) == Found((key,), "path")
        assert lookup.match(f"{text[:-1]}[{text[-1]}]") == Found((key,), "path")


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from("abc."), st.integers(0, 5), max_size=3), min_size=6, max_size=6))
def test_all_ways_are_those_that_come_to_no_object_twice(edges: list[dict[str, int]]) -> None:
    graph = ObjectGraph([Node(children) for children in edges])
    for number, node in enumerate(graph.nodes):
        node.attributes.append(value(f"key {number}"))

    def walk(number: int, path: tuple[str, ...], seen: frozenset[int]) -> None:
        expected.setdefault(number, set()).add(join_path(path))
        for name, child in graph.nodes[number].children.items():
            if child not in seen:
                walk(child, (*path, name), seen | {child})

    expected: dict[int, set[str]] = {}
    walk(0, (), frozenset({0}))
    found = paths_of_variables(graph)
    assert {number: set(paths) for number, paths in found.items()} == expected
    assert found.is_complete


def diamonds(count: int, *, circles: bool) -> ObjectGraph:
    """Return a graph with 2 ** count ways to its one variable, every object of which may also lead to all before it."""
    nodes = [Node({"a": at + 1, "b": at + 1} | ({"up": 0, "by": at} if circles else {})) for at in range(count)]
    return ObjectGraph([*nodes, Node(attributes=[value(variable_key("b/" * (count - 1) + "b"), "w")])])


def everything(count: int) -> ObjectGraph:
    """Return a graph in which each object leads to each."""
    graph = ObjectGraph([Node({f"e{child}": child for child in range(count)}) for _ in range(count)])
    graph.nodes[-1].attributes.append(value(variable_key(f"e{count - 1}")))
    return graph


@pytest.mark.parametrize("circles", [False, True])
@pytest.mark.parametrize("count", [60, 3000])
def test_more_ways_than_can_be_counted_cost_little_and_leave_the_chief_ones(count: int, circles: bool) -> None:
    graph = diamonds(count, circles=circles)
    with ends(20):
        lookup = Lookup(graph, keys_of(graph))
        shortest = "/".join("a" * count)
        (paths,) = paths_of_variables(graph).values()
        assert shortest in paths
        assert all(graph.number_at(split_path(path)) == count for path in paths)
        if count == 60:  # of the longer one no tree is drawn
            assert lookup.called("path")[keys_of(graph)[0]] in paths
            assert keys_of(graph)[0].partition("/.ATTRIBUTES/")[0] in paths
        assert lookup.match("a/*/a") == Found(tuple(keys_of(graph)), "path")
        assert not lookup.is_complete
        assert lookup.find("a/" * (count - 1) + "b") == Found(tuple(keys_of(graph)), "path")  # by any way, as ever
        assert lookup.match("[w]") == Found(tuple(keys_of(graph)), "full name")


def test_a_graph_in_which_all_leads_to_all_costs_little() -> None:
    graph = everything(300)
    with ends(20):
        found = paths_of_variables(graph)
        assert not found.is_complete
        assert {"e299", "e1/e299", "e298/e299"} <= {*found[299]}


def test_slots_of_many_ways_cost_little() -> None:
    """200 ways to a variable, 200 to an optimizer, and 100 slots: four million paths."""
    graph = ObjectGraph([Node({f"{kind}{n}": number for n in range(200) for kind, number in (("v", 1), ("o", 2))})])
    slots = [SlotVariable(1, f"s{n}", 3 + n) for n in range(100)]
    graph.nodes += [Node(attributes=[value("key")]), Node(slot_variables=slots)]
    graph.nodes += [Node(attributes=[value(f"slot {n}")]) for n in range(100)]
    lookup = Lookup(graph, keys_of(graph))
    with ends(20):
        assert lookup.match("v0/.OPTIMIZER_SLOT/o0/s9?") == Found(tuple(f"slot {n}" for n in range(90, 100)), "path")
        assert not lookup.is_complete


# --- the command line


def lines_of(capsys: Captured, *argv: str, code: int = 0) -> tuple[list[str], list[str]]:
    assert main(argv) == code
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


def names(lines: list[str]) -> list[str]:
    return [line.split("\t")[0] for line in lines]


@pytest.mark.parametrize(
    "options", [["net/dense/*"], ["--regex", "^net/dense/"], ["net/*", "--regex", "dense/.*[st]$"]]
)
def test_ls_takes_paths_and_says_so(prefix: str, capsys: Captured, options: list[str]) -> None:
    out, err = lines_of(capsys, "ls", prefix, *options)
    assert names(out) == [BIAS] if len(options) == 3 else [BIAS, KERNEL, SLOT]
    tensors = ", ".join(map(repr, names(out)))
    assert err == [f"tfckpt ls: no key matches; paths of objects do: {tensors}"]
    assert lines_of(capsys, "ls", prefix, *options, "--quiet") == (out, [])


def test_ls_takes_full_names_and_says_so(prefix: str, capsys: Captured) -> None:
    out, err = lines_of(capsys, "ls", prefix, "dense/*", "--total", "dtype")
    assert (names(out), err) == (["float32"], [f"tfckpt ls: no key matches; full names do: '{BIAS}', '{KERNEL}'"])
    (line,) = fail(capsys, "ls", prefix, "twin")
    assert line.startswith(f"{prefix}: 2 variables have the full name 'twin'; ")


def test_tree_takes_other_paths_and_full_names_and_says_so(prefix: str, capsys: Captured) -> None:
    out, err = lines_of(capsys, "tree", prefix, "net/layer_with_weights-0/k*")
    assert err == []  # keys begin so
    for pattern, what in (("opt/model/layer_with_weights-0/b*", "paths of objects"), ("dense/b*", "full names")):
        out, err = lines_of(capsys, "tree", prefix, pattern)
        assert [line.split()[1] for line in out[1:-1]] == ["net", "dense", "bias"]
        assert err == [f"tfckpt tree: no key matches; {what} do: '{BIAS}'"]


def test_show_takes_all_and_says_what_it_took(prefix: str, capsys: Captured) -> None:
    assert succeed(capsys, "show", prefix, "opt/model/dense/bias", "--no-stats")[0] == f"name\t{BIAS}"
    out, err = lines_of(capsys, "show", prefix, "dense/kernel", "table", KERNEL, "--no-stats")
    assert [line.split("\t")[1] for line in out if line.startswith("name\t")] == [KERNEL, *TABLE, KERNEL]
    assert [line for line in out if line.startswith("values")] == [f"values [...]\t{n}.0" for n in (0, 7, 8, 0)]
    assert err == [
        f"tfckpt show: 'dense/kernel' is a full name: '{KERNEL}'",
        f"tfckpt show: 'table' is the path of an object: '{TABLE[0]}', '{TABLE[1]}'",
    ]
    assert lines_of(capsys, "show", prefix, "dense/kernel", "--no-stats", "-q")[1] == []
    lines, said = fail_and_advise(capsys, "show", prefix, "dense/kernal")
    assert (len(lines), said) == (1, f"tfckpt show {prefix} dense/kernel")


CALLED: dict[str, Callable[[str], str | None]] = {
    "key": lambda name: name,
    "path": {
        KERNEL: "net/dense/kernel",
        BIAS: "net/dense/bias",
        SLOT: "net/dense/kernel/.OPTIMIZER_SLOT/opt/m",
        STEP: "net/step",
        STATE: "it/ITERATOR_STATE",
        **{name: name.replace("/.ATTRIBUTES", "") for name in TABLE},
        **dict(zip(TWINS, ("one", "two"), strict=True)),
    }.get,
    "full": {
        KERNEL: "dense/kernel",
        BIAS: "dense/bias",
        SLOT: "Adam/dense/kernel/m",
        **dict.fromkeys(TWINS, "twin"),
    }.get,
}


@pytest.mark.parametrize("form", ["key", "path", "full"])
def test_ls_calls_tensors_as_asked(prefix: str, capsys: Captured, form: str) -> None:
    keys = names(succeed(capsys, "ls", prefix))
    expected = [CALLED[form](key) for key in keys]
    assert names(succeed(capsys, "ls", prefix, "--names", form)) == [
        key if text is None else text for key, text in zip(keys, expected, strict=True)
    ]
    rows = json.loads("\n".join(succeed(capsys, "ls", prefix, "--names", form, "--json")))
    assert [row["name"] for row in rows] == keys
    field = {"key": "name", "path": "path", "full": "full_name"}[form]
    assert [row[field] for row in rows] == expected
    assert all(len(row) == 4 + (form != "key") for row in rows)


def test_ls_sums_and_sorts_what_it_calls_them(prefix: str, capsys: Captured) -> None:
    found = names(succeed(capsys, "ls", prefix, "--names", "path", "--total", "prefix", "--depth", "2"))
    assert {"net/dense", "net/step", "table/table-keys"} < set(found)
    assert names(succeed(capsys, "ls", prefix, "--names", "full", "--sort", "name"))[1:4] == [
        "_CHECKPOINTABLE_OBJECT_GRAPH",
        "dense/bias",
        "dense/kernel",
    ]


def test_a_name_based_checkpoint_calls_its_tensors_by_their_names(bert: str, capsys: Captured) -> None:
    assert succeed(capsys, "ls", bert, "--names", "path") == succeed(capsys, "ls", bert)


# --- saving what an object graph does not fit


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_save_names_what_no_object_leads_to_and_what_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = values() | {OBJECT_GRAPH_KEY: small_graph().serialize()}
    tfckpt.save(tmp_path / "whole", tensors)
    with tfckpt.open(tmp_path / "whole") as checkpoint:
        tfckpt.save(tmp_path / "copy", checkpoint)
        tfckpt.save(tmp_path / "dict", dict(checkpoint))
    assert warnings_of(caplog) == []
    extra = variable_key("net/extra")
    del tensors[STATE], tensors[BIAS]
    tfckpt.save(tmp_path / "c", tensors | {extra: 1})
    assert warnings_of(caplog) == [
        f"{tmp_path / 'c'}: no object of the graph leads to '{extra}': TensorFlow will not restore it; "
        "give the graph an object with that key (tfckpt.types.ObjectGraph) before it is saved",
        f"{tmp_path / 'c'}: the graph asks for '{BIAS}', 'it/.ATTRIBUTES/ITERATOR': TensorFlow will not restore without "
        "them; save them, or take the key out of the graph (tfckpt.types.ObjectGraph.drop_keys)",
    ]
    assert tfckpt.open(tmp_path / "c")[extra] == 1


@pytest.mark.parametrize("graph", ["text", b"\xff", 7, [b""]])
def test_a_save_says_of_a_graph_that_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture, graph: Any) -> None:
    tfckpt.save(tmp_path / "c", {"a": 1, OBJECT_GRAPH_KEY: graph})
    (line,) = warnings_of(caplog)
    assert line.startswith(f"{tmp_path / 'c'}: tensor '{OBJECT_GRAPH_KEY}' holds no object graph")


# --- exports


def exported(path: Path, directory: Path, **options: Any) -> dict[str, float]:
    """Return the values of an export, by the names that they have there."""
    tfckpt.export(path, directory / "out.npz", sync=False, overwrite=True, **options)
    with np.load(directory / "out.npz") as found:
        return {name: float(found[name]) for name in found.files}


def plan_of(prefix: str, tmp_path: Path, **options: Any) -> tfckpt.Plan:
    return tfckpt.export(prefix, tmp_path / "out.npz", dry_run=True, **options)


@pytest.mark.parametrize("form", ["key", "path"])
def test_an_export_calls_tensors_as_asked(prefix: str, tmp_path: Path, form: Any) -> None:
    expected = {CALLED[form](name): number for name, number in values().items()}
    assert exported(Path(prefix), tmp_path, names=form) == expected
    assert not plan_of(prefix, tmp_path, names=form).notes


def test_an_export_by_full_names_says_what_has_none(prefix: str, tmp_path: Path) -> None:
    expected = {(CALLED["full"](n) or CALLED["path"](n)): number for n, number in values().items() if n not in TWINS}
    assert exported(Path(prefix), tmp_path, names="full", drop=["twi*"]) == expected
    notes = plan_of(prefix, tmp_path, names="full", drop=["twi*"]).notes
    assert notes == (
        "pattern 'twi*': taken for full names; 2 tensors",
        f"names: 4 tensors have no full name, and what has none keeps its path: '{STATE}', '{STEP}', '{TABLE[0]}' and 1 more",
    )


def test_two_tensors_of_one_full_name_are_an_error_that_names_their_keys(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(tfckpt.PlanError) as caught:
        plan_of(prefix, tmp_path, names="full")
    assert caught.value.reasons == (f"{prefix}: {TWINS[0]} and {TWINS[1]} would all be called 'twin'",)
    with pytest.raises(UsageError, match="names: expected 'key', 'path', 'full', got 'paths'"):
        plan_of(prefix, tmp_path, names="paths")


SUFFIX = (r"/\.ATTRIBUTES/VARIABLE_VALUE$", "")


def test_a_rename_may_take_the_end_of_keys_off_where_no_graph_is_written(prefix: str, tmp_path: Path) -> None:
    found = exported(Path(prefix), tmp_path, rename=[SUFFIX])
    assert found == {name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"): n for name, n in values().items()}
    found = exported(Path(prefix), tmp_path, names="full", keep=["dense/*"], rename=[("^dense/", "d.")])
    assert found == {"d.kernel": 0, "d.bias": 1}


def test_an_export_to_objects_may_be_renamed_too(bert: str, tmp_path: Path) -> None:
    tfckpt.export(
        bert, tmp_path / "out.npz", to="encoder", keep_names=True, rename=[SUFFIX], drop=["cls/*"], sync=False
    )
    with np.load(tmp_path / "out.npz") as found, tfckpt.open(bert) as source:
        np.testing.assert_array_equal(found["encoder/layer_with_weights-6/kernel"], source["bert/pooler/dense/kernel"])
        np.testing.assert_array_equal(found["bert/pooler/dense/kernel"], source["bert/pooler/dense/kernel"])
    tfckpt.export(bert, tmp_path / "path.npz", to="encoder", names="path", sync=False)
    with np.load(tmp_path / "path.npz") as found, tfckpt.open(bert) as source:
        np.testing.assert_array_equal(found["encoder/_pooler_layer/kernel"], source["bert/pooler/dense/kernel"])


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"keep": ["opt/model/dense/*"]}, {KERNEL, BIAS, SLOT}),
        ({"keep": ["dense/k*", "net/step/*"]}, {KERNEL, STEP}),
        ({"drop": ["net/dense/*", "tab*e", "it", "twi*"]}, {STEP}),
        ({"drop": ["dense/kernel"], "keep": ["net/*"]}, {BIAS, STEP, SLOT}),
    ],
)
def test_an_export_leaves_out_by_paths_and_full_names(
    prefix: str, tmp_path: Path, options: dict[str, list[str]], names: set[str]
) -> None:
    assert exported(Path(prefix), tmp_path, **options) == {name: values()[name] for name in names}
    plan = plan_of(prefix, tmp_path, **options)
    assert {item.source for item in plan.dropped} == {*values(), OBJECT_GRAPH_KEY} - names
    assert any(": taken for " in note for note in plan.notes)


def test_an_export_of_which_a_pattern_means_nothing_says_so(prefix: str, tmp_path: Path) -> None:
    notes = plan_of(prefix, tmp_path, drop=["nothing*"], keep=["net/*", "nor this"], rename=[("^x", "y")]).notes
    assert notes == (
        "pattern 'nothing*': no tensor",
        "pattern 'nor this', which is to be kept: no tensor",
        "'^x', which is to be renamed: no tensor",
    )
    with pytest.raises(tfckpt.PlanError, match="no tensor is left of 9; a glob matches whole names"):
        plan_of(prefix, tmp_path, keep=["nothing*"])
    with pytest.raises(TensorNotFoundError, match="2 variables have the full name 'twin'"):
        plan_of(prefix, tmp_path, drop=["twin"])


def test_an_export_without_edits_does_not_parse_the_graph(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ObjectGraph, "parse", None)
    assert set(exported(Path(prefix), tmp_path, exclude=["net/"])) >= set(TWINS)


def test_a_name_based_export_has_no_other_names_and_says_so(bert: str, tmp_path: Path, capsys: Captured) -> None:
    lines = succeed(capsys, "export", bert, str(tmp_path / "o.npz"), "--names", "full", "--keep", "bert/pooler/*")
    assert lines[-2].startswith(
        "note: --names: 6 tensors have no full name, and what has none keeps its path: 'bert/pool"
    )
