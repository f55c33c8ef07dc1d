"""What each tensor is for, told by an object graph, by keys, or by names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, succeed, succeed_json
from support.patience import ends

import tfckpt
from tfckpt._proto.types_pb2 import DT_FLOAT, DT_INT64, DataType
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.object_graph import (
    OBJECT_GRAPH_KEY,
    VARIABLE_VALUE,
    Attribute,
    Node,
    ObjectGraph,
    SlotVariable,
    split_path,
    variable_key,
)
from tfckpt.checkpoint.graph.optimizers import ROLES
from tfckpt.checkpoint.graph.roles import (
    BESIDE,
    COPY,
    METRIC,
    MODEL,
    MOVING_AVERAGE,
    OPTIMIZER,
    RANDOM_STATE,
    SAVE_COUNTER,
    TRAINING_STATE,
    TRAINING_STEP,
    UNKNOWN,
    find_roles,
    guessed_suffixes,
)
from tfckpt.cli.main import main
from tfckpt.errors import UsageError

K, B = (3, 4), (4,)  # a kernel's shape, and a bias's
WEIGHTS = {"net/dense/kernel": K, "net/dense/bias": B, "net/norm/gamma": B, "net/norm/beta": B}


def entry(
    name: str, shape: tuple[int, ...] = (), data_type: DataType = DT_FLOAT, crc32c: int = 0, at: int = 0
) -> Entry:
    return Entry(name, data_type, shape, 0, at, 4 * int(np.prod(shape)), crc32c)


def roles_of(shapes: Mapping[str, tuple[int, ...]], data_type: DataType = DT_FLOAT) -> dict[str, str]:
    return dict(find_roles([entry(name, shape, data_type) for name, shape in shapes.items()], None))


# Suffixes of a variable's name, with which the variables of one network were saved, and where that was seen.
KNOWN = {
    "adam_m": OPTIMIZER,  # google-research/bert, albert, electra
    "adam_v": OPTIMIZER,
    "lamb_v": OPTIMIZER,
    "LAMB": OPTIMIZER,
    "LAMB_1": OPTIMIZER,  # NVIDIA/DeepLearningExamples
    "AdamWeightDecayOptimizer": OPTIMIZER,
    "AdamWeightDecayOptimizer_1": OPTIMIZER,  # DeepPavlov
    "BERTAdam": OPTIMIZER,
    "BERTAdam_1": OPTIMIZER,  # BioBERT
    "Adam_3": OPTIMIZER,  # two optimizers
    "Adam_discriminator": OPTIMIZER,
    "Adam_discriminator_1": OPTIMIZER,
    "LazyAdam": OPTIMIZER,
    "RAdam": OPTIMIZER,
    "RectifiedAdam_1": OPTIMIZER,
    "AdamW": OPTIMIZER,
    "RMSProp_2": OPTIMIZER,
    "Momentum": OPTIMIZER,
    "Adam/m": OPTIMIZER,  # tf.keras
    "momentum": OPTIMIZER,
    "vhat": OPTIMIZER,
    "accum": TRAINING_STATE,  # NVIDIA: gradients that are accumulated
    "ExponentialMovingAverage": MOVING_AVERAGE,
    "shadow": MOVING_AVERAGE,
    "ema": MOVING_AVERAGE,
}


@pytest.mark.parametrize("end", ["", ":0"], ids=["plain", "with_output_number"])
@pytest.mark.parametrize(("suffix", "role"), KNOWN.items(), ids=str)
def test_a_known_suffix_tells_the_role_even_of_one_variable(suffix: str, role: str, end: str) -> None:
    shapes = {f"{name}{end}": shape for name, shape in WEIGHTS.items()}
    found = roles_of({**shapes, f"net/dense/kernel/{suffix}{end}": K})
    assert found == {**dict.fromkeys(shapes, MODEL), f"net/dense/kernel/{suffix}{end}": role}


@pytest.mark.parametrize(
    ("name", "shape", "role"),
    [
        ("training/Adam/net/dense/kernel/m", K, OPTIMIZER),
        ("training/Adam/Variable_7", K, OPTIMIZER),  # Keras 2.2
        ("Adam/net/dense/kernel/v", K, OPTIMIZER),
        ("Adam/m/net/dense/kernel", K, OPTIMIZER),
        ("Optimizer/net/dense/kernel/Adam", K, OPTIMIZER),
        ("train/opt/net/dense/kernel/rms", K, OPTIMIZER),
        ("net/dense/kernel_slot_v", K, OPTIMIZER),
        ("net/dense/kernel_slot_vr", (3,), OPTIMIZER),
        ("net/dense/kernel_slot_vc", (4,), OPTIMIZER),
        ("net/dense/kernel/Adafactor", (3,), OPTIMIZER),
        ("net/dense/kernel/Adafactor_1", (4,), OPTIMIZER),
        ("net/dense/kernel/part_1/adam_m", (1, 4), OPTIMIZER),
        ("net/dense/kernel/el/part_0/Adam", K, OPTIMIZER),  # tf.compat.v1: a scope, and a partitioned variable
        ("other/kernel/adam_v", K, OPTIMIZER),  # its variable is elsewhere
        ("beta1_power", (), OPTIMIZER),
        ("beta2_power_1", (), OPTIMIZER),
        ("opt/scope/beta1_power", (), OPTIMIZER),
        ("training/Adam/iterations", (), OPTIMIZER),
        ("SGD/learning_rate", (), OPTIMIZER),
        ("OptimizeLoss/learning_rate", (), OPTIMIZER),
        ("signal_early_stopping/STOP", (), TRAINING_STATE),  # tf.estimator
        ("global_step", (), TRAINING_STEP),
        ("scope/global_step", (), TRAINING_STEP),
        ("loss_scale", (), TRAINING_STATE),
        ("good_steps", (), TRAINING_STATE),
        ("bad_steps", (), TRAINING_STATE),
        ("local_step", (), TRAINING_STATE),
        ("batch_finite", (), TRAINING_STATE),
        ("net/norm/moving_mean/local_step", (), TRAINING_STATE),
        ("net/norm/beta/ExponentialMovingAverage/biased", B, TRAINING_STATE),
        ("ema/net/dense/kernel", K, MOVING_AVERAGE),
        ("other/kernel/ExponentialMovingAverage", K, MOVING_AVERAGE),
        ("net/norm/moving_mean", B, MODEL),
        ("net/norm/moving_variance", B, MODEL),
        ("target/net/dense/kernel", K, MODEL),  # a network of its own
        ("Adam/temperature", (), MODEL),
        ("net/loss_scale", K, MODEL),
        ("net/dense/kernel/part_1/v", (1, 4), UNKNOWN),
        ("net/dense/kernel/v", K, UNKNOWN),
        ("net/dense/kernel/linear", K, UNKNOWN),
        ("net/dense/kernel/Ftrl/linear", K, OPTIMIZER),
        ("net/dense/kernel/mask", K, UNKNOWN),
        ("net/dense/kernel/W", (5, 5), MODEL),
        ("net/dense/kernel/momentum", (5, 5), MODEL),
    ],
    ids=str,
)
def test_a_name_tells_the_role_beside_a_network(name: str, shape: tuple[int, ...], role: str) -> None:
    assert roles_of({**WEIGHTS, name: shape}) == {**dict.fromkeys(WEIGHTS, MODEL), name: role}


def test_an_unknown_suffix_behind_nearly_all_variables_is_a_slots_and_is_named() -> None:
    shapes = {**WEIGHTS, "net/norm/moving_mean": B, **{f"{name}/Frob": shape for name, shape in WEIGHTS.items()}}
    shapes |= {f"scope/{name}/Nicate": shape for name, shape in WEIGHTS.items()}
    found = roles_of(shapes)
    slots = {name for name in shapes if name.endswith(("/Frob", "/Nicate"))}
    assert {name for name, role in found.items() if role == OPTIMIZER} == slots
    entries = [entry(name, shape) for name, shape in shapes.items()]
    assert guessed_suffixes(entries, found) == ["Frob", "Nicate"]
    assert (
        guessed_suffixes([entry(f"{n}/Adam", s) for n, s in WEIGHTS.items()], {f"{n}/Adam": OPTIMIZER for n in WEIGHTS})
        == []
    )


@pytest.mark.parametrize(
    "shapes",
    [
        {"w": K, "w/mask": K},
        {"a/kernel": K, "a/kernel/v": K, "b/kernel": K, "b/kernel/v": K},  # no bias and no norm has one
        {"a/kernel": K, "a/kernel/mask": K, "a/bias": B, "a/gamma": B, "a/gamma/mask": B, "a/beta": B},
        {"emb": K, "emb/W": K, "bias": B},
        {"k": K, "k/count": K, "b": B, "b/count": B},
    ],
    ids=lambda shapes: next(name for name in reversed(shapes)),
)
def test_an_unknown_suffix_is_otherwise_no_slots(shapes: Mapping[str, tuple[int, ...]]) -> None:
    data_type = DT_INT64 if "k/count" in shapes else DT_FLOAT
    entries = [entry(name, s, data_type if "/" in name and "count" in name else DT_FLOAT) for name, s in shapes.items()]
    roles = find_roles(entries, None)
    assert OPTIMIZER not in roles.values()
    assert UNKNOWN in roles.values()
    assert guessed_suffixes(entries, roles) == []


def test_scalars_of_metrics_are_told_by_what_stands_beside_them() -> None:
    shapes = {"accuracy/total": (), "accuracy/count": (), "layer/count": (), "layer/mean": B}
    assert roles_of(shapes) == {
        "accuracy/total": METRIC,
        "accuracy/count": METRIC,
        "layer/count": MODEL,
        "layer/mean": MODEL,
    }


# Object-based keys, of which the object graph is not there.
KEYS = {
    "net/kernel": MODEL,
    "net/kernel/.OPTIMIZER_SLOT/opt/m": OPTIMIZER,
    "net/kernel/.OPTIMIZER_SLOT/opt/average": MOVING_AVERAGE,
    "opt/beta_1": OPTIMIZER,
    "opt/iter": OPTIMIZER,
    "trainer/generator_optimizer/_iterations": OPTIMIZER,
    "trainer/generator_optimizer/_learning_rate": OPTIMIZER,
    "trainer/generator_optimizer/_variables/2": OPTIMIZER,
    "trainer/generator_optimizer/_trainable_variables/0": MODEL,
    "trainer/step": TRAINING_STEP,
    "optimizer/iter": OPTIMIZER,
    "optimizer/learning_rate": OPTIMIZER,
    "optimizer/loss_scale/good_steps": TRAINING_STATE,
    "save_counter": SAVE_COUNTER,
    "net/save_counter": MODEL,
    "net/step": MODEL,
    "epoch": TRAINING_STEP,
    "net/keras_api/metrics/0/total": METRIC,
    "net/loss/total": METRIC,
    "net/loss/count": METRIC,
    "generator/_state_var": RANDOM_STATE,
    "net/optimizer/kernel": MODEL,  # a layer of this name
}


def test_keys_of_objects_tell_roles_without_their_graph() -> None:
    found = roles_of({variable_key(path): () for path in KEYS} | {"it/.ATTRIBUTES/ITERATOR_STATE": (2,)})
    assert found == {variable_key(path): role for path, role in KEYS.items()} | {
        "it/.ATTRIBUTES/ITERATOR_STATE": TRAINING_STATE
    }


def graph_of(*paths: str, shapes: Mapping[str, tuple[int, ...]] | None = None) -> tuple[ObjectGraph, list[Entry]]:
    """Return a graph with a variable at each path, and the entries; ``a=b`` lets the path a lead to what b has."""
    graph, entries = ObjectGraph(), [entry(OBJECT_GRAPH_KEY)]
    for path in paths:
        alias, _, target = path.partition("=")
        if target:
            graph.add_edge(split_path(alias), graph.node_at(split_path(target)))
            continue
        node = graph.nodes[graph.node_at(split_path(path))]
        node.attributes.append(Attribute(VARIABLE_VALUE, variable_key(path), path))
        entries.append(entry(variable_key(path), (shapes or {}).get(path, ())))
    return graph, entries


def found_in(graph: ObjectGraph, entries: list[Entry]) -> dict[str, str]:
    roles = find_roles(entries, graph)
    return {name.partition("/.ATTRIBUTES/")[0]: role for name, role in roles.items() if name != OBJECT_GRAPH_KEY}


def test_what_the_optimizer_trains_is_the_models_though_its_key_names_the_optimizer() -> None:
    graph, entries = graph_of(
        "optimizer/_iterations",
        "optimizer/_learning_rate",
        "optimizer/_variables/2",
        "optimizer/_trainable_variables/0",
        "model/dense/kernel=optimizer/_trainable_variables/0",
        "optimizer/_variables/0=optimizer/_iterations",
    )
    assert found_in(graph, entries) == {
        "optimizer/_iterations": OPTIMIZER,
        "optimizer/_learning_rate": OPTIMIZER,
        "optimizer/_variables/2": OPTIMIZER,
        "optimizer/_trainable_variables/0": MODEL,
    }


def test_what_is_reached_outside_the_optimizer_is_the_models() -> None:
    paths = ("opt/_iterations", "opt/_variables/1", "opt/_variables/2", "net/scale=opt/_variables/2")
    graph, entries = graph_of(*paths, "global_step=opt/_iterations")
    assert found_in(graph, entries) == {
        "opt/_iterations": TRAINING_STEP,  # it has a name of its own, as Model Garden's trainers give it
        "opt/_variables/1": OPTIMIZER,
        "opt/_variables/2": MODEL,
    }


def test_a_model_that_an_optimizer_leads_to_is_the_models() -> None:
    """Wrappers keep the model whose weights they average; a user's trainer may look like an optimizer."""
    paths = ("a/_iterations", "a/_learning_rate", "a/_model/kernel", "a/_model_weights/0", "a/layers/0/kernel")
    trainer = ("t/iter", "t/learning_rate", "t/net/kernel", "t/temperature", "t/momentum", "t/weights/0")
    graph, entries = graph_of(*paths, *trainer, shapes={"t/momentum": K, "t/weights/0": K})
    state = {"a/_iterations", "a/_learning_rate", "t/iter", "t/learning_rate"}
    assert found_in(graph, entries) == {path: OPTIMIZER if path in state else MODEL for path in (*paths, *trainer)}


def test_a_plain_module_that_is_called_optimizer_and_holds_state_alone_is_one() -> None:
    """Sonnet's optimizers are modules: a step, and lists of moments. A layer of this name has weights."""
    state = ("optimizer/step", "optimizer/m/0", "optimizer/v/0", "critic_optimizer/m/0")
    weights = ("net/w/0", "net/optimizer/kernel", "net/optimizer/bias", "other/m/0")
    shapes = dict.fromkeys((*state[1:], *weights), K) | {"net/optimizer/bias": B}
    graph, entries = graph_of(*state, *weights, "optimizer/kept/0=net/w/0", shapes=shapes)
    found = found_in(graph, entries)
    assert found == dict.fromkeys(state, OPTIMIZER) | dict.fromkeys(weights, MODEL)


def test_copies_that_keras_exports_are_told_from_equal_tensors_elsewhere() -> None:
    names = ["dense/kernel", "dense/bias", "other/bias"]

    def exported(*second: str, checksums: Mapping[str, int]) -> dict[str, str]:
        graph, entries = ObjectGraph(), []
        for edge, order in (("variables", names), ("_all_variables", second)):
            for number, name in enumerate(order):
                key = variable_key(f"{edge}/{number}")
                graph.nodes[graph.node_at((edge, str(number)))].attributes = [Attribute(VARIABLE_VALUE, key, name)]
                entries.append(entry(key, B, crc32c=checksums[name] + (edge != "variables" and name == "changed")))
        return found_in(graph, entries)

    zeros = {"dense/kernel": 5, "dense/bias": 7, "other/bias": 7, "changed": 9}
    roles = exported(*reversed(names), checksums=zeros)
    assert {path for path, role in roles.items() if role == COPY} == {f"_all_variables/{n}" for n in range(3)}
    assert {path for path, role in roles.items() if role == MODEL} == {f"variables/{n}" for n in range(3)}
    assert COPY not in exported("dense/kernel", "changed", checksums=zeros).values()  # the list is no copy of the other
    graph, entries = graph_of("a/bias", "b/bias", "lists/0", "others/0")
    assert set(found_in(graph, entries).values()) == {MODEL}


def test_a_name_over_the_bytes_of_an_objects_tensor_is_a_copy() -> None:
    graph, entries = graph_of("net/kernel", shapes={"net/kernel": K})
    kept = entries[1]._replace(name="kernel")
    assert find_roles([*entries, kept, entry("other", K, at=999)], graph)["kernel"] == COPY
    assert find_roles([*entries, kept, entry("other", K, at=999)], graph)["other"] == MODEL


def chain(length: int) -> ObjectGraph:
    return ObjectGraph([Node({"next": number + 1, "root": 0}) for number in range(length)] + [Node()])


def star(count: int) -> ObjectGraph:
    """Return a graph in which many edges of many optimizers lead to one long list."""
    many = {str(number): 2 + count + number for number in range(count)}
    nodes = [Node({f"o{number}": 2 + number for number in range(count)}), Node(many)]
    nodes += [Node({"_iterations": 1, "_variables": 1, "loss_scale": 1, "variables": 1, "_all_variables": 1})] * count
    nodes[2] = Node({**{f"l{number}": 1 for number in range(count)}, "_iterations": 1, "_variables": 1})
    return ObjectGraph(nodes + [Node(attributes=[Attribute(VARIABLE_VALUE, "v")]) for _ in range(count)])


def slots_of_themselves(count: int) -> ObjectGraph:
    loops = [SlotVariable(number, "m", (number + 1) % count) for number in range(count)]
    return ObjectGraph([Node({"a": (number + 1) % count}, slot_variables=loops[:1]) for number in range(count)])


@pytest.mark.parametrize(
    "graph", [chain(100_000), star(20_000), slots_of_themselves(100_000)], ids=["chain", "star", "loop"]
)
def test_hostile_graphs_take_no_longer_than_their_size(graph: ObjectGraph) -> None:
    with ends(10):
        roles = find_roles([entry("v"), entry("w")], graph)
    assert set(roles.values()) <= set(ROLES)


@pytest.mark.parametrize(
    "names",
    [
        ["/" * 60_000, "a" + "/b" * 30_000, "a"],
        ["/".join("ab" * 100) + f"/{n}/.ATTRIBUTES/x" for n in range(3000)],
        ["/.OPTIMIZER_SLOT/" * 500 + f"{n}/.ATTRIBUTES/x" for n in range(500)],
        [
            "training/" * 5000,
            "_1" * 30_000,
            "x/" + "_1" * 30_000,
            "_slot_v" * 9000,
            "",
            "/",
            "//",
            ":0",
            "/.ATTRIBUTES/",
        ],
    ],
    ids=["deep", "deep_keys", "nested_slots", "odd"],
)
def test_hostile_names_take_no_longer_than_their_size(names: list[str]) -> None:
    with ends(10):
        assert find_roles([entry(name, B) for name in names], None).keys() == set(names)


def test_a_hundred_thousand_variables_take_no_longer_than_their_number() -> None:
    shapes = {f"scope/net/layer_{n // 6}/part_{n % 6}/kernel": K for n in range(33_000)}
    entries = [entry(f"{name}{end}", K) for name in shapes for end in ("", "/adam_m", "/Frob")]
    with ends(15):
        roles = find_roles(entries, None)
    assert list(roles.values()).count(MODEL) == 33_000


def test_ls_tells_roles_by_the_graph(tmp_path: Path, capsys: Captured) -> None:
    paths = ["opt/_iterations", "opt/_learning_rate", "opt/_variables/2", "opt/_trainable_variables/0"]
    graph, _ = graph_of(*paths)
    tensors: dict[str, Any] = {variable_key(path): np.float32(1) for path in paths}
    tensors[OBJECT_GRAPH_KEY] = graph.serialize()
    tfckpt.save(tmp_path / "ck", tensors)
    lines = succeed(capsys, "ls", str(tmp_path / "ck"), "opt/_t*", "--columns", "role")
    assert lines == ["model"]
    groups = succeed_json(capsys, "ls", str(tmp_path / "ck"), "--total", "role")["groups"]
    assert {group["group"]: group["tensors"] for group in groups} == {"object graph": 1, OPTIMIZER: 3, MODEL: 1}
    next(tmp_path.glob("ck.data*")).unlink()
    assert main(["ls", str(tmp_path / "ck"), "opt/_t*", "--columns", "role"]) == 0
    out, err = capsys.readouterr()
    assert (out, "roles are told by names alone: " in err) == ("model\n", True)


BERT_TRAINED = {
    "adam_m": OPTIMIZER,
    "BERTAdam": OPTIMIZER,
    "AdamWeightDecayOptimizer_1": OPTIMIZER,
    "accum": TRAINING_STATE,
}


@pytest.mark.parametrize("suffix", [*BERT_TRAINED, "ExponentialMovingAverage", "Frob"])
def test_a_conversion_drops_what_training_keeps_whatever_it_is_called(bert: str, tmp_path: Path, suffix: str) -> None:
    with tfckpt.open(bert) as checkpoint:
        weights = {name: checkpoint[name] for name in checkpoint if "adam" not in name and name != "global_step"}
    state = {f"{name}/{suffix}": np.full_like(value, 9) for name, value in weights.items()}
    scalars = {"loss_scale": np.float32(2), "good_steps": np.int32(3), "opt/beta1_power": np.float32(0.5)}
    tfckpt.save(tmp_path / "ck", {**weights, **state, **scalars})
    plan = tfckpt.plan(tmp_path / "ck", num_heads=2)
    rules = {item.source: item.rule for item in plan.dropped}
    role = {**BERT_TRAINED, "ExponentialMovingAverage": MOVING_AVERAGE}.get(suffix, OPTIMIZER)
    assert {rules[name] for name in state} == {role}
    assert (rules["loss_scale"], rules["opt/beta1_power"]) == (TRAINING_STATE, OPTIMIZER)
    assert not {step.source for step in plan.steps} & state.keys()
    assert any("evaluated" in note for note in plan.notes) == (role == MOVING_AVERAGE)
    assert any(repr(suffix) in note for note in plan.notes) == (suffix == "Frob")
    kept = tfckpt.plan(tmp_path / "ck", to="keras", slots="drop")
    assert {item.rule for item in kept.dropped} == {OPTIMIZER, TRAINING_STATE, *{role} - {MOVING_AVERAGE}}


def test_a_model_variable_is_never_dropped_for_its_name(bert: str, tmp_path: Path) -> None:
    with tfckpt.open(bert) as checkpoint:
        tensors = dict(checkpoint)
    tensors["bert/pooler/dense/kernel/mask"] = np.ones_like(tensors["bert/pooler/dense/kernel"])
    tfckpt.save(tmp_path / "ck", tensors)
    with pytest.raises(tfckpt.PlanError, match=r"bert/pooler/dense/kernel/mask .* neither takes nor drops"):
        tfckpt.plan(tmp_path / "ck", num_heads=2)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """Prefixes of two checkpoints that differ in a slot, in the step, and in one mask."""
    weights = {"a/kernel": np.ones(K, np.float32), "a/bias": np.ones(B, np.float32)}
    for name, change in (("before", 0), ("after", 1)):
        state: dict[str, Any] = {"a/kernel/Adam": np.full(K, change, np.float32), "global_step": np.int64(change)}
        masks = {"a/kernel/mask": np.full(K, change, np.float32)}
        more = {"only_after/Adam": np.ones(B, np.float32)} if change else {}
        tfckpt.save(tmp_path / name, {**weights, **state, **masks, **more})
    return str(tmp_path / "before"), str(tmp_path / "after")


@pytest.mark.parametrize(
    ("options", "differing"),
    [
        ({}, ["a/kernel/Adam", "a/kernel/mask", "global_step", "only_after/Adam"]),
        ({"ignore": ["optimizer state"]}, ["a/kernel/mask", "global_step"]),
        ({"ignore": ["optimizer state", "training step", "*/mask"]}, []),
        ({"only": ["model"]}, []),
        ({"only": ["a/*"]}, ["a/kernel/Adam", "a/kernel/mask"]),
        ({"only": ["model", "unknown"]}, ["a/kernel/mask"]),
        ({"only": ["a/*"], "ignore": ["optimizer state"]}, ["a/kernel/mask"]),
    ],
    ids=str,
)
def test_a_comparison_leaves_out_what_is_not_asked_for(
    pair: tuple[str, str], options: Mapping[str, Any], differing: list[str]
) -> None:
    found = tfckpt.diff(*pair, **options)
    assert [p.a or p.b for p in found.differing] == differing
    names = {p.a or p.b for p in found.pairs} | found.ignored.keys()
    assert names == {"a/kernel", "a/bias", "a/kernel/Adam", "a/kernel/mask", "global_step", "only_after/Adam"}
    assert not {p.a or p.b for p in found.pairs} & found.ignored.keys()
    assert found.notes == ()


def test_what_a_comparison_leaves_out_is_counted_and_said(pair: tuple[str, str], capsys: Captured) -> None:
    words = ["--ignore", "optimizer state", "--ignore", "training step", "--ignore", "*/mask", "--ignore", "metric"]
    assert main(["diff", *pair, *words]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "not compared: 2 (optimizer state)",
        "not compared: 1 (pattern '*/mask')",
        "not compared: 1 (training step)",
        "note: role 'metric': no tensor",
    ]
    found = succeed_json(capsys, "diff", *pair, "--only", "a/bias", "--only", "b/*")
    assert {item["rule"] for item in found["ignored"]} == {"not among 'a/bias', 'b/*'"}
    assert (len(found["ignored"]), found["notes"]) == (5, ["pattern 'b/*': no tensor"])
    assert main(["diff", *pair, "--only", "nothing"]) == 2
    assert "only: no tensor is pattern 'nothing' in either checkpoint" in capsys.readouterr().err


def test_a_tensor_whose_roles_differ_is_compared(tmp_path: Path) -> None:
    """In B a slot's variable is gone, and with it what tells that this is a slot."""
    tfckpt.save(tmp_path / "a", {"w": np.ones(B), "w/momentum": np.zeros(B)})
    tfckpt.save(tmp_path / "b", {"w/momentum": np.ones(B)})
    found = tfckpt.diff(tmp_path / "a", tmp_path / "b", ignore=["optimizer state", "w"])
    assert [(p.a, p.verdict) for p in found.pairs] == [("w/momentum", "values")]


def test_a_comparison_across_layouts_leaves_out_what_is_not_asked_for(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "out")
    plan = tfckpt.plan(bert)
    with tfckpt.open(tmp_path / "out") as checkpoint:
        tensors = dict(checkpoint)
    key = next(step.target for step in plan.steps if step.source == "bert/pooler/dense/bias")
    tfckpt.save(tmp_path / "out", {**tensors, key: tensors[key] + 1, "extra": np.ones(3)}, overwrite=True)
    options: Any = {"plan": plan, "ignore": ["bert/pooler/*", "extra"]}
    found = tfckpt.diff(bert, tmp_path / "out", **options)
    assert found.same
    assert [found.ignored[name] for name in ("bert/pooler/dense/bias", "extra")] == [
        "pattern 'bert/pooler/*'",
        "pattern 'extra'",
    ]
    assert [p.a for p in tfckpt.diff(bert, tmp_path / "out", plan=plan, ignore=["extra"]).differing] == [
        "bert/pooler/dense/bias"
    ]


def test_roles_beside_the_model_are_roles() -> None:
    assert set(ROLES) > BESIDE
    with pytest.raises(UsageError):
        tfckpt.diff("a", "b", only="model")


def test_a_comparison_takes_paths_and_full_names(tmp_path: Path) -> None:
    for name, change in (("a", 0.0), ("b", 1.0)):
        nodes = [Node({"net": 1}), Node({"w": 2, "v": 3})]
        nodes += [Node(attributes=[Attribute("VARIABLE_VALUE", variable_key(k), f"dense/{k}")]) for k in ("x", "y")]
        values = {variable_key("x"): np.full(3, change), variable_key("y"): np.ones(3)}
        tfckpt.save(tmp_path / name, {**values, OBJECT_GRAPH_KEY: ObjectGraph(nodes).serialize()})
    x, y = variable_key("x"), variable_key("y")
    for word, names in {"net/w": [x], "net/?": [x, y], "dense/y": [y], "dense/*": [x, y], "x/*": [x]}.items():
        found = tfckpt.diff(tmp_path / "a", tmp_path / "b", only=[word])
        assert [(p.a, p.verdict) for p in found.pairs] == [(n, "values" if n == x else "same") for n in names], word
        left = tfckpt.diff(tmp_path / "a", tmp_path / "b", ignore=[word])
        assert {n for n in left.ignored if n != OBJECT_GRAPH_KEY} == set(names), word


def test_what_a_path_leads_to_in_one_alone_is_compared(tmp_path: Path) -> None:
    for name, keys in (("a", "xy"), ("b", "yx")):
        values = [Node(attributes=[Attribute("VARIABLE_VALUE", variable_key(key))]) for key in keys]
        graph = ObjectGraph([Node({"first": 1, "second": 2}), *values])
        tensors = {variable_key(key): np.full(3, ord(name)) for key in keys}
        tfckpt.save(tmp_path / name, {**tensors, OBJECT_GRAPH_KEY: graph.serialize()})
    found = tfckpt.diff(tmp_path / "a", tmp_path / "b", ignore=["first", OBJECT_GRAPH_KEY])
    assert [p.a for p in found.differing] == [variable_key("x"), variable_key("y")]


@pytest.mark.parametrize(("only", "ignore"), [([], ["*"]), (["a/*"], ["*"]), (["a/*"], ["a/*"])])
def test_a_comparison_of_nothing_is_trouble(
    pair: tuple[str, str], only: list[str], ignore: list[str], capsys: Captured
) -> None:
    with pytest.raises(UsageError, match="no tensor of either checkpoint is left to compare"):
        tfckpt.diff(*pair, only=only, ignore=ignore)
    words = [word for name, own in (("--only", only), ("--ignore", ignore)) for text in own for word in (name, text)]
    assert main(["diff", *pair, *words]) == 2
    assert "left to compare" in capsys.readouterr().err
