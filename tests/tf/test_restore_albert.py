"""A converted ALBERT restores into AlbertEncoder and Model Garden's models over it, and computes what it did under TF1."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from support import numpy_bert
from support.garden import clear
from support.numpy_albert import albert

import tfckpt

pytestmark = [
    pytest.mark.tf,
    # BertPretrainerV2 hands all its inputs to the encoder, which takes three of them, and says so.
    pytest.mark.filterwarnings("ignore:(?s).*masked_lm_positions.*did not match any model input:UserWarning"),
]

FOLDER = Path(__file__).parents[1] / "data" / "albert_tf115"
SOURCE = str(FOLDER / "model.ckpt-3")
CONFIG: dict[str, Any] = json.loads((FOLDER / "albert_config.json").read_text(encoding="utf-8"))
BLOCK = "bert/encoder/transformer/group_0/inner_group_0"
BOUND = 3e-6

# Names of the models' variables, from their end, and the TF1 variables whose values belong there.
TF1_NAMES = (
    (r"word_embeddings/embeddings", r"bert/embeddings/word_embeddings"),
    (r"position_embedding/embeddings", r"bert/embeddings/position_embeddings"),
    (r"type_embeddings/embeddings", r"bert/embeddings/token_type_embeddings"),
    (r"embeddings/layer_norm/(\w+)", r"bert/embeddings/LayerNorm/\1"),
    (r"embedding_projection/(\w+)", r"bert/encoder/embedding_hidden_mapping_in/\1"),
    (r"transformer/self_attention/attention_output/(\w+)", rf"{BLOCK}/attention_1/output/dense/\1"),
    (r"transformer/self_attention/(query|key|value)/(\w+)", rf"{BLOCK}/attention_1/self/\1/\2"),
    (r"transformer/self_attention_layer_norm/(\w+)", rf"{BLOCK}/LayerNorm/\1"),
    (r"transformer/intermediate/(\w+)", rf"{BLOCK}/ffn_1/intermediate/dense/\1"),
    (r"transformer/output/(\w+)", rf"{BLOCK}/ffn_1/intermediate/output/dense/\1"),
    (r"transformer/output_layer_norm/(\w+)", rf"{BLOCK}/LayerNorm_1/\1"),
    (r"pooler_transform/(\w+)", r"bert/pooler/dense/\1"),
    (r"transform/dense/(\w+)", r"cls/predictions/transform/dense/\1"),
    (r"transform/LayerNorm/(\w+)", r"cls/predictions/transform/LayerNorm/\1"),
    (r"output_bias/bias", r"cls/predictions/output_bias"),
    (r"pooler_dense/(\w+)", r"bert/pooler/dense/\1"),
    (r"next_sentence/logits/kernel", r"cls/seq_relationship/output_weights"),
    (r"next_sentence/logits/bias", r"cls/seq_relationship/output_bias"),
    (r"sentence_prediction/logits/kernel|predictions/transform/logits/kernel", r"output_weights"),
    (r"sentence_prediction/logits/bias|predictions/transform/logits/bias", r"output_bias"),
    (r"predictions/transform/logits/kernel", r"cls/squad/output_weights"),
    (r"predictions/transform/logits/bias", r"cls/squad/output_bias"),
)


class Case(NamedTuple):
    """A checkpoint, the model that it is for, and the roots under which that model's readers ask."""

    values: dict[str, npt.NDArray[np.float32]]
    converted: str
    model: Any
    roots: dict[str, dict[str, Any]]
    variables: int


Convert = Callable[[str, dict[str, Any]], str]


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    with tfckpt.open(SOURCE) as checkpoint:
        return {name: np.array(v) for name, v in checkpoint.items() if "/adam_" not in name and name != "global_step"}


@pytest.fixture(scope="module")
def ref() -> dict[str, Any]:
    with np.load(FOLDER / "ref.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def inputs(ref: dict[str, Any]) -> dict[str, Any]:
    return {"input_word_ids": ref["ids"], "input_mask": ref["mask"], "input_type_ids": ref["typ"]}


@pytest.fixture(scope="module")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """Return a function that writes TF1 variables, converts them, and returns the prefix."""

    def convert(to: str, tensors: dict[str, Any]) -> str:
        directory = tmp_path_factory.mktemp(to)
        tfckpt.save(directory / "tf1", tensors)
        tfckpt.convert(directory / "tf1", directory / "tf2", to=to, num_heads=CONFIG["num_attention_heads"])
        return str(directory / "tf2")

    return convert


def tanh_gelu(x: Any) -> Any:
    """google-research's gelu; a function with a name, since the encoder puts it into its configuration."""
    import tensorflow as tf

    return tf.nn.gelu(x, approximate=True)


def make_encoder(width: int = CONFIG["embedding_size"]) -> Any:
    from official.nlp.modeling import networks

    return networks.AlbertEncoder(
        vocab_size=CONFIG["vocab_size"],
        embedding_width=width,
        hidden_size=CONFIG["hidden_size"],
        num_layers=CONFIG["num_hidden_layers"],
        num_attention_heads=CONFIG["num_attention_heads"],
        max_sequence_length=CONFIG["max_position_embeddings"],
        type_vocab_size=CONFIG["type_vocab_size"],
        intermediate_size=CONFIG["intermediate_size"],
        activation=tanh_gelu,
        dict_outputs=True,
    )


def of_encoder(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name.startswith("bert/")}


@pytest.fixture(scope="module")
def encoder(tf: Any, values: dict[str, Any], convert: Convert) -> Case:
    model = make_encoder()
    roots = {"model": {"model": model}, "encoder": {"encoder": model}, "root": {"root": model}}
    return Case(values, convert("encoder", values), model, roots | {"both": {"model": model, "encoder": model}}, 25)


@pytest.fixture(scope="module")
def encoder_without_projection(tf: Any, values: dict[str, Any], convert: Convert) -> Case:
    tensors = {name: v for name, v in of_encoder(values).items() if "embedding_hidden_mapping_in" not in name}
    tensors |= {n: np.concatenate([v, -v], axis=-1) for n, v in tensors.items() if n.startswith("bert/embeddings/")}
    model = make_encoder(CONFIG["hidden_size"])
    return Case(
        tensors, convert("encoder", tensors), model, {"model": {"model": model}, "encoder": {"encoder": model}}, 23
    )


def make_pretrainer(inputs: dict[str, Any], ref: dict[str, Any], heads: list[Any]) -> Any:
    from official.nlp.modeling import models

    model = models.BertPretrainerV2(
        encoder_network=make_encoder(),
        classification_heads=heads,
        mlm_activation=tanh_gelu,
    )
    model(inputs | {"masked_lm_positions": ref["pos"]})
    return model


@pytest.fixture(scope="module")
def pretrainer(tf: Any, values: dict[str, Any], convert: Convert, inputs: dict[str, Any], ref: dict[str, Any]) -> Case:
    from official.nlp.modeling import layers

    model = make_pretrainer(inputs, ref, [layers.ClassificationHead(8, num_classes=2, name="next_sentence")])
    roots = {"model": {"model": model}, "root": {"root": model}, "all": {"model": model, **model.checkpoint_items}}
    return Case(values, convert("pretrainer", values), model, roots, 34)


@pytest.fixture(scope="module")
def masked_lm(tf: Any, values: dict[str, Any], convert: Convert, inputs: dict[str, Any], ref: dict[str, Any]) -> Case:
    tensors = {name: value for name, value in values.items() if not name.startswith("cls/seq_relationship/")}
    model = make_pretrainer(inputs, ref, [])
    roots = {"model": {"model": model}, "items": model.checkpoint_items}
    return Case(tensors, convert("pretrainer", tensors), model, roots, 30)


def task(values: dict[str, Any], convert: Convert, to: str, model: Any, head: dict[str, tuple[int, ...]]) -> Case:
    """Return a fine-tuned case; its head is not trained, but its values are all different."""
    rng = np.random.default_rng(4)
    tensors = of_encoder(values) | {name: rng.normal(size=s).astype(np.float32) for name, s in head.items()}
    return Case(tensors, convert(to, tensors), model, {"model": {"model": model}, "root": {"root": model}}, 27)


@pytest.fixture(scope="module")
def classifier(tf: Any, values: dict[str, Any], convert: Convert) -> Case:
    from official.nlp.modeling import models

    model = models.BertClassifier(make_encoder(), num_classes=3)
    return task(values, convert, "classifier", model, {"output_weights": (3, 8), "output_bias": (3,)})


@pytest.fixture(scope="module")
def token_classifier(tf: Any, values: dict[str, Any], convert: Convert) -> Case:
    from official.nlp.modeling import models

    model = models.BertTokenClassifier(make_encoder(), num_classes=5)
    return task(values, convert, "token-classifier", model, {"output_weights": (5, 8), "output_bias": (5,)})


@pytest.fixture(scope="module")
def span_labeler(tf: Any, values: dict[str, Any], convert: Convert) -> Case:
    from official.nlp.modeling import models

    model = models.BertSpanLabeler(make_encoder())
    return task(
        values, convert, "span-labeler", model, {"cls/squad/output_weights": (2, 8), "cls/squad/output_bias": (2,)}
    )


CASES = {
    "encoder": ("model", "encoder", "root", "both"),
    "encoder_without_projection": ("model", "encoder"),
    "pretrainer": ("model", "root", "all"),
    "masked_lm": ("model", "items"),
    "classifier": ("model", "root"),
    "token_classifier": ("model", "root"),
    "span_labeler": ("model", "root"),
}
WAYS = [(case, root) for case, roots in CASES.items() for root in roots]
FUNCTIONAL = [
    case for case in CASES if case not in ("pretrainer", "masked_lm")
]  # the others have no load_weights of this form


def tf1_name(case: Case, variable: Any) -> str:
    """Return the TF1 variable that belongs into a variable; of several heads whose names are one, the case has one."""
    name = variable.name.removesuffix(":0")
    matches = ((re.search(rf"(?:^|/)(?:{pattern})$", name), replacement) for pattern, replacement in TF1_NAMES)
    names = [match.expand(replacement) for match, replacement in matches if match]
    (found,) = [name for name in names if name in case.values] or [f"no test knows {variable.name}"]
    return found


def wipe(case: Case) -> None:
    """Clear the model, and let it forget the save counters that were read before: TensorFlow restores the oldest."""
    clear(case.model)
    case.model._deferred_dependencies.pop("save_counter", None)


def assert_holds(case: Case) -> None:
    """Check every variable of the model, bit for bit: reshaped where heads are split, transposed where a head is."""
    assert len(case.model.variables) == case.variables
    for variable in case.model.variables:
        name = tf1_name(case, variable)
        value = case.values[name]
        if name.endswith("output_weights"):
            value = value.T
        elif "/attention_1/" in name:
            value = value.reshape(variable.shape)
        np.testing.assert_array_equal(variable.numpy(), value, name)


@pytest.mark.parametrize("method", ["read", "restore"])
@pytest.mark.parametrize(("name", "root"), WAYS)
def test_every_way_to_ask_restores_every_variable(
    tf: Any, request: pytest.FixtureRequest, name: str, root: str, method: str
) -> None:
    case: Case = request.getfixturevalue(name)
    wipe(case)
    status = getattr(tf.train.Checkpoint(**case.roots[root]), method)(case.converted)
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_holds(case)


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_load_weights_restores_every_variable(request: pytest.FixtureRequest, name: str) -> None:
    case: Case = request.getfixturevalue(name)
    wipe(case)
    status = case.model.load_weights(case.converted)
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_holds(case)


def test_the_items_of_a_pretrainer_with_a_sentence_head_leave_its_logits_alone(tf: Any, pretrainer: Case) -> None:
    """Its `checkpoint_items` hold that head's pooler, but not its last layer: all they have is restored, not all there is."""
    wipe(pretrainer)
    status = tf.train.Checkpoint(**pretrainer.model.checkpoint_items).read(pretrainer.converted)
    status.assert_existing_objects_matched()
    with pytest.raises(AssertionError, match=r"Unresolved object in checkpoint .*out_proj"):
        status.assert_consumed()


def test_an_encoder_reads_what_it_needs_of_a_pretrainer(tf: Any, encoder: Case, pretrainer: Case) -> None:
    wipe(encoder)
    tf.train.Checkpoint(encoder=encoder.model).read(
        pretrainer.converted
    ).expect_partial().assert_existing_objects_matched()
    assert_holds(encoder)


def test_the_encoder_computes_what_it_did_under_tensorflow_1(
    encoder: Case, inputs: dict[str, Any], ref: dict[str, Any]
) -> None:
    encoder.model.load_weights(encoder.converted).assert_consumed()
    outputs = encoder.model(inputs)
    np.testing.assert_allclose(outputs["sequence_output"], ref["out_seq"], rtol=0, atol=BOUND)
    np.testing.assert_allclose(outputs["pooled_output"], ref["out_pooled"], rtol=0, atol=BOUND)
    numbers = albert(encoder.values, CONFIG, ref["ids"], ref["mask"], ref["typ"])
    np.testing.assert_allclose(outputs["sequence_output"], numbers.sequence, rtol=0, atol=BOUND)
    np.testing.assert_allclose(outputs["pooled_output"], numbers.pooled, rtol=0, atol=BOUND)


def test_an_encoder_without_a_projection_computes_what_numpy_does(
    encoder_without_projection: Case, inputs: dict[str, Any], ref: dict[str, Any]
) -> None:
    case = encoder_without_projection
    case.model.load_weights(case.converted).assert_consumed()
    numbers = albert(case.values, CONFIG, ref["ids"], ref["mask"], ref["typ"])
    np.testing.assert_allclose(case.model(inputs)["sequence_output"], numbers.sequence, rtol=0, atol=BOUND)


def test_the_pretrainer_computes_what_it_did_under_tensorflow_1(
    tf: Any, pretrainer: Case, inputs: dict[str, Any], ref: dict[str, Any]
) -> None:
    tf.train.Checkpoint(model=pretrainer.model).read(pretrainer.converted).assert_consumed()
    outputs = pretrainer.model(inputs | {"masked_lm_positions": ref["pos"]})
    words = tf.nn.log_softmax(outputs["mlm_logits"]).numpy().reshape(-1, CONFIG["vocab_size"])
    np.testing.assert_allclose(words, ref["out_mlm_logp"], rtol=0, atol=BOUND)
    order = tf.nn.log_softmax(outputs["next_sentence"]).numpy()
    np.testing.assert_allclose(order, ref["out_nsp_logp"], rtol=0, atol=BOUND)


def test_the_heads_compute_what_numpy_does(
    classifier: Case, token_classifier: Case, span_labeler: Case, inputs: dict[str, Any], ref: dict[str, Any]
) -> None:
    numbers = albert(classifier.values, CONFIG, ref["ids"], ref["mask"], ref["typ"])
    for case in (classifier, token_classifier, span_labeler):
        case.model.load_weights(case.converted).assert_consumed()
    classes = numpy_bert.output_logits(classifier.values, numbers.pooled)
    np.testing.assert_allclose(classifier.model(inputs), classes, rtol=0, atol=BOUND)
    tokens = token_classifier.model(inputs)
    tokens = tokens["logits"] if isinstance(tokens, dict) else tokens
    expected = numpy_bert.output_logits(token_classifier.values, numbers.sequence)
    np.testing.assert_allclose(tokens, expected, rtol=0, atol=BOUND)
    spans = numpy_bert.span_logits(span_labeler.values, numbers.sequence)
    for logits, span in zip(span_labeler.model(inputs), spans, strict=True):
        np.testing.assert_allclose(logits, span, rtol=0, atol=BOUND)


@pytest.mark.parametrize("kind", ["BertEncoder", "BertEncoderV2"])
def test_several_groups_compute_the_same_as_copies_in_a_bert_encoder(
    tf: Any, kind: str, values: dict[str, Any], inputs: dict[str, Any], ref: dict[str, Any], tmp_path: Path
) -> None:
    from official.nlp.modeling import networks

    rng = np.random.default_rng(6)
    second = {n.replace("/group_0/", "/group_1/"): v for n, v in values.items() if n.startswith(BLOCK)}
    tensors = values | {n: v + rng.normal(0, 0.1, v.shape).astype(np.float32) for n, v in second.items()}
    tfckpt.save(tmp_path / "tf1", tensors)
    layout = Path(__file__).parents[2] / "docs" / "albert_groups.toml"
    tfckpt.convert(tmp_path / "tf1", tmp_path / "tf2", layout=layout, num_heads=2)
    encoder = getattr(networks, kind)(
        vocab_size=CONFIG["vocab_size"],
        embedding_width=CONFIG["embedding_size"],
        hidden_size=CONFIG["hidden_size"],
        num_layers=4,
        num_attention_heads=CONFIG["num_attention_heads"],
        inner_dim=CONFIG["intermediate_size"],
        inner_activation=tanh_gelu,
        max_sequence_length=CONFIG["max_position_embeddings"],
        type_vocab_size=CONFIG["type_vocab_size"],
        **({"dict_outputs": True} if kind == "BertEncoder" else {}),
    )
    encoder(inputs)
    status = tf.train.Checkpoint(model=encoder).read(str(tmp_path / "tf2"))
    status.assert_consumed()
    status.assert_existing_objects_matched()
    sizes = CONFIG | {"num_hidden_layers": 4, "num_hidden_groups": 2}
    expected = albert(tensors, sizes, ref["ids"], ref["mask"], ref["typ"])
    outputs = encoder(inputs)
    np.testing.assert_allclose(outputs["sequence_output"], expected.sequence, rtol=0, atol=BOUND)
    np.testing.assert_allclose(outputs["pooled_output"], expected.pooled, rtol=0, atol=BOUND)
    one_group = albert(tensors, sizes | {"num_hidden_groups": 1}, ref["ids"], ref["mask"], ref["typ"])
    assert np.abs(outputs["sequence_output"] - one_group.sequence).max() > 0.01
