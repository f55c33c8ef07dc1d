"""The worked example of docs/custom_layouts.md: a TF1 GPT-2 into plain TensorFlow objects by a TOML file, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.gpt2 import HPARAMS, LAYOUT, forward, gpt2_shapes, make_gpt2

import tfckpt

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def gpt2(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Prefix of a GPT-2 after one step of Adam, written by tf.compat.v1.train.Saver, hparams.json beside it."""
    directory = tmp_path_factory.mktemp("gpt2")
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [v1.get_variable(name, initializer=value) for name, value in make_gpt2().items()]
        loss = tf.add_n([tf.reduce_sum(variable**2) for variable in variables])
        step = v1.train.AdamOptimizer(1e-3).minimize(loss, v1.train.get_or_create_global_step())
        session.run(v1.global_variables_initializer())
        session.run(step)
        prefix: str = v1.train.Saver().save(session, str(directory / "model.ckpt"), write_meta_graph=False)
    (directory / "hparams.json").write_text(json.dumps(HPARAMS), encoding="utf-8")
    return prefix


def options(gpt2: str) -> dict[str, Any]:
    return {"layout": LAYOUT, "config": Path(gpt2).parent / "hparams.json"}


def make_decoder(tf: Any) -> Any:
    """Return a decoder of plain modules, every variable NaN, its forward pass under ``logits``."""
    h, heads = HPARAMS["n_embd"], HPARAMS["n_head"]

    def module(**attributes: Any) -> Any:
        made = tf.Module()
        for name, value in attributes.items():
            setattr(made, name, value)
        return made

    def nan(*shape: int) -> Any:
        return tf.Variable(tf.fill(shape, np.float32(np.nan)))

    def norm() -> Any:
        return module(gamma=nan(h), beta=nan(h))

    def dense(columns: int, *shape: int) -> Any:
        return module(kernel=nan(*shape), bias=nan(columns))

    blocks = [
        module(
            ln_1=norm(),
            attn=module(c_attn=dense(3 * h, h, 3 * h), c_proj=dense(h, h, h)),
            ln_2=norm(),
            mlp=module(c_fc=dense(4 * h, h, 4 * h), c_proj=dense(h, h, 4 * h)),
        )
        for _ in range(HPARAMS["n_layer"])
    ]
    decoder = module(
        wte=module(embeddings=nan(HPARAMS["n_vocab"], h)),
        wpe=module(embeddings=nan(HPARAMS["n_ctx"], h)),
        blocks=blocks,
        ln_f=norm(),
    )

    def normed(x: Any, layer: Any) -> Any:
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        return (x - mean) * tf.math.rsqrt(variance + 1e-5) * layer.gamma + layer.beta

    def attended(x: Any, layer: Any) -> Any:
        fused = x @ layer.c_attn.kernel + layer.c_attn.bias
        query, key, value = tf.einsum("stad->tasd", tf.reshape(fused, (-1, 3, heads, h // heads)))
        scores = tf.matmul(query, key, transpose_b=True) / np.sqrt(np.float32(h // heads))
        mask = np.tri(x.shape[0], dtype=np.float32)
        mixed = tf.nn.softmax(scores * mask - 1e10 * (1 - mask)) @ value
        return tf.reshape(tf.einsum("asd->sad", mixed), (-1, h)) @ layer.c_proj.kernel + layer.c_proj.bias

    def logits(ids: Any) -> Any:
        x = tf.gather(decoder.wte.embeddings, ids) + decoder.wpe.embeddings[: len(ids)]
        for block in blocks:
            x += attended(normed(x, block.ln_1), block.attn)
            inner = normed(x, block.ln_2) @ block.mlp.c_fc.kernel + block.mlp.c_fc.bias
            inner = tf.nn.gelu(inner, approximate=True)
            x += tf.einsum("...f,hf->...h", inner, block.mlp.c_proj.kernel) + block.mlp.c_proj.bias
        return tf.matmul(normed(x, decoder.ln_f), decoder.wte.embeddings, transpose_b=True)

    return decoder, logits


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("method", ["read", "restore"])
def test_plain_objects_restore_every_variable_and_compute_the_same(
    tf: Any, gpt2: str, tmp_path: Path, root: bool, method: str
) -> None:
    plan = tfckpt.convert(gpt2, tmp_path / "out", **options(gpt2), prove=True)
    assert len(plan.steps) == len(gpt2_shapes()) == 28
    assert sum(step.is_transposed for step in plan.steps) == 2
    decoder, logits = make_decoder(tf)
    checkpoint = tf.train.Checkpoint(root=decoder) if root else tf.train.Checkpoint(model=decoder)
    status = getattr(checkpoint, method)(str(tmp_path / "out"))
    status.assert_consumed().assert_existing_objects_matched()
    assert not any(np.isnan(variable).any() for variable in decoder.variables)
    ids = np.array([3, 1, 4, 1, 5])
    with tfckpt.open(gpt2) as source:
        expected = forward({name: source[name] for name in gpt2_shapes()}, ids)
    np.testing.assert_allclose(logits(ids), expected, rtol=0, atol=3e-6)


def test_what_training_saved_goes_back_to_tf1(tf: Any, gpt2: str, tmp_path: Path) -> None:
    tfckpt.convert(gpt2, tmp_path / "out", **options(gpt2))
    decoder, _ = make_decoder(tf)
    tf.train.Checkpoint(model=decoder).read(str(tmp_path / "out")).assert_consumed()
    saved = tf.train.Checkpoint(my_gpt=decoder).save(str(tmp_path / "saved"))
    assert tfckpt.prove(gpt2, saved, **options(gpt2)).at == "my_gpt"
    tfckpt.convert(saved, tmp_path / "back", to="tf1", **options(gpt2), prove=True)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session, tfckpt.open(gpt2) as source:
        variables = {name: v1.get_variable(name, shape) for name, shape in gpt2_shapes().items()}
        v1.train.Saver().restore(session, str(tmp_path / "back"))
        for name, value in session.run(variables).items():
            np.testing.assert_array_equal(value, source[name], name)
