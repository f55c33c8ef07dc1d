"""The dialects of tests/data/dialects: what each holds, what its variables mean, and how its conversions must end.

A dialect is a folder that TensorFlow 1.15 wrote, or is derived from one: the same values by other names.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from advice import follow

import tfckpt
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, VARIABLE_VALUE, Attribute, variable_key

DATA = Path(__file__).parents[1] / "data" / "dialects"
NAME = "model.ckpt-2"
CONFIG = "bert_config.json"
PLAIN = "google_research"  # the dialect whose names are the hub's
MOMENTS = ("adam_m", "adam_v")
STATE = re.compile(r".*/adam_[mv]|global_step")  # what training keeps beside it
OUTPUTS = ("output_weights", "output_bias", "cls/squad/output_weights", "cls/squad/output_bias")  # of other models
SOURCE, DEST = f"source/{NAME}", "out/model"
RIGHT, AFTER_NEXT, ASKED, REFUSED = "right", "right after next", "asked", "refused"
WRITTEN, WRONG, DEAD_END = "written", "wrong", "dead end"
KEPT = ("--to", "--slots", "--fill")  # options that mean the same for a checkpoint in which nothing is odd

Array = np.ndarray[Any, Any]


class End(NamedTuple):
    """How a conversion must end.

    Attributes:
        words: what the command line says besides source and destination.
        end: `RIGHT` at once, `AFTER_NEXT`: right at the latest after the one line that a refusal prints, `ASKED`: refused
            with a line for each of several choices, or `REFUSED`.
        values: where the values that it must have stand: ``{}`` is the variable's name, ``{rest}`` that without its scope.
    """

    words: str
    end: str
    values: str = "{}"


class Dialect:
    """One dialect.

    Attributes:
        name: its own.
        origin: the code that writes such files, or a public thread with their names.
        ends: how conversions of it must end.

    The other fields of the table (README.md beside it says more) tell which variable is which.
    """

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        self.name = name
        self.origin: str = fields["origin"]
        self.ends = [End(*end) for end in fields["ends"]]
        self._fields = fields

    @cached_property
    def tensors(self) -> Mapping[str, Array]:
        """Every tensor of the file."""
        fields = self._fields
        if not self.is_derived:
            return stored(self.name)
        found = {self._renamed(n): v for n, v in stored(fields["base"]).items() if not _is_dropped(n, fields)}
        if "flags" in fields:
            return _objects(found, fields["flags"])
        found |= {name: _other(name, shape) for name, shape in fields.get("add", {}).items()}
        for pattern, scope in fields.get("again", {}).items():
            found |= {
                n: _other(n, found[old].shape) for old in found if (n := re.sub(pattern, scope, old, count=1)) != old
            }
        return found | {name: found[of] for name, of in fields.get("copies", {}).items()}

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """The name in the file of each of the model's variables, by its hub name."""
        fields = self._fields
        hubs = _hubs()
        if self.is_derived:
            found = {name: self._renamed(name) for name in hubs if not _is_dropped(name, fields)}
            return found | {hub: name for name in fields.get("add", {}) if (hub := self._hub(name)) in OUTPUTS}
        return {hub: name for name in self.tensors if (hub := self._hub(name)) in (*hubs, *OUTPUTS)}

    def clean(self, values: str = "{}", *, slots: bool = False) -> dict[str, Array]:
        """Return the same model by google-research's names; with the optimizer's moments if asked for."""
        if self.is_of_objects:
            return {hub: stored(self._fields["base"])[hub] for hub in self.variables}
        found: dict[str, Array] = {}
        for hub, name in self.variables.items():
            places = {hub: _place(values, name)}
            places |= {f"{hub}/{slot}": self._slot(hub, slot) for slot in MOMENTS if slots}
            turn = name in self._fields.get("transposed", ())
            found |= {
                new: v.T.copy() if turn else v
                for new, old in places.items()
                if (v := self.tensors.get(old)) is not None
            }
        if slots:
            found["global_step"] = self.tensors[self._fields.get("step", self._renamed("global_step"))]
        return found

    @property
    def is_derived(self) -> bool:
        """Whether it is not a folder of its own."""
        return "base" in self._fields

    @property
    def is_of_objects(self) -> bool:
        """Whether it has an object graph; then its names are keys of objects, and only the values tell what is what."""
        return "flags" in self._fields

    @property
    def has_moments(self) -> bool:
        """Whether it has Adam's m and v for each variable."""
        return "slots" in self._fields

    @property
    def beside(self) -> set[str]:
        """The names of what training keeps beside the model."""
        if not self.is_derived:
            return {*self.tensors} - {*self.variables.values()}
        kept = {self._renamed(name) for name in stored(self._fields["base"]) if name not in _hubs()}
        kept |= {re.sub(old, new, n, count=1) for old, new in self._fields.get("again", {}).items() for n in kept}
        return kept & self.tensors.keys()

    @property
    def averages(self) -> set[str]:
        """The names of moving averages."""
        places = {end.values for end in self.ends if "--averages" in end.words}
        return {_place(values, name) for values in places for name in self.variables.values()}

    def write(self, directory: Path) -> str:
        """Write the checkpoint, and its configuration beside it; return the prefix."""
        return save(directory, self.tensors) if self.is_derived else _copy(self.name, directory)

    def _slot(self, hub: str, slot: str) -> str:
        if "slots" in self._fields:
            place: str = self._fields["slots"][MOMENTS.index(slot)]
            return place.format(self.variables[hub])
        return self._renamed(f"{hub}/{slot}")

    def _renamed(self, name: str) -> str:
        for pattern, replacement in self._fields.get("rename", ()):
            name = re.sub(pattern, replacement, name, count=1)
        return name

    def _hub(self, name: str) -> str:
        for pattern, replacement in self._fields.get("hub", ()):
            name = re.sub(pattern, replacement, name)
        return name


def _objects(variables: Mapping[str, Array], flags: Iterable[str]) -> dict[str, Array]:
    """Return what an object-based checkpoint of the encoder has, with switches beside it."""
    with tempfile.TemporaryDirectory() as directory:
        tfckpt.convert(save(Path(directory, "source"), variables), f"{directory}/model", sync=False)
        with tfckpt.open(f"{directory}/model") as checkpoint:
            tensors, graph = {name: np.array(value) for name, value in checkpoint.items()}, checkpoint.object_graph
    assert graph is not None
    for flag in flags:
        node = graph.nodes[graph.node_at((flag,))]
        node.attributes = [Attribute(VARIABLE_VALUE, variable_key(flag), flag)]
        tensors[variable_key(flag)] = np.array(True)
    return {**tensors, OBJECT_GRAPH_KEY: np.array(graph.serialize(), object)}


def save(directory: Path, tensors: Mapping[str, Array]) -> str:
    """Write a checkpoint with the configuration beside it; return the prefix."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(DATA / CONFIG, directory / CONFIG)
    tfckpt.save(directory / NAME, dict(tensors), sync=False)
    return str(directory / NAME)


@cache
def stored(name: str) -> Mapping[str, Array]:
    """Return every tensor of a folder."""
    with tfckpt.open(DATA / name / NAME) as checkpoint:
        return {name: np.array(value) for name, value in checkpoint.items()}


def _place(values: str, name: str) -> str:
    return values.format(name, rest=name.partition("/")[2])


def _hubs() -> list[str]:
    return [name for name in stored(PLAIN) if not STATE.fullmatch(name)]


def _copy(name: str, directory: Path) -> str:
    shutil.copytree(DATA / name, directory)
    shutil.copyfile(DATA / CONFIG, directory / CONFIG)
    return str(directory / NAME)


def _is_dropped(name: str, fields: Mapping[str, Any]) -> bool:
    return "drop" in fields and re.search(fields["drop"], name) is not None


def _other(name: str, shape: tuple[int, ...]) -> Array:
    """Return values that stand nowhere else."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    values: Array = rng.normal(0, 0.2, shape).astype(np.float32)
    return values


class Ended(NamedTuple):
    """How a conversion ended, and why if that is not right."""

    end: str
    why: str = ""

    def reaches(self, end: End) -> bool:
        """Return whether it ended as it must."""
        return self.end == end.end or (self.end == RIGHT and end.end == AFTER_NEXT)


def try_end(dialect: Dialect, end: End) -> Ended:
    """Write a dialect below the current directory, convert it, and do what is said to be next; return how it ended."""
    dialect.write(Path(SOURCE).parent)
    words = shlex.split(end.words)
    chain = follow.follow(["convert", SOURCE, DEST, *words, "--no-sync"])
    if sum(follow.NEXT.fullmatch(line) is not None for line in chain.said[0].lines) > 1:
        return Ended(ASKED, chain.said[0].err)
    said = "\n".join(f"{said.command}\n{said.err}" for said in chain.said)
    if chain.end == follow.DEAD_END:
        return Ended(DEAD_END, f"{chain.why}\n{said}")
    if chain.end != follow.DONE:
        return Ended(REFUSED, said)
    if end.end in (ASKED, REFUSED):
        return Ended(WRITTEN, said)
    save(Path("clean"), dialect.clean(end.values, slots="convert" in words))
    kept = _kept(words)
    if kept.get("to") == "tf1":
        shutil.copytree("clean", "right")
    else:
        tfckpt.convert(f"clean/{NAME}", f"right/{NAME}", **kept, sync=False)
    found, right = read(DEST), read(f"right/{NAME}")
    wrong = sorted(name for name in found.keys() | right.keys() if found.get(name) != right.get(name))
    if wrong:
        return Ended(WRONG, f"{len(wrong)} tensors, {wrong[0]} among them\n{said}")
    lines = sum(bool(said.advice) for said in chain.said)
    return Ended((RIGHT, AFTER_NEXT)[lines] if lines < 2 else f"right after {lines} lines", said)


def _kept(words: Sequence[str]) -> dict[str, Any]:
    return {word[2:]: value for word, value in pairwise(words) if word in KEPT}


def read(prefix: str) -> dict[str, Any]:
    """Return dtype, shape and bytes of every tensor of a checkpoint."""
    with tfckpt.open(prefix) as checkpoint:
        values = {name: np.asarray(value) for name, value in checkpoint.items()}
    return {n: (str(v.dtype), v.shape, v.tolist() if v.dtype == object else v.tobytes()) for n, v in values.items()}


DIALECTS = {
    name: Dialect(name, fields)
    for name, fields in json.loads((DATA / "dialects.json").read_text(encoding="utf-8")).items()
}

# What does not end as it must yet, and why.
NAMES = "nothing says what these names are"
NOT_YET: Mapping[tuple[str, str], str] = {
    ("keras_bert", ""): NAMES,
    ("keras_bert", "--rename auto"): NAMES,
    ("keras_bert", "--rename auto --slots convert"): NAMES,
    ("keras_bert", "--to pretrainer"): NAMES,
    ("keras_bert", "--to pretrainer --rename auto"): NAMES,
    ("bert_for_tf2", "--fill normal:1"): NAMES,
    ("bert_for_tf2", "--fill normal:1 --rename auto"): NAMES,
    ("bert_for_tf2", "--fill normal:1 --rename auto --slots convert"): NAMES,
}
