"""ELECTRA: two networks in one checkpoint, what they share, and variables that only TF2's models have."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.electra import FORMS, electra_form
from support.files import bundle_bytes

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, variable_key
from tfckpt.errors import PlanError, ProofError, UsageError
from tfckpt.families.electra import garden as electra
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.target import build_target
from tfckpt.proof.prove import prove

DATA = Path(__file__).parent / "data"
ELECTRA = str(DATA / "electra_tf115" / "model.ckpt-3")
COLA = str(DATA / "electra_cola_tf115" / "model.ckpt-3")
SQUAD = str(DATA / "electra_squad" / "model.ckpt-3")
HEADS = "generator_num_attention_heads"
FILLED = [
    "encoder/layer_with_weights-7/kernel",
    "encoder/layer_with_weights-7/bias",
    "model/generator_network/layer_with_weights-7/kernel",
    "model/generator_network/layer_with_weights-7/bias",
    "model/classification/dense/kernel",
    "model/classification/dense/bias",
    "model/classification/out_proj/kernel",
    "model/classification/out_proj/bias",
]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Prefix of a pretrained ELECTRA without optimizer state, its configuration beside it."""
    return electra_form(request.param, tmp_path / "source")


def targets(plan: tfckpt.Plan) -> dict[str, str]:
    return {step.target.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"): step.source for step in plan.steps}


def filled(plan: tfckpt.Plan) -> list[str]:
    return [step.target for step in plan.steps if step.fill is not None]


@pytest.mark.parametrize(
    ("layout", "dump", "form", "lacking"),
    [
        (electra.PRETRAINER, "electra_pretrainer", "no projection", "embeddings_project"),
        (electra.PRETRAINER_TIED, "electra_pretrainer_tied", "tied", "no such thing"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_keys_and_paths_are_those_of_model_garden(
    layout: ObjectRows, dump: str, form: str, lacking: str, tmp_path: Path
) -> None:
    saved = json.loads((DATA / "graphs" / f"{dump}.json").read_text(encoding="utf-8"))
    with tfckpt.open(electra_form(form, tmp_path)) as checkpoint:
        names = [name for name in checkpoint if lacking not in name]
    target = build_target(layout, names)
    assert target.graph is not None
    assert {variable.key for variable in target.variables} == saved["tensors"].keys() - {OBJECT_GRAPH_KEY}
    paths = list(_paths(saved["nodes"], 0, ()))
    assert len(paths) > 200
    for path, key in paths:
        node = target.graph.find(path)
        assert node is not None, path
        assert [attribute.checkpoint_key for attribute in node.attributes] == [key]


def _paths(nodes: list[dict[str, Any]], number: int, path: tuple[str, ...]) -> Any:
    """Yield every path to a variable, and its key, but for those through Keras's numbers of all layers."""
    for attribute in nodes[number].get("attributes", ()):
        yield path, attribute["checkpoint_key"]
    for name, child in nodes[number].get("children", {}).items():
        if not name.startswith("layer-") and name != "_config":
            yield from _paths(nodes, child, (*path, name))


def test_the_generator_gets_copies_of_the_embeddings_that_it_shares() -> None:
    plan = tfckpt.plan(ELECTRA, to="pretrainer", fill="zeros")
    sources = targets(plan)
    assert sources["encoder/layer_with_weights-0/embeddings"] == "electra/embeddings/word_embeddings"
    assert sources["model/masked_lm/embedding_table"] == "electra/embeddings/word_embeddings"
    assert sources["model/generator_network/layer_with_weights-3/beta"] == "electra/embeddings/LayerNorm/beta"
    assert sources["model/generator_network/layer_with_weights-4/bias"] == "generator/embeddings_project/bias"


def test_a_generator_with_embeddings_of_its_own_keeps_them(tmp_path: Path) -> None:
    plan = tfckpt.plan(electra_form("untied", tmp_path), to="generator", fill="zeros")
    sources = targets(plan)
    assert sources["encoder/layer_with_weights-0/embeddings"] == "generator/embeddings/word_embeddings"
    assert sources["encoder/layer_with_weights-4/_output_dense/bias"] == "generator/encoder/layer_0/output/dense/bias"
    assert plan.sizes["generator_embedding_size"].value == 6


def test_one_network_for_both_is_written_as_both(tmp_path: Path) -> None:
    source = electra_form("one network", tmp_path)
    plan = tfckpt.plan(source, to="pretrainer", fill="zeros")
    ours = {name.removeprefix("encoder/"): s for name, s in targets(plan).items() if name.startswith("encoder/") and s}
    theirs = {
        name.removeprefix("model/generator_network/"): s
        for name, s in targets(plan).items()
        if name.startswith("model/generator_network/") and s
    }
    table = "layer_with_weights-0/embeddings"  # the generator's is spelled as its head's
    assert theirs == {name: source for name, source in ours.items() if name != table}
    assert (plan.sizes[HEADS].value, plan.sizes[HEADS].origin) == (2, "bert_config.json")
    with tfckpt.open(source) as checkpoint:
        assert not [name for name in checkpoint if name.startswith("generator/")]


def test_one_network_needs_one_head_count(tmp_path: Path) -> None:
    source = electra_form("one network", tmp_path)
    (tmp_path / "bert_config.json").unlink()
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(source, to="pretrainer", fill="zeros")
    (line,) = caught.value.reasons
    assert "num_attention_heads is unknown" in line


def test_the_generators_head_count_comes_from_its_file(tmp_path: Path) -> None:
    shutil.copytree(Path(ELECTRA).parent, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "generator_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"num_attention_heads": 3}), encoding="utf-8")
    plan = tfckpt.plan(tmp_path / "model.ckpt-3", to="generator", fill="zeros")
    assert (plan.sizes[HEADS].value, plan.sizes[HEADS].origin) == (3, "generator_config.json")
    shapes = {step.source: step.shape for step in plan.steps}
    assert shapes["generator/encoder/layer_1/attention/self/query/kernel"] == (6, 3, 2)
    assert plan.to_json()["sizes"][HEADS] == {"value": 3, "origin": "generator_config.json"}


def test_without_the_file_the_rule_of_its_code_counts_and_is_said(tmp_path: Path) -> None:
    shutil.copytree(Path(ELECTRA).parent, tmp_path, dirs_exist_ok=True)
    (tmp_path / "generator_config.json").unlink()
    size = tfckpt.plan(tmp_path / "model.ckpt-3", to="generator", fill="zeros").sizes[HEADS]
    assert size.value == 1
    assert size.origin == "hidden size // 64, at least 1, since no generator_config.json states it"


def test_the_rule_counts_full_heads_of_64(tmp_path: Path) -> None:
    source = electra_form("wide generator", tmp_path)
    plan = tfckpt.plan(source, to="generator", fill="zeros")
    assert plan.sizes[HEADS].value == 2
    shapes = {step.source: step.shape for step in plan.steps}
    assert shapes["generator/encoder/layer_0/attention/self/query/kernel"] == (128, 2, 64)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("hidden_size", 7, "expected generator_hidden_size = 7 (generator_config.json), got 6"),
        ("num_hidden_layers", 3, "generator_num_hidden_layers: 3 in generator_config.json, but the checkpoint has 2"),
        ("num_attention_heads", 4, "expected a multiple of generator_num_attention_heads = 4 (generator_config.json)"),
    ],
)
def test_a_file_of_another_generator_is_noticed(field: str, value: int, expected: str, tmp_path: Path) -> None:
    shutil.copytree(Path(ELECTRA).parent, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "generator_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {field: value}), encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(tmp_path / "model.ckpt-3", to="pretrainer", fill="zeros")
    assert expected in str(caught.value)
    assert tfckpt.plan(tmp_path / "model.ckpt-3", fill="zeros").num_heads == 2  # an encoder has no generator


def test_without_fill_each_variable_that_is_missing_is_named() -> None:
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(ELECTRA, to="pretrainer")
    assert sorted(line.split(": ")[1] for line in caught.value.reasons) == [
        "electra/pooler/dense/bias",
        "electra/pooler/dense/kernel",
        "generator/pooler/dense/bias",
        "generator/pooler/dense/kernel",
        "generator_classification/dense/bias",
        "generator_classification/dense/kernel",
        "generator_classification/out_proj/bias",
        "generator_classification/out_proj/kernel",
    ]
    assert all(line.endswith("; fill gives it values") for line in caught.value.reasons)


def test_each_filled_variable_is_named_in_the_report() -> None:
    plan = tfckpt.plan(ELECTRA, to="pretrainer", fill="normal:7")
    keys = [variable_key(name) for name in FILLED]
    assert filled(plan) == keys
    fills = [f"normal, deviation 0.02, seed {7 + n}" if n % 2 == 0 else "zeros" for n in range(8)]  # kernel, bias, ...
    notes = [note for note in plan.notes if ": filled (" in note]
    assert notes == [
        f"{key}: filled ({fill}), since the source has nothing for it" for key, fill in zip(keys, fills, strict=True)
    ]
    steps = [step for step in plan.to_json()["steps"] if step["fill"] is not None]
    assert [(step["target"], step["fill"]) for step in steps] == list(zip(keys, fills, strict=True))
    assert [step["shape"] for step in steps] == [[8, 8], [8], [6, 6], [6], [6, 6], [6], [6, 2], [2]]
    assert (plan.sizes["num_classes"].value, plan.sizes["num_classes"].origin) == (2, "Model Garden's default")


def test_zeros_are_zeros_and_a_seed_gives_the_same_bytes_again(tmp_path: Path) -> None:
    for name, fill in (("zeros", "zeros"), ("a", "normal:7"), ("b", "normal:7"), ("c", "normal:8")):
        tfckpt.convert(ELECTRA, tmp_path / name, to="pretrainer", fill=fill)
    with tfckpt.open(tmp_path / "zeros") as zeros, tfckpt.open(tmp_path / "a") as normal:
        for name in FILLED:
            assert not zeros[variable_key(name)].any()
            values = normal[variable_key(name)]
            assert values.dtype == np.float32
            assert values.all() == name.endswith("kernel")
            assert values.any() == name.endswith("kernel")
            assert np.abs(values).max() < 0.02 * 5
        a, b = (normal[variable_key(name)] for name in (FILLED[2], FILLED[4]))
        assert not np.array_equal(a, b)
    assert bundle_bytes(tmp_path / "a") == bundle_bytes(tmp_path / "b")
    assert bundle_bytes(tmp_path / "a") != bundle_bytes(tmp_path / "c")


def test_a_proof_covers_what_is_filled(tmp_path: Path) -> None:
    plan = tfckpt.convert(ELECTRA, tmp_path / "there", fill="normal:7")
    with tfckpt.open(ELECTRA) as source, tfckpt.open(tmp_path / "there") as dest:
        prove(plan, source, dest)
        tensors = dict(dest)
    key = variable_key(FILLED[0])
    tfckpt.save(tmp_path / "there", tensors | {key: tensors[key] * 2}, overwrite=True)
    with tfckpt.open(ELECTRA) as source, tfckpt.open(tmp_path / "there") as dest, pytest.raises(ProofError) as caught:
        prove(plan, source, dest)
    (line,) = caught.value.reasons
    assert f"{key}: values differ from normal, deviation 0.02, seed 7" in line


def test_nothing_is_filled_that_the_source_has(tmp_path: Path) -> None:
    with tfckpt.open(ELECTRA) as checkpoint:
        tensors = {name: value for name, value in checkpoint.items() if "/adam_" not in name}
    kernel = np.arange(64, dtype=np.float32).reshape(8, 8)
    tfckpt.save(tmp_path / "c", tensors | {"electra/pooler/dense/kernel": kernel})
    tfckpt.convert(tmp_path / "c", tmp_path / "there", fill="zeros", num_heads=2)
    assert filled(tfckpt.plan(tmp_path / "c", fill="zeros", num_heads=2)) == [variable_key(FILLED[1])]
    np.testing.assert_array_equal(tfckpt.load_variable(str(tmp_path / "there"), variable_key(FILLED[0])), kernel)


def test_a_variable_whose_size_nothing_tells_is_not_filled(bert: str, tmp_path: Path) -> None:
    with tfckpt.open(bert) as checkpoint:
        tensors = {name: value for name, value in checkpoint.items() if "/adam_" not in name}
    del tensors["bert/embeddings/token_type_embeddings"]
    tfckpt.save(tmp_path / "c", tensors)
    types = "=bert/embeddings/token_type_embeddings"
    with pytest.raises(PlanError, match="it cannot be filled, because nothing shows its size \\(t h\\)"):
        tfckpt.plan(tmp_path / "c", fill="zeros", num_heads=2, exclude=[types])


@pytest.mark.parametrize(("source", "heads"), [(COLA, 2), (SQUAD, 10)])
def test_a_fine_tuned_source_gives_its_encoder_and_names_the_heads_that_it_drops(source: str, heads: int) -> None:
    plan = tfckpt.plan(source, fill="zeros")
    dropped = plan.dropped_by_rule()["head of a fine-tuned task"]
    assert len(dropped) == heads
    assert all(item.source.startswith("task_specific/") for item in dropped)
    assert len(plan.steps) == 41


def test_a_fine_tuned_source_has_no_generator() -> None:
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(COLA, to="pretrainer", fill="zeros")
    assert "generator/embeddings/word_embeddings: missing, and 'pretrainer' needs it" in str(caught.value)


def test_a_classifier_is_no_target_for_electra() -> None:
    with pytest.raises(
        UsageError, match="no target 'classifier' for ELECTRA, which the source is; there are pretrainer"
    ):
        tfckpt.plan(COLA, to="classifier")


@pytest.mark.parametrize("to", ["encoder", "generator", "pretrainer"])
def test_every_variable_is_converted_or_dropped_by_a_rule(to: str) -> None:
    plan = tfckpt.plan(ELECTRA, to=to, fill="zeros")
    sources = {step.source for step in plan.steps if step.source} | {item.source for item in plan.dropped}
    assert sorted(sources) == [name for name, _ in tfckpt.list_variables(ELECTRA)]
    assert all(step.keeps_bytes or step.fill for step in plan.steps)


def test_a_pretrainer_comes_back_to_the_byte(form: str, tmp_path: Path) -> None:
    tfckpt.convert(form, tmp_path / "there", to="pretrainer", fill="normal:1")
    plan = tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    assert plan.notes == ("the model is 'pretrainer' of ELECTRA, at the root",)
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(form)
    assert len(plan.dropped_by_rule()["not in ELECTRA"]) == 8


@pytest.mark.parametrize("to", ["encoder", "generator"])
def test_one_network_comes_back_under_the_names_that_it_had(form: str, to: str, tmp_path: Path) -> None:
    kept = {step.source for step in tfckpt.convert(form, tmp_path / "there", to=to, fill="zeros").steps if step.source}
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1", model=f"electra/{to}")
    with tfckpt.open(form) as source, tfckpt.open(tmp_path / "back") as back:
        values = {name: source[name] for name in kept}
        if to == "generator" and "generator/encoder/layer_0/output/dense/bias" not in kept:
            values = {re.sub("^electra/(?!embeddings/)", "generator/", name): value for name, value in values.items()}
        assert sorted(back) == sorted(values)
        for name, value in values.items():
            np.testing.assert_array_equal(back[name], value, name)


def test_embeddings_that_training_moved_apart_come_back_as_two(tmp_path: Path) -> None:
    tfckpt.convert(ELECTRA, tmp_path / "there", to="pretrainer", fill="zeros")
    key = variable_key("model/generator_network/layer_with_weights-1/embeddings")
    with tfckpt.open(tmp_path / "there") as checkpoint:
        tensors = dict(checkpoint)
    tfckpt.save(tmp_path / "there", tensors | {key: tensors[key] + 1}, overwrite=True)
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1")
    with tfckpt.open(tmp_path / "back") as back:
        np.testing.assert_array_equal(back["generator/embeddings/position_embeddings"], tensors[key] + 1)
        np.testing.assert_array_equal(back["electra/embeddings/position_embeddings"], tensors[key])
        assert "generator/embeddings/word_embeddings" in back


def test_an_encoder_that_might_be_bert_is_taken_for_bert_unless_told(tmp_path: Path) -> None:
    tfckpt.convert(electra_form("no projection", tmp_path / "source"), tmp_path / "there", fill="zeros")
    assert tfckpt.plan(tmp_path / "there", to="tf1").notes[0] == "the model is 'encoder' of BERT, at the root"
    plan = tfckpt.plan(tmp_path / "there", to="tf1", model="ELECTRA")
    assert plan.notes[0] == "the model is 'encoder' of ELECTRA, at the root"


def test_an_encoder_with_a_projection_is_not_berts(tmp_path: Path) -> None:
    tfckpt.convert(ELECTRA, tmp_path / "there", fill="zeros")
    assert tfckpt.plan(tmp_path / "there", to="tf1").notes[0] == "the model is 'encoder' of ELECTRA, at the root"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("resnet", "no model 'resnet'; there are .*BERT, .*ELECTRA"),
        (
            "ELECTRA/classifier",
            "no model 'ELECTRA/classifier'; there are pretrainer, pretrainer-tied, encoder, generator",
        ),
    ],
)
def test_an_unknown_model_is_refused(model: str, message: str, tmp_path: Path) -> None:
    tfckpt.convert(ELECTRA, tmp_path / "there", fill="zeros")
    with pytest.raises(UsageError, match=message):
        tfckpt.plan(tmp_path / "there", to="tf1", model=model)


def test_a_model_is_named_for_an_object_based_source_only() -> None:
    with pytest.raises(UsageError, match="model: only for an object-based source"):
        tfckpt.plan(ELECTRA, model="ELECTRA")


@pytest.mark.parametrize(
    ("network", "to", "sizes"),
    [
        ("electra", "encoder", "embedding_size = 4 and hidden_size = 8 are not equal"),
        ("generator", "generator", "generator_embedding_size = 4 and generator_hidden_size = 6 are not equal"),
    ],
)
def test_a_projection_may_be_absent_only_between_equal_sizes(network: str, to: str, sizes: str, tmp_path: Path) -> None:
    with tfckpt.open(electra_form("tied", tmp_path)) as checkpoint:
        tensors = {n: value for n, value in checkpoint.items() if not n.startswith(f"{network}/embeddings_project/")}
    tfckpt.save(tmp_path / "c", tensors)
    with pytest.raises(PlanError, match=rf"{network}/embeddings_project/\*: missing, though {sizes}"):
        tfckpt.plan(tmp_path / "c", to=to, fill="zeros")


def test_tied_embeddings_are_stored_once(tmp_path: Path) -> None:
    plan = tfckpt.convert(ELECTRA, tmp_path / "there", to="pretrainer-tied", fill="zeros")
    apart = tfckpt.plan(ELECTRA, to="pretrainer", fill="zeros")
    assert len(plan.steps) == len(apart.steps) - 1
    assert plan.object_graph is not None
    paths = [(f"{network}_network", "_embedding_layer", "embeddings") for network in ("generator", "discriminator")]
    table, same = (plan.object_graph.find(("model", *path)) for path in paths)
    assert table is not None
    assert table is same
    with tfckpt.open(tmp_path / "there") as checkpoint, tfckpt.open(ELECTRA) as source:
        value = checkpoint[table.attributes[0].checkpoint_key]
        np.testing.assert_array_equal(value, source["electra/embeddings/word_embeddings"])


def test_a_tied_model_has_no_place_for_two_tables(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(electra_form("untied", tmp_path), to="pretrainer-tied", fill="zeros")
    (line,) = caught.value.reasons
    assert line.endswith(
        "generator/embeddings/word_embeddings: 'pretrainer-tied' has one variable for it and "
        'electra/embeddings/word_embeddings, which holds other values; to="pretrainer" has one for each'
    )
    assert [(remedy.action, remedy.argument("to")) for remedy in caught.value.remedies] == [("give", "pretrainer")]


def test_only_a_source_of_one_table_is_said_to_fit_a_tied_model(tmp_path: Path) -> None:
    for form, fits in (("tied", True), ("untied", False)):
        plan = tfckpt.plan(electra_form(form, tmp_path / form), to="auto", fill="zeros")
        assert plan.to == "pretrainer"
        assert ("pretrainer-tied would hold the same" in plan.notes[0]) == fits


def test_two_tables_of_the_same_values_become_one(tmp_path: Path) -> None:
    with tfckpt.open(ELECTRA) as checkpoint:
        tensors = {name: np.array(value) for name, value in checkpoint.items() if "/adam_" not in name}
    shared = {name: value for name, value in tensors.items() if name.startswith("electra/embeddings/")}
    own = {name.replace("electra/", "generator/"): value for name, value in shared.items()}
    own["generator/embeddings/position_embeddings"] = -own["generator/embeddings/position_embeddings"]
    tfckpt.save(tmp_path / "tf1", tensors | own)
    plan = tfckpt.convert(tmp_path / "tf1", tmp_path / "tied", to="pretrainer-tied", fill="zeros", num_heads=2)
    name = "generator/embeddings/word_embeddings"
    (dropped,) = plan.dropped_by_rule()["another copy of electra/embeddings/word_embeddings"]
    assert dropped.source == name
    back = tfckpt.convert(tmp_path / "tied", tmp_path / "back", to="tf1")
    assert back.notes[0] == "the model is 'pretrainer-tied' of ELECTRA, at the root"
    with tfckpt.open(tmp_path / "back") as checkpoint:  # its positions differ, so all of its embeddings are written
        ours = {name: np.array(value) for name, value in checkpoint.items()}
    np.testing.assert_equal(ours, {n: v for n, v in (tensors | own).items() if n != "global_step"})
    apart = tfckpt.plan(tmp_path / "tied", to="pretrainer", fill="zeros")
    assert len(apart.steps) == len(plan.steps) + 1


def test_what_two_networks_share_is_not_said_to_be_dropped(tmp_path: Path) -> None:
    tfckpt.convert(ELECTRA, tmp_path / "tied", to="pretrainer-tied", fill="zeros")
    plan = tfckpt.plan(tmp_path / "tied", to="tf1")
    assert not {item.source for item in plan.dropped} & {source for step in plan.steps for source in step.sources}
    again = tfckpt.convert(tmp_path / "tied", tmp_path / "again", to="pretrainer-tied")
    assert len(again.steps) == 94


@pytest.mark.parametrize("to", ["pretrainer", "pretrainer-tied"])
@pytest.mark.parametrize("kind", ["adam-weight-decay", "adamw"])
def test_slots_of_shared_embeddings_come_back_once(kind: Any, to: str, tmp_path: Path) -> None:
    tfckpt.convert(ELECTRA, tmp_path / "there", to=to, fill="zeros", slots="convert", optimizer=kind)
    tfckpt.convert(tmp_path / "there", tmp_path / "back", to="tf1", slots="convert")
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(ELECTRA)
