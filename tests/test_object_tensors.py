"""Which tensors belong to which object: told by keys, by what tables add to them, and by the names of savers."""

from __future__ import annotations

import pytest

from tfckpt.checkpoint.graph.object_graph import Attribute, Node, ObjectGraph, variable_key
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors


def holding(*keys: str) -> Node:
    return Node(attributes=[Attribute(key.rpartition("/")[2], key) for key in keys])


TABLE, ITERATOR = "t/.ATTRIBUTES/table", "it/.ATTRIBUTES/ITERATOR"
HALVES = (f"{TABLE}-keys", f"{TABLE}-values")


def test_tensors_belong_to_one_object_each() -> None:
    graph = ObjectGraph([Node(), holding(variable_key("w")), holding(TABLE), holding(ITERATOR), holding(TABLE)])
    names = [variable_key("w"), *HALVES, f"{ITERATOR}_STATE", "other", "t/.ATTRIBUTES/tab"]
    tensors = ObjectTensors(graph, names)
    assert [tensors.of_node(number) for number in range(5)] == [
        (),
        (variable_key("w"),),
        HALVES,
        (f"{ITERATOR}_STATE",),
        HALVES,
    ]
    assert tensors.node_of == {variable_key("w"): 1, HALVES[0]: 2, HALVES[1]: 2, f"{ITERATOR}_STATE": 3}
    assert tensors.unclaimed == ("other", "t/.ATTRIBUTES/tab")


def test_a_tensor_goes_to_the_longest_key_that_it_begins_with() -> None:
    short, long = "t/.ATTRIBUTES/tab", "t/.ATTRIBUTES/table"
    tensors = ObjectTensors(ObjectGraph([holding(short, long)]), [*HALVES, f"{short}-keys", f"{short}s"])
    assert tensors.of_key(long) == HALVES
    assert tensors.of_key(short) == (f"{short}-keys", f"{short}s")


def test_a_graph_of_keys_inside_each_other_makes_no_more_of_the_names() -> None:
    keys = ["a/.ATTRIBUTES/" + "x" * n for n in range(1, 2000)]
    names = [f"{keys[-1]}{n}" for n in range(2000)]
    tensors = ObjectTensors(ObjectGraph([holding(*keys)]), names)
    assert sum(len(tensors.of_key(key)) for key in keys) == len(names)
    assert tensors.of_key(keys[-1]) == tuple(sorted(names))


@pytest.mark.parametrize(
    ("names", "broken", "whole"),
    [
        (HALVES, False, True),
        (HALVES[:1], True, False),
        (HALVES[1:], True, False),
        ((), True, False),
        ((TABLE,), False, True),
        ((f"{TABLE}-1",), False, False),
    ],
)
def test_a_table_needs_both_its_halves(names: tuple[str, ...], broken: bool, whole: bool) -> None:
    tensors = ObjectTensors(ObjectGraph([holding(TABLE)]), names)
    assert (tensors.is_broken(TABLE), tensors.is_whole(TABLE)) == (broken, whole)


def test_a_registered_saver_has_what_is_called_after_its_object() -> None:
    saved, inner = Node(registered_saver=("my.Saver", "r")), Node(registered_saver=("my.Saver", "r/inner"))
    graph = ObjectGraph([Node(), saved, inner, holding(variable_key("r/w"))])
    names = ["r", "r/value", "r/inner/value", "rest", variable_key("r/w"), variable_key("r/gone"), "r/.ATTRIBUTES/own"]
    tensors = ObjectTensors(graph, names)
    assert tensors.of_saver(1) == tensors.of_node(1) == ("r", "r/.ATTRIBUTES/own", "r/value")
    assert tensors.of_node(2) == ("r/inner/value",)
    assert tensors.of_saver(3) == ()
    assert tensors.unclaimed == (variable_key("r/gone"), "rest")
