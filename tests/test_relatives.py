"""Models that are called like BERT or ALBERT and are none: one line says what they are, and their values can be exported.

Names are those of public code, then others: what tells is structure.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, fail_and_advise

import tfckpt
from tfckpt.cli.main import main
from tfckpt.errors import ConfigError, PlanError

DATA = Path(__file__).parent / "data"
EMBEDDINGS = "bert/embeddings/"
LAYER = "bert/encoder/layer_0/"
BLOCK = "bert/encoder/transformer/group_0/inner_group_0/"
WORDS, POSITIONS, TYPES = (f"{EMBEDDINGS}{kind}_embeddings" for kind in ("word", "position", "token_type"))
SEGMENTS = (3, 256, 256, 2, 256, 256, 10)
THEN = "no target takes such a model; tfckpt ls shows its variables, and tfckpt export writes their values for other programs"

Variables = dict[str, Any]


def variables(folder: str = "bert_tf115") -> Variables:
    """Return the model of a real checkpoint."""
    with tfckpt.open(DATA / folder / "model.ckpt-3") as checkpoint:
        return {n: np.array(v) for n, v in checkpoint.items() if "/adam_" not in n and n != "global_step"}


def values(*shape: int) -> Any:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def norm(name: str, size: int = 8) -> Variables:
    return {f"{name}/gamma": values(size), f"{name}/beta": values(size)}


def save(tmp_path: Path, tensors: Variables, folder: str = "bert_tf115", **stated: Any) -> str:
    """Return the prefix of a checkpoint beside a configuration that states something else; None takes a key out."""
    (config,) = (DATA / folder).glob("*bert_config.json")
    document = json.loads(config.read_text(encoding="utf-8")) | stated
    (tmp_path / "s").mkdir()
    stays = {key: value for key, value in document.items() if value is not None}
    (tmp_path / "s" / config.name).write_text(json.dumps(stays), encoding="utf-8")
    tfckpt.save(tmp_path / "s" / "model.ckpt", tensors)
    return str(tmp_path / "s" / "model.ckpt")


def said(prefix: str, **options: Any) -> str:
    """Return the one line that is said of a relative, without the prefix and what may be done."""
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(prefix, **options)
    (issue,) = caught.value.issues
    assert issue.code == "related-model"
    assert {(remedy.action, remedy.loses) for remedy in caught.value.remedies} == {("export", "")}
    assert issue.text().startswith(f"{prefix}: ")
    assert issue.text().endswith(f": {THEN}")
    return issue.text().removeprefix(f"{prefix}: ").removesuffix(f": {THEN}")


def codes(prefix: str, **options: Any) -> set[str]:
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(prefix, **options)
    return {issue.code for issue in caught.value.issues}


def one_layer(scope: str, second: str | None) -> Variables:
    """Return a model that has one layer for all, with a second matrix for words of width 4."""
    tensors = {n.replace(LAYER, scope): v for n, v in variables().items() if "/layer_1/" not in n}
    if second is not None:
        tensors |= {WORDS: values(30, 4), second: values(4, 8)}
        tensors["cls/predictions/transform/dense/kernel"] = values(8, 4)
    return tensors


@pytest.mark.parametrize("to", ["encoder", "pretrainer", "classifier", "auto"])
def test_a_model_of_albert_zh_is_said_to_have_one_layer_and_factorized_words(tmp_path: Path, to: str) -> None:
    tensors = one_layer("bert/encoder/layer_shared/", f"{WORDS}_2")
    slots = {f"{name}/{slot}": value for name, value in tensors.items() for slot in ("adam_m", "adam_v")}
    prefix = save(tmp_path, tensors | slots, embedding_size=4)
    assert said(prefix, to=to) == (
        "all layers are one (bert/encoder/layer_shared), and a matrix leads from the words' width to the hidden size "
        f"({WORDS}_2 [4, 8]), as in the first models of albert_zh"
    )


@pytest.mark.parametrize("scope", ["bert/encoder/all/", "bert/encoder/layer/", "bert/body/blocks/shared_0/"])
@pytest.mark.parametrize(
    "second", [None, f"{EMBEDDINGS}project/kernel", "bert/encoder/embedding_hidden_mapping_in/kernel"]
)
def test_layers_that_are_one_are_told_by_what_they_hold(tmp_path: Path, scope: str, second: str | None) -> None:
    line = said(save(tmp_path, one_layer(scope, second)))
    assert line.startswith(f"all layers are one ({scope.rstrip('/')}), ")
    assert (f"{second} [4, 8]" in line) == (second is not None)


def test_without_a_configuration_shapes_tell_the_hidden_size(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "m", {f"module/{n}": v for n, v in one_layer("bert/encoder/one/", f"{WORDS}_2").items()})
    line = said(str(tmp_path / "m"))
    assert "(module/bert/encoder/one), " in line
    assert f"(module/{WORDS}_2 [4, 8])" in line


def test_words_of_another_width_are_told_where_layers_are_several(tmp_path: Path) -> None:
    mapped = {WORDS: values(30, 4), "bert/encoder/mapping/kernel": values(4, 8), "bert/encoder/mapping/bias": values(8)}
    assert said(save(tmp_path, variables() | mapped)) == (
        "a matrix leads from the words' width to the hidden size (bert/encoder/mapping/kernel [4, 8]), as in models with "
        "factorized embeddings"
    )


def test_an_exclusion_makes_no_bert_of_it(tmp_path: Path) -> None:
    prefix = save(tmp_path, one_layer("bert/encoder/layer_shared/", f"{WORDS}_2"))
    assert said(prefix, exclude=["layer_shared", f"{WORDS}_2"], fill="zeros").startswith("all layers are one")


def segments(*names: str) -> Variables:
    """Return a model in which these tables stand for the one of segment types."""
    tensors = variables()
    del tensors[TYPES]
    return tensors | {name: values(rows, 8) for name, rows in zip(names, SEGMENTS, strict=False)}


@pytest.mark.parametrize("stated", [None, 2, [*SEGMENTS]], ids=["nothing", "a number", "a list"])
def test_a_tapas_is_told_by_its_tables_whatever_its_configuration_states(tmp_path: Path, stated: Any) -> None:
    prefix = save(tmp_path, segments(*(f"{TYPES}_{n}" for n in range(7))), type_vocab_size=stated)
    expected = f"segment types have several tables ({TYPES}_0 [3, 8], {TYPES}_1 [256, 8] and 5 more), as in TAPAS"
    assert said(prefix) == expected
    assert said(prefix, exclude=[f"{TYPES}_{n}" for n in (0, 1, 2, 4, 5, 6)]) == expected


@pytest.mark.parametrize(
    "names", [("segment_0", "segment_1"), ("segment", "column", "row"), ("kinds/0/table", "kinds/1/table")]
)
def test_tables_that_are_more_than_a_bert_has_are_told_under_any_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    line = said(save(tmp_path, segments(*(EMBEDDINGS + name for name in names))))
    assert line.startswith(f"segment types have several tables ({EMBEDDINGS}")


def test_tables_with_numbers_beside_the_first_are_told_too(tmp_path: Path) -> None:
    line = said(save(tmp_path, variables() | {f"{TYPES}_1": values(5, 8), f"{TYPES}_2": values(6, 8)}))
    assert line.startswith(f"segment types have several tables ({TYPES} [2, 8], {TYPES}_1 [5, 8] and 1 more)")


def without(*names: str) -> Variables:
    return {name: value for name, value in variables().items() if name not in names}


@pytest.mark.parametrize("to", ["encoder", "auto"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_model_without_a_table_of_positions_has_others(tmp_path: Path, number: int, to: str) -> None:
    relative = {f"bert/encoder/layer_{n}/attention/self/relative_positions_embeddings": values(9, 4) for n in (0, 1)}
    roformer = {name: value for name, value in without(POSITIONS).items() if "pooler" not in name and "seq" not in name}
    tensors = (without(POSITIONS), without(POSITIONS) | relative, roformer)[number]
    assert said(save(tmp_path, tensors), to=to) == (
        f"positions have no table ({POSITIONS} is missing, and all else of the encoder is there), as in NEZHA, where they "
        "are relative, and RoFormer, where they are rotary"
    )


def test_what_a_configuration_states_of_positions_is_said_alone(tmp_path: Path) -> None:
    prefix = save(tmp_path, without(POSITIONS), use_relative_position=True)
    for fill in (None, "zeros"):
        assert codes(prefix, fill=fill) == {"relative-positions"}


@pytest.mark.parametrize(
    "norms",
    [
        # google-research/albert#241
        [f"group_0{'_1' * n}/layer_{n}/inner_group_0/layer_normalization_{2 * n + k}" for n in (0, 1) for k in (1, 2)],
        [f"layer_{n}/{part}/ln" for n in (0, 1) for part in ("attention", "output")],
        [f"layer_{n}/ln" for n in (0, 1)],
        [f"group_0/inner_group_0/LayerNorm_{n}" for n in (2, 3)],
    ],
    ids=["from TensorFlow 2", "two each", "one more each", "counted"],
)
def test_an_albert_whose_layers_have_norms_of_their_own(tmp_path: Path, norms: list[str]) -> None:
    own = {n: v for n, v in variables("albert_tf115").items() if len(norms) == 2 or f"{BLOCK}LayerNorm" not in n}
    for name in norms:
        own |= norm(f"bert/encoder/transformer/{name}")
    line = said(save(tmp_path, own, "albert_tf115"))
    assert line.startswith(
        f"each layer has norms of its own, and shares all else (bert/encoder/transformer/{norms[0]}, "
    )
    assert line.endswith("as in ALBERTs trained by code that makes the norms anew for each layer")


def renamed(old: str, new: str) -> Callable[[Variables], Variables]:
    return lambda tensors: {re.sub(old, new, name): value for name, value in tensors.items()}


def more(**tensors: Any) -> Callable[[Variables], Variables]:
    return lambda others: others | {name.replace("__", "/"): value for name, value in tensors.items()}


def less(*names: str) -> Callable[[Variables], Variables]:
    return lambda tensors: {name: value for name, value in tensors.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (more(bert__encoder__layer_0__adapter__kernel=values(8, 4)), {"stray-variable"}),
        (more(bert__embeddings__task_type_embeddings=values(3, 8)), {"stray-variable"}),
        (less(TYPES), {"missing-network"}),
        (less(POSITIONS, f"{LAYER}output/dense/bias"), {"missing-network"}),
        (less(POSITIONS, TYPES), {"missing-network"}),
        (renamed("position_emb", "place_emb"), {"stray-variable", "missing-network", "renamed"}),
        (renamed("(position|token_type)_", r"my_\1_"), {"stray-variable", "missing-network", "renamed"}),
        (renamed("/layer_", "/block_"), {"stray-variable", "contradicting-layers", "renamed"}),
    ],
    ids=[
        "an adapter",
        "a table more",
        "no segment types",
        "a bias missing too",
        "two tables missing",
        "positions called otherwise",
        "two tables called otherwise",
        "layers called otherwise",
    ],
)
def test_a_bert_that_is_only_changed_is_no_relative(
    tmp_path: Path, change: Callable[[Variables], Variables], expected: set[str]
) -> None:
    assert codes(save(tmp_path, change(variables()))) == expected


def test_a_model_of_one_layer_that_is_called_otherwise_is_mended_by_names(tmp_path: Path) -> None:
    tensors = {n.replace("/layer_0", "/block_0"): v for n, v in variables().items() if "/layer_1/" not in n}
    assert "renamed" in codes(save(tmp_path, tensors, num_hidden_layers=1))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (more(**{f"{BLOCK}adapter__kernel".replace("/", "__"): values(8, 8)}), {"stray-variable"}),
        (more(**{k.replace("/", "__"): v for k, v in norm(f"{BLOCK}adapter/norm").items()}), {"stray-variable"}),
        (renamed("inner_group_0/LayerNorm", "inner_group_0/ln"), {"stray-variable", "missing-network", "renamed"}),
    ],
    ids=["a matrix more", "a norm more", "norms called otherwise"],
)
def test_an_albert_that_is_only_changed_is_no_relative(
    tmp_path: Path, change: Callable[[Variables], Variables], expected: set[str]
) -> None:
    assert codes(save(tmp_path, change(variables("albert_tf115")), "albert_tf115")) == expected


@pytest.mark.parametrize("command", ["convert {0} {1}", "plan {0}", "convert {0} {1} --to auto --fill zeros"])
def test_what_is_said_to_be_next_writes_every_value(tmp_path: Path, capsys: Captured, command: str) -> None:
    tensors = one_layer("bert/encoder/layer_shared/", f"{WORDS}_2")
    prefix = save(tmp_path, tensors)
    (line,), advice = fail_and_advise(capsys, *command.format(prefix, tmp_path / "d").split())
    assert line.endswith(THEN)
    assert advice == f"tfckpt export {prefix} {prefix}.npz"
    assert main(shlex.split(advice)[1:]) == 0
    with np.load(f"{prefix}.npz") as arrays:
        assert {*arrays} == {*tensors}
        for name, value in tensors.items():
            np.testing.assert_array_equal(arrays[name], value, name)


def test_a_target_that_only_renames_takes_a_relative(tmp_path: Path) -> None:
    tensors = one_layer("bert/encoder/layer_shared/", f"{WORDS}_2")
    tfckpt.convert(save(tmp_path, tensors), tmp_path / "d", to="keras")
    with tfckpt.open(tmp_path / "d") as dest:
        np.testing.assert_array_equal(dest["bert_model/word_embeddings/embeddings_2"], tensors[f"{WORDS}_2"])


def test_a_configuration_that_cannot_be_read_is_said_of_a_bert(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is a TAPAS model"):
        tfckpt.plan(save(tmp_path, variables(), type_vocab_size=[*SEGMENTS]))


# --- the first ERNIE, whose biases had another name: ArthurRizar/tensorflow_ernie#1


def ernie(pattern: str) -> Variables:
    """Return a model without heads, in which biases that a pattern finds are called beta."""
    kept = {name: value for name, value in variables().items() if not name.startswith("cls/")}
    return {re.sub(pattern, "beta", name): value for name, value in kept.items()}


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("(?<=/output/dense/)bias$", 4), ("(?<=/dense/)bias$", 7), ("(?<=[a-z]/)bias$", 13)],
    ids=["of outputs", "of dense layers", "all"],
)
@pytest.mark.parametrize("positions", [16, 17], ids=["as stated", "one position more"])
def test_an_ernie_of_the_first_release_converts_with_the_renames_that_are_advised(
    tmp_path: Path, capsys: Captured, pattern: str, count: int, positions: int
) -> None:
    table = np.concatenate([variables()[POSITIONS], np.full((positions - 16, 8), 9, np.float32)])
    prefix, dest = save(tmp_path, ernie(pattern) | {POSITIONS: table}, hidden_act="relu"), str(tmp_path / "d")
    lines, advice = fail_and_advise(capsys, "convert", prefix, dest)
    assert any(f"{count} variables under other names: " in line for line in lines)
    assert advice is not None
    assert advice.endswith(" --max-positions 16") == (positions == 17)
    for command in advice.split(" && "):
        assert main(shlex.split(command)[1:]) == 0
    tfckpt.convert(DATA / "bert_tf115" / "model.ckpt-3", tmp_path / "right")
    assert tfckpt.diff(dest, tmp_path / "right").same
