"""Layouts in TOML files: what they can say, and that every mistake in one is named, all at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.files import bundle_bytes
from support.gpt2 import HPARAMS, LAYOUT, make_gpt2

import tfckpt
from tfckpt.cli.main import main
from tfckpt.errors import FormatError, LayoutError, PlanError, UsageError
from tfckpt.families.language.layout_file import read_layout

DOCS = LAYOUT.parent / "custom_layouts.md"

SMALL = """
[family]
name = "Small"
anchor = "net/w"
[layout]
name = "small"
model = "model"
[parts.net]
rows = [["net/w", "dense/kernel", "a b"]]
"""


@pytest.fixture
def gpt2(tmp_path: Path) -> str:
    """Prefix of a tiny GPT-2, hparams.json beside it."""
    tfckpt.save(tmp_path / "model.ckpt", make_gpt2())
    (tmp_path / "hparams.json").write_text(json.dumps(HPARAMS), encoding="utf-8")
    return str(tmp_path / "model.ckpt")


def complaints(directory: Path, text: str) -> list[str]:
    """Return what is wrong with a layout file, without its name."""
    path = directory / "my_model.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LayoutError) as caught:
        read_layout(str(path))
    assert all(line.startswith(f"{path}: ") for line in caught.value.reasons)
    return [line.removeprefix(f"{path}: ") for line in caught.value.reasons]


def layout(directory: Path, text: str) -> Path:
    path = directory / "my_model.toml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(old: str, new: str, text: str = SMALL) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_the_document_shows_the_file_that_is_tested() -> None:
    (block,) = re.findall(r"```toml title=\"gpt2.toml\"\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert block == LAYOUT.read_text(encoding="utf-8")


def test_the_commands_of_the_document_run(gpt2: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex
    import shutil

    monkeypatch.chdir(Path(gpt2).parent)
    shutil.copy(LAYOUT, "gpt2.toml")
    commands = re.findall(r"^    tfckpt (.*)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    words = [shlex.split(command, comments=True) for command in commands]
    assert [command[0] for command in words] == ["plan", "convert", "prove", "convert"]
    assert [main(command) for command in words] == [0] * 4
    assert bundle_bytes(Path("back/model.ckpt")) == bundle_bytes(Path("model.ckpt"))


def test_the_configuration_is_read_under_its_own_names(gpt2: str) -> None:
    config = Path(gpt2).parent / "hparams.json"
    plan = tfckpt.plan(gpt2, layout=LAYOUT, config=config)
    assert (plan.to, plan.model) == ("gpt2", "model")
    assert {name: (size.value, size.origin) for name, size in plan.sizes.items()} == {
        "vocab_size": (11, "hparams.json"),
        "max_position_embeddings": (6, "hparams.json"),
        "hidden_size": (8, "hparams.json"),
        "num_hidden_layers": (2, "hparams.json"),
    }
    config.write_text(json.dumps(HPARAMS | {"n_layer": 3, "n_embd": 9}), encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        tfckpt.plan(gpt2, layout=LAYOUT, config=config)
    text = "\n".join(caught.value.reasons)
    assert "num_hidden_layers: 3 in hparams.json, but the checkpoint has 2 layers" in text
    assert "expected hidden_size = 9 (hparams.json), got 8" in text


def test_axes_of_one_go_without_moving_a_byte(gpt2: str) -> None:
    steps = {step.source: step for step in tfckpt.plan(gpt2, layout=LAYOUT).steps}
    fused = steps["model/h1/attn/c_attn/w"]
    assert (fused.source_shape, fused.shape, fused.keeps_bytes) == ((1, 8, 24), (8, 24), True)
    assert not steps["model/h1/mlp/c_proj/w"].keeps_bytes


def test_a_scope_is_found_and_given_back(gpt2: str, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "scoped", {f"tower/{name}": value for name, value in make_gpt2().items()})
    assert tfckpt.convert(tmp_path / "scoped", tmp_path / "out", layout=LAYOUT).scope == "tower/"
    tfckpt.convert(tmp_path / "out", tmp_path / "back", layout=LAYOUT, to="tf1", scope="tower/")
    assert bundle_bytes(tmp_path / "back") == bundle_bytes(tmp_path / "scoped")


def test_sizes_are_changed_by_the_name_of_their_field(gpt2: str, tmp_path: Path) -> None:
    tfckpt.convert(gpt2, tmp_path / "out", layout=LAYOUT, vocab_size=12, prove=True)
    with tfckpt.open(tmp_path / "out") as checkpoint:
        assert checkpoint[checkpoint.key_at("model/wte/embeddings")].shape == (12, 8)
        assert checkpoint.key_at("token_table") == checkpoint.key_at("model/wte/embeddings")
    tfckpt.save(tmp_path / "net", {"net/w": np.zeros((2, 3), np.float32)})
    with pytest.raises(PlanError, match="vocab_size: no tensor to write has this size, so it cannot become 12"):
        tfckpt.plan(tmp_path / "net", layout=layout(tmp_path, SMALL), vocab_size=12)
    split = changed('"a b"', '"a (v b) -> a v b"') + '[family.sizes]\nv = "vocab_size"\nb = "width"\n'
    (tmp_path / "c.json").write_text('{"width": 3, "vocab_size": 1}', encoding="utf-8")
    with pytest.raises(PlanError, match=r"net/w: its axis of 1 is one with others \(a \(v b\) -> a v b\)"):
        tfckpt.plan(tmp_path / "net", layout=layout(tmp_path, split), vocab_size=12, config=tmp_path / "c.json")


def test_what_a_layout_leaves_open_must_be_given(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "net", {"net/w": np.zeros((2, 6), np.float32)})
    text = changed('"a b"', '"a (c d) -> a c d"') + '[family.sizes]\nc = "groups"\nd = "width"\n'
    with pytest.raises(PlanError, match="expected groups and width to be given, all but one of them"):
        tfckpt.plan(tmp_path / "net", layout=layout(tmp_path, text))
    (tmp_path / "c.json").write_text('{"groups": 2}', encoding="utf-8")
    plan = tfckpt.plan(tmp_path / "net", layout=layout(tmp_path, text), config=tmp_path / "c.json")
    assert plan.steps[0].shape == (2, 2, 3)


def test_parts_are_hung_on_paths_and_only_where_they_belong(tmp_path: Path) -> None:
    text = SMALL + (
        'optional = ["net/tower"]\norder = ["dense", "<tower>"]\n'
        '[[parts.net.each]]\nsource = "net/tower/{n}/"\npath = "towers/{n}/"\nrows = [["{kb}", "{kb}", "c"]]\n'
        '[parts.head]\nrows = [["head/w", "kernel", "b c -> c b"]]\n'
        '[[placement]]\npart = "net"\n[[placement]]\npart = "head"\npath = "head"\nonly_with = "head/w"\n'
    )
    path = layout(tmp_path, text)
    net = {"net/w": np.arange(6, dtype=np.float32).reshape(2, 3)}
    towers = {f"net/tower/{n}/{kb}": np.full(2, n, np.float32) for n in range(2) for kb in ("kernel", "bias")}
    head = {"head/w": np.arange(12, dtype=np.float32).reshape(3, 4)}
    for name, tensors, count in (("bare", net, 1), ("towers", net | towers, 5), ("all", net | towers | head, 6)):
        tfckpt.save(tmp_path / name, dict(sorted(tensors.items())))
        plan = tfckpt.convert(tmp_path / name, tmp_path / f"{name}_out", layout=path, prove=True)
        assert len(plan.steps) == count
        tfckpt.convert(tmp_path / f"{name}_out", tmp_path / f"{name}_back", layout=path, to="tf1")
        with tfckpt.open(tmp_path / f"{name}_back") as back:
            assert {key: value.tolist() for key, value in back.items()} == {k: v.tolist() for k, v in tensors.items()}
    with tfckpt.open(tmp_path / "all_out") as checkpoint:
        np.testing.assert_array_equal(checkpoint[checkpoint.key_at("model/head/kernel")], head["head/w"].T)


def test_another_target_than_the_file_has_is_refused(gpt2: str) -> None:
    assert tfckpt.plan(gpt2, layout=LAYOUT, to="gpt2").to == "gpt2"
    with pytest.raises(UsageError, match="target 'pretrainer': the layout file has 'gpt2'; besides it there is 'tf1'"):
        tfckpt.plan(gpt2, layout=LAYOUT, to="pretrainer")


MISTAKES = [
    (changed('anchor = "net/w"', ""), "[family]: anchor: missing"),
    (changed('"Small"', "3"), "[family]: name: expected a string, got int"),
    (changed('"Small"', '""'), "[family]: name: expected a text, got an empty one"),
    (changed('anchor = "net/w"', 'anchor = "net/x"'), "[family]: anchor: no row has the name 'net/x'"),
    (
        changed('model = "model"', 'model = "/m"'),
        "[layout]: path '/m': expected edge names with slashes between, a dot",
    ),
    (changed('name = "small"', 'name = "small"\ncolour = 1'), "[layout]: colour: unknown"),
    (SMALL + "[extra]\n", "extra: unknown; there are family, config, layout, parts, placement, drops"),
    (SMALL + '[family.sizes]\n"a b" = "x"\n', "[family.sizes]: a b: expected a letter as axes patterns have them"),
    (SMALL + "[family.sizes]\na = 3\n", "[family.sizes]: a: expected a text, got 3"),
    (
        changed('"a b"]', '"a b"], ["x", "y"]'),
        "[parts.net]: rows: row 2: expected [hub name, path, axes], got ['x', 'y']",
    ),
    (changed('"a b"', '"a (b c) -> a b c"'), "'b', 'c' in one axis: all but one need a size in [family.sizes]"),
    (changed('"a b"', '"a b -> a"'), "axes 'a b -> a': 'b' on one side only"),
    (changed('"a b"', '"a a"'), "axes 'a a': 'a' twice on one side"),
    (changed('"a b"', '"a (b"'), "axes 'a (b': expected letters, 1, and letters in brackets, on both sides of one ->"),
    (changed('"a b"', '"a -> b -> a"'), "expected letters, 1, and letters in brackets, on both sides of one ->"),
    (changed('"dense/kernel"', '"dense//kernel"'), "[parts.net]: row 1 ('net/w'): path 'dense//kernel': expected edge"),
    (
        changed('"dense/kernel"', '"dense/a.b"'),
        "path 'dense/a.b': expected edge names with slashes between, a dot in one",
    ),
    (changed('"dense/kernel"', f'"{"a/" * 64}b"'), "expected at most 64 edges, got 65"),
    (changed('"dense/kernel"', '"dense/{kb}"'), "path 'dense/{kb}': expected the marks that the name has"),
    (
        changed('"net/w", "dense/kernel"', '"net/w{n}", "dense/{n}"'),
        "unknown mark '{n}'; rows may have {p}, {qkv}, {kb}",
    ),
    (changed('"a b"]', '"a b"], ["net/w", "other", "a"]'), "row 2 ('net/w'): name 'net/w': that of [parts.net]: row 1"),
    (
        changed('"a b"]', '"a b"], ["x", "dense/kernel", "a"]'),
        "row 2 ('x'): path 'dense/kernel': that of [parts.net]: row",
    ),
    (
        changed('"a b"]', '"a b"], ["x", "dense", "a"]'),
        "path 'dense/kernel': 'dense' is a variable, of [parts.net]: row 2",
    ),
    (SMALL + 'aliases = [["a"]]\n', "[parts.net]: aliases: row 1: expected [second path, path], got ['a']"),
    (SMALL + 'optional = ["tower"]\n', "[parts.net]: optional: no row's name begins with 'tower'"),
    (SMALL + "order = [1]\n", "[parts.net]: order: item 1: expected a string, got int"),
    (SMALL + "[parts.other]\n", "[parts.other]: rows: expected at least one"),
    (SMALL + '[[placement]]\npart = "nte"\n', "[[placement]] 1: part: no part 'nte'; there are net"),
    (SMALL + '[[placement]]\npart = "net"\nonly_with = "x"\n', "[[placement]]: only_with: no row has the name 'x'"),
    (SMALL + '[parts.two]\nrows = [["x", "y", ""]]\n[[placement]]\npart = "net"\n', "[parts.two]: not placed"),
    (SMALL + '[[drops]]\nrule = "x"\n', "[[drops]] 1: patterns: missing"),
    (SMALL + "[[drops]]\nrule = 1\npatterns = [2]\n", "[[drops]] 1: patterns: item 1: expected a string, got int"),
    (
        SMALL + '[[parts.net.each]]\nsource = "x/"\npath = "y/{n}/"\nrows = [["w", "k", "a"]]\n',
        "[[parts.net.each]] 1: source: expected {n} once in 'x/', and no other mark",
    ),
    (
        SMALL + '[[parts.net.each]]\nsource = "x{n}/"\npath = "y/{n}"\nrows = [["w", "k", "a"]]\n',
        "[[parts.net.each]] 1: path: expected one in key form that ends in a slash, got 'y/{n}'",
    ),
    (
        SMALL + '[[parts.net.each]]\nsource = "x{n}/"\npath = "y/{n}/"\n[[parts.net.each.each]]\nsource = "z/"\n',
        "[[parts.net.each.each]] 1: path: missing",
    ),
    ("parts = 3\nfamily = []\n", "[family]: expected a table, got an array"),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES, ids=[expected[:60] for _, expected in MISTAKES])
def test_a_mistake_is_named_with_its_table_and_row(tmp_path: Path, text: str, expected: str) -> None:
    assert any(expected in line for line in complaints(tmp_path, text))


def test_a_second_path_that_is_taken_is_refused(tmp_path: Path) -> None:
    text = changed('"a b"]', '"a b"], ["x", "other", "a"]') + 'aliases = [["other", "dense"]]\n'
    assert complaints(tmp_path, text) == ["second path 'model/other': something else is there already"]
    text = changed('model = "model"', 'model = "model"\nroots = [""]')
    text = changed('"dense/kernel"', '"model/kernel"', text)
    assert complaints(tmp_path, text) == ["second path 'model': something else is there already"]


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = changed('"a b"', '"a (b c) -> a b"')
    text = changed('"Small"', "1", text) + '[[drops]]\nname = "x"\n[config]\nn = 1\n'
    lines = complaints(tmp_path, text)
    assert len(lines) == 7
    assert len({line.partition(":")[0] for line in lines}) == 4


def test_a_correct_file_has_nothing_to_complain_about(tmp_path: Path) -> None:
    custom = read_layout(str(layout(tmp_path, SMALL)))
    assert (custom.name, custom.family.config, len(custom.parts)) == ("small", {}, 1)


def deep(depth: int) -> str:
    header = "".join(
        f'[[parts.net{".each" * n}]]\nsource = "x{{n}}/"\npath = "y/{{n}}/"\n' for n in range(1, depth + 1)
    )
    return SMALL + header


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[family\n", "not TOML: "),
        ("x = " + "[" * 100_000, "not TOML: "),
        (deep(30), "each: more than 8 deep"),
        (changed("rows = [", "rows = [" + '["w", "p", "' + "(" * 50_000 + '"], '), "expected letters"),
        (changed('"dense/kernel"', f'"{"a/" * 100_000}b"'), "expected at most 64 edges, got 100001"),
    ],
    ids=["broken", "deep", "nested", "brackets", "long"],
)
def test_a_hostile_file_is_an_error_and_no_crash(tmp_path: Path, text: str, expected: str) -> None:
    assert any(expected in line for line in complaints(tmp_path, text))


def test_a_line_may_have_64_dots(tmp_path: Path) -> None:
    read_layout(str(layout(tmp_path, f"{SMALL}#{'.' * 64}\n")))
    (line,) = complaints(tmp_path, f"{SMALL}#{'.' * 65}\n")
    assert line == "line 10: more than 64 dots: break it into several lines"


def test_a_part_may_lack_eight_prefixes(tmp_path: Path) -> None:
    text = SMALL.replace('"net/w"', '"networks/w"')
    prefixes = [f'"{"networks/"[:size]}"' for size in range(1, 10)]
    custom = read_layout(str(layout(tmp_path, f"{text}optional = [{', '.join(prefixes[:8])}]\n")))
    assert len(custom.parts[0].part.optional) == 8
    lines = complaints(tmp_path, f"{text}optional = [{', '.join(prefixes)}]\n")
    assert lines == ["[parts.net]: optional: expected at most 8, got 9"]


def test_a_file_that_is_no_text_or_too_large(tmp_path: Path) -> None:
    path = tmp_path / "my_model.toml"
    path.write_bytes(b"\xff\xfd")
    with pytest.raises(FormatError, match="expected UTF-8, got 0xff"):
        read_layout(str(path))
    path.write_text(SMALL.ljust(1 << 20, "#"), encoding="utf-8")
    assert read_layout(str(path)).name == "small"
    path.write_text(SMALL.ljust(1 + (1 << 20), "#"), encoding="utf-8")
    with pytest.raises(FormatError, match="expected at most 1,048,576 bytes"):
        read_layout(str(path))


def test_the_command_names_each_mistake(gpt2: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = layout(tmp_path, changed('"a b"', '"a (b c) -> a b"'))
    assert main(["plan", gpt2, "--layout", str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"tfckpt plan: {path}: [parts.net]: row 1 ('net/w'): axes ") for line in lines)


def test_a_layout_is_data_that_a_plan_does_not_keep(gpt2: str) -> None:
    import pickle

    plan: Any = tfckpt.plan(gpt2, layout=str(LAYOUT))
    assert pickle.loads(pickle.dumps(plan)) == plan
