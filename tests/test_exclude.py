"""What --exclude takes: a part of names, one whole name, a glob; and that it takes nothing which the target needs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Captured, fail_and_advise, succeed
from support.electra import electra_form
from support.gpt2 import make_gpt2

import tfckpt
from tfckpt.checkpoint.graph.object_graph import variable_key
from tfckpt.cli.main import main
from tfckpt.errors import PlanError, UsageError
from tfckpt.planning.exclusion import Exclusion, part_of_names

DATA = Path(__file__).parent / "data"
CONFIG = {
    "hidden_size": 8,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
    "vocab_size": 30,
}
Values = dict[str, Any]
NORM = "bert/embeddings/LayerNorm/"
EMBEDDING_NORM = "encoder/layer_with_weights-3/"
STRAYS = {f"LayerNorm/{part}": np.array([1, 2], np.float32) for part in ("beta", "gamma")}
POOLER = ["bert/pooler/dense/bias", "bert/pooler/dense/kernel"]
NAMES = ["b/c", "it's", "a b", "x[0]*", "=b", "a\\b", "~", "$x"]  # of variables
ALONE = "; '=NAME' excludes one variable alone"


def variables(name: str = "bert_tf115") -> Values:
    with tfckpt.open(next((DATA / name).glob("*.index")).with_suffix("")) as checkpoint:
        return {name: np.array(value) for name, value in checkpoint.items()}


def trained() -> Values:
    return {name: value for name, value in variables().items() if "/adam_" not in name and name != "global_step"}


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Prefix of a BERT with two norms of its own, which are called as the last part of all other norms."""
    return saved(tmp_path / "source", {**trained(), **STRAYS}, CONFIG)


def saved(directory: Path, tensors: Values, config: dict[str, int] | None = None) -> str:
    directory.mkdir(exist_ok=True)
    tfckpt.save(directory / "model.ckpt", tensors)
    if config is not None:
        (directory / "bert_config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(directory / "model.ckpt")


def complaints(source: str | Path, **options: Any) -> list[str]:
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(source, **options)
    return [line.removeprefix(f"{source}: ") for line in caught.value.reasons]


def sources(plan: tfckpt.Plan) -> set[str]:
    return {item.source for item in plan.dropped if item.rule.startswith("excluded by ")}


def assert_every_value(source: str, dest: str | Path, *, without: tuple[str, ...] = ()) -> None:
    """Check that a destination holds the values of all norms and poolers of the encoder but these."""
    plan = tfckpt.plan(source, exclude=[f"={name}" for name in STRAYS], num_heads=2)
    with tfckpt.open(source) as old, tfckpt.open(dest) as new:
        for step in plan.steps:
            if "LayerNorm" in step.source or "pooler" in step.source:
                same = np.array_equal(old[step.source], new[step.target])
                assert same == (step.source not in without), step.source


# --- which names a text takes


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("b/c", {"a/b/c", "b/c", "=b/c", "b/c/d"}),
        ("=b/c", {"b/c"}),
        ("==b/c", {"=b/c"}),
        ("*b/c", {"a/b/c", "b/c", "=b/c"}),
        ("b/?", {"b/c"}),
        ("[a=]*/c", {"a/b/c", "=b/c"}),
        ("=x[0]", {"x[0]"}),
        ("x[0]", set()),
        ("x[[]0]", {"x[0]"}),
        ("=*", set()),
        ("B/C", set()),
        ("[B]/c", set()),
    ],
)
def test_a_text_takes_a_part_a_whole_name_or_a_glob(text: str, taken: set[str], tmp_path: Path) -> None:
    names = ["a/b/c", "b/c", "=b/c", "b/c/d", "x[0]"]
    assert {name for name in names if Exclusion.of([text]).taking(name)} == taken
    prefix = saved(tmp_path, {name: np.array([1, 2], np.float32) for name in names})
    plan = tfckpt.plan(prefix, to="keras", exclude=[text])
    assert {(item.source, item.rule) for item in plan.dropped} == {(name, f"excluded by {text!r}") for name in taken}
    assert {step.source for step in plan.steps} == set(names) - taken
    assert (f"exclude {text!r}: no variable" in plan.notes) == (not taken)


def test_the_whole_name_is_what_takes_a_variable_if_several_texts_do() -> None:
    exclusion = Exclusion.of(["a", "*", "=a"])
    assert exclusion.taking("a") == ("excluded by '=a'", "=a")
    assert exclusion.taking("ab") == ("excluded by 'a'", "a")
    assert exclusion.taking("c") == ("excluded by '*'", "*")


@pytest.mark.parametrize("text", ["adam", "=a", "a*", "[a]", "?", "=[*]"])
def test_a_part_of_names_may_have_any_character(text: str) -> None:
    exclusion = Exclusion.of([part_of_names(text)])
    assert exclusion.taking(f"b{text}c") is not None
    assert exclusion.taking("xay/=b") is None


@pytest.mark.parametrize("call", [tfckpt.plan, tfckpt.export, tfckpt.import_])
def test_one_text_is_no_list_of_them(call: Any, bert: str, tmp_path: Path) -> None:
    tfckpt.export(bert, tmp_path / "x.npz")
    path = tmp_path / "x.npz" if call is tfckpt.import_ else bert
    dest = [] if call is tfckpt.plan else [tmp_path / "y.npz"]
    for to in ("encoder", "auto", *([] if call is tfckpt.plan else ["source"])):
        with pytest.raises(UsageError, match="exclude: expected a list of texts, got 'adam'"):
            call(path, *dest, to=to, exclude="adam")


# --- a variable of one's own


def test_the_advice_for_a_stray_variable_takes_it_alone(source: str, tmp_path: Path, capsys: Captured) -> None:
    dest = str(tmp_path / "out" / "model")
    lines, advice = fail_and_advise(capsys, "convert", source, dest)
    assert [line.partition(" [")[0] for line in lines] == [f"{source}: {name}" for name in STRAYS]
    excludes = " ".join(f"--exclude '={name}'" for name in STRAYS)
    assert advice == f"tfckpt convert {source} {dest} {excludes}"
    said = succeed(capsys, *shlex.split(advice)[1:])
    assert "LayerNorm/beta\tdropped\texcluded by '=LayerNorm/beta'" in said
    assert not any("filled" in line for line in said)
    assert_every_value(source, dest)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_advice_is_one_in_every_shell(shell: str, name: str, bert: str, tmp_path: Path, capsys: Captured) -> None:
    prefix = saved(tmp_path / "c", {**trained(), name: np.zeros(3, np.float32)}, CONFIG)
    _, advice = fail_and_advise(capsys, "plan", prefix)
    assert advice is not None
    command, _, arguments = advice.partition(" ")
    typed = subprocess.run([shell, "-c", f"printf '%s\\n' {arguments}"], check=True, capture_output=True, text=True)
    words = typed.stdout.splitlines()
    assert (command, words) == ("tfckpt", ["plan", prefix, "--exclude", f"={name}"])
    assert sources(tfckpt.plan(prefix, exclude=words[3:])) == {name}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_advice_means_anything_to_zsh_or_fish(name: str, tmp_path: Path, capsys: Captured) -> None:
    """A word that begins as zsh's paths of commands do stands wholly in quotes, in which nothing is replaced."""
    prefix = saved(tmp_path / "c", {**trained(), name: np.zeros(3, np.float32)}, CONFIG)
    _, advice = fail_and_advise(capsys, "plan", prefix)
    assert advice is not None
    word = advice.partition("--exclude ")[2]
    assert re.fullmatch(r"""(?:'[^']*'|"'")+""", word)
    assert shlex.split(word) == [f"={name}"]


def test_what_was_typed_is_quoted_for_every_shell_as_well(bert: str, capsys: Captured) -> None:
    _, advice = fail_and_advise(capsys, "plan", bert, "--exclude", "=nothing", "--num-heads", "3")
    assert advice == f"tfckpt plan {bert} --exclude '=nothing'"
    _, advice = fail_and_advise(capsys, "convert", "nowhere", bert, "--exclude", "=nothing")
    assert advice == f"tfckpt convert {bert} nowhere --exclude '=nothing'"


# --- what the target needs


def test_a_text_that_takes_norms_of_the_network_is_named_and_narrowed(
    source: str, tmp_path: Path, capsys: Captured
) -> None:
    dest = str(tmp_path / "out" / "model")
    texts = ["--exclude", "LayerNorm/beta", "--num-heads", "2", "--exclude=LayerNorm/gamma"]
    lines, advice = fail_and_advise(capsys, "convert", source, dest, *texts)
    assert sorted(lines) == [
        f"{source}: {NORM}{part} and 4 more: excluded by 'LayerNorm/{part}', and 'encoder' needs {NORM}{part} for "
        f"{variable_key(EMBEDDING_NORM + part)}{ALONE}"
        for part in ("beta", "gamma")
    ]
    assert advice == (
        f"tfckpt convert {source} {dest} --num-heads 2 --exclude '=LayerNorm/beta' --exclude '=LayerNorm/gamma'"
    )
    assert not list(tmp_path.glob("out*"))
    succeed(capsys, *shlex.split(advice)[1:])
    assert_every_value(source, dest)


@pytest.mark.parametrize("text", [f"{NORM}beta", f"{NORM}b*", "*embeddings/[L]ayerNorm/beta", f"={NORM}beta"])
def test_one_variable_that_is_needed_is_named_with_what_needs_it(text: str, bert: str) -> None:
    (line,) = complaints(bert, exclude=["adam", text])
    key = variable_key(f"{EMBEDDING_NORM}beta")
    hint = "; fill gives it values" if text.startswith("=") else ALONE
    assert line == f"{NORM}beta: excluded by {text!r}, and 'encoder' needs it for {key}{hint}"


def test_what_else_was_excluded_stays_so(source: str, capsys: Captured) -> None:
    texts = ["*/gamma", "nothing", f"={NORM}beta", "=LayerNorm/beta", "adam"]
    argv = ["plan", source, *(word for text in texts for word in ("--exclude", text))]
    _, advice = fail_and_advise(capsys, *argv)
    expected = ["=LayerNorm/gamma", "nothing", "=LayerNorm/beta", "adam"]
    assert shlex.split(advice or "")[3:] == [word for text in expected for word in ("--exclude", text)]
    assert main(shlex.split(advice or "")[1:]) == 0


def test_values_that_were_trained_are_not_filled(source: str, tmp_path: Path, capsys: Captured) -> None:
    argv = ["convert", source, str(tmp_path / "out"), "--exclude", "LayerNorm/gamma", "--exclude", "=LayerNorm/beta"]
    (line,), advice = fail_and_advise(capsys, *argv, "--fill", "normal:1")
    assert line.endswith(f"; it is filled if its whole name is excluded: '={NORM}gamma'")
    assert advice == f"{shlex.join(['tfckpt', *argv[:3]])} --fill normal:1 --exclude '=LayerNorm/gamma' " + (
        "--exclude '=LayerNorm/beta'"
    )
    assert not list(tmp_path.glob("out*"))


def test_what_is_given_by_its_whole_name_is_filled_and_the_report_says_so(source: str, tmp_path: Path) -> None:
    name = "bert/encoder/layer_1/output/LayerNorm/gamma"
    exclude = [f"={name}", *(f"={stray}" for stray in STRAYS)]
    plan = tfckpt.convert(source, tmp_path / "out", exclude=exclude, fill="zeros", prove=True)
    key = variable_key("encoder/layer_with_weights-5/_output_layer_norm/gamma")
    assert [note for note in plan.notes if "filled" in note] == [
        f"{key}: filled (ones), although the source has {name}: excluded by '={name}'"
    ]
    assert tfckpt.open(tmp_path / "out")[key].tolist() == [1] * 8
    assert_every_value(source, tmp_path / "out", without=(name,))


def test_heads_and_poolers_may_be_excluded_and_filled(bert: str) -> None:
    plan = tfckpt.plan(bert, to="pretrainer", exclude=["cls/predictions/", "pooler"], fill="normal:1")
    notes = [note for note in plan.notes if "filled" in note]
    assert all(", although the source has " in note for note in notes)
    assert len(notes) == 5 + 4  # the pooler has a copy in the next-sentence head
    assert f"although the source has {POOLER[0]}: excluded by 'pooler'" in "\n".join(notes)
    assert "although the source has cls/predictions/output_bias: excluded by 'cls/predictions/'" in "\n".join(notes)
    assert {step.source for step in plan.steps if step.fill is None} >= {f"{NORM}beta", f"{NORM}gamma"}


def test_heads_and_poolers_that_are_excluded_without_a_fill_are_named(bert: str, capsys: Captured) -> None:
    argv = ["--to", "pretrainer", "--exclude", "cls/predictions/", "--exclude", "pooler"]
    lines, advice = fail_and_advise(capsys, "plan", bert, *argv)
    assert [line.partition("needs ")[0] for line in sorted(lines)] == [
        f"{bert}: bert/pooler/dense/kernel and 1 more: excluded by 'pooler', and 'pretrainer' ",
        f"{bert}: cls/predictions/transform/dense/kernel and 4 more: excluded by 'cls/predictions/', and 'pretrainer' ",
    ]
    assert all(line.endswith("; --fill gives it values") for line in lines)
    assert advice is None  # new values, or another target: nothing tells which
    assert (
        tfckpt.plan(bert, to="pretrainer", exclude=["cls/seq_relationship"]).to == "pretrainer"
    )  # it may lack that one


def test_a_missing_variable_is_told_from_an_excluded_one(tmp_path: Path) -> None:
    lost = {name: value for name, value in trained().items() if name not in POOLER}
    (excluded, *missing) = sorted(complaints(saved(tmp_path, lost, CONFIG), exclude=[f"={NORM}beta"]))
    assert excluded.startswith(f"{NORM}beta: excluded by")
    assert [line.partition(", ")[0] for line in missing] == [f"{name}: missing" for name in POOLER]
    plan = tfckpt.plan(tmp_path / "model.ckpt", exclude=[f"={NORM}beta"], fill="zeros")
    reasons = [note.partition("(zeros), ")[2].partition(" ")[0] for note in plan.notes if "filled" in note]
    assert sorted(reasons) == ["although", "since", "since"]


@pytest.mark.parametrize("to", ["encoder", "auto"])
@pytest.mark.parametrize(("text", "more"), [("word_embeddings", ""), ("bert", " and 38 more"), ("", " and 38 more")])
def test_what_tells_the_family_is_needed_too(text: str, more: str, to: str, tmp_path: Path) -> None:
    network = {name: value for name, value in trained().items() if name.startswith("bert/")}
    (line,) = complaints(saved(tmp_path, network, CONFIG), to=to, exclude=[text])
    assert line.startswith(f"bert/embeddings/word_embeddings{more}: excluded by {text!r}, and 'encoder' needs ")
    assert line.endswith(ALONE)


def test_whole_layers_at_the_end_may_go(tmp_path: Path) -> None:
    prefix = saved(tmp_path, trained())
    plan = tfckpt.convert(prefix, tmp_path / "out", num_heads=2, exclude=["/layer_1/"])
    assert "bert/encoder/layer_1/: excluded as a whole; the target has 1 layer" in plan.notes
    assert len(sources(plan)) == 16
    assert len(plan.steps) == 39 - 16
    key = variable_key("encoder/layer_with_weights-4/_output_layer_norm/gamma")
    assert (
        tfckpt.open(tmp_path / "out")[key].tolist() == trained()["bert/encoder/layer_0/output/LayerNorm/gamma"].tolist()
    )
    (tmp_path / "bert_config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": 1}), encoding="utf-8")
    assert tfckpt.plan(prefix, exclude=["/layer_1/"]).steps == plan.steps


@pytest.mark.parametrize(
    ("text", "config", "first"),
    [
        ("/layer_1/", CONFIG, "bert/encoder/layer_1/attention/self/query/kernel and 15 more"),
        ("/layer_0/", None, "bert/encoder/layer_0/attention/self/query/kernel and 15 more"),
        ("/layer_", None, "bert/encoder/layer_0/attention/self/query/kernel and 31 more"),
        ("layer_1/output", None, "bert/encoder/layer_1/output/dense/kernel and 3 more"),
    ],
)
def test_no_other_layers_may_go(text: str, config: dict[str, int] | None, first: str, tmp_path: Path) -> None:
    (line,) = complaints(saved(tmp_path, trained(), config), num_heads=2, exclude=[text], fill="zeros")
    assert line.startswith(f"{first}: excluded by {text!r}, and 'encoder' needs ")


def test_one_of_two_models_may_be_excluded_by_a_glob(tmp_path: Path) -> None:
    two = {**{f"student/{name}": value for name, value in trained().items()}, **trained()}
    del two["student/bert/encoder/layer_0/output/dense/bias"]
    prefix = saved(tmp_path, two, CONFIG)
    plan = tfckpt.plan(prefix, exclude=["student/*"])
    assert {step.source for step in plan.steps} == {name for name in trained() if name.startswith("bert/")}
    # Of the other model a variable is missing, and what is excluded is none of its own.
    (line,) = complaints(prefix, exclude=["bert/*", "cls/*"])
    assert line.startswith("student/bert/encoder/layer_0/output/dense/bias: missing, and 'encoder' needs it for ")
    named = "=student/bert/encoder/layer_0/output/dense/bias"
    assert complaints(prefix, exclude=["bert/*", "cls/*"], fill="zeros") == [line]  # a network's values are not made up
    plan = tfckpt.plan(prefix, exclude=["bert/*", "cls/*", named], fill="zeros")
    (note,) = (n for n in plan.notes if "filled" in n)
    assert note.endswith("since the source has nothing for it")


def test_a_head_that_stands_without_the_scope_is_named(tmp_path: Path) -> None:
    scoped = {f"module/{name}" if name.startswith("bert/") else name: value for name, value in trained().items()}
    lines = complaints(saved(tmp_path, scoped, CONFIG), to="pretrainer", exclude=["cls/predictions", "LayerNorm/beta"])
    assert sorted(line.partition(", and")[0] for line in lines) == [
        "cls/predictions/transform/dense/kernel and 4 more: excluded by 'cls/predictions'",
        f"module/{NORM}beta and 4 more: excluded by 'LayerNorm/beta'",
    ]


@pytest.mark.parametrize(
    ("name", "text", "first"),
    [
        ("mobilebert_student_tf115", "LayerNorm/gamma", "bert/embeddings/FakeLayerNorm/gamma and 14 more"),
        (
            "mobilebert_student_tf115",
            "bottleneck/attention",
            "bert/encoder/layer_0/bottleneck/attention/dense/kernel and 7",
        ),
        (
            "mobilebert_student_tf115",
            "ffn_layer_0",
            "bert/encoder/layer_0/ffn_layer_0/intermediate/dense/kernel and 11 more",
        ),
        ("albert_tf115", "mapping_in", "bert/encoder/embedding_hidden_mapping_in/kernel and 1 more"),
        (
            "albert_tf115",
            "query/kernel",
            "bert/encoder/transformer/group_0/inner_group_0/attention_1/self/query/kernel",
        ),
    ],
)
def test_what_tells_the_form_of_a_network_is_needed(name: str, text: str, first: str) -> None:
    for fill in (None, "zeros"):
        (line,) = complaints(next((DATA / name).glob("*.index")).with_suffix(""), exclude=[text], fill=fill)
        assert line.startswith(first)
        assert f": excluded by {text!r}, and 'encoder' needs " in line


def test_a_network_in_a_head_s_table_is_no_head(tmp_path: Path) -> None:
    prefix = electra_form("tied", tmp_path / "tied")
    for to in ("generator", "pretrainer"):
        line = complaints(prefix, to=to, exclude=["generator/"], fill="zeros")[0]
        assert line.startswith("generator/embeddings_project/kernel and 33 more: excluded by 'generator/', and ")
        (line,) = complaints(
            prefix, to=to, exclude=["=generator/embeddings_project/bias", "electra/embeddings/L"], fill="zeros"
        )
        assert line.startswith(
            "electra/embeddings/LayerNorm/gamma and 1 more: excluded by 'electra/embeddings/L', and "
        )
    assert tfckpt.plan(prefix, to="encoder", exclude=["generator"], fill="zeros").to == "encoder"


def test_what_one_network_borrows_of_another_is_not_lost_with_the_head_that_tells(tmp_path: Path) -> None:
    prefix = electra_form("one network", tmp_path / "one")
    plan = tfckpt.plan(prefix, to="pretrainer", exclude=["generator_predictions/"], fill="normal:1")
    filled = {step.target for step in plan.steps if step.fill is not None}
    assert not any("LayerNorm" in target or "_layer_norm" in target for target in filled)
    expected = tfckpt.plan(prefix, to="pretrainer", fill="normal:1")
    same = [step for step in expected.steps if step.source and not step.source.startswith("generator_predictions/")]
    assert [step for step in plan.steps if step.source] == same


def test_a_layout_of_one_s_own_knows_its_network(tmp_path: Path) -> None:
    prefix, layout = saved(tmp_path, make_gpt2()), Path(__file__).parents[1] / "docs" / "gpt2.toml"
    (line,) = complaints(prefix, layout=layout, num_heads=2, exclude=["ln_f/b"], fill="zeros")
    assert line.startswith("model/ln_f/b: excluded by 'ln_f/b', and 'gpt2' needs it for ")
    assert tfckpt.plan(prefix, layout=layout, num_heads=2, exclude=["=model/ln_f/b"], fill="zeros").steps[-1].fill


# --- optimizer state


def test_the_state_of_what_is_filled_is_dropped(bert: str, tmp_path: Path) -> None:
    name = f"{NORM}gamma"
    plan = tfckpt.convert(bert, tmp_path / "out", slots="convert", exclude=[f"={name}"], fill="zeros")
    rules = {item.source: item.rule for item in plan.dropped}
    state = [f"{name}/adam_m", f"{name}/adam_v"]
    assert [rules[slot] for slot in state] == ["optimizer state"] * 2
    with tfckpt.open(bert) as checkpoint:
        assert {step.source for step in plan.steps if step.source} | rules.keys() == set(checkpoint)


def test_state_that_is_excluded_is_not_said_to_be_missing(bert: str) -> None:
    slot = f"{NORM}gamma/adam_m"
    assert complaints(bert, slots="convert", exclude=[f"={slot}", "global_step"]) == [
        f"global_step: excluded by 'global_step', and the optimizer needs it for {variable_key('optimizer/iter')}",
        f"{slot}: excluded by '={slot}', though its other slot is there",
    ]


# --- the way back


def test_on_the_way_back_it_is_named_as_well(bert: str, tmp_path: Path) -> None:
    tfckpt.convert(bert, tmp_path / "there")
    pooler = variable_key("encoder/layer_with_weights-6/bias")
    assert complaints(tmp_path / "there", to="tf1", exclude=[f"={pooler}"]) == [
        f"{pooler}: excluded by '={pooler}', and 'tf1' needs it for bert/pooler/dense/bias"
    ]
    (line,) = complaints(tmp_path / "there", to="tf1", exclude=["*_norm/beta*"])
    assert " and 3 more: excluded by '*_norm/beta*', and 'tf1' needs encoder/layer_with_weights-4/" in line


def test_the_copy_that_is_taken_instead_is_named(tmp_path: Path) -> None:
    tfckpt.convert(DATA / "bert_tf115" / "model.ckpt-3", tmp_path / "there", to="pretrainer")
    key = variable_key("next_sentence..pooler_dense/bias")
    assert key in tfckpt.open(tmp_path / "there")
    plan = tfckpt.plan(tmp_path / "there", to="tf1", exclude=[f"={key}"])
    (step,) = (step for step in plan.steps if step.target == "bert/pooler/dense/bias")
    assert f"{step.source} is taken for bert/pooler/dense/bias: {key} is excluded by '={key}'" in plan.notes


# --- out and in


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A .npz file of a BERT with a variable of its own, its configuration beside it."""
    np.savez(tmp_path / "bert.npz", **trained(), **STRAYS)  # type: ignore[arg-type]
    (tmp_path / "bert_config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return tmp_path / "bert.npz"


def kept(prefix: str | Path) -> dict[str, Any]:
    with tfckpt.open(prefix) as checkpoint:
        return {name: np.asarray(value).tolist() for name, value in checkpoint.items() if not name.startswith("_")}


@pytest.mark.parametrize(("to", "target"), [("encoder", "encoder"), ("auto", "encoder"), ("pretrainer", "pretrainer")])
@pytest.mark.parametrize(
    "edits", [{"keep": ["bert/*"]}, {"drop": ["LayerNorm/*", "cls/*"]}, {"keep": ["*"], "drop": ["[Lc]*"]}], ids=str
)
def test_an_import_does_not_refuse_what_it_left_out(
    archive: Path, tmp_path: Path, to: str, target: str, edits: dict[str, Any]
) -> None:
    options: dict[str, Any] = {"to": to, "fill": "normal:1" if to == "pretrainer" else None}
    plan = tfckpt.import_(archive, tmp_path / "in", **edits, **options)
    assert plan.to == target
    assert {item.source for item in plan.dropped} == {name for name in (*trained(), *STRAYS) if "bert/" not in name}
    expected = saved(tmp_path / "c", {name: value for name, value in trained().items() if "bert/" in name}, CONFIG)
    tfckpt.convert(expected, tmp_path / "out", to=target, fill=options["fill"])
    assert kept(tmp_path / "in") == kept(tmp_path / "out")


def test_the_commands_import_leaves_out_first(archive: Path, tmp_path: Path, capsys: Captured) -> None:
    dest = str(tmp_path / "in")
    lines = succeed(capsys, "import", str(archive), dest, "--to", "encoder", "--keep", "bert/*")
    assert "LayerNorm/beta\tdropped\tnot among 'bert/*'" in lines
    assert "dropped: 9 (not among 'bert/*'): 9 model" in lines
    assert len(tfckpt.open(dest)) == 39 + 1


def test_what_an_import_left_out_and_needs_is_named(archive: Path, tmp_path: Path, capsys: Captured) -> None:
    argv = [
        "import",
        str(archive),
        str(tmp_path / "in"),
        "--to",
        "encoder",
        "--keep",
        "bert/e*",
        "--drop",
        f"{NORM}beta",
    ]
    lines, advice = fail_and_advise(capsys, *argv)
    key = variable_key("encoder/layer_with_weights-6/")
    assert sorted(lines) == [
        f"{archive}: {NORM}beta: pattern '{NORM}beta', and 'encoder' needs it for {variable_key(EMBEDDING_NORM + 'beta')}",
        f"{archive}: bert/pooler/dense/kernel and 1 more: not among 'bert/e*', and 'encoder' needs bert/pooler/dense/kernel "
        f"for {key.replace('//', '/kernel/')}; --fill gives it values",
    ]
    assert advice is None
    (line,), _ = fail_and_advise(capsys, *argv, "--fill", "zeros")
    assert line.endswith(f"; it is filled if its whole name is excluded: '={NORM}beta'")
    lines = succeed(capsys, *argv, "--fill", "zeros", "--exclude", f"={NORM}beta")
    assert sum("filled (zeros), although the source has " in line for line in lines) == 3
    assert kept(tmp_path / "in")[variable_key(f"{EMBEDDING_NORM}gamma")] == trained()[f"{NORM}gamma"].tolist()


def test_an_import_that_keeps_nothing_or_renames_keys_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(
        PlanError, match=r"bert/embeddings/word_embeddings and 38 more: pattern '\*', and 'encoder' needs"
    ):
        tfckpt.import_(archive, tmp_path / "in", to="encoder", drop=["*"])
    with pytest.raises(PlanError, match=r"no tensor is left of 48; a glob matches whole names"):
        tfckpt.import_(archive, tmp_path / "in", to="keras", keep=["nothing"])
    with pytest.raises(UsageError, match="rename: the object graph of 'encoder' needs its tensors by their keys"):
        tfckpt.import_(archive, tmp_path / "in", to="encoder", drop=["LayerNorm/*"], rename=[("a", "b")])


@pytest.mark.parametrize("to", ["source", "keras"])
def test_names_are_excluded_alike_where_none_is_needed(to: str, archive: Path, tmp_path: Path) -> None:
    exclude = ["=LayerNorm/beta", "bert/e*", "cls/", "nothing"]
    plan = tfckpt.import_(archive, tmp_path / "in", to=to, exclude=exclude)
    found = {rule: len(items) for rule, items in plan.dropped_by_rule().items()}
    assert found == {"excluded by '=LayerNorm/beta'": 1, "excluded by 'bert/e*'": 37, "excluded by 'cls/'": 7}
    assert "exclude 'nothing': no variable" in plan.notes
    assert len(tfckpt.open(tmp_path / "in")) == 3
    exported = tfckpt.export(tmp_path / "in", tmp_path / "out.npz", exclude=["=LayerNorm/gamma"])
    assert [(item.source, item.rule, item.role) for item in exported.dropped] == [
        ("LayerNorm/gamma", "excluded by '=LayerNorm/gamma'", "model")
    ]
    with np.load(tmp_path / "out.npz") as found_again:
        assert sorted(found_again) == sorted(name for name in kept(tmp_path / "in") if name != "LayerNorm/gamma")


def test_an_export_does_not_refuse_what_it_left_out(source: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="LayerNorm/beta"):
        tfckpt.export(source, tmp_path / "x.npz", to="encoder")
    plan = tfckpt.export(source, tmp_path / "x.npz", to="encoder", keep=["bert/embeddings/*"])
    assert {item.rule for item in plan.dropped if item.source in STRAYS} == {"not among 'bert/embeddings/*'"}
    assert {item.role for item in plan.dropped if item.source in STRAYS} == {"model"}
    with np.load(tmp_path / "x.npz") as found:
        assert len(found.files) == 5
        assert found[variable_key(f"{EMBEDDING_NORM}beta")].tolist() == trained()[f"{NORM}beta"].tolist()


# --- the script of 2019


def test_the_script_of_2019_takes_every_character_for_itself(tmp_path: Path) -> None:
    prefix = saved(
        tmp_path,
        {
            "a*b": np.array([1], np.float32),
            "aab": np.array([2], np.float32),
            "x=y": np.array([3], np.float32),
            "y": np.array([4], np.float32),
        },
    )
    dest = str(tmp_path / "out")
    assert main(["tf1-to-keras", "-q", f"--checkpoint_from_path={prefix}", f"--checkpoint_to_path={dest}",
                 "--exclude_patterns=a*,=y"]) == 0  # fmt: skip
    assert kept(dest) == {"aab": [2], "y": [4]}
