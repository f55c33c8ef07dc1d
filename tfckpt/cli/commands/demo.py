"""The command demo: a small TF1 BERT of the real layout, converted, proved, and the lines that load it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import tfckpt
from tfckpt.cli.ui.output import print_json, printable
from tfckpt.cli.ui.planned import load_lines, print_loading
from tfckpt.errors import count_of
from tfckpt.storage.commit import write_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CONFIG = {
    "vocab_size": 120,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
}


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add this file's command to the parser."""
    demo = commands.add_parser("demo", parents=[common], help="make a small TF1 BERT, convert it, prove it")
    demo.add_argument("directory", metavar="DIR", nargs="?", default="tfckpt-demo", help="default: %(default)s")
    demo.set_defaults(run=cmd_demo, reports=True)


def cmd_demo(args: argparse.Namespace) -> int:
    """Write a TF1 BERT into DIR/tf1, its conversion into DIR/tf2, and prove that nothing was lost."""
    import json

    from tfckpt.proof.prove import prove

    source = os.path.join(args.directory, "tf1", "bert_model.ckpt")
    dest = os.path.join(args.directory, "tf2", "bert_encoder")
    tensors = make_bert()
    tfckpt.save(source, tensors, overwrite=True)
    config = os.path.join(os.path.dirname(source), "bert_config.json")
    write_text(config, json.dumps(CONFIG | {"hidden_act": "gelu"}, indent=2))
    plan = tfckpt.convert(source, dest, overwrite=True)
    with tfckpt.open(source) as before, tfckpt.open(dest) as after:
        prove(plan, before, after)

    words, _, *code = load_lines(plan, dest)
    if args.json:
        done = {"source": source, "destination": dest, "variables": len(tensors), "proved": len(plan.steps)}
        print_json(done | {"load": "\n".join([*code, ""])})
        return 0
    print(f"written:   {printable(source)}: a TF1 BERT with {len(tensors)} variables")
    print(f"converted: {printable(dest)}: {len(plan.steps)} variables, and {len(plan.dropped)} dropped:")
    for rule, items in plan.dropped_by_rule().items():
        print(f"           {len(items)} ({rule})")
    print(f"proved:    all {count_of(plan.steps, 'tensor')} match the source, and every checksum matches")
    print_loading([words, "", *code])
    return 0


def bert_shapes(config: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every variable of a pretrained BERT, heads included, by name.

    >>> len(bert_shapes(CONFIG | {"num_hidden_layers": 12}))
    206
    """
    from tfckpt.families.bert.garden import ENCODER_PART, MASKED_LM, NEXT_SENTENCE, SIZES
    from tfckpt.families.language import axes

    letters = {letter: config[field] for letter, field in SIZES.items() if field in config}
    letters |= {"d": config["hidden_size"] // config["num_attention_heads"], "c": 2}  # c: is next, is not
    layers = range(config["num_hidden_layers"])
    parts = (ENCODER_PART, MASKED_LM, NEXT_SENTENCE)
    rows = [(v.name, v.axes) for part in parts for v in part.variables(lambda *prefixes: layers)]
    return {name: axes.source_shape(pattern, letters) for name, pattern in sorted(rows)}


def make_bert() -> dict[str, npt.NDArray[np.generic]]:
    """Return the variables of a small BERT after its first training step: random weights, heads, Adam slots."""
    import numpy as np

    rng = np.random.default_rng(seed=0)
    tensors: dict[str, npt.NDArray[np.generic]] = {"global_step": np.array(1, np.int64)}
    for name, shape in bert_shapes(CONFIG).items():
        mean = 1.0 if name.endswith("/gamma") else 0.0  # a norm that scales by nothing would let nothing through
        tensors[name] = rng.normal(mean, scale=0.02, size=shape).astype(np.float32)
        tensors[f"{name}/adam_m"] = np.zeros(shape, np.float32)
        tensors[f"{name}/adam_v"] = np.zeros(shape, np.float32)
    return {name: tensors[name] for name in sorted(tensors)}  # the order that tf.train.Saver writes
