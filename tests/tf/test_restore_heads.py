"""Every BERT target restored by the real model, however its readers ask for it, and computing what TF1 computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.garden import clear, read_config
from support.garden_heads import PREDICTIONS, assert_model_holds, make_model
from support.numpy_bert import (
    bert,
    masked_lm_log_probs,
    next_sentence_log_probs,
    output_logits,
    span_logits,
)
from support.numpy_parts import Array, Outputs, log_softmax

import tfckpt

pytestmark = [
    pytest.mark.tf,
    # A pretrainer hands its encoder the positions of the masked words as well.
    pytest.mark.filterwarnings("ignore:Input dict contained keys:UserWarning"),
]

DATA = Path(__file__).parents[1] / "data"
CONFIG = DATA / "bert_tf115" / "bert_config.json"
ENCODERS = ("BertEncoder", "BertEncoderV2")
TOLERANCE = 3e-6
ROOT = "root"
ITEMS = "checkpoint_items"
AS_MODEL = "encoder as model"


@dataclass(frozen=True)
class Case:
    """A kind of model, the target that is for it, a source, and the scope of its output layer there.

    ``whole`` are the ways to ask that find every tensor; ``in_part`` those that fill every object asked for, but leave
    tensors unasked for; ``nothing`` those that do not fit. A way is a set of names of roots.
    """

    kind: str
    source: str
    head: str
    whole: tuple[tuple[str, ...], ...]
    in_part: tuple[tuple[str, ...], ...] = ()
    nothing: tuple[tuple[str, ...], ...] = ()
    encoders: tuple[str, ...] = (*ENCODERS, "legacy")
    exclude: tuple[str, ...] = ()
    number: int = 41  # of variables

    @property
    def to(self) -> str:
        return self.kind.removesuffix("-no-nsp")


MODEL = ("model",)
BOTH = ("model", ITEMS)
CASES = (
    # A head's checkpoint_items are its pooler alone: without the model, nobody asks for its output layer.
    Case(
        "pretrainer",
        "bert_tf115",
        "cls/seq_relationship/",
        ((ROOT,), MODEL, BOTH),
        ((ITEMS,), ("encoder",)),
        ((AS_MODEL,),),
        encoders=ENCODERS,
        number=48,
    ),
    Case(
        "pretrainer-no-nsp",
        "bert_tf115",
        "",
        ((ROOT,), MODEL, BOTH, (ITEMS,)),
        (("encoder",),),
        ((AS_MODEL,),),
        encoders=ENCODERS,
        exclude=("cls/seq_relationship",),
        number=44,
    ),
    Case(
        "bert-pretrainer",
        "bert_tf115",
        "cls/seq_relationship/",
        ((ROOT,), MODEL),
        encoders=("BertEncoder", "legacy"),
        number=46,
    ),
    Case("pretrain-model", "bert_tf115", "cls/seq_relationship/", ((ROOT,), MODEL), encoders=("legacy",), number=46),
    # What these models' own saves have at the root is the model alone: an encoder by that name is not there.
    Case("classifier", "classifier_tf115", "", ((ROOT,), MODEL, BOTH), nothing=(("encoder",), (ITEMS,))),
    Case(
        "classifier-own-pooler",
        "classifier_tf115",
        "",
        ((ROOT,), MODEL, BOTH),
        ((ITEMS,), ("encoder",)),
        encoders=ENCODERS,
        number=43,
    ),
    Case("span-labeler", "squad_tf115", "cls/squad/", ((ROOT,), MODEL, BOTH), nothing=(("encoder",), (ITEMS,))),
    Case(
        "token-classifier",
        "token_tf115",
        "",
        ((ROOT,), MODEL, BOTH),
        nothing=(("encoder",), (ITEMS,)),
        encoders=ENCODERS,
    ),
)
# `restore` first: TensorFlow itself does not bind the save counter of a root that was read before.
METHODS = ("restore", "read")
MODELS = [(case, encoder) for case in CASES for encoder in case.encoders]


def name_of(value: object) -> str | None:
    if isinstance(value, Case):
        return value.kind
    return "+".join(value) if isinstance(value, tuple) else None


def ways(kind: str) -> list[tuple[Case, str, tuple[str, ...]]]:
    """Return each model with each of its ways to ask of one kind."""
    return [(case, encoder, way) for case, encoder in MODELS for way in getattr(case, kind)]


@cache
def model_of(case: Case, encoder: str) -> Any:
    model = make_model(case.kind, encoder, CONFIG)
    assert len(model.variables) == case.number
    return model


@cache
def values_of(source: str) -> Mapping[str, Any]:
    """Return the source's variables as TensorFlow reads them."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(DATA / source / "model.ckpt-3"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The prefix of each kind's converted checkpoint."""
    directory = tmp_path_factory.mktemp("converted")
    for case in CASES:
        source = DATA / case.source / "model.ckpt-3"
        tfckpt.convert(source, directory / case.kind, to=case.to, exclude=case.exclude)
    return {case.kind: str(directory / case.kind) for case in CASES}


def ask(tf: Any, model: Any, way: tuple[str, ...]) -> Any:
    """Return a Checkpoint with the roots of these names."""
    roots: dict[str, Any] = {name: model for name in way if name in (ROOT, "model")}
    if ITEMS in way:
        roots |= model.checkpoint_items
    if "encoder" in way:
        roots["encoder"] = model.checkpoint_items["encoder"]
    if AS_MODEL in way:
        roots["model"] = model.checkpoint_items["encoder"]
    return tf.train.Checkpoint(**roots)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("case", "encoder", "way"), ways("whole"), ids=name_of)
def test_every_variable_is_restored_and_every_tensor_consumed(
    tf: Any, converted: Mapping[str, str], case: Case, encoder: str, way: tuple[str, ...], method: str
) -> None:
    model = model_of(case, encoder)
    clear(model)
    status = getattr(ask(tf, model, way), method)(converted[case.kind])
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_model_holds(model, values_of(case.source), case.head)


@pytest.mark.parametrize(("case", "encoder"), MODELS, ids=name_of)
def test_load_weights_restores_every_variable(converted: Mapping[str, str], case: Case, encoder: str) -> None:
    model = model_of(case, encoder)
    clear(model)
    status = model.load_weights(converted[case.kind])
    status.assert_consumed()
    status.assert_existing_objects_matched()
    assert_model_holds(model, values_of(case.source), case.head)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("case", "encoder", "way"), ways("in_part"), ids=name_of)
def test_parts_of_a_model_are_restored_but_a_head_stays_behind(
    tf: Any, converted: Mapping[str, str], case: Case, encoder: str, way: tuple[str, ...], method: str
) -> None:
    model = model_of(case, encoder)
    clear(model)
    status = getattr(ask(tf, model, way), method)(converted[case.kind])
    status.assert_existing_objects_matched()
    with pytest.raises(AssertionError, match="Unresolved object in checkpoint"):
        status.assert_consumed()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("case", "encoder", "way"), ways("nothing"), ids=name_of)
def test_an_encoder_alone_is_not_found_where_the_file_has_none(
    tf: Any, converted: Mapping[str, str], case: Case, encoder: str, way: tuple[str, ...], method: str
) -> None:
    status = getattr(ask(tf, model_of(case, encoder), way), method)(converted[case.kind])
    with pytest.raises(AssertionError):
        status.assert_existing_objects_matched()


@cache
def reference(source: str) -> Mapping[str, Any]:
    with np.load(DATA / source / "ref.npz") as arrays:
        return dict(arrays)


def numpy_model(source: str) -> Outputs:
    ref = reference(source)
    return bert(values_of(source), read_config(CONFIG), ref["ids"], ref["mask"], ref["typ"])


def inputs_of(source: str) -> dict[str, Any]:
    ref = reference(source)
    inputs = {"input_word_ids": ref["ids"], "input_mask": ref["mask"], "input_type_ids": ref["typ"]}
    return inputs | ({"masked_lm_positions": ref["pos"]} if "pos" in ref else {})


def assert_close(got: Any, *wanted: Any) -> None:
    for array in wanted:
        assert np.shape(got) == np.shape(array)
        np.testing.assert_allclose(got, array, rtol=0, atol=TOLERANCE)


def restored(tf: Any, converted: Mapping[str, str], case: Case, encoder: str) -> Any:
    model = model_of(case, encoder)
    clear(model)
    tf.train.Checkpoint(model=model).read(converted[case.kind]).assert_consumed()
    return model


def cases(*kinds: str) -> list[tuple[Case, str]]:
    return [(case, encoder) for case, encoder in MODELS if case.kind in kinds]


def log_probs(logits: Any) -> Array:
    """Return the logarithms of probabilities, ``[rows, classes]``, as TF1 has them."""
    return log_softmax(np.asarray(logits, np.float64)).reshape(-1, logits.shape[-1])


@pytest.mark.parametrize(("case", "encoder"), cases("pretrainer", "pretrainer-no-nsp"), ids=name_of)
def test_a_pretrainer_predicts_what_tf1_predicts(
    tf: Any, converted: Mapping[str, str], case: Case, encoder: str
) -> None:
    values, ref, ours = values_of(case.source), reference(case.source), numpy_model(case.source)
    outputs = restored(tf, converted, case, encoder)(inputs_of(case.source))
    words = masked_lm_log_probs(values, read_config(CONFIG), ours.sequence, ref["pos"])
    assert_close(log_probs(outputs["mlm_logits"]), words.reshape(-1, words.shape[-1]), ref["out_mlm_logp"])
    assert_close(outputs["sequence_output"], ours.sequence, ref["out_seq"])
    assert_close(outputs["pooled_output"], ours.pooled, ref["out_pooled"])
    assert ("next_sentence" in outputs) == (case.kind == "pretrainer")
    if "next_sentence" in outputs:
        follows = next_sentence_log_probs(values, ours.pooled)
        assert_close(log_probs(outputs["next_sentence"]), follows, ref["out_nsp_logp"])


@pytest.mark.parametrize(("case", "encoder"), cases("bert-pretrainer"), ids=name_of)
def test_the_first_pretrainer_predicts_what_tf1_predicts(
    tf: Any, converted: Mapping[str, str], case: Case, encoder: str
) -> None:
    values, ref, ours = values_of(case.source), reference(case.source), numpy_model(case.source)
    outputs = restored(tf, converted, case, encoder)(list(inputs_of(case.source).values()))
    words = masked_lm_log_probs(values, read_config(CONFIG), ours.sequence, ref["pos"])
    assert_close(log_probs(outputs["masked_lm"]), words.reshape(-1, words.shape[-1]), ref["out_mlm_logp"])
    follows = next_sentence_log_probs(values, ours.pooled)
    assert_close(log_probs(outputs["classification"]), follows, ref["out_nsp_logp"])


@pytest.mark.parametrize(("case", "encoder"), cases("pretrain-model"), ids=name_of)
def test_the_pretraining_loss_is_that_of_tf1(tf: Any, converted: Mapping[str, str], case: Case, encoder: str) -> None:
    ref = reference(case.source)
    words = np.arange(ref["pos"].size, dtype=np.int32).reshape(ref["pos"].shape)
    follows = np.array([[0], [1], [0]], np.int32)
    labels = {
        "masked_lm_ids": words,
        "masked_lm_weights": np.ones((len(words), PREDICTIONS), np.int32),
        "next_sentence_labels": follows,
    }
    loss = restored(tf, converted, case, encoder)(inputs_of(case.source) | labels)
    of_words = -ref["out_mlm_logp"][np.arange(words.size), words.ravel()].mean()
    of_sentences = -ref["out_nsp_logp"][np.arange(follows.size), follows.ravel()].mean()
    assert_close(loss, np.full(len(words), of_words + of_sentences))


@pytest.mark.parametrize(("case", "encoder"), cases("classifier", "classifier-own-pooler"), ids=name_of)
def test_a_classifier_gives_the_logits_of_tf1(tf: Any, converted: Mapping[str, str], case: Case, encoder: str) -> None:
    logits = restored(tf, converted, case, encoder)(inputs_of(case.source))
    ours = output_logits(values_of(case.source), numpy_model(case.source).pooled)
    assert_close(logits, ours, reference(case.source)["out_logits"])


@pytest.mark.parametrize(("case", "encoder"), cases("span-labeler"), ids=name_of)
def test_a_span_labeler_gives_the_logits_of_tf1(
    tf: Any, converted: Mapping[str, str], case: Case, encoder: str
) -> None:
    start, end = restored(tf, converted, case, encoder)(inputs_of(case.source))
    ours = span_logits(values_of(case.source), numpy_model(case.source).sequence)
    assert_close(start, ours[0], reference(case.source)["out_start_logits"])
    assert_close(end, ours[1], reference(case.source)["out_end_logits"])


@pytest.mark.parametrize(("case", "encoder"), cases("token-classifier"), ids=name_of)
def test_a_token_classifier_gives_the_logits_of_tf1(
    tf: Any, converted: Mapping[str, str], case: Case, encoder: str
) -> None:
    logits = restored(tf, converted, case, encoder)(inputs_of(case.source))["logits"]
    ours = output_logits(values_of(case.source), numpy_model(case.source).sequence)
    assert_close(logits, ours, reference(case.source)["out_logits"])


def test_the_attention_output_is_also_where_model_garden_2_2_has_it(tf: Any, converted: Mapping[str, str]) -> None:
    """Objects of its own, with the edges of that release: no later class has them."""

    def tree(kernel: Any, bias: Any) -> Any:
        dense = tf.train.Checkpoint(kernel=kernel, bias=bias)
        block = tf.train.Checkpoint(_attention_output_dense=dense)
        return tf.train.Checkpoint(model=tf.train.Checkpoint(**{"layer_with_weights-5": block}))

    dest = Path(converted["classifier"]).parent / "encoder"
    tfckpt.convert(DATA / "bert_tf115" / "model.ckpt-3", dest, overwrite=True)
    kernel, bias = tf.Variable(tf.zeros((2, 4, 8))), tf.Variable(tf.zeros(8))
    tree(kernel, bias).read(str(dest)).expect_partial().assert_existing_objects_matched()
    values = values_of("bert_tf115")
    name = "bert/encoder/layer_1/attention/output/dense"
    np.testing.assert_array_equal(kernel.numpy(), values[f"{name}/kernel"].reshape(2, 4, 8))
    np.testing.assert_array_equal(bias.numpy(), values[f"{name}/bias"])
