"""The lines that a report prints build the models that the targets are for, and these compute what the sources' did."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import numpy_electra, numpy_parts
from support.built import build, check_values, inputs, load, restore
from support.numpy_albert import albert
from support.numpy_bert import bert, masked_lm_logits
from support.numpy_parts import Outputs, erf_gelu, log_softmax, tanh_gelu

import tfckpt
from tfckpt.cli.ui.planned import load_lines
from tfckpt.families.catalog import CATALOG
from tfckpt.families.electra.garden import ELECTRA

pytestmark = [
    pytest.mark.tf,
    # Models take those of the inputs that they have names for.
    pytest.mark.filterwarnings("ignore:Input dict contained keys:UserWarning"),
    pytest.mark.filterwarnings("ignore:(?s).*did not match any model input:UserWarning"),
]

DATA = Path(__file__).parents[1] / "data"
TOLERANCE = 3e-6
SOURCES = {  # of each target but those of 2019, which a program of its own builds
    ("BERT", "encoder"): "bert_tf115",
    ("BERT", "pretrainer"): "bert_tf115",
    ("BERT", "bert-pretrainer"): "bert_tf115",
    ("BERT", "pretrain-model"): "bert_tf115",
    ("BERT", "classifier"): "classifier_tf115",
    ("BERT", "classifier-own-pooler"): "classifier_tf115",
    ("BERT", "span-labeler"): "squad_tf115",
    ("BERT", "token-classifier"): "token_tf115",
    ("ALBERT", "encoder"): "albert_tf115",
    ("ALBERT", "pretrainer"): "albert_tf115",
    ("ALBERT", "classifier"): "albert_tf115",
    ("ALBERT", "span-labeler"): "albert_tf115",
    ("ALBERT", "token-classifier"): "albert_tf115",
    ("ELECTRA", "encoder"): "electra_tf115",
    ("ELECTRA", "generator"): "electra_tf115",
    ("ELECTRA", "pretrainer"): "electra_tf115",
    ("ELECTRA", "pretrainer-tied"): "electra_tf115",
    ("MobileBERT", "encoder"): "mobilebert_student_tf115",
    ("MobileBERT", "pretrainer"): "mobilebert_teacher_tf115",
}
CALLED = {"pretrainer", "pretrainer-tied"}  # models that have their variables from their first call on


def copy(source: str, directory: Path, changes: Mapping[str, Any]) -> str:
    """Return the prefix of a copy with other statements in its configuration; None takes one out."""
    folder = Path(shutil.copytree(DATA / source, directory / source))
    (path,) = (path for path in folder.glob("*bert_config.json"))
    config = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({n: v for n, v in config.items() if v is not None}), encoding="utf-8")
    return str(next(folder.glob("model.ckpt-*.index")).with_suffix(""))


def with_heads(prefix: str) -> str:
    """Add the heads of fine-tuned tasks, which no ALBERT of tests/data has."""
    with tfckpt.open(prefix) as checkpoint:
        tensors = {name: np.array(value) for name, value in checkpoint.items() if name.startswith("bert/")}
    for scope, rows in (("", 3), ("cls/squad/", 2)):
        tensors[f"{scope}output_weights"] = np.ones((rows, 8), np.float32)
        tensors[f"{scope}output_bias"] = np.arange(rows, dtype=np.float32)
    tfckpt.save(prefix, tensors, overwrite=True)
    return prefix


def restored(prefix: str, dest: Path, to: str, **options: Any) -> tuple[Any, tfckpt.Plan, dict[str, Any], Any]:
    """Return the model that the report's lines build, restored, with the plan, the reference inputs and the reference."""
    plan = tfckpt.convert(prefix, dest, to=to, **options)
    scope = build(plan)
    model = scope[plan.constructors[-1].name.partition(",")[0]]
    with np.load(Path(prefix).parent / "ref.npz") as arrays:
        ref = dict(arrays)
    if to in CALLED:
        model(inputs(ref))
    restore(model, str(dest))
    return model, plan, inputs(ref), ref


def values(prefix: str) -> dict[str, Any]:
    with tfckpt.open(prefix) as checkpoint:
        return {name: np.array(value) for name, value in checkpoint.items() if "/adam_" not in name}


def test_every_target_has_its_calls() -> None:
    known = {(layout.family.name, layout.name) for layout in CATALOG.models}
    assert known - SOURCES.keys() == {("BERT", "bert-model"), ("BERT", "bert-layer")}
    assert all(layout.calls for layout in CATALOG.models)


@pytest.mark.parametrize(("family", "to"), SOURCES, ids="-".join)
def test_the_lines_of_the_report_build_what_the_checkpoint_restores_into(
    tf: Any, tmp_path: Path, family: str, to: str
) -> None:
    prefix = copy(SOURCES[family, to], tmp_path, {})
    if family == "ALBERT" and to not in ("encoder", "pretrainer"):
        prefix = with_heads(prefix)
    fill = "zeros" if family == "ELECTRA" else None
    restored(prefix, tmp_path / "out", to, fill=fill)


@pytest.mark.parametrize(("family", "to"), SOURCES, ids="-".join)
def test_the_lines_that_a_conversion_ends_with_load_what_it_wrote(
    tf: Any, tmp_path: Path, family: str, to: str
) -> None:
    prefix = copy(SOURCES[family, to], tmp_path, {})
    if family == "ALBERT" and to not in ("encoder", "pretrainer"):
        prefix = with_heads(prefix)
    plan = tfckpt.convert(prefix, tmp_path / "out", to=to, fill="zeros" if family == "ELECTRA" else None)
    scope = load(plan, str(tmp_path / "out"))
    check_values(scope[plan.constructors[-1].name.partition(",")[0]], str(tmp_path / "out"))


@pytest.mark.parametrize("optimizer", ["adam-weight-decay", "adamw"])
def test_the_lines_of_a_conversion_with_its_optimizer_load_both(
    tf: Any, bert: str, tmp_path: Path, optimizer: Any
) -> None:
    dest = str(tmp_path / "out")
    plan = tfckpt.convert(bert, dest, to="pretrainer", slots="convert", optimizer=optimizer)
    scope = load(plan, dest)
    model, made = scope["model"], scope["optimizer"]
    if optimizer != "adamw":  # its slots come with the first step
        made.apply_gradients([(tf.zeros_like(variable), variable) for variable in model.trainable_variables])
        scope["status"].assert_consumed()
    with tfckpt.open(bert) as source:
        assert made.iterations.numpy() == source["global_step"] + (optimizer != "adamw")
        stored = {value.tobytes() for name, value in source.items() if name.endswith("/adam_m")}
    if optimizer == "adamw":
        kept = {variable.numpy().tobytes() for variable in made.variables}
        assert sum(value in kept for value in stored) > len(stored) // 2  # those whose axes are split keep their bytes


@pytest.mark.parametrize("to", ["tf1", "keras"])
def test_the_lines_that_load_by_name_do(tf: Any, bert: str, tmp_path: Path, to: str) -> None:
    source = bert
    if to == "tf1":
        source = str(tmp_path / "objects")
        tfckpt.convert(bert, source)
    plan = tfckpt.convert(source, tmp_path / "out", to=to)
    *_, line = load_lines(plan, str(tmp_path / "out"))
    with tfckpt.open(tmp_path / "out") as checkpoint, tf.Graph().as_default():
        expected = dict(checkpoint)
        if to == "keras":
            reader = eval(line.removeprefix("reader = "), {"tf": tf})
            found = {name: reader.get_tensor(name) for name in expected}
        else:
            variables = {name: tf.compat.v1.get_variable(name, array.shape) for name, array in expected.items()}
            eval(line, {"tf": tf})
            with tf.compat.v1.Session() as session:
                session.run(tf.compat.v1.global_variables_initializer())
                found = {name: session.run(variable) for name, variable in variables.items()}
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("source", ["bert_tf115", "albert_tf115"])
@pytest.mark.parametrize("hidden_act", ["gelu", "relu"])
def test_a_pretrainer_computes_what_the_activation_of_the_configuration_makes_of_the_weights(
    tf: Any, tmp_path: Path, source: str, hidden_act: str
) -> None:
    prefix = copy(source, tmp_path, {"hidden_act": hidden_act})
    model, _, given, ref = restored(prefix, tmp_path / "out", "pretrainer")
    outputs = model(given)
    config = json.loads(next(Path(prefix).parent.glob("*bert_config.json")).read_text(encoding="utf-8"))
    numpy_model = bert if source == "bert_tf115" else albert
    expected = numpy_model(values(prefix), config, ref["ids"], ref["mask"], ref["typ"])
    words = masked_lm_logits(values(prefix), config, expected.sequence, ref["pos"])
    assert_close(outputs["sequence_output"], expected.sequence)
    assert_close(outputs["pooled_output"], expected.pooled)
    assert_close(outputs["mlm_logits"], words)
    logp = log_softmax(np.asarray(outputs["mlm_logits"], np.float64)).reshape(ref["out_mlm_logp"].shape)
    if hidden_act == "gelu":
        assert_close(logp, ref["out_mlm_logp"])  # of TensorFlow 1
    else:
        assert np.abs(logp - ref["out_mlm_logp"]).max() > 100 * TOLERANCE


def assert_close(got: Any, wanted: Any) -> None:
    assert np.shape(got) == np.shape(wanted)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE)


def test_an_encoder_of_ernie_computes_what_relu_makes_of_the_weights(tf: Any, tmp_path: Path) -> None:
    """Built by the lines, it does; built without the activation, it restores as well, and does not."""
    prefix = copy("bert_tf115", tmp_path, {"hidden_act": "relu"})
    model, plan, given, ref = restored(prefix, tmp_path / "out", "encoder")
    expected = of_bert(prefix, ref)
    sequence, pooled = model(given)
    assert_close(sequence, expected.sequence)
    assert_close(pooled, expected.pooled)
    (encoder,) = plan.constructors
    without = tuple(argument for argument in encoder.arguments if argument.name != "inner_activation")
    other = build(plan._replace(constructors=(encoder._replace(arguments=without),)))["encoder"]
    restore(other, str(tmp_path / "out"))
    assert np.abs(np.asarray(other(given)[0]) - expected.sequence).max() > 100 * TOLERANCE


def of_bert(prefix: str, ref: Any) -> Outputs:
    config = json.loads((Path(prefix).parent / "bert_config.json").read_text(encoding="utf-8"))
    return bert(values(prefix), config, ref["ids"], ref["mask"], ref["typ"])


def test_an_electra_computes_what_it_did_under_tensorflow_1(tf: Any, tmp_path: Path) -> None:
    prefix = copy("electra_tf115", tmp_path, {})
    model, _, given, ref = restored(prefix, tmp_path / "out", "pretrainer", fill="zeros")
    sequence = model.discriminator_network(given)["sequence_output"]
    assert_close(sequence, ref["out_disc_seq"])
    logits = model.discriminator_head(model.discriminator_projection(sequence))[..., 0]
    assert_close(logits, ref["out_disc_logits"])
    generated = model.generator_network(given)["sequence_output"]
    assert_close(model.masked_lm(generated, given["masked_lm_positions"]), ref["out_gen_mlm_logits"])


def test_a_generator_with_an_activation_of_its_own_gets_that(tf: Any, tmp_path: Path) -> None:
    prefix = copy("electra_tf115", tmp_path, {})
    path = Path(prefix).parent / "generator_config.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"gelu"', '"relu"'), encoding="utf-8")
    model, _, given, ref = restored(prefix, tmp_path / "out", "generator", fill="zeros")
    config = json.loads((Path(prefix).parent / "bert_config.json").read_text(encoding="utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_electra, "erf_gelu", numpy_parts.relu)
        expected = numpy_electra.electra_generator(values(prefix), config, ref["ids"], ref["mask"], ref["typ"])
    assert_close(model(given)["sequence_output"], expected.sequence)


@pytest.mark.parametrize("source", ["mobilebert_student_tf115", "mobilebert_teacher_tf115"])
def test_a_mobilebert_computes_what_it_did_under_tensorflow_1(tf: Any, tmp_path: Path, source: str) -> None:
    model, _, given, ref = restored(copy(source, tmp_path, {}), tmp_path / "out", "pretrainer")
    outputs = model(given)
    for got, name in ((outputs["sequence_output"], "out_seq"), (outputs["mlm_logits"], "out_mlm_logits")):
        np.testing.assert_allclose(got, ref[name].reshape(np.shape(got)), rtol=0, atol=1e-5)


def test_a_mobilebert_that_attends_in_its_bottleneck_is_built_so(tf: Any, tmp_path: Path) -> None:
    prefix = copy("mobilebert_student_tf115", tmp_path, {"key_query_shared_bottleneck": None})
    tensors = {name: value for name, value in values(prefix).items() if "/bottleneck/attention/" not in name}
    for name in [name for name in tensors if name.endswith("/attention/self/value/kernel")]:
        tensors[name] = tensors[name][:8]
    tfckpt.save(prefix, tensors, overwrite=True)
    model, plan, _, _ = restored(prefix, tmp_path / "out", "encoder")
    told = {argument.name: argument.value for argument in plan.constructors[0].arguments}
    assert (told["use_bottleneck_attention"], told["key_query_shared_bottleneck"]) == (True, False)
    assert model.get_config()["use_bottleneck_attention"] is True


@pytest.mark.parametrize(
    ("source", "to", "count"),
    [
        ("bert_tf115", "encoder", 5),
        ("bert_tf115", "pretrain-model", 6),
        ("albert_tf115", "encoder", 3),
        ("electra_tf115", "pretrainer", 11),
        ("mobilebert_teacher_tf115", "pretrainer", 10),
    ],
)
def test_the_line_for_another_epsilon_reaches_every_norm(
    tf: Any, tmp_path: Path, source: str, to: str, count: int
) -> None:
    prefix = copy(source, tmp_path, {"layer_norm_eps": 0.25})
    fill = "zeros" if source == "electra_tf115" else None
    model, plan, given, ref = restored(prefix, tmp_path / "out", to, fill=fill)
    norms = [layer for layer in model.submodules if type(layer).__name__ == "LayerNormalization"]
    assert [norm.epsilon for norm in norms] == [1e-12] * count
    (line,) = (found[1] for note in plan.notes if (found := re.search("`(.*epsilon.*)`", note)))
    exec(line, {plan.constructors[-1].name.partition(",")[0]: model})
    assert [norm.epsilon for norm in norms] == [0.25] * count
    if source == "bert_tf115" and to == "encoder":
        usual = of_bert(prefix, ref).sequence
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(numpy_parts, "EPSILON", 0.25)
            expected = of_bert(prefix, ref).sequence
        assert_close(model(given)[0], expected)
        assert np.abs(expected - usual).max() > 100 * TOLERANCE


def test_dropout_is_that_of_the_configuration(tf: Any, tmp_path: Path) -> None:
    prefix = copy("bert_tf115", tmp_path, {"hidden_dropout_prob": 0.25, "attention_probs_dropout_prob": 0})
    model, _, _, _ = restored(prefix, tmp_path / "out", "encoder")
    assert (model.get_config()["output_dropout"], model.get_config()["attention_dropout"]) == (0.25, 0)


def test_a_model_whose_tables_are_resized_is_built_with_their_new_sizes(tf: Any, tmp_path: Path) -> None:
    prefix = copy("bert_tf115", tmp_path, {})
    model, _, _, _ = restored(prefix, tmp_path / "out", "pretrainer", vocab_size=40, max_positions=12)
    assert model.encoder_network.get_config()["vocab_size"] == 40


ACTIVATIONS: dict[str, Any] = {
    'tf_utils.get_activation("gelu")': tanh_gelu,
    "lambda x: tf.nn.gelu(x, approximate=False)": erf_gelu,
    "tf.nn.relu": numpy_parts.relu,
    "tf.nn.relu6": lambda x: np.clip(x, 0, 6),
    "tf.nn.tanh": np.tanh,
    "tf.nn.sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tf.nn.silu": lambda x: x / (1 + np.exp(-x)),
    "tf.identity": lambda x: x,
}


@pytest.mark.parametrize("name", ELECTRA.activations)
@pytest.mark.parametrize("source", ["bert_tf115", "electra_tf115"])
def test_a_name_of_an_activation_becomes_that_function(tf: Any, tmp_path: Path, source: str, name: str) -> None:
    prefix = copy(source, tmp_path, {"hidden_act": name.upper()})
    plan = tfckpt.plan(prefix, fill="zeros" if source == "electra_tf115" else None)
    (code,) = (a.code for a in plan.constructors[0].arguments if a.name == "inner_activation")
    x = np.linspace(-9, 9, 37, dtype=np.float32)
    scope = build(plan)
    got = eval(code, scope)(tf.constant(x))
    exact = {"gelu", "gelu_python"} if source == "electra_tf115" else {"gelu_python"}
    assert ("approximate=False" in code) == (name in exact)
    np.testing.assert_allclose(got, ACTIVATIONS[code](x.astype(np.float64)), rtol=0, atol=2e-6)
