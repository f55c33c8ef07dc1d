"""How the model of a target has to be built: the arguments, where each comes from, and the notes where they matter."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, succeed, succeed_json

import tfckpt
from tfckpt.cli.ui.planned import build_lines
from tfckpt.errors import PlanError
from tfckpt.families.catalog import CATALOG
from tfckpt.types import Argument, Constructor, Fact

DATA = Path(__file__).parent / "data"
GELU = 'tf_utils.get_activation("gelu")'
EXACT = "lambda x: tf.nn.gelu(x, approximate=False)"
DIFFERS = "or its outputs differ"
RELATIVE = (
    "but no target can hold it: Model Garden's encoders add a table of absolute positions to the embeddings; "
    'to="keras" takes it, since it only renames'
)
OF_ELECTRA = ("generator", "pretrainer-tied")


def copy(source: str, directory: Path, *, config: bool = True, **stated: Any) -> str:
    """Return the prefix of a copy of a checkpoint whose configuration states something else; None takes a key out."""
    folder = Path(shutil.copytree(DATA / source, directory / source))
    for path in folder.glob("*bert_config.json"):
        document = json.loads(path.read_text(encoding="utf-8")) | stated
        path.unlink()
        if config:
            path.write_text(json.dumps({n: v for n, v in document.items() if v is not None}), encoding="utf-8")
    return str(next(folder.glob("model.ckpt-*.index")).with_suffix(""))


def codes(plan: tfckpt.Plan, number: int = 0) -> dict[str, str]:
    """Return the code of each argument of one constructor."""
    return {argument.name: argument.code for argument in plan.constructors[number].arguments}


def told(plan: tfckpt.Plan, name: str, number: int = 0) -> tuple[str, Any, str, str]:
    """Return code, value, field and origin of one argument."""
    (argument,) = (argument for argument in plan.constructors[number].arguments if argument.name == name)
    return argument[1:]


def test_a_model_that_is_what_the_class_makes_by_itself_has_no_note(bert: str) -> None:
    plan = tfckpt.plan(bert)
    assert plan.notes == ()
    assert [(c.name, c.module, c.function) for c in plan.constructors] == [
        ("encoder", "official.nlp.modeling", "networks.BertEncoder")
    ]
    assert codes(plan) == {
        "vocab_size": "30",
        "hidden_size": "8",
        "num_layers": "2",
        "num_attention_heads": "2",
        "inner_dim": "16",
        "inner_activation": GELU,
        "output_dropout": "0.1",
        "attention_dropout": "0.1",
        "max_sequence_length": "16",
        "type_vocab_size": "2",
    }
    assert plan.facts == {
        "hidden_act": Fact("gelu", "bert_config.json"),
        "hidden_dropout_prob": Fact(0.1, "bert_config.json"),
        "attention_probs_dropout_prob": Fact(0.1, "bert_config.json"),
        "initializer_range": Fact(0.02, "bert_config.json"),
    }


def test_the_relu_of_ernie_reaches_the_report(tmp_path: Path, capsys: Captured) -> None:
    prefix = copy("bert_tf115", tmp_path, hidden_act="relu")
    note = f"hidden_act is relu: build the model with inner_activation=tf.nn.relu, {DIFFERS}"
    plan = tfckpt.plan(prefix)
    assert plan.notes == (note,)
    assert told(plan, "inner_activation") == ("tf.nn.relu", "relu", "hidden_act", "bert_config.json")
    for command in (["plan", prefix], ["convert", prefix, str(tmp_path / "out"), "--prove"]):
        lines = succeed(capsys, *command)
        assert {f"note: {note}", "hidden_act: relu (bert_config.json)"} <= set(lines)
        assert "    inner_activation=tf.nn.relu,  # hidden_act (bert_config.json)" in lines
        assert "from official.modeling import tf_utils" not in lines


def test_where_no_configuration_states_it_the_default_is_named_as_one(tmp_path: Path) -> None:
    plan = tfckpt.plan(copy("bert_tf115", tmp_path, config=False), num_heads=2)
    assert (plan.facts, plan.notes) == ({}, ())
    assert told(plan, "inner_activation") == (GELU, "gelu", "hidden_act", "the class's default")
    assert told(plan, "output_dropout") == ("0.1", 0.1, "hidden_dropout_prob", "the class's default")
    assert told(plan, "num_attention_heads") == ("2", 2, "num_attention_heads", "as given")
    assert told(plan, "num_layers") == ("2", 2, "num_hidden_layers", "variable names")
    assert told(plan, "vocab_size") == ("30", 30, "vocab_size", "bert/embeddings/word_embeddings")


@pytest.mark.parametrize("name", ["__import__('os').abort()", "gelu_10", "x\n)"])
def test_an_activation_that_is_not_known_is_left_open_and_never_becomes_code(
    tmp_path: Path, capsys: Captured, name: str
) -> None:
    prefix = copy("bert_tf115", tmp_path, hidden_act=name)
    plan = tfckpt.plan(prefix)
    assert told(plan, "inner_activation") == ("...", name, "hidden_act", "bert_config.json")
    (note,) = plan.notes
    assert note.startswith(f"hidden_act is {name!r}, none of gelu, gelu_new, ")
    assert note.endswith(f": build the model with a function of your own as inner_activation, {DIFFERS}")
    assert "    inner_activation=...,  # hidden_act (bert_config.json)" in succeed(capsys, "plan", prefix)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("gelu", GELU),
        ("GELU_NEW", GELU),
        ("gelu_python", EXACT),
        ("ReLU", "tf.nn.relu"),
        ("swish", "tf.nn.silu"),
        ("linear", "tf.identity"),
    ],
)
def test_names_of_activations_mean_what_they_do_where_they_come_from(tmp_path: Path, name: str, code: str) -> None:
    plan = tfckpt.plan(copy("bert_tf115", tmp_path, hidden_act=name))
    assert codes(plan)["inner_activation"] == code
    assert bool(plan.notes) == (code != GELU)


def test_a_head_without_the_activation_by_itself_has_a_note_whatever_it_is(bert: str) -> None:
    assert tfckpt.plan(bert, to="pretrainer").notes == (
        f"hidden_act is gelu: build the model with mlm_activation={GELU}, {DIFFERS}",
    )


def test_one_note_names_every_argument_that_a_fact_is_for(tmp_path: Path) -> None:
    plan = tfckpt.plan(copy("bert_tf115", tmp_path, hidden_act="tanh"), to="pretrainer")
    wanted = "inner_activation=tf.nn.tanh, mlm_activation=tf.nn.tanh"
    assert plan.notes == (f"hidden_act is tanh: build the model with {wanted}, {DIFFERS}",)


def test_dropout_that_is_not_the_class_s_changes_training(tmp_path: Path) -> None:
    prefix = copy("bert_tf115", tmp_path, hidden_dropout_prob=0, attention_probs_dropout_prob=0.25)
    assert tfckpt.plan(prefix).notes == (
        "hidden_dropout_prob is 0: build the model with output_dropout=0, or it trains otherwise",
        "attention_probs_dropout_prob is 0.25: build the model with attention_dropout=0.25, or it trains otherwise",
    )


def test_an_epsilon_that_no_argument_is_for_has_the_line_that_sets_it(tmp_path: Path) -> None:
    prefix = copy("bert_tf115", tmp_path, layer_norm_eps=1e-5)
    for to, model in (("encoder", "encoder"), ("pretrainer", "model"), ("pretrain-model", "model")):
        *_, note = tfckpt.plan(prefix, to=to).notes
        assert note == (
            "layer_norm_eps is 1e-05, and the norms of the model have 1e-12, for which it has no argument: when its "
            f'variables are made, `for norm in (x for x in {model}.submodules if hasattr(x, "epsilon")): '
            f"norm.epsilon = 1e-05`, {DIFFERS}"
        )


@pytest.mark.parametrize(
    ("source", "to", "eps", "count"),
    [
        ("bert_tf115", "encoder", 1e-12, 0),
        ("mobilebert_student_tf115", "encoder", 1e-5, 0),  # has scales and shifts, and no norm
        ("mobilebert_student_tf115", "pretrainer", 1e-5, 1),  # its head has one
        ("mobilebert_teacher_tf115", "encoder", 1e-5, 1),
        ("albert_tf115", "encoder", 1e-5, 1),
    ],
)
def test_an_epsilon_matters_where_it_differs_and_there_is_a_norm(
    tmp_path: Path, source: str, to: str, eps: float, count: int
) -> None:
    plan = tfckpt.plan(copy(source, tmp_path, layer_norm_eps=eps), to=to)
    assert plan.facts["layer_norm_eps"].value == eps
    assert sum("epsilon" in note for note in plan.notes) == count


@pytest.mark.parametrize("to", ["classifier", "classifier-own-pooler", "token-classifier"])
def test_classes_are_counted_in_the_head_and_a_configuration_that_has_others_is_named(tmp_path: Path, to: str) -> None:
    prefix = copy("classifier_tf115", tmp_path, id2label={"0": "LABEL_0", "1": "LABEL_1"})
    plan = tfckpt.plan(prefix, to=to)
    assert told(plan, "num_classes", 1) == ("3", 3, "num_labels", "output_weights")
    assert plan.facts["num_labels"].value == 2
    assert plan.notes == (
        "num_labels is 2 in bert_config.json, but output_weights has 3 rows: build the model with num_classes=3",
    )
    assert codes(plan, 1).get("use_encoder_pooler") == ("False" if to == "classifier-own-pooler" else None)


def test_as_many_labels_as_the_head_has_classes_are_no_note(tmp_path: Path) -> None:
    assert tfckpt.plan(copy("classifier_tf115", tmp_path, num_labels=3), to="classifier").notes == ()


def test_a_pretrainer_is_built_with_the_head_that_the_source_has(bert: str) -> None:
    whole = tfckpt.plan(bert, to="pretrainer")
    assert [c.name for c in whole.constructors] == ["encoder", "next_sentence", "model"]
    assert codes(whole, 1) == {"inner_dim": "8", "num_classes": "2", "name": "'next_sentence'"}
    assert codes(whole, 2)["classification_heads"] == "[next_sentence]"
    without = tfckpt.plan(bert, to="pretrainer", exclude=["cls/seq_relationship"])
    assert [c.name for c in without.constructors] == ["encoder", "model"]
    assert codes(without, 1) == {"encoder_network": "encoder", "mlm_activation": GELU}


def test_what_nothing_in_a_checkpoint_tells_is_left_to_choose(bert: str, capsys: Captured) -> None:
    plan = tfckpt.plan(bert, to="bert-pretrainer")
    assert told(plan, "num_token_predictions", 1) == ("...", None, "", "yours to choose")
    assert "    num_token_predictions=...,  # yours to choose" in succeed(
        capsys, "plan", bert, "--to", "bert-pretrainer"
    )


def test_the_layers_of_an_albert_are_one_and_their_number_is_not_made_up(tmp_path: Path) -> None:
    plan = tfckpt.plan(copy("albert_tf115", tmp_path, num_hidden_layers=None, hidden_dropout_prob=None))
    assert told(plan, "num_layers") == ("...", None, "num_hidden_layers", "stated nowhere")
    assert plan.notes[0] == (
        f"num_hidden_layers is stated nowhere, and no tensor shows it: build the model with the right num_layers, {DIFFERS}"
    )
    assert codes(plan)["embedding_width"] == "4"


def test_the_gelu_of_electra_is_the_exact_one_stated_or_not(tmp_path: Path) -> None:
    prefix = copy("electra_tf115", tmp_path, hidden_act=None)
    for path in Path(prefix).parent.glob("generator_config.json"):
        path.unlink()
    plan = tfckpt.plan(prefix, to="pretrainer", fill="zeros")
    assert [c.name for c in plan.constructors] == ["encoder", "generator", "model"]
    assert told(plan, "inner_activation") == (EXACT, "gelu", "hidden_act", "what ELECTRA has")
    assert plan.notes[-1] == (
        f"hidden_act is gelu: build the model with inner_activation={EXACT}, mlm_activation={EXACT}, {DIFFERS}"
    )
    sizes = {
        name: codes(plan, 1)[name] for name in ("embedding_width", "hidden_size", "num_attention_heads", "inner_dim")
    }
    assert sizes == {"embedding_width": "4", "hidden_size": "6", "num_attention_heads": "1", "inner_dim": "24"}


def test_what_a_generator_has_for_itself_is_told_apart(tmp_path: Path) -> None:
    prefix = copy("electra_tf115", tmp_path)
    path = Path(prefix).parent / "generator_config.json"
    theirs = json.loads(path.read_text(encoding="utf-8")) | {"hidden_act": "relu", "pad_token_id": 3}
    path.write_text(json.dumps(theirs), encoding="utf-8")
    plan = tfckpt.plan(prefix, to="generator", fill="zeros")
    assert told(plan, "inner_activation") == ("tf.nn.relu", "relu", "generator_hidden_act", "generator_config.json")
    assert [name for name in plan.facts if name.startswith("generator_")] == ["generator_hidden_act"]
    assert "generator_hidden_act" not in tfckpt.plan(prefix, fill="zeros").facts  # the discriminator alone


@pytest.mark.parametrize("to", OF_ELECTRA)
def test_the_lines_of_both_networks_are_python(tmp_path: Path, to: str) -> None:
    plan = tfckpt.plan(copy("electra_tf115", tmp_path), to=to, fill="zeros")
    code = "\n".join(build_lines(plan.constructors))
    compile(code, to, "exec")
    assert ("embedding_layer=encoder.get_embedding_layer()," in code) == (to == "pretrainer-tied")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("mobilebert_student_tf115", ("False", "True", "3", "'no_norm'", "False", "8")),
        ("mobilebert_teacher_tf115", ("False", "False", "1", "'layer_norm'", "True", "32")),
    ],
)
def test_the_form_of_a_mobilebert_is_told_by_its_variables(
    tmp_path: Path, source: str, expected: tuple[str, ...]
) -> None:
    gone = ("key_query_shared_bottleneck", "num_feedforward_networks", "normalization_type", "classifier_activation")
    stated: dict[str, Any] = dict.fromkeys(gone)
    plan = tfckpt.plan(copy(source, tmp_path, **stated))
    names = ("use_bottleneck_attention", *gone, "intra_bottleneck_size")
    assert tuple(codes(plan)[name] for name in names) == expected


def test_the_activation_of_a_mobilebert_is_not_made_up(tmp_path: Path) -> None:
    plan = tfckpt.plan(copy("mobilebert_student_tf115", tmp_path, hidden_act=None), to="pretrainer")
    assert told(plan, "intermediate_act_fn") == ("...", None, "hidden_act", "stated nowhere")
    assert plan.notes[0] == (
        "hidden_act is stated nowhere, and no tensor shows it: build the model with the right intermediate_act_fn, "
        f"activation, {DIFFERS}"
    )


def test_attention_in_a_bottleneck_as_wide_as_the_layer_is_told_by_the_configuration(tmp_path: Path) -> None:
    """A value kernel of [16, 16] is a projection of either."""
    prefix = copy("mobilebert_student_tf115", tmp_path)
    with tfckpt.open(prefix) as checkpoint:
        tensors = {name: np.array(value) for name, value in checkpoint.items() if "/adam_" not in name}
    for name, value in tensors.items():
        if name.startswith("bert/encoder/"):
            tensors[name] = np.zeros([16] * value.ndim, np.float32)
    tfckpt.save(prefix, tensors, overwrite=True)
    plan = tfckpt.plan(prefix)
    assert codes(plan)["use_bottleneck_attention"] == "..."
    assert any(note.startswith("use_bottleneck_attention is stated nowhere") for note in plan.notes)
    config = Path(prefix).parent / "bert_config.json"
    document = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(document | {"use_bottleneck_attention": True}), encoding="utf-8")
    assert codes(tfckpt.plan(prefix))["use_bottleneck_attention"] == "True"


@pytest.mark.parametrize("to", ["bert-model", "bert-layer"])
def test_a_model_of_2019_needs_the_head_count_though_nothing_is_split(tmp_path: Path, to: str) -> None:
    prefix = copy("bert_tf115", tmp_path)
    assert told(tfckpt.plan(prefix, to=to), "num_attention_heads")[1:] == (2, "num_attention_heads", "bert_config.json")
    (Path(prefix).parent / "bert_config.json").unlink()
    assert told(tfckpt.plan(prefix, to=to, num_heads=4), "num_attention_heads")[3] == "as given"
    unknown = tfckpt.plan(prefix, to=to)
    assert told(unknown, "num_attention_heads")[3] == "stated nowhere"
    assert unknown.notes[0].startswith("num_attention_heads is stated nowhere, and no tensor shows it")


def test_a_model_whose_tables_are_resized_is_built_with_their_new_sizes(bert: str) -> None:
    plan = tfckpt.plan(bert, vocab_size=40, max_positions=12)
    assert told(plan, "vocab_size") == ("40", 40, "vocab_size", "as given")
    assert told(plan, "max_sequence_length") == ("12", 12, "max_position_embeddings", "as given")
    assert plan.sizes["vocab_size"].value == 30


def test_a_scope_does_not_hide_what_tells_the_arguments(bert: str, tmp_path: Path) -> None:
    with tfckpt.open(bert) as checkpoint:
        tensors = {f"module/{name}": value for name, value in checkpoint.items() if "/adam_" not in name}
    tfckpt.save(tmp_path / "scoped", tensors)
    plan = tfckpt.plan(tmp_path / "scoped", to="pretrainer", num_heads=2, exclude=["global_step"])
    assert [codes(plan, 1)["num_classes"], codes(plan, 2)["classification_heads"]] == ["2", "[next_sentence]"]


@pytest.mark.parametrize("to", ["keras", "keras-v2"])
def test_a_name_based_target_builds_nothing(bert: str, to: str) -> None:
    plan = tfckpt.plan(bert, to=to)
    assert (plan.constructors, plan.facts) == ((), {})


def test_on_the_way_back_facts_are_told_and_nothing_is_built(bert_copy: str, tmp_path: Path, capsys: Captured) -> None:
    tfckpt.convert(bert_copy, tmp_path / "out")
    shutil.copy(Path(bert_copy).parent / "bert_config.json", tmp_path)
    plan = tfckpt.plan(tmp_path / "out", to="tf1")
    assert (plan.constructors, plan.facts["hidden_act"]) == ((), Fact("gelu", "bert_config.json"))
    lines = succeed(capsys, "plan", str(tmp_path / "out"), "--to", "tf1")
    assert "hidden_act: gelu (bert_config.json)" in lines
    assert "build the model with:" not in lines


def test_a_plan_with_constructors_pickles_and_its_json_has_them(tmp_path: Path, capsys: Captured) -> None:
    prefix = copy("bert_tf115", tmp_path, hidden_act="relu")
    plan = tfckpt.plan(prefix)
    assert pickle.loads(pickle.dumps(plan)) == plan
    report = succeed_json(capsys, "plan", prefix)
    assert report["facts"]["hidden_act"] == {"value": "relu", "origin": "bert_config.json"}
    (constructor,) = report["constructors"]
    assert constructor["function"] == "networks.BertEncoder"
    assert constructor["arguments"][5] == {
        "name": "inner_activation",
        "code": "tf.nn.relu",
        "value": "relu",
        "field": "hidden_act",
        "origin": "bert_config.json",
    }


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ({"use_relative_position": True}, "use_relative_position: True"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type: 'relative_key'"),
    ],
)
def test_relative_positions_stop_every_target_that_has_a_class_and_no_other(
    tmp_path: Path, stated: dict[str, Any], shown: str
) -> None:
    prefix = copy("bert_tf115", tmp_path, **stated)
    for to in ("encoder", "pretrainer", "bert-pretrainer", "bert-model", "auto"):
        with pytest.raises(PlanError) as caught:
            tfckpt.plan(prefix, to=to)
        assert caught.value.reasons == (f"{prefix}: {shown} in bert_config.json, {RELATIVE}",)
        assert {remedy.action for remedy in caught.value.remedies} == {"export"}
    assert len(tfckpt.plan(prefix, to="keras").steps) == 139
    tfckpt.convert(DATA / "bert_tf115" / "model.ckpt-3", tmp_path / "bert_tf115" / "tf2")
    assert len(tfckpt.plan(tmp_path / "bert_tf115" / "tf2", to="tf1").steps) == 39


def test_a_nezha_without_a_table_of_positions_is_not_advised_to_fill_one(tmp_path: Path) -> None:
    prefix = copy("bert_tf115", tmp_path, use_relative_position=True)
    with tfckpt.open(prefix) as checkpoint:
        tensors = {name: np.array(value) for name, value in checkpoint.items() if "position_embeddings" not in name}
    tfckpt.save(prefix, tensors, overwrite=True)
    for fill in (None, "zeros"):
        with pytest.raises(PlanError) as caught:
            tfckpt.plan(prefix, fill=fill)
        assert caught.value.reasons == (f"{prefix}: use_relative_position: True in bert_config.json, {RELATIVE}",)
        assert {remedy.action for remedy in caught.value.remedies} == {"export"}


@pytest.mark.parametrize("stated", [{"use_relative_position": False}, {"position_embedding_type": "absolute"}], ids=str)
def test_absolute_positions_are_what_every_target_has(tmp_path: Path, stated: dict[str, Any]) -> None:
    assert tfckpt.plan(copy("bert_tf115", tmp_path, **stated)).notes == ()


def test_what_a_comment_shows_cannot_end_its_line() -> None:
    argument = Argument("vocab_size", "30", 30, "vocab_size", "config\nimport os\r.json")
    lines = build_lines([Constructor("encoder", "official.nlp.modeling", "networks.BertEncoder", (argument,))])
    assert lines[-2] == r"    vocab_size=30,  # vocab_size (config\nimport os\r.json)"
    compile("\n".join(lines), "lines", "exec")


@pytest.mark.parametrize(
    "to", [name for name in CATALOG.names if name not in ("keras", "keras-v2", "tf1", *OF_ELECTRA)]
)
def test_the_lines_of_every_target_are_python(tmp_path: Path, to: str) -> None:
    prefix = copy(
        "classifier_tf115" if "classifier" in to else "squad_tf115" if "span" in to else "bert_tf115", tmp_path
    )
    plan = tfckpt.plan(prefix, to=to)
    compile("\n".join(build_lines(plan.constructors)), to, "exec")
    names = {argument.code for c in plan.constructors for argument in c.arguments if argument.value is None}
    made = {name for c in plan.constructors for name in c.name.split(", ")}
    assert names - made <= {"...", "[next_sentence]"}
