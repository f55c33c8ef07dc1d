"""``tfckpt info`` and `tfckpt.info`: what a file is, whatever kind of file or folder that is, and what to type next."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import safetensors.numpy
from support.commands import Captured, fail, plain, shown_here, succeed, succeed_json

import tfckpt
from tfckpt._proto.trackable_object_graph_pb2 import TrackableObjectGraph
from tfckpt.about.targets import MOST_STRAYS
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY
from tfckpt.cli.main import main
from tfckpt.errors import CheckpointNotFoundError, ConfigError, FormatError, TfckptError
from tfckpt.planning.request import make_plan
from tfckpt.types import Info, State, Target, Writer

DATA = Path(__file__).parent / "data"
SCHEMA = json.loads((DATA.parents[1] / "docs" / "schemas" / "info.json").read_text(encoding="utf-8"))
GOOGLE = Writer("google-research's optimizer", "adam_m, adam_v")
SAVED = Writer("tf.train.Checkpoint.save", "save_counter")
WIDTH, MOST_LINES = 80, 24  # of one screen


def as_they_stand(info: Info) -> list[str]:
    """Return the targets that need no option."""
    return [target.name for target in info.targets if not target.needs]


def needy(info: Info) -> dict[str, dict[str, Any]]:
    """Return the targets that need options, and which."""
    return {target.name: dict(target.needs) for target in info.targets if target.needs}


def facts(lines: list[str]) -> dict[str, str]:
    """Return what a pipe gets, by its labels."""
    return dict(line.split("\t") for line in lines if not line.startswith("next: "))


@pytest.fixture(scope="module")
def places(bert: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of files of many kinds."""
    folder = tmp_path_factory.mktemp("info")
    tfckpt.convert(bert, folder / "encoder")
    tfckpt.convert(bert, folder / "trained", to="pretrainer", slots="convert")
    tfckpt.convert(bert, folder / "both", keep_names=True)
    tfckpt.convert(bert, folder / "keras", to="keras")
    tfckpt.export(bert, folder / "bert.npz")
    tfckpt.export(bert, folder / "bert.safetensors")
    tfckpt.export(bert, f"{folder}/arrays/")
    tfckpt.save(folder / "empty", {})
    tfckpt.save(folder / "unknown", {"net/w": np.zeros((2, 3)), "net/w/Adam": np.zeros((2, 3)), "step": 1})
    hostile: dict[str, Any] = {"a\x1b[31m\n" + "x" * 5000: [1.0], "b\udcff": 1, "<script>/adam_m": [1.0]}
    hostile["\x1b]0;x\x07/global_step"] = 7
    tfckpt.save(folder / "hostile", hostile)
    (folder / "alone").mkdir()
    for path in Path(bert).parent.glob("model.ckpt-3.*"):
        shutil.copy(path, folder / "alone")
    found = {path.name.removesuffix(".index"): str(path).removesuffix(".index") for path in folder.iterdir()}
    return found | {name: str(DATA / name) for name in ("v1", "bundles/tf220/sharded", "bundles/tf220/slices")}


@pytest.mark.parametrize(
    ("folder", "family", "parameters", "layers", "heads", "variables", "stands", "needs"),
    [
        (
            "bert_tf115",
            "BERT",
            1808,
            (2, "the names"),
            (2, "bert_config.json"),
            46,
            ["pretrainer", "pretrain-model", "bert-pretrainer", "encoder", "bert-model", "bert-layer"],
            {},
        ),
        (
            "classifier_tf115",
            "BERT",
            1699,
            (2, "the names"),
            (2, "bert_config.json"),
            41,
            ["classifier-own-pooler", "classifier", "token-classifier", "encoder", "bert-model", "bert-layer"],
            {},
        ),
        (
            "squad_tf115",
            "BERT",
            1690,
            (2, "the names"),
            (2, "bert_config.json"),
            39,
            ["span-labeler", "encoder", "bert-model", "bert-layer"],
            {},
        ),
        (
            "albert_tf115",
            "ALBERT",
            1004,
            (2, "albert_config.json"),
            (2, "albert_config.json"),
            32,
            ["pretrainer", "encoder"],
            {},
        ),
        (
            "electra_tf115",
            "ELECTRA",
            2637,
            (2, "the names"),
            (2, "bert_config.json"),
            82,
            [],
            {name: {"fill": "normal:1"} for name in ("pretrainer", "pretrainer-tied", "encoder", "generator")},
        ),
        (
            "mobilebert_teacher_tf115",
            "MobileBERT",
            11760,
            (2, "the names"),
            (2, "bert_config.json"),
            65,
            ["pretrainer", "encoder"],
            {},
        ),
        (
            "mobilebert_student_tf115",
            "MobileBERT",
            4848,
            (2, "the names"),
            (2, "bert_config.json"),
            95,
            ["pretrainer", "encoder"],
            {},
        ),
    ],
)
def test_a_checkpoint_of_tf1_is_known_with_its_optimizer(
    folder: str,
    family: str,
    parameters: int,
    layers: tuple[int, str],
    heads: tuple[int, str],
    variables: int,
    stands: list[str],
    needs: dict[str, dict[str, Any]],
) -> None:
    info = tfckpt.info(DATA / folder)
    assert (info.format, info.version, info.object_based, info.layout, info.model) == ("v2", 1, False, "tf1", "")
    assert (info.summary.family, info.summary.parameters) == (family, parameters)
    assert info.summary.layers is not None
    assert info.summary.heads is not None
    assert (info.summary.layers[:2], info.summary.heads[:2]) == (layers, heads)
    assert info.optimizer is not None
    assert info.optimizer[:3] == (("adam_m", "adam_v"), 2 * variables, variables)
    assert (info.averages, info.writers, info.summary.steps) == (None, (GOOGLE,), {"global_step": 3})
    assert as_they_stand(info) == [*stands, "keras", "keras-v2"]
    assert needy(info) == needs
    with tfckpt.open(DATA / folder) as checkpoint:
        state = [entry for entry in checkpoint.entries() if "/adam_" in entry.name]
        assert (info.tensors, info.nbytes) == (len(checkpoint), sum(entry.nbytes for entry in checkpoint.entries()))
        assert (len(state), sum(entry.nbytes for entry in state)) == (info.optimizer.tensors, info.optimizer.nbytes)


def test_every_target_that_is_named_converts_and_no_other(bert: str, tmp_path: Path) -> None:
    for source in (bert, str(DATA / "electra_tf115"), str(DATA / "squad_tf115")):
        found = {target.name: target for target in tfckpt.info(source).targets}
        for name in ("encoder", "pretrainer", "classifier", "span-labeler", "generator", "keras", "tf1"):
            if name in found:
                assert tfckpt.convert(source, tmp_path / "out", to=name, overwrite=True, **found[name].needs).steps
            else:
                with pytest.raises(TfckptError):
                    tfckpt.plan(source, to=name)


def test_without_a_configuration_nothing_tells_the_heads(places: dict[str, str], tmp_path: Path) -> None:
    info = tfckpt.info(places["alone"])
    assert (info.summary.heads, info.why_no_heads) == (None, "no configuration beside it")
    split = ("pretrainer", "pretrain-model", "bert-pretrainer", "encoder")
    assert needy(info) == {name: {"num_heads": None} for name in split}
    assert info.next[0].endswith("--to pretrainer --num-heads N")
    told = tfckpt.info(places["alone"], num_heads=2)
    assert told.summary.heads is not None
    assert told.summary.heads[:2] == (2, "num_heads")
    assert needy(told) == {}
    assert told.next[0].endswith("--to pretrainer --num-heads 2")
    config = DATA / "bert_tf115" / "bert_config.json"
    told = tfckpt.info(places["alone"], config=config)
    assert told.next[0].endswith(f"--to pretrainer --config {config}")
    silent = tmp_path / "config.json"
    silent.write_text('{"hidden_size": 8}', encoding="utf-8")
    assert tfckpt.info(places["alone"], config=silent).why_no_heads == "config.json does not state it"


def test_a_configuration_under_another_name_is_what_the_next_command_gives(bert_copy: str) -> None:
    config = Path(bert_copy).with_name("bert_config.json")
    renamed = config.rename(config.with_name("mine.json"))
    info = tfckpt.info(bert_copy)
    assert needy(info)["encoder"] == {"config": str(renamed)}
    assert info.next[0].endswith(f"--to pretrainer --config {renamed}")


def test_a_configuration_that_cannot_be_used_is_no_secret(bert_copy: str) -> None:
    config = Path(bert_copy).with_name("bert_config.json")
    config.write_text("{", encoding="utf-8")
    info = tfckpt.info(bert_copy)
    assert info.summary.heads is None
    assert info.why_no_heads.startswith(f"{config}: not JSON")
    with pytest.raises(ConfigError, match="not JSON"):
        tfckpt.info(bert_copy, config=config)


def test_google_s_own_number_of_heads_is_what_the_next_command_gives(tmp_path: Path) -> None:
    from support.screens import make_index

    make_index(tmp_path / "base", 12, 768, 12, 3072)
    (tmp_path / "base" / "bert_config.json").unlink()
    info = tfckpt.info(tmp_path / "base")
    assert needy(info)["encoder"] == {"num_heads": 12}
    assert (info.summary.parameters, info.summary.layers) == (110_106_428, (12, "the names", ""))
    assert "global_step" in info.problems[0]  # its data file is a hole


def test_objects_are_known_with_the_way_back(places: dict[str, str]) -> None:
    info = tfckpt.info(places["encoder"])
    assert (info.object_based, info.layout, info.model, info.writers) == (True, "encoder", "", (SAVED,))
    assert info.summary.family == "BERT or ELECTRA"
    assert info.summary.heads == (2, "the shapes", "")
    assert "tf1" in as_they_stand(info)
    assert needy(info) == {name: {"fill": "normal:1"} for name in ("pretrainer", "span-labeler")}
    assert info.next == (f"tfckpt convert {places['encoder']} tf1/encoder --to tf1",)
    trained = tfckpt.info(places["trained"])
    assert (trained.summary.family, trained.layout) == ("BERT", "pretrainer")
    assert trained.summary.steps == {"optimizer/iter": 3}
    assert trained.optimizer == State(("m", "v"), 100, 48, trained.optimizer.nbytes if trained.optimizer else 0)
    assert trained.roles == {"optimizer state": 100, "model": 48, "object graph": 1}


def test_a_file_of_both_generations_is_told_by_its_objects(places: dict[str, str]) -> None:
    info = tfckpt.info(places["both"])
    assert (info.summary.family, info.layout, info.object_based) == ("BERT", "encoder", True)
    assert info.roles == {"model": 39, "copy": 39, "object graph": 1}
    assert info.next == (f"tfckpt convert {places['both']} tf1/both --to tf1",)


def test_names_of_2019_are_known(places: dict[str, str]) -> None:
    info = tfckpt.info(places["keras"])
    assert (info.summary.family, info.layout) == ("BERT", "keras")
    assert info.writers == (Writer("Model Garden's converter of 2019", "names of 'keras'"), GOOGLE)
    assert "tf1" in as_they_stand(info)


@pytest.mark.parametrize(
    ("name", "kind", "files"), [("bert.npz", "npz", 1), ("bert.safetensors", "safetensors", 1), ("arrays", "npy", 139)]
)
def test_what_import_takes_is_known_as_the_checkpoint_that_it_was(
    places: dict[str, str], bert: str, name: str, kind: str, files: int
) -> None:
    info, source = tfckpt.info(places[name]), tfckpt.info(bert)
    assert (info.format, info.version, info.data_files) == (kind, None, files)
    assert info.writers == (Writer("tfckpt export", "its note: from model.ckpt-3"),)
    assert info.summary._replace(heads=source.summary.heads) == source.summary
    assert (info.optimizer, info.tensors, info.nbytes) == (source.optimizer, source.tensors, source.nbytes)
    assert info.next == (f"tfckpt import {places[name]} {name.partition('.')[0]}.ckpt",)


def test_the_metadata_of_a_safetensors_file_says_whose_code_wrote_it(tmp_path: Path) -> None:
    names: dict[str, Any] = {"bert.embeddings.word_embeddings.weight": np.zeros((3, 4), np.float32)}
    for metadata, writers in (({"format": "pt"}, (Writer("PyTorch", "metadata format: pt"),)), (None, ())):
        safetensors.numpy.save_file(names, tmp_path / "model.safetensors", metadata)
        info = tfckpt.info(tmp_path / "model.safetensors")
        assert (info.writers, info.summary.family, info.targets) == (writers, None, ())
    np.savez(tmp_path / "model.npz", **names)
    assert tfckpt.info(tmp_path / "model.npz").writers == ()


@pytest.mark.parametrize(
    ("names", "writers"),
    [
        (("w", "w/Adam", "w/Adam_1"), {"tf.train.AdamOptimizer of TensorFlow 1"}),
        (("w", "w/adam_m", "w/adam_v"), {GOOGLE.what}),
        (("w", "local_step", "batch_finite"), {"NVIDIA's BERT, which accumulates gradients"}),
        (("w", "good_steps", "bad_steps", "loss_scale"), {"tf.contrib.mixed_precision, as NVIDIA's BERT uses it"}),
        (("w", "w/ExponentialMovingAverage"), {"tf.train.ExponentialMovingAverage"}),
        (("w", "w_slot_v"), {"Mesh TensorFlow"}),
        (("w", "v"), set()),
    ],
)  # fmt: skip
def test_names_beside_the_model_say_whose_code_writes_them(
    tmp_path: Path, names: tuple[str, ...], writers: set[str]
) -> None:
    tfckpt.save(tmp_path / "model", {name: [1.0, 2.0] if name.startswith("w") else 1 for name in names})
    assert {writer.what for writer in tfckpt.info(tmp_path / "model").writers} == writers


def test_edges_of_the_root_say_whose_code_writes_them(places: dict[str, str], tmp_path: Path) -> None:
    def saved_with(edges: dict[str, str]) -> tuple[Writer, ...]:
        with tfckpt.open(places["encoder"]) as checkpoint:
            tensors: dict[str, Any] = dict(checkpoint)
        graph = TrackableObjectGraph.FromString(tensors[OBJECT_GRAPH_KEY].item())
        for child in graph.nodes[0].children:
            child.local_name = edges.get(child.local_name, f"my_{child.local_name}")
        tensors[OBJECT_GRAPH_KEY] = graph.SerializeToString()
        tfckpt.save(tmp_path / "model", tensors, overwrite=True)
        return tfckpt.info(tmp_path / "model").writers

    assert saved_with({}) == (Writer("tf.train.Checkpoint.write", "an object graph without save_counter"),)
    assert saved_with({"model": "layer-0"}) == (Writer("Keras's model.save_weights", "edge layer-0 at the root"),)
    assert saved_with({"model": "_all_variables"}) == (Writer("Keras 3's model.export", "edge _all_variables"),)


def test_a_saved_model_is_known_by_the_graph_above_it(places: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    (tmp_path / "saved" / "saved_model.pb").touch()
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(places["encoder"] + suffix, tmp_path / "saved" / "variables" / f"variables{suffix}")
    info = tfckpt.info(tmp_path / "saved" / "variables" / "variables")
    assert info.writers == (Writer("tf.saved_model.save", "saved_model.pb above it"), SAVED)


def test_averages_are_counted(bert: str, tmp_path: Path) -> None:
    with tfckpt.open(bert) as checkpoint:
        tensors = {name: value for name, value in checkpoint.items() if "adam_" not in name}
    averages = {f"{name}/ExponentialMovingAverage": value for name, value in tensors.items() if value.ndim}
    tfckpt.save(tmp_path / "model", tensors | averages)
    info = tfckpt.info(tmp_path / "model")
    assert info.optimizer is None
    assert info.averages == State(("ExponentialMovingAverage",), 46, 46, 4 * info.summary.parameters)


def test_a_v1_checkpoint_is_known(places: dict[str, str]) -> None:
    info = tfckpt.info(places["v1"])
    assert (info.format, info.version, info.data_files, info.tensors) == ("v1", None, 2, 4)
    assert info.writers == (Writer("tf.train.Saver of TensorFlow 1", "the older format, V1"),)
    assert info.summary.steps == {"global_step": 1 << 40}
    assert info.next == (f"tfckpt ls {places['v1']}",)
    chosen = tfckpt.info(DATA / "v1" / "slices", source_format="v1")
    assert chosen.next == (f"tfckpt ls {DATA / 'v1' / 'slices'} --format v1",)


def test_a_partitioned_tensor_counts_once(
    bert: str, tmp_path: Path, split: Callable[[str, Path, str, list[int]], None]
) -> None:
    split(bert, tmp_path / "model", "bert/embeddings/word_embeddings", [10, 20])
    info, whole = tfckpt.info(tmp_path / "model"), tfckpt.info(bert)
    assert info.summary._replace(heads=whole.summary.heads) == whole.summary
    assert (info.tensors, info.nbytes, info.optimizer) == (whole.tensors, whole.nbytes, whole.optimizer)


def test_a_scope_before_the_names_is_said(bert: str, tmp_path: Path) -> None:
    tfckpt.rewrite(bert, tmp_path / "model", rename=[("^", "module/")], strip_optimizer=True)
    assert (tfckpt.info(tmp_path / "model").layout, tfckpt.info(tmp_path / "model").model) == ("tf1", "module/")


def test_an_unknown_model_and_an_empty_checkpoint_are_called_so(places: dict[str, str], capsys: Captured) -> None:
    lines = succeed(capsys, "info", places["unknown"])
    assert lines.pop() == f"next: tfckpt ls {places['unknown']}"
    assert facts(lines) == {
        "file": places["unknown"],
        "format": "TensorBundle, V2, name-based; version 1 in its header",
        "holds": "3 tensors, 104 bytes in 1 file",
        "family": "unknown: none of MobileBERT, ALBERT, BERT, ELECTRA",
        "parameters": "7",
        "dtypes": "float64 (2 tensors), int64 (1 tensor)",
        "steps": "none",
        "optimizer": "Adam for 1 variable: 1 tensor, 48 bytes",
        "averages": "none",
        "can become": "none of the targets",
    }
    empty = facts(succeed(capsys, "info", places["empty"]))
    assert (empty["holds"], empty["parameters"], empty["dtypes"]) == ("0 tensors, 0 bytes in 1 file", "0", "none")


def test_a_configuration_beside_an_unknown_model_is_not_taken_for_its_own(capsys: Captured) -> None:
    told = facts(succeed(capsys, "info", str(DATA / "bert_tf115" / "ref.npz")))
    assert not {"layers", "heads"} & told.keys()
    assert told["holds"] == "9 tensors, 3,516 bytes in 1 file"


def test_layers_of_an_unknown_model_are_counted_by_its_names(tmp_path: Path, capsys: Captured) -> None:
    tfckpt.save(tmp_path / "model", {f"net/block_{n}/attention/{part}/w": [[1.0]] for n in range(3) for part in "qkv"})
    told = facts(succeed(capsys, "info", str(tmp_path / "model")))
    assert told["layers"] == "3 (from the names)"
    assert "heads" not in told


def test_what_stands_in_the_way_of_an_encoder_is_said(bert: str, tmp_path: Path, capsys: Captured) -> None:
    with tfckpt.open(bert) as checkpoint:
        tensors = dict(checkpoint)
    tfckpt.save(tmp_path / "model", tensors | {"mine/a": [1.0], "mine/b": [1.0]})
    shutil.copy(DATA / "bert_tf115" / "bert_config.json", tmp_path)
    info = tfckpt.info(tmp_path / "model")
    assert (as_they_stand(info), needy(info)) == (["keras", "keras-v2"], {})
    assert ([issue.subject for issue in info.obstacles], info.num_obstacles) == (["mine/a", "mine/b"], 2)
    lines = succeed(capsys, "info", str(tmp_path / "model"))
    assert facts(lines)["no encoder"].startswith("mine/a [1]: 'encoder' neither takes nor drops this variable")
    assert facts(lines)["no encoder"].endswith("--exclude leaves it out; and 1 more")
    assert lines[-1] == f"next: tfckpt plan {tmp_path / 'model'}"


def test_many_variables_of_another_kind_end_the_search_for_targets_early(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tfckpt.open(bert) as checkpoint:
        tensors = dict(checkpoint)
    tfckpt.save(tmp_path / "model", tensors | {f"mine/{n}": [1.0] for n in range(MOST_STRAYS + 1)})
    tried: list[str] = []

    def noted(source: Any, request: Any, **options: Any) -> Any:
        tried.append(request["to"])
        return make_plan(source, request, **options)

    monkeypatch.setattr("tfckpt.about.targets.make_plan", noted)
    info = tfckpt.info(tmp_path / "model")
    assert tried == ["encoder", "keras", "keras-v2"]
    assert as_they_stand(info) == ["keras", "keras-v2"]
    assert (len(info.obstacles), info.num_obstacles) == (20, MOST_STRAYS + 2)  # and the number of heads


def test_names_and_shapes_that_fit_several_models_leave_the_choice_to_the_user(capsys: Captured) -> None:
    source = str(DATA / "classifier_tf115")
    convert = f"next: tfckpt convert {source} tf2/classifier_tf115 --to"
    alike = ("classifier", "token-classifier", "classifier-own-pooler")
    assert [line for line in succeed(capsys, "info", source) if line.startswith("next: ")] == [
        f"{convert} {name}" for name in alike
    ]


@pytest.mark.parametrize("name", ["bert", "classifier_tf115", "encoder", "trained", "keras", "bert.npz", "unknown"])
def test_the_next_command_works_and_does_not_write_over_anything(
    places: dict[str, str], bert: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = {"bert": bert, "classifier_tf115": str(DATA / name)}.get(name, places.get(name, ""))
    for _ in range(2):
        command, *rest = shlex.split(tfckpt.info(source, num_heads=2).next[0])
        assert command == "tfckpt"
        assert main(rest) == 0
    assert len(list(tmp_path.rglob("*.index"))) == (0 if name == "unknown" else 2)


def test_a_folder_is_what_it_holds_or_a_list_of_that(bert: str, tmp_path: Path, capsys: Captured) -> None:
    assert tfckpt.info(DATA / "bert_tf115").path == bert  # as its state file says
    folder = tmp_path / "run"
    folder.mkdir()
    tfckpt.export(bert, folder / "model.safetensors")
    assert tfckpt.info(folder).path == str(folder / "model.safetensors")
    tfckpt.export(bert, folder / "more.npz")
    assert tfckpt.info(folder).candidates == (str(folder / "model.safetensors"), str(folder / "more.npz"))
    for step in (9, 10):
        tfckpt.save(folder / f"model-{step}", {"w": step})
    info = tfckpt.info(folder)
    assert (info.format, info.tensors) == ("folder", 0)
    assert set(info.candidates) == {f"{folder}/model-9", f"{folder}/model-10"}
    lines = succeed(capsys, "info", str(folder))
    assert lines[1] == "holds\t2 of which nothing says which one is meant"
    assert lines[-1] == f"next: tfckpt info {folder}/model-10"
    for step in range(20):
        tfckpt.save(folder / f"model-{step}", {"w": step}, overwrite=True)
    assert len(succeed(capsys, "info", str(folder))) <= MOST_LINES


def test_what_is_no_file_of_tensors_is_refused_as_ever(tmp_path: Path, capsys: Captured) -> None:
    with pytest.raises(CheckpointNotFoundError, match="nowhere"):
        tfckpt.info(tmp_path / "nowhere")
    with pytest.raises(CheckpointNotFoundError, match="the directory has no checkpoint"):
        tfckpt.info(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(FormatError, match="Git LFS pointer"):
        tfckpt.info(tmp_path / "model.safetensors")
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "HDF5" in fail(capsys, "info", str(tmp_path / "model.h5"))[0]


def test_files_that_are_missing_or_cut_short_are_said_and_the_exit_code_is_1(bert_copy: str, capsys: Captured) -> None:
    data = Path(f"{bert_copy}.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:-8])
    info = tfckpt.info(bert_copy)
    assert len(info.problems) == 1
    assert str(data) in info.problems[0]
    assert main(["info", bert_copy]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"next: tfckpt verify {bert_copy}"
    assert err.startswith(f"tfckpt info: {data}")
    data.unlink()
    assert "no such file" in tfckpt.info(bert_copy).problems[0].lower()
    assert tfckpt.info(bert_copy).summary.parameters == 1808


def test_a_step_that_is_damaged_is_unreadable(bert_copy: str, capsys: Captured) -> None:
    with tfckpt.open(bert_copy) as checkpoint, open(f"{bert_copy}.data-00000-of-00001", "r+b") as file:
        file.seek(checkpoint.entry("global_step").offset)
        file.write(b"\xff")
    info = tfckpt.info(bert_copy)
    assert info.summary.steps == {"global_step": None}
    assert "checksum" in info.problems[0]
    assert main(["info", bert_copy]) == 1
    assert "steps\tglobal_step unreadable" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "name", ["alone", "both", "encoder", "trained", "keras", "bert.npz", "arrays", "empty", "unknown", "hostile", "v1"]
)
def test_a_terminal_shows_one_screen_and_nothing_that_a_name_could_do_to_it(
    places: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(places[name]).parent)
    shown = shown_here(monkeypatch, "info", Path(places[name]).name, env={"COLUMNS": str(WIDTH), "NO_COLOR": "1"})
    lines = plain(shown).splitlines()
    assert len(lines) <= MOST_LINES
    *told, last = lines
    assert max(map(len, told)) <= WIDTH
    assert last.startswith("next: tfckpt ")
    assert all(line.isprintable() for line in lines)


def test_a_command_that_cannot_be_typed_is_not_printed(tmp_path: Path, capsys: Captured) -> None:
    tfckpt.save(tmp_path / "a\x1b[31mb", {"w": [1.0]})
    lines = succeed(capsys, "info", str(tmp_path / "a\x1b[31mb"))
    assert lines[0] == f"file\t{tmp_path}/a\\x1b[31mb"
    assert not any(line.startswith("next: ") for line in lines)


def test_documents_are_what_the_schema_says(places: dict[str, str], tmp_path: Path, capsys: Captured) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for path in (*places.values(), str(DATA / "electra_tf115"), str(Path(places["empty"]).parent)):
        document = succeed_json(capsys, "info", path)
        validator.validate(document)
        assert document == json.loads(json.dumps(tfckpt.info(path).to_json()))
    assert document["format"] == "folder"


def test_stdin_may_be_a_file_of_tensors(
    places: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    data = Path(places["bert.npz"]).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    lines = succeed(capsys, "info", "-")
    assert (facts(lines)["file"], facts(lines)["family"]) == ("stdin", "BERT (layout 'tf1')")
    assert lines[-1] == "next: tfckpt import - model.ckpt"


def test_a_notebook_gets_the_facts_with_what_is_from_the_file_escaped(places: dict[str, str]) -> None:
    info = tfckpt.info(places["hostile"])
    assert repr(info) == f"<tfckpt.Info of {places['hostile']!r}: v2, unknown model, 4 tensors, 2 parameters>"
    html = info._replace(model="<script>")._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "2 candidates" in repr(info._replace(format="folder", candidates=("a", "b")))


def test_the_parts_of_the_result_say_what_they_are() -> None:
    target = Target("encoder", {"num_heads": None})
    assert target.to_json() == {"name": "encoder", "needs": [{"option": "num_heads", "value": None}]}
    parts: tuple[Any, ...] = (target, GOOGLE, State(("m",), 1, 1, 4))
    assert all("<table" in part._repr_html_() for part in parts)
