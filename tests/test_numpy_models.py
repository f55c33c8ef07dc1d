"""The NumPy models compute from TF1 variables what google-research's code computed under TensorFlow 1.15."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from support import numpy_bert, numpy_electra
from support.numpy_albert import albert
from support.numpy_mobilebert import mobilebert
from support.numpy_parts import Array, Config, Ints, Outputs, Weights, log_softmax, softmax, tanh_gelu

import tfckpt

DATA = Path(__file__).parent / "data"


class Source(NamedTuple):
    """One checkpoint, and what TensorFlow computed from it."""

    weights: Weights
    config: Config
    ref: dict[str, npt.NDArray[Any]]

    @property
    def inputs(self) -> tuple[Ints, Ints, Ints]:
        """Return ids, mask and segments."""
        return self.ref["ids"], self.ref["mask"], self.ref["typ"]


def _open(name: str) -> Source:
    folder = DATA / name
    with np.load(folder / "ref.npz") as ref, tfckpt.open(folder / "model.ckpt-3") as checkpoint:
        (config,) = (path for path in folder.iterdir() if path.name in ("bert_config.json", "albert_config.json"))
        weights = {name: checkpoint[name].copy() for name in checkpoint}
        return Source(weights, json.loads(config.read_text(encoding="utf-8")), dict(ref))


def _encoder(out: Outputs) -> dict[str, Array]:
    return {"seq": out.sequence, "pooled": out.pooled, "emb": out.embeddings} | {
        f"layer{number}": layer for number, layer in enumerate(out.layers)
    }


def _pretrained(source: Source, out: Outputs) -> dict[str, Array]:
    logits = numpy_bert.masked_lm_logits(source.weights, source.config, out.sequence, source.ref["pos"])
    logp = numpy_bert.masked_lm_log_probs(source.weights, source.config, out.sequence, source.ref["pos"])
    return _encoder(out) | {
        "mlm_logits": logits.reshape(-1, logits.shape[-1]),  # TensorFlow's are [batch * predictions, vocabulary]
        "mlm_logp": logp.reshape(-1, logp.shape[-1]),
        "nsp_logp": numpy_bert.next_sentence_log_probs(source.weights, out.pooled),
    }


def _losses(logits: Array, labels: npt.NDArray[Any]) -> Array:
    return np.asarray(-np.take_along_axis(log_softmax(logits), labels[..., None], axis=-1)[..., 0])


def _bert(source: Source) -> dict[str, Array]:
    return _prefixed("out_", _pretrained(source, numpy_bert.bert(source.weights, source.config, *source.inputs)))


def _albert(source: Source) -> dict[str, Array]:
    return _prefixed("out_", _pretrained(source, albert(source.weights, source.config, *source.inputs)))


def _classifier(source: Source) -> dict[str, Array]:
    out = numpy_bert.bert(source.weights, source.config, *source.inputs)
    logits = numpy_bert.output_logits(source.weights, out.pooled)
    losses = _losses(logits, source.ref["labels"])
    heads = {"logits": logits, "probs": softmax(logits), "per_example_loss": losses, "loss": losses.mean()}
    return _prefixed("out_", _encoder(out) | heads)


def _token_classifier(source: Source) -> dict[str, Array]:
    out = numpy_bert.bert(source.weights, source.config, *source.inputs)
    logits = numpy_bert.output_logits(source.weights, out.sequence)
    losses, mask = _losses(logits, source.ref["labels"]), source.ref["mask"]
    heads = {"logits": logits, "probs": softmax(logits), "loss": (losses * mask).sum() / mask.sum()}
    return _prefixed("out_", _encoder(out) | heads)


def _squad(source: Source) -> dict[str, Array]:
    out = numpy_bert.bert(source.weights, source.config, *source.inputs)
    start, end = numpy_bert.span_logits(source.weights, out.sequence)
    return _prefixed("out_", _encoder(out) | {"start_logits": start, "end_logits": end})


def _electra(source: Source) -> dict[str, Array]:
    weights, config, inputs = source.weights, source.config, source.inputs
    discriminator = numpy_electra.electra(weights, config, *inputs)
    generator = numpy_electra.electra_generator(weights, config, *inputs)
    logits = numpy_electra.discriminator_logits(weights, discriminator.sequence)
    words = numpy_electra.generator_logits(weights, generator.sequence, source.ref["pos"])
    return (
        _prefixed("out_disc_", _encoder(discriminator))
        | _prefixed("out_gen_", _encoder(generator))
        | {
            "out_disc_layers": np.stack(discriminator.layers),
            "out_disc_logits": logits,
            "out_disc_probs": 1 / (1 + np.exp(-logits)),
            "out_gen_mlm_logits": words,
            "out_gen_mlm_logp": log_softmax(words),
        }
    )


def _electra_cola(source: Source) -> dict[str, Array]:
    out = numpy_electra.electra(source.weights, source.config, *source.inputs)
    logits = numpy_electra.task_logits(source.weights, out.pooled, "cola")
    labels = source.ref["out_cola_label_ids"]
    return {
        "out_cola_logits": logits,
        "out_cola_predictions": logits.argmax(-1),
        "out_cola_loss": _losses(logits, labels),
    }


def _electra_squad(source: Source) -> dict[str, Array]:
    _, mask, types = source.inputs
    sequence = numpy_electra.electra(source.weights, source.config, *source.inputs).sequence
    start_logits = numpy_electra.squad_start_logits(source.weights, sequence, mask, types)
    start = start_logits.argmax(-1)
    heads = {
        "start_logits": start_logits,
        "start": start,
        "end_logits": numpy_electra.squad_end_logits(source.weights, sequence, mask, types, start),
        "answerable_logit": numpy_electra.squad_answerable_logits(source.weights, sequence, start_logits),
    }
    return _prefixed("out_squad_", heads)


def _mobilebert(source: Source) -> dict[str, Array]:
    ids, mask, types = source.inputs
    found: dict[str, Array] = {}
    for prefix, chosen in (("out_", mask), ("fullmask_", np.ones_like(mask))):
        out = mobilebert(source.weights, source.config, ids, chosen, types)
        layers = np.stack([out.embeddings, *out.layers])
        found |= _prefixed(prefix, _pretrained(source, out) | {"layers": layers})
    return found


def _prefixed(prefix: str, values: dict[str, Array]) -> dict[str, Array]:
    return {f"{prefix}{name}": value for name, value in values.items()}


class Case(NamedTuple):
    """A folder of ``data``, its model, and how far a value may lie from TensorFlow's float32."""

    folder: str
    model: Callable[[Source], dict[str, Array]]
    bound: float


CASES = (
    Case("bert_tf115", _bert, 3e-6),
    Case("classifier_tf115", _classifier, 3e-6),
    Case("squad_tf115", _squad, 3e-6),
    Case("token_tf115", _token_classifier, 3e-6),
    Case("albert_tf115", _albert, 3e-6),
    Case("electra_tf115", _electra, 3e-6),
    Case("electra_cola_tf115", _electra_cola, 3e-6),
    Case("electra_squad", _electra_squad, 3e-6),
    Case("mobilebert_student_tf115", _mobilebert, 1e-5),
    Case("mobilebert_teacher_tf115", _mobilebert, 1e-5),
)
BOUNDS = {"out_squad_start_logits": 5e-5, "out_squad_end_logits": 5e-5}  # float32 has no finer steps around 1000
ECHOED = {"out_cola_label_ids", "out_cola_eid"}  # what that program was given, and returned beside its outputs


def _outputs() -> Iterator[Any]:
    for case in CASES:
        with np.load(DATA / case.folder / "ref.npz") as ref:
            for key in ref.files:
                if key.startswith(("out_", "fullmask_")) and key not in ECHOED:
                    yield pytest.param(case, key, id=f"{case.folder}-{key}")


@cache
def _computed(case: Case) -> dict[str, Array]:
    return case.model(_open(case.folder))


@pytest.mark.parametrize(("case", "key"), list(_outputs()))
def test_an_output_is_that_of_tensorflow_1(case: Case, key: str) -> None:
    with np.load(DATA / case.folder / "ref.npz") as ref:
        found, expected = _computed(case)[key], ref[key]
    assert np.shape(found) == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=BOUNDS.get(key, case.bound))


def test_every_checkpoint_with_outputs_of_tensorflow_1_has_its_model() -> None:
    assert {case.folder for case in CASES} == {path.parent.name for path in DATA.glob("*/ref.npz")}


def test_the_bound_tells_one_gelu_from_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_electra, "erf_gelu", tanh_gelu)
    source = _open("electra_tf115")
    found = _electra(source)
    for key in ("out_disc_seq", "out_disc_logits", "out_gen_seq", "out_gen_mlm_logits"):
        assert np.abs(found[key] - source.ref[key]).max() > 10 * 3e-6


@pytest.mark.parametrize("key", ["out_squad_start_logits", "out_squad_end_logits"])
def test_logits_of_an_electra_squad_are_as_near_as_any_where_an_answer_may_lie(key: str) -> None:
    source = _open("electra_squad")
    _, mask, types = source.inputs
    inside = mask * types == 1
    inside[:, 0] = False
    found = _electra_squad(source)[key][inside]
    assert found.size > 5
    np.testing.assert_allclose(found, source.ref[key][inside], rtol=0, atol=3e-6)


ALBERT_NAMES = (  # of a layer of BERT, and of a block of ALBERT
    ("attention/self/", "attention_1/self/"),
    ("attention/output/dense/", "attention_1/output/dense/"),
    ("attention/output/LayerNorm/", "LayerNorm/"),
    ("intermediate/dense/", "ffn_1/intermediate/dense/"),
    ("output/dense/", "ffn_1/intermediate/output/dense/"),
    ("output/LayerNorm/", "LayerNorm_1/"),
)


def _as_albert(weights: Weights, *blocks: str) -> Weights:
    """Return BERT's variables under ALBERT's names, layer by layer as these blocks."""
    renamed = dict(weights)
    for layer, block in enumerate(blocks):
        for old, new in ALBERT_NAMES:
            start = f"bert/encoder/layer_{layer}/{old}"
            for name in [name for name in renamed if name.startswith(start)]:
                value = renamed.pop(name)
                renamed[f"bert/encoder/transformer/{block}/{new}{name.removeprefix(start)}"] = value
    return renamed


def _repeated(weights: Weights, *layers: int) -> Weights:
    """Return BERT's variables with these layers of it, in that order."""
    repeated = {name: value for name, value in weights.items() if "/layer_" not in name}
    for number, layer in enumerate(layers):
        for name, value in weights.items():
            if f"/layer_{layer}/" in name:
                repeated[name.replace(f"/layer_{layer}/", f"/layer_{number}/")] = value
    return repeated


@pytest.mark.parametrize(
    ("blocks", "sizes"),
    [
        (("group_0/inner_group_0", "group_1/inner_group_0"), (2, 2, 1)),
        (("group_0/inner_group_0", "group_0/inner_group_1"), (1, 1, 2)),
    ],
    ids=["groups", "inner groups"],
)
def test_an_albert_that_shares_no_layer_and_projects_nothing_is_a_bert(
    blocks: tuple[str, str], sizes: tuple[int, int, int]
) -> None:
    source = _open("bert_tf115")
    weights = _as_albert(source.weights, *blocks)
    shared = dict(zip(("num_hidden_layers", "num_hidden_groups", "inner_group_num"), sizes, strict=True))
    out = albert(weights, {**source.config, **shared}, *source.inputs)
    expected = numpy_bert.bert(source.weights, source.config, *source.inputs)
    assert len(out.layers) == sizes[0]
    np.testing.assert_array_equal(out.sequence, expected.sequence)
    np.testing.assert_array_equal(out.pooled, expected.pooled)


def test_layers_of_an_albert_share_the_variables_of_their_group() -> None:
    source = _open("bert_tf115")
    weights = _as_albert(source.weights, "group_0/inner_group_0", "group_1/inner_group_0")
    config = {**source.config, "num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 1}
    out = albert(weights, config, *source.inputs)
    expected = numpy_bert.bert(_repeated(source.weights, 0, 0, 1, 1), config, *source.inputs)
    np.testing.assert_array_equal(out.sequence, expected.sequence)


def test_a_generator_with_embeddings_of_its_own_uses_those_alone() -> None:
    source = _open("electra_tf115")
    tables = {name: value for name, value in source.weights.items() if name.startswith("electra/embeddings/")}
    own = {name.replace("electra/", "generator/"): value for name, value in tables.items()}
    weights = {name: value for name, value in source.weights.items() if name not in tables} | own
    out = numpy_electra.electra_generator(weights, source.config, *source.inputs)
    words = numpy_electra.generator_logits(weights, out.sequence, source.ref["pos"])
    np.testing.assert_allclose(out.sequence, source.ref["out_gen_seq"], rtol=0, atol=3e-6)
    np.testing.assert_allclose(words, source.ref["out_gen_mlm_logits"], rtol=0, atol=3e-6)


def test_a_scope_stands_before_every_name() -> None:
    source = _open("bert_tf115")
    weights = {f"tower/{name}": value for name, value in source.weights.items()}
    out = numpy_bert.bert(weights, source.config, *source.inputs, scope="tower/bert/")
    np.testing.assert_allclose(out.pooled, source.ref["out_pooled"], rtol=0, atol=3e-6)
    logits = numpy_bert.next_sentence_logits(weights, out.pooled, scope="tower/cls/seq_relationship/")
    np.testing.assert_allclose(log_softmax(logits), source.ref["out_nsp_logp"], rtol=0, atol=3e-6)
