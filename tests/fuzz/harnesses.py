"""What is fuzzed: one function for each parser, from bytes to nothing; only a TfckptError may come out of what it calls.

`run` hands these to atheris, `tests/test_fuzz.py` to a short loop with a seed. Inputs of several parts are put together by
`mend.pack`; checksums are made right before a parser sees them, or nearly all inputs would end there.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from support import graphs
from support.v1 import SnappyBuilder

import tfckpt
from fuzz.mend import mend_header, mend_strings, mend_table, mend_variants, mend_zip, pack, unpack
from fuzz.mutators import build_table, mutate_message, mutate_table, table_of
from tfckpt._proto.tensor_bundle_pb2 import BundleEntryProto
from tfckpt._proto.trackable_object_graph_pb2 import TrackableObjectGraph
from tfckpt._proto.types_pb2 import DT_FLOAT
from tfckpt.bundle.values.entry import HEADER_KEY, Entry, Header
from tfckpt.bundle.values.slices import check_cover
from tfckpt.bundle.values.strings import decode_strings, parse_head, read_head
from tfckpt.bundle.values.variants import decode_variants
from tfckpt.checkpoint.find.lookup import Lookup
from tfckpt.checkpoint.find.state_file import latest_checkpoint, read_state, update_state
from tfckpt.checkpoint.graph.graph_edit import add_alias, move, remove, rename_paths
from tfckpt.checkpoint.graph.graph_roles import graph_of_keys
from tfckpt.checkpoint.graph.object_graph import OBJECT_GRAPH_KEY, VARIABLE_VALUE, Attribute, ObjectGraph, escape
from tfckpt.checkpoint.graph.object_tensors import ObjectTensors, against_restoring
from tfckpt.checkpoint.graph.outline import outline_names, outline_objects
from tfckpt.checkpoint.graph.path_globs import PathGlob
from tfckpt.checkpoint.graph.roles import ROLES, find_roles, guessed_suffixes
from tfckpt.cli.commands import tree
from tfckpt.edit.choice import choose
from tfckpt.edit.merging.evidence import NOWHERE
from tfckpt.edit.merging.join import Part, join_graphs
from tfckpt.edit.renaming import rename_objects
from tfckpt.errors import TfckptError
from tfckpt.families.catalog import CATALOG
from tfckpt.families.language.layout_file import read_layout
from tfckpt.families.language.match import match_models
from tfckpt.planning.config import read_config
from tfckpt.sstable.reader import Table
from tfckpt.sstable.varint import encode_varint, read_varint
from tfckpt.storage.files import open_input
from tfckpt.storage.sniff import kind_in

DATA = Path(__file__).parent.parent / "data"
BUNDLES = DATA / "bundles"
MOST_ELEMENTS = 1 << 16  # of a tensor that a harness reads more than once

Mutate = Callable[[bytes], bytes]
Inputs = Iterator[bytes]


@dataclass(frozen=True)
class Harness:
    """One way in.

    Attributes:
        run: takes one input; whatever it raises is a finding.
        seeds: inputs to start from.
        mutate: changes an input so that it stays what it is (a table, a message); given a function that changes bytes.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    mutate: Callable[[bytes, Mutate], bytes] | None = None


@cache
def scratch() -> str:
    """Return a directory of this process's own, in memory if there is such a place."""
    memory = "/dev/shm"
    directory = tempfile.mkdtemp(prefix="tfckpt-fuzz-", dir=memory if os.path.isdir(memory) else None)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def _write(name: str, data: bytes) -> str:
    path = os.path.join(scratch(), name)
    with open(path, "wb") as file:
        file.write(data)
    return path


# --- what the harnesses call; TfckptError is the one thing that may come out


def varint(data: bytes) -> None:
    pos = 0
    while pos < len(data):
        try:
            value, pos = read_varint(data, pos)
        except TfckptError:
            return
        assert read_varint(encode_varint(value), 0)[0] == value


def table(data: bytes) -> None:
    data = mend_table(data)

    def read_at(offset: int, nbytes: int) -> bytes:
        assert 0 <= offset <= offset + nbytes <= len(data)
        return data[offset : offset + nbytes]

    opened = Table(read_at, len(data), "table")
    _quietly(lambda: opened.get(b"w"))
    for key in [key for key, _ in opened][:3]:
        assert opened.get(key) is not None


def entry(data: bytes) -> None:
    key, value = unpack(data, 2)
    try:
        parsed = Entry.parse(key, value, 3)
        assert Entry.parse(key, parsed.encode()) == parsed or parsed.slices
        str(parsed), parsed.size, parsed.dtype_name, parsed.dtype
    finally:
        Header.parse(value)


def slices(data: bytes) -> None:
    key, value = unpack(data, 2)
    parsed = Entry.parse(key, value)
    keys = {part.key(key) for part in parsed.slices}
    assert len(keys) <= len(parsed.slices)
    boxes = [part.within(parsed.shape) for part in parsed.slices]
    [part.is_full(parsed.shape) for part in parsed.slices]
    check_cover(parsed.name, parsed.shape, boxes)


def strings(data: bytes) -> None:
    head, stored = unpack(data, 2)
    count, big_endian = int.from_bytes(head[1:5], "little"), bool(head[:1] > b"\x7f")
    stored = mend_strings(stored, count, big_endian=big_endian)
    try:
        found, _ = decode_strings(stored, count, big_endian=big_endian)
        assert len(found) == count
    finally:
        start = read_head(lambda at, nbytes: stored[at : at + nbytes], count, len(stored))
        parse_head(start, count, len(stored), big_endian=big_endian)


def variants(data: bytes) -> None:
    head, stored = unpack(data, 2)
    count = int.from_bytes(head[1:5], "little")
    found, _ = decode_variants(mend_variants(stored, count), count, big_endian=head[:1] == b"\xff")
    assert len(found) == count


def graph(data: bytes) -> None:
    parsed = ObjectGraph.parse(data)
    assert parsed.serialize() == data
    keys = [a.checkpoint_key for node in parsed.nodes for a in node.attributes]
    entries = [Entry(key, DT_FLOAT, (), 0, 0, 4, 0) for key in dict.fromkeys(keys[::2])]
    outline = outline_objects(parsed, entries, everything=len(data) % 2 == 0)
    list(tree.draw(outline)), tree.to_json(outline.root)
    assert set(find_roles(entries, parsed).values()) <= set(ROLES)
    for path, node in parsed.walk():
        assert parsed.find(path) is node
    tensors = ObjectTensors(
        parsed, [entry.name for entry in entries] + [f"{key}{n}" for key in keys[1::2] for n in "ab"]
    )
    assert set(tensors.node_of).isdisjoint(tensors.unclaimed)
    for name, number in tensors.node_of.items():
        assert name in tensors.of_node(number)
    _look_up(parsed, keys)
    parsed.drop_keys(keys[1:3])
    parsed.drop_values(range(0, len(parsed.nodes), 2))
    _quietly(lambda: parsed.rename_keys({key: key + "x" for key in keys[:1]}))
    ObjectGraph.parse(parsed.serialize())


def _look_up(parsed: ObjectGraph, keys: list[str]) -> None:
    lookup = Lookup(parsed, dict.fromkeys(keys[::2]))
    for pattern in ("*", "*a*/[!b]*", "no such path/*"):
        found = lookup.match(pattern)
        assert found is None or set(found.names) <= {*keys}
    for text in (*keys[1:4], *lookup.spellings()[:50]):
        _quietly(partial(lookup.find, text))
        lookup.near(text[1:], 100)
    _quietly(partial(lookup.called, "path"))
    list(against_restoring(parsed.serialize(), keys[::2]))


def edits(data: bytes) -> None:
    """Rename, move, alias and remove objects; whatever is refused, what is left has edges that lead somewhere, and keys."""
    parsed = ObjectGraph.parse(data)
    steps: list[Callable[[ObjectGraph], object]] = [
        lambda graph: rename_paths(graph, lambda path: path.replace("model", "net")),
        lambda graph: rename_paths(graph, lambda path: f"top/{path}"),
        lambda graph: rename_paths(graph, lambda path: path.partition("/")[2] or path),
        lambda graph: rename_paths(graph, lambda path: path[::-1]),
        lambda graph: rename_objects(graph, keys, [("kernel$", "w"), (r"a(.*/\.ATTRIBUTES)", r"b\1"), ("dense", "x")]),
    ]
    keys = [a.checkpoint_key for node in parsed.nodes for a in node.attributes]
    for name in list(parsed.nodes[0].children)[:2]:
        path = escape(name)
        steps += [
            lambda graph, path=path: move(graph, path, f"moved/{path}"),  # type: ignore[misc]
            lambda graph, path=path: add_alias(graph, f"alias/{path}", path),  # type: ignore[misc]
            lambda graph, path=path: remove(graph, path),  # type: ignore[misc]
        ]
    entries = [Entry(key, DT_FLOAT, (), 0, 0, 4, 0) for key in dict.fromkeys(keys[::2])]
    for how in ({"drop": ["*a*", "model"]}, {"keep": ["o*", "*/kernel"]}, {"strip_optimizer": True}):
        _quietly(partial(choose, "", entries, parsed, **how))
    for step in steps:
        graph = parsed.copy()
        _quietly(partial(step, graph))
        assert ObjectGraph.parse(graph.serialize()).nodes == graph.nodes
    assert parsed.serialize() == data


def match(data: bytes) -> None:
    match_models(ObjectGraph.parse(data), CATALOG.find_models(""))


def join(data: bytes) -> None:
    parts = [Part(n, "ab"[n], ObjectGraph.parse(graph)) for n, graph in enumerate(unpack(data, 2))]
    pattern = PathGlob("*/[!a]*/?/_*")
    meant = [pattern.matching(part.graph) for part in parts]

    def choose(candidates: Sequence[int], nodes: Mapping[int, int]) -> int | None:
        found = next((n for n, node in nodes.items() if node in meant[n]), len(data) % 3)
        return found if found in candidates else None

    joined = join_graphs(parts, choose)
    again = ObjectGraph.parse(joined.graph.serialize())
    assert again == joined.graph
    for part in parts:
        numbers = joined.numbers[part.source]
        kept = [number for number in numbers if number != NOWHERE]
        assert len(numbers) == len(part.graph.nodes)
        assert len(set(kept)) == len(kept)


def names(data: bytes) -> None:
    found = dict.fromkeys(data.decode("utf-8", "surrogateescape").split("\n"))
    entries = [Entry(name, DT_FLOAT, (), 0, 0, 4, 0) for name in found]
    outline = outline_names(entries)
    list(tree.draw(outline)), tree.to_json(outline.root)
    roles = find_roles(entries, None)
    assert roles.keys() == found.keys()
    guessed_suffixes(entries, roles)


def state_file(data: bytes) -> None:
    directory = scratch()
    _write("checkpoint", data)
    _quietly(lambda: latest_checkpoint(directory))
    _quietly(lambda: update_state(os.path.join(directory, "written")))
    _write("checkpoint", data)
    read_state(directory)
    tfckpt.open(directory).close()


def config(data: bytes) -> None:
    read_config(_write("config.json", data))


def kind(data: bytes) -> None:
    file = open_input(_write("kind", data))
    try:
        kind_in(file)
    finally:
        file.close()


def layout(data: bytes) -> None:
    read_layout(_write("layout.toml", data))


def _read_everything(prefix: str, source_format: str | None) -> None:
    """Read a checkpoint in every way that there is."""
    for verify in (False, True):
        with tfckpt.open(prefix, verify=verify, format=source_format) as checkpoint:
            listed = checkpoint.entries()
            for item in listed:
                _quietly(partial(checkpoint.__getitem__, item.name))
                _quietly(partial(_read_parts, checkpoint, item))
                if verify:
                    _quietly(partial(checkpoint.verify, item.name))
            _quietly(lambda: checkpoint.object_graph)
            _quietly(checkpoint.reader.check_files)
            _quietly(lambda: checkpoint["no such tensor"])


def _read_parts(checkpoint: tfckpt.Checkpoint, item: Entry) -> None:
    part = checkpoint.get_slice(item.name)
    if item.shape:
        _quietly(lambda: part[-1:, ..., -1])
        _quietly(lambda: part[[-1, 0]])
        part[:1]
    else:
        part[()]


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except TfckptError as error:
        str(error)


def _write_bundle(data: bytes) -> str:
    """Write an index and one file of data for all its shards; return the prefix."""
    index, values = unpack(data, 2)
    prefix = os.path.join(scratch(), "bundle")
    _write("bundle.index", mend_table(index))
    base = _canned().get(values[:1]) if len(values) == 1 else None
    _write("bundle.data-00000-of-00001", values if base is None else base)
    return prefix


@cache
def _canned() -> Mapping[bytes, bytes]:
    """Return data files that an input names by one byte instead of holding them."""
    files = [DATA / "bert_tf115" / "model.ckpt-3.data-00000-of-00001", *sorted(BUNDLES.glob("*/*.data-00000-of-00001"))]
    return {bytes([n]): path.read_bytes() for n, path in enumerate(files)}


def bundle(data: bytes) -> None:
    _read_everything(_write_bundle(data), "v2")


def v1(data: bytes) -> None:
    _read_everything(_write("v1", mend_table(data)), "v1")


def archive(data: bytes) -> None:
    """One byte says what kind of file it is; a directory is its index and the only array that it may name."""
    kind, rest, dest = data[:1], data[1:], os.path.join(scratch(), "imported")
    if kind == b"d":
        index, values = unpack(rest, 2)
        directory = os.path.join(scratch(), "arrays")
        os.makedirs(directory, exist_ok=True)
        _write("arrays/index.json", index)
        _write("arrays/00000.w.npy", values)
        path = directory
    else:
        path = _write("archive", mend_zip(rest) if kind == b"z" else mend_header(rest))
    given = {b"s": "safetensors", b"z": "npz", b"d": "npy"}.get(kind)
    tfckpt.import_(path, dest, kind=given, sync=False, overwrite=True)
    tfckpt.export(dest, os.path.join(scratch(), "exported.npz"), sync=False, overwrite=True)


CONVERSIONS: tuple[Callable[[str, str], object], ...] = (
    lambda s, d: tfckpt.convert(s, d, to="auto", num_heads=2, sync=False, overwrite=True, verify=False),
    lambda s, d: tfckpt.convert(
        s, d, to="encoder", fill="zeros", num_heads=2, sync=False, overwrite=True, verify=False
    ),
    lambda s, d: tfckpt.convert(s, d, to="pretrainer", slots="convert", num_heads=2, sync=False, overwrite=True),
    lambda s, d: tfckpt.convert(s, d, to="keras", sync=False, overwrite=True, verify=False),
    lambda s, d: tfckpt.convert(s, d, to="tf1", slots="keep", sync=False, overwrite=True, verify=False),
    lambda s, d: tfckpt.rewrite(s, d, drop=["*/bias"], sync=False, overwrite=True, verify=False),
    lambda s, d: tfckpt.rewrite(s, d, max_shard_size=64, cast="float16", sync=False, overwrite=True, verify=False),
    lambda s, d: tfckpt.merge([s], d, sync=False, overwrite=True, verify=False),
)


def convert(data: bytes) -> None:
    which, rest = data[:1], data[1:]
    prefix, dest = _write_bundle(rest), os.path.join(scratch(), "converted", "to")
    which_number = int.from_bytes(which, "little") % len(CONVERSIONS)
    CONVERSIONS[which_number](prefix, dest)
    _read_everything(dest, "v2")


# --- what they start from


def _files(*patterns: str) -> Iterator[bytes]:
    for pattern in patterns:
        for path in sorted(DATA.glob(pattern)):
            yield path.read_bytes()


def _rows(*patterns: str) -> Iterator[tuple[bytes, bytes]]:
    for data in _files(*patterns):
        yield from table_of(data)


INDEXES = ("bundles/*/[!b]*.index", "bert_tf115/*.index")


def _seed_tables() -> Iterator[bytes]:
    yield from _files(*INDEXES, "v1/saver", "v1/shards*")
    for data in _files("bundles/tf220/saver.index", "v1/saver"):
        yield build_table(dict(table_of(data)), 512, SnappyBuilder)


def _seed_entries() -> Iterator[bytes]:
    rows = {value: key for key, value in _rows("bundles/*/[!b]*.index")}
    yield from (pack(key, value) for value, key in rows.items())


def _seed_slices() -> Iterator[bytes]:
    for key, value in _rows("bundles/*/*slices.index", "bundles/*/max*.index"):
        if key != HEADER_KEY and BundleEntryProto.FromString(value).slices:
            yield pack(key, value)


def _seed_strings() -> Iterator[bytes]:
    from tfckpt.bundle.values.strings import encode_strings

    for content in ([], [b""], [b"a", b"", b"bc" * 100], [b"x" * 40000]):
        for big_endian in (False, True):
            head = (b"\xff" if big_endian else b"\0") + len(content).to_bytes(4, "little")
            yield pack(head, encode_strings(content, big_endian=big_endian)[0])


def _seed_variants() -> Iterator[bytes]:
    from tfckpt.bundle.values.variants import encode_variants

    for content in ([], [b""], [b"a", b"", b"bc" * 100]):
        yield pack(b"\0" + len(content).to_bytes(4, "little"), encode_variants(content, big_endian=False)[0])


@cache
def _graphs() -> tuple[bytes, ...]:
    found = []
    for path in sorted(BUNDLES.glob("*/objects-1.index")):
        with tfckpt.open(str(path).removesuffix(".index")) as checkpoint:
            found.append(checkpoint[OBJECT_GRAPH_KEY].item())
    return tuple(found)


def _seed_graphs() -> Iterator[bytes]:
    yield from _graphs()
    yield ObjectGraph().serialize()
    keys = [
        f"opt/{edge}/.ATTRIBUTES/VARIABLE_VALUE" for edge in ("_iterations", "_variables/1", "_trainable_variables/0")
    ]
    yield graph_of_keys([*keys, "metrics/0/total/.ATTRIBUTES/VARIABLE_VALUE"]).serialize()


@cache
def _converted_graph() -> bytes:
    plan = tfckpt.plan(DATA / "bert_tf115" / "model.ckpt-3")
    assert plan.object_graph is not None
    return plan.object_graph.serialize()


def _seed_matches() -> Iterator[bytes]:
    yield _converted_graph()
    yield from _graphs()


def _trained(order: str, *, known: bool, lists: tuple[str, ...] = ("_momentums", "_velocities")) -> bytes:
    """Return the graph of a model and of an optimizer with lists; ``known`` if they tell their variables."""
    graph = ObjectGraph()
    for name in order:
        graph.nodes[graph.node_at(("model", name, "kernel"))].attributes = [
            Attribute(VARIABLE_VALUE, name, f"m/{name}")
        ]
    graph.node_at(("optimizer", "_iterations"))
    for place, name in enumerate(order):
        if known:
            variable = graph.node_at(("model", name, "kernel"))
            graph.add_edge(("optimizer", "_trainable_variables", str(place)), variable)
        for n, held in enumerate(lists):
            number = graph.node_at(("optimizer", "_variables", str(place * len(lists) + n)))
            graph.nodes[number].attributes = [Attribute(VARIABLE_VALUE, f"{held}{place}", f"Adam/{n}/m/{name}")]
            graph.add_edge(("optimizer", held, str(place)), number)
    return graph.serialize()


def _seed_joins() -> Iterator[bytes]:
    yield from (pack(graph, other) for graph, other in itertools.product(_graphs()[:3], _graphs()[-2:]))
    for known in (True, False):
        yield pack(_trained("abc", known=known), _trained("cab", known=known))
        yield pack(_trained("abc", known=known), _trained("abc", known=known))
        yield pack(_trained("abc", known=known, lists=("m",)), _trained("bca", known=known))
    yield pack(_trained("abc", known=True, lists=()), _trained("abcd", known=True))


def _seed_names() -> Iterator[bytes]:
    for data in itertools.islice(_files(*INDEXES), 20):
        keys = [key for key, _ in table_of(data)]
        yield b"\n".join(keys[:40])


def _seed_states() -> Iterator[bytes]:
    yield from _files("*/checkpoint", "v1/checkpoint")
    yield b'model_checkpoint_path: "../x"\nall_model_checkpoint_timestamps: 1.5\nlast_preserved_timestamp: 1e9\n'


def _seed_configs() -> Iterator[bytes]:
    yield from _files("*/*config.json")


def _seed_kinds() -> Iterator[bytes]:
    for graph in (graphs.FROZEN, graphs.TRAINED):
        yield from (graph, graphs.meta_graph(graph), graphs.saved_model(graph))
    yield graphs.graph_def(graphs.node("x", "Placeholder"), functions=(graphs.constant("w", 256),))
    yield b'node {\n  name: "w"\n  op: "Const"\n  attr { value { tensor { tensor_content: "\\001" } } }\n}\n'
    yield from (b"version https://git-lfs.github.com/spec/v1\n", b"<!DOCTYPE html>", b"PK\x03\x04", b'{"a": 1}')


def _seed_layouts() -> Iterator[bytes]:
    yield SMALL_LAYOUT.encode()


SMALL_LAYOUT = """\
[family]
name = "F"
anchor = "a/w"
[family.sizes]
h = "hidden_size"
[config]
n_embd = "hidden_size"
[layout]
name = "f"
about = "x"
model = "m"
edges = [["e", "m/l"]]
roots = ["", "r"]
placeholders = ["p"]
[parts.P]
rows = [["a/w", "w.Sx", "h k"], ["a/{p}", "n/{p}", "h"]]
order = ["l/*", "n"]
aliases = [["second", "n"]]
optional = ["b/"]
[[parts.P.each]]
source = "b/{n}/"
path = "l/{n}/"
field = "num_hidden_layers"
rows = [["{qkv}/{kb}", "{qkv}..x/{kb}", "h (a d) -> h a d"]]
[[placement]]
part = "P"
only_with = "a/w"
[[drops]]
rule = "slots"
patterns = ["*/adam_?", "[!a]x"]
"""


def _seed_bundles() -> Iterator[bytes]:
    for number, path in enumerate(_seed_prefixes()):
        index = path.with_name(path.name.replace(".data-00000-of-00001", ".index"))
        yield pack(index.read_bytes(), bytes([number]))
        values = path.read_bytes()
        if len(values) < 2000:
            yield pack(index.read_bytes(), values)


def _seed_prefixes() -> list[Path]:
    found = [DATA / "bert_tf115" / "model.ckpt-3.data-00000-of-00001", *sorted(BUNDLES.glob("*/*.data-00000-of-00001"))]
    return [path for path in found if not path.name.startswith("blocks")]


def _seed_v1() -> Iterator[bytes]:
    yield from _files("v1/s[!h]*", "v1/shards-00000*")


def _seed_conversions() -> Iterator[bytes]:
    seeds = list(_seed_bundles())
    for number in range(len(CONVERSIONS)):
        for seed in seeds[:1] + seeds[3 + number % 5 :: 5]:
            yield bytes([number]) + seed


def _seed_archives() -> Iterator[bytes]:
    values: dict[str, Any] = {"w": np.arange(3.0), "b/c": np.array([[1]], np.float32), "e": np.zeros((0, 2), np.int8)}
    texts: dict[str, Any] = {"s": np.array([b"a", b"bc"]), "u": np.array(["é"])}
    halves: dict[str, Any] = {"h": np.ones(2, ml_dtypes.bfloat16), "i": np.array([1], ml_dtypes.int4)}
    prefix, place = os.path.join(scratch(), "seed"), os.path.join(scratch(), "seed.")
    for tensors in (values, halves, values | halves):
        tfckpt.save(prefix, tensors, overwrite=True, sync=False)
        for kind, byte in (("safetensors", b"s"), ("npz", b"z")):
            tfckpt.export(prefix, place + kind, sync=False, overwrite=True)
            yield byte + Path(place + kind).read_bytes()
    for save in (np.savez, np.savez_compressed):
        save(place + "npz", **values, **texts, f=np.asfortranarray(np.ones((2, 3), ">f4")))
        yield b"z" + Path(place + "npz").read_bytes()
    for value in (np.arange(3.0), np.array([b"a"]), np.ones(2, ml_dtypes.bfloat16)):
        tfckpt.save(prefix, {"w": value}, overwrite=True, sync=False)
        tfckpt.export(prefix, place + "d/", sync=False, overwrite=True)
        array = next(Path(place + "d").glob("*.npy"))
        index = Path(place + "d", "index.json").read_bytes().replace(array.name.encode(), b"00000.w.npy")
        yield b"d" + pack(index, array.read_bytes())


# --- structure-aware mutations


def _mutate_second(change: Callable[[bytes, Mutate], bytes], at: int = 0) -> Callable[[bytes, Mutate], bytes]:
    """Return a mutation of one part of a packed input."""

    def mutate(data: bytes, mutate_bytes: Mutate) -> bytes:
        parts = unpack(data, 2)
        parts[at] = change(parts[at], mutate_bytes)
        return pack(*parts)

    return mutate


def _mutate_either(change: Callable[[bytes, Mutate], bytes]) -> Callable[[bytes, Mutate], bytes]:
    """Return a mutation of one of two parts, now of the one, now of the other."""
    turns = itertools.cycle((0, 1))

    def mutate(data: bytes, mutate_bytes: Mutate) -> bytes:
        return _mutate_second(change, next(turns))(data, mutate_bytes)

    return mutate


def _mutate_conversion(data: bytes, mutate_bytes: Mutate) -> bytes:
    return data[:1] + _mutate_second(mutate_table)(data[1:], mutate_bytes)


def _entry_message(data: bytes, mutate_bytes: Mutate) -> bytes:
    return mutate_message(BundleEntryProto, data, mutate_bytes)


def _graph_message(data: bytes, mutate_bytes: Mutate) -> bytes:
    return mutate_message(TrackableObjectGraph, data, mutate_bytes)


HARNESSES: dict[str, Harness] = {
    "varint": Harness(varint, lambda: iter([bytes.fromhex("ac02"), b"\xff" * 9 + b"\x01"])),
    "table": Harness(table, _seed_tables, mutate_table),
    "entry": Harness(entry, _seed_entries, _mutate_second(_entry_message, 1)),
    "slices": Harness(slices, _seed_slices, _mutate_second(_entry_message, 1)),
    "strings": Harness(strings, _seed_strings),
    "variants": Harness(variants, _seed_variants),
    "graph": Harness(graph, _seed_graphs, _graph_message),
    "edits": Harness(edits, _seed_graphs, _graph_message),
    "match": Harness(match, _seed_matches, _graph_message),
    "join": Harness(join, _seed_joins, _mutate_either(_graph_message)),
    "names": Harness(names, _seed_names),
    "state_file": Harness(state_file, _seed_states),
    "config": Harness(config, _seed_configs),
    "kind": Harness(kind, _seed_kinds),
    "layout": Harness(layout, _seed_layouts),
    "bundle": Harness(bundle, _seed_bundles, _mutate_second(mutate_table)),
    "v1": Harness(v1, _seed_v1, mutate_table),
    "archive": Harness(archive, _seed_archives),
    "convert": Harness(convert, _seed_conversions, _mutate_conversion),
}


def run_one(name: str, data: bytes) -> None:
    """Give one input to a harness: quiet if a result or a TfckptError comes out, and any other exception is a finding."""
    try:
        HARNESSES[name].run(data)
    except TfckptError as error:
        str(error)
