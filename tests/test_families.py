"""A family of one's own is a folder of tables: names, configuration, fused and tied tensors, padded numbers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import nano
from support.commands import Captured, succeed

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, split_path
from tfckpt.cli.main import main
from tfckpt.errors import LayoutError, PlanError, UsageError
from tfckpt.families.catalog import CATALOG
from tfckpt.families.folder import read_families

ROOT = Path(__file__).parents[1]
TABLES = str(nano.TABLES)


def values(prefix: Path) -> dict[str, Any]:
    with tfckpt.open(prefix) as checkpoint:
        return {name: np.array(value) for name, value in checkpoint.items() if name != OBJECT_GRAPH_KEY}


def assert_equal(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], name)


def at_paths(prefix: Path) -> dict[str, Any]:
    """Return the values of the model's objects by their paths."""
    with tfckpt.open(prefix) as checkpoint:
        graph = checkpoint.object_graph
        assert graph is not None
        found = {}
        for path in nano.objects(nano.tensors()):
            node = graph.find(split_path(f"model/{path}"))
            assert node is not None, path
            (attribute,) = node.attributes
            found[path] = np.array(checkpoint[attribute.checkpoint_key])
        return found


def test_a_family_of_tables_becomes_objects_and_names_again(tmp_path: Path) -> None:
    source = nano.save(tmp_path)
    plan = tfckpt.convert(source, tmp_path / "tf2", families=TABLES, sync=False)
    assert (plan.to, plan.num_heads, plan.sizes["vocab_size"].origin) == ("encoder", 2, "nano.json")
    assert_equal(at_paths(tmp_path / "tf2"), nano.objects(nano.tensors()))
    assert tfckpt.prove(source, tmp_path / "tf2", families=TABLES).tensors
    tfckpt.convert(tmp_path / "tf2", tmp_path / "back", to="tf1", families=TABLES, sync=False)
    assert_equal(values(tmp_path / "back"), nano.tensors())
    assert tfckpt.prove(tmp_path / "tf2", tmp_path / "back", to="tf1", families=TABLES).tensors


def test_what_is_fused_is_told_as_parts(tmp_path: Path) -> None:
    plan = tfckpt.plan(nano.save(tmp_path), families=TABLES)
    fused = [step for step in plan.steps if step.source == "transformer/block_001/attn/c_attn/w"]
    assert [(step.inputs[0].part, step.shape) for step in fused] == [((1, n, n + 6), (6, 2, 3)) for n in (0, 6, 12)]
    tfckpt.convert(tmp_path / "nano.ckpt", tmp_path / "tf2", families=TABLES, sync=False)
    back = tfckpt.plan(tmp_path / "tf2", to="tf1", families=TABLES)
    (joined,) = [step for step in back.steps if step.target == "transformer/block_001/attn/c_attn/w"]
    assert [split_path(name.partition("/.ATTRIBUTES")[0])[-2] for name in joined.sources] == list(nano.PARTS)
    assert (joined.axis, joined.shape, joined.keeps_bytes) == (1, (6, 18), False)
    json.dumps(back.to_json())


def test_a_tied_weight_in_another_form_is_not_said_to_be_the_same(tmp_path: Path) -> None:
    plan = tfckpt.plan(nano.save(tmp_path), families=TABLES)
    assert plan.notes == (
        "the names are those of 'tf1' of Nano",
        "lm_head/weight is not compared with transformer/wte, which is taken for nano/words: it has another form",
    )
    assert [(item.source, item.rule) for item in plan.dropped] == [
        ("lm_head/weight", "another copy of nano/words"),
        ("global_step", "training step"),
    ]


def test_optimizer_state_follows_its_variables(tmp_path: Path) -> None:
    state = {f"{name}/{slot}": value + 1 for name, value in nano.tensors().items() for slot in ("adam_m", "adam_v")}
    source = nano.save(tmp_path, **state)
    tfckpt.convert(source, tmp_path / "tf2", families=TABLES, slots="convert", sync=False)
    tfckpt.convert(tmp_path / "tf2", tmp_path / "back", to="tf1", families=TABLES, slots="convert", sync=False)
    assert_equal(values(tmp_path / "back"), nano.tensors() | state | {"global_step": np.int64(7)})


def test_the_scope_before_its_names_is_left_out(tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "nano.ckpt", {f"tower/{name}": value for name, value in nano.tensors().items()})
    plan = tfckpt.plan(tmp_path / "nano.ckpt", families=TABLES, num_heads=2)
    assert plan.scope == "tower/"
    assert len(plan.steps) == len(nano.objects(nano.tensors()))


def test_a_missing_or_a_foreign_variable_stops_the_plan(tmp_path: Path) -> None:
    tensors = nano.tensors()
    del tensors["transformer/block_001/attn/c_attn/w"]
    tfckpt.save(tmp_path / "less", tensors)
    with pytest.raises(PlanError, match=r"nano/layer_1/query/kernel.*'encoder' needs"):
        tfckpt.plan(tmp_path / "less", families=TABLES, num_heads=2)
    tfckpt.save(tmp_path / "more", nano.tensors() | {"transformer/block_001/extra": np.zeros(2, np.float32)})
    with pytest.raises(PlanError, match=r"transformer/block_001/extra \[2\]: no part of the 'tf1'"):
        tfckpt.plan(tmp_path / "more", families=TABLES, num_heads=2)


def test_what_a_table_of_names_has_no_name_for_is_said(tmp_path: Path) -> None:
    shutil.copytree(TABLES, tmp_path / "families")
    path = tmp_path / "families" / "nano" / "tf1.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace('    ["out/kernel", "attn/c_proj/w", "k h"],\n', ""), "utf-8"
    )
    tfckpt.convert(nano.save(tmp_path), tmp_path / "tf2", families=TABLES, sync=False)
    with pytest.raises(PlanError, match=r"attention/output/kernel.*'tf1'"):
        tfckpt.plan(tmp_path / "tf2", to="tf1", families=tmp_path / "families")


def test_a_part_of_a_joined_tensor_that_is_missing_is_said(tmp_path: Path) -> None:
    tfckpt.convert(nano.save(tmp_path), tmp_path / "tf2", families=TABLES, sync=False)
    key = "model/layer_with_weights-2/attention/key/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    with pytest.raises(PlanError, match=r"excluded by '=model/layer_with_weights-2/attention/key/kernel"):
        tfckpt.plan(tmp_path / "tf2", to="tf1", families=TABLES, exclude=[f"={key}"])


def test_fused_shapes_that_do_not_fit_are_said_once(tmp_path: Path) -> None:
    tensors = nano.tensors() | {"transformer/block_000/attn/c_attn/w": np.zeros((6, 17), np.float32)}
    tfckpt.save(tmp_path / "c", tensors)
    with pytest.raises(PlanError, match="expected") as raised:
        tfckpt.plan(tmp_path / "c", families=TABLES, num_heads=2)
    assert len(raised.value.reasons) == 1


def test_names_that_lack_a_variable_stop_the_plan_to_other_names(tmp_path: Path) -> None:
    tensors = nano.tensors()
    del tensors["transformer/block_001/ln/beta"]
    tfckpt.save(tmp_path / "less", tensors)
    with pytest.raises(PlanError, match=r"transformer/block_001/ln/beta.*'tf1' needs it"):
        tfckpt.plan(tmp_path / "less", to="tf1", families=TABLES)


def test_copies_in_two_forms_stay_what_they_are_in_their_own_layout(tmp_path: Path) -> None:
    source = nano.save(tmp_path, **{"lm_head/weight": np.arange(66, dtype=np.float32).reshape(6, 11)})
    tfckpt.convert(source, tmp_path / "same", to="tf1", families=TABLES, slots="keep", sync=False)
    assert_equal(values(tmp_path / "same"), values(source))


def test_a_manifest_takes_a_target_of_a_family(tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "families" / "nano"
    shutil.copytree(Path(TABLES) / "nano", folder)
    own = (folder / "encoder.toml").read_text(encoding="utf-8").replace('name = "encoder"', 'name = "nano-objects"')
    (folder / "encoder.toml").write_text(own, encoding="utf-8")
    row = f"{nano.save(tmp_path)},{tmp_path}/tf2,--families {tmp_path}/families --to nano-objects"
    (tmp_path / "jobs.csv").write_text(f"source,destination,options\n{row}\n", encoding="utf-8")
    succeed(capsys, "convert-many", str(tmp_path / "jobs.csv"), "--processes", "1")
    assert_equal(at_paths(tmp_path / "tf2"), nano.objects(nano.tensors()))


def test_two_layouts_of_one_name_are_refused(tmp_path: Path) -> None:
    shutil.copytree(TABLES, tmp_path / "families")
    shutil.copy(tmp_path / "families" / "nano" / "encoder.toml", tmp_path / "families" / "nano" / "other.toml")
    with pytest.raises(LayoutError, match="two layouts have the name 'encoder'"):
        read_families(str(tmp_path / "families"))


def test_the_built_in_families_are_still_there(bert: str) -> None:
    assert tfckpt.plan(bert, families=TABLES).to_json()["steps"] == tfckpt.plan(bert).to_json()["steps"]
    catalog = read_families(TABLES)
    assert set(CATALOG.names) <= set(catalog.names)
    assert [family.name for family in catalog.families] == ["Nano", *(family.name for family in CATALOG.families)]


def test_the_fullest_target_is_chosen_among_the_families(tmp_path: Path) -> None:
    source = nano.save(tmp_path)
    assert tfckpt.plan(source, to="auto", families=TABLES).to == "encoder"


def test_the_command_line_takes_a_folder_of_families(tmp_path: Path, capsys: Captured) -> None:
    source = nano.save(tmp_path)
    succeed(capsys, "convert", str(source), str(tmp_path / "tf2"), "--families", TABLES, "--prove")
    assert_equal(at_paths(tmp_path / "tf2"), nano.objects(nano.tensors()))
    assert any("\tNano\t" in line for line in succeed(capsys, "layouts", "--families", TABLES))
    folder = tmp_path / "families" / "nano"
    shutil.copytree(Path(TABLES) / "nano", folder)
    own = (folder / "encoder.toml").read_text(encoding="utf-8").replace('name = "encoder"', 'name = "nano-objects"')
    (folder / "encoder.toml").write_text(own, encoding="utf-8")
    dest = str(tmp_path / "other")
    succeed(capsys, "convert", str(source), dest, "--to", "nano-objects", "--families", str(tmp_path / "families"))
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(source), "--to", "nano-objects"])
    assert ended.value.code == 2


def test_the_folder_of_one_family_is_enough(tmp_path: Path) -> None:
    source = nano.save(tmp_path)
    assert len(tfckpt.plan(source, families=nano.TABLES / "nano").steps) == 21


def test_from_an_installed_wheel(tmp_path: Path) -> None:
    """The wheel has no folder of tests beside it, and no checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(tmp_path / "dist"), "--target", "wheel"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    shutil.copytree(TABLES, tmp_path / "tables")
    source = nano.save(tmp_path)
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path / "site")!r})
import tfckpt
assert tfckpt.__file__.startswith({str(tmp_path)!r}), tfckpt.__file__
tfckpt.convert({str(source)!r}, "tf2", families="tables", sync=False, prove=True)
"""
    subprocess.run([sys.executable, "-I", "-c", program], cwd=tmp_path, check=True)
    assert_equal(at_paths(tmp_path / "tf2"), nano.objects(nano.tensors()))


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("family.toml", 'name = "Nano"', 'name = "bert"', "family 'bert': there is one of that name already"),
        ("family.toml", "[family.sizes]", "[family.size]", "[family]: size: unknown"),
        (
            "family.toml",
            'anchor = "nano/words"',
            'anchor = "nano/wte"',
            "no row has the name 'nano/wte'",
        ),
        (
            "tf1.toml",
            "h k -> h +k",
            "h k -> h k",
            "expected + once, before the axis along which the names of a row lie",
        ),
        (
            "tf1.toml",
            '"v h -> h v"',
            '"v h -> h +v"',
            "expected + once, before the axis along which the names of a row lie",
        ),
        ("tf1.toml", "block_{n:03}/", "block_{n:03}/{n}/", "expected {n} once in 'transformer/block_{n:03}/{n}/'"),
        ("tf1.toml", '"lm_head/weight"', '"transformer/wte"', "name 'transformer/wte': that of"),
        (
            "encoder.toml",
            "[layout]",
            "[layouts]",
            "layouts: unknown; there are names; or layout, parts, placement, drops",
        ),
        ("tf1.toml", "[[names.each]]", "[names.each]", "[names]: each: expected an array, got a table"),
    ],
)
def test_a_mistake_in_a_table_is_named(file: str, old: str, new: str, said: str, tmp_path: Path) -> None:
    shutil.copytree(TABLES, tmp_path / "families")
    path = tmp_path / "families" / "nano" / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(LayoutError, match=re.escape(said)):
        read_families(str(tmp_path / "families"))


def test_a_folder_without_a_family_and_two_kinds_of_tables_are_refused(tmp_path: Path, bert: str) -> None:
    with pytest.raises(LayoutError, match=r"expected a folder for each family, with a family\.toml in it"):
        tfckpt.plan(bert, families=tmp_path)
    with pytest.raises(UsageError, match="layout and families: expected one of both"):
        tfckpt.plan(bert, families=TABLES, layout=ROOT / "docs" / "gpt2.toml")


def test_the_recipe_in_the_documentation_is_these_tables() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r'```toml title="families/nano/(\w+\.toml)"\n(.*?)```', text, re.DOTALL))
    assert shown == {path.name: path.read_text(encoding="utf-8") for path in (nano.TABLES / "nano").iterdir()}
