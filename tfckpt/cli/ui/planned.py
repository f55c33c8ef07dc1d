"""What commands print of a plan: what becomes of every tensor, the sums, how its model is built and loaded."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfckpt.base.options import TF1_NAME
from tfckpt.cli.ui.folding import Row, fold
from tfckpt.cli.ui.output import (
    ALL,
    GOOD,
    NOTE,
    by_role,
    is_terminal,
    print_json,
    print_notes,
    print_rows,
    printable,
    say,
    shortened,
    sized,
    terminal_width,
)
from tfckpt.cli.ui.tables import fits
from tfckpt.errors import count_of

if TYPE_CHECKING:
    from tfckpt.families.language.axes import Size
    from tfckpt.families.language.facts import Fact
    from tfckpt.planning.plan import Argument, Constructor, Plan, Written
    from tfckpt.planning.steps import Fill, Step

IMPORT = "import tensorflow as tf"
LONGEST = 80  # characters of a line of Python
STYLES = {"count": "yellow", "shape": "cyan"}
LISTED = "optimizer/_variables/"  # in a key of an optimizer that lists what it keeps
RATE = "learning_rate"  # in the key of a constant one
OPTIMIZER = "optimizer/"  # in a key of what an optimizer keeps
MODULE_OF_2019 = "official.nlp"
INSTALL = "pip install tf-models-official, and TF_USE_LEGACY_KERAS=1 in the environment"
CHECKOUT = "the release of 2019, whose official/ is no package to install"


def print_plan(plan: Plan, *, everything: bool = False, loaded: bool = False) -> None:
    """Print what becomes of the tensors, then the sums, then what else to know.

    Args:
        plan: what to print.
        everything: a row for each tensor, which a pipe gets in any case.
        loaded: whether the lines that build the model come later, with those that load it.
    """
    if everything or not is_terminal():
        rows = [(step.source, _change(step), step.target) for step in plan.steps]
        rows += [(item.source, "dropped", item.rule) for item in plan.dropped]
        print_rows(("source", "shape", "target"), rows, styles=STYLES)
    else:
        _print_folded(plan)
    say(_sum(plan))
    for rule, items in plan.dropped_by_rule().items():
        roles = by_role(item.role for item in items if item.role not in ("", rule))
        say(f"dropped: {len(items)} ({printable(rule)})" + (f": {roles}" if roles else ""))
    for line in _known_lines({**plan.sizes, **plan.facts}):
        say(line)
    print_notes(plan.issues)
    if plan.constructors and not loaded:
        print("", "build the model with:", "", *build_lines(plan.constructors), sep="\n")


def _sum(plan: Plan) -> str:
    """Return how much there is to write, and how much of it changes."""
    counts = [count_of(plan.steps, "variable"), sized(plan.nbytes)]
    if transposed := sum(step.is_transposed for step in plan.steps):
        counts.append(f"{transposed} transposed")
    if cast := sum(step.cast is not None for step in plan.steps):
        counts.append(f"{cast} cast")
    target = f" to {plan.to}" if plan.to else ""
    return f"{printable(plan.source)}{target}: {', '.join(counts)}"


def _known_lines(known: Mapping[str, Size | Fact]) -> Iterator[str]:
    """Yield what is known of the model: on a terminal a line for each that says so, else one for each size and fact."""
    if not is_terminal():
        for name, stated in known.items():
            yield f"{name}: {printable(str(stated.value))} ({printable(stated.origin)})"
        return
    by_origin: dict[str, list[str]] = {}
    for name, stated in known.items():
        by_origin.setdefault(stated.origin, []).append(f"{name} {printable(str(stated.value))}")
    for origin, told in by_origin.items():
        yield f"{printable(shortened(origin))}: {', '.join(told)}"


def _print_folded(plan: Plan) -> None:
    """Print the tensors to write as rows that fit a screen; targets too, where they fit or are what an edit changes."""
    both = [
        Row((shortened(step.source or step.target), shortened(step.target)), (_brief(step),)) for step in plan.steps
    ]
    columns, rows = ["source", "count", "shape", "target"], _cells(fold(both))
    are_renamed = any(source != target for (source, target), *_ in both)
    if not are_renamed or (plan.to and not fits(columns, rows, terminal_width())):
        del columns[-1]
        rows = _cells(fold(_by_source(both)))
    if rows:
        print_rows(columns, rows, styles=STYLES, numbers=("count",))
    if len(rows) < len(plan.steps) + len(plan.dropped):
        what = "variable and its target" if are_renamed and "target" not in columns else "variable"
        print(f"{ALL} lists every {what}.\n")


def _by_source(rows: Iterable[Row]) -> list[Row]:
    """Return rows without their targets: one for each source, which says how many targets it has if it has several."""
    counts = Counter((row.names[0], row.cells) for row in rows)
    more = {key: f", {count} targets" if count > 1 else "" for key, count in counts.items()}
    return [Row((name,), (f"{cells[0]}{more[name, cells]}",)) for name, cells in counts]


def _brief(step: Step) -> str:
    """Return what becomes of a shape; of what is filled, what it gets."""
    return f"{list(step.shape)} filled" if step.fill is not None else _change(step)


def _cells(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """Return the cells of a table: the name, how many there are, the rest, the second name."""
    return [(row.names[0], row.times, *row.cells, *row.names[1:]) for row in rows]


def build_lines(constructors: Sequence[Constructor]) -> list[str]:
    """Return the Python that builds a model, a comment behind each argument that says where it comes from."""
    names: dict[str, set[str]] = {}
    lines: list[str] = []
    for constructor in constructors:
        names.setdefault(constructor.module, set()).add(constructor.function.partition(".")[0])
        arguments = [line for argument in constructor.arguments for line in _argument_lines(argument)]
        lines += [f"{constructor.name} = {constructor.function}(", *arguments, ")"]
    if any("tf_utils." in line for line in lines):
        names["official.modeling"] = {"tf_utils"}
    imports = [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]
    return [IMPORT, *imports, "", *lines]


def load_lines(plan: Plan, dest: str) -> list[str]:
    """Return what to do with a converted checkpoint: a line in words, and the Python that loads it."""
    if plan.constructors:
        return _load_objects(plan, dest)
    if plan.to != TF1_NAME:
        return ["To read its variables by name:", "", IMPORT, "", f"reader = tf.train.load_checkpoint({dest!r})"]
    what = "To load it into a model with these names in TensorFlow 1, as google-research's --init_checkpoint does:"
    return [what, "", IMPORT, "", f"tf.compat.v1.train.init_from_checkpoint({dest!r}, {{'/': '/'}})"]


def _optimizer_lines(plan: Plan, model: str) -> list[str]:
    """Return the Python that makes the optimizer whose state goes along, if one does; no checkpoint has its schedule."""
    if not any(OPTIMIZER in step.target for step in plan.steps):
        return []
    if _is_listed(plan):
        rate = "the rate" if any(RATE in step.target for step in plan.steps) else "a schedule"
        made = f"optimizer = tf_keras.optimizers.AdamW(learning_rate=...)  # {rate} that you train with"
        return ["", "import tf_keras", "", made, f"optimizer.build({model}.trainable_variables)"]
    arguments = ["    init_lr=...,  # what you train with", "    num_train_steps=...,", "    num_warmup_steps=...,"]
    made = "optimizer = optimization.create_optimizer("
    return ["", "from official.nlp import optimization", "", made, *arguments, ")"]


def _is_listed(plan: Plan) -> bool:
    """Whether the optimizer is one that lists its state by position, and so has to be built before it is restored."""
    return any(LISTED in step.target for step in plan.steps)


def print_loading(lines: Sequence[str]) -> None:
    """Print what to do with a checkpoint, in words and in code."""
    words, *code = lines
    print()
    say(words)
    print(*code, sep="\n")


def _load_objects(plan: Plan, dest: str) -> list[str]:
    *_, last = plan.constructors
    name = last.name.partition(",")[0]
    where, root = (CHECKOUT, plan.model) if last.module == MODULE_OF_2019 else (INSTALL, "model")
    optimizer = _optimizer_lines(plan, name)
    objects = f"{root}={name}" + (", optimizer=optimizer" if optimizer else "")
    status = "status.assert_consumed().assert_existing_objects_matched()"
    if optimizer and not _is_listed(plan):
        status = "status.assert_existing_objects_matched()  # slots come with the first step"
    return [
        f"To load it in TensorFlow 2 with Model Garden ({where}):",
        "",
        *build_lines(plan.constructors),
        *last.first_call.splitlines(),
        *optimizer,
        f"status = tf.train.Checkpoint({objects}).read({dest!r})",
        status,
    ]


def _argument_lines(argument: Argument) -> list[str]:
    """Return an argument with its comment, which stands above it where both are too long for a narrow terminal."""
    comment = f"{argument.field} ({argument.origin})" if argument.field else argument.origin
    code = f"    {argument.name}={argument.code},"
    if not comment:
        return [code]
    line = f"{code}  # {printable(comment)}"
    return [line] if len(line) <= LONGEST else [f"    # {printable(comment)}", code]


def report_written(
    plan: Plan, args: argparse.Namespace, *, written: bool = True, where: str | None = None, **more: Any
) -> int:
    """Print what became of every tensor, and where, unless nothing was written; ``more`` is for the JSON. Return 0.

    ``where`` is what a text calls the destination, if not as the command line does.
    """
    if args.json:
        print_json(plan.to_json() | {"destination": args.dest if written else None} | more)
    else:
        print_plan(plan, everything=args.all)
        if written:
            say(f"written: {printable(where or args.dest)}", GOOD)
        else:
            say("dry run: nothing was written", NOTE)
    return 0


def print_written(dest: str, written: Written | None) -> None:
    """Print where a conversion went and, if it shares files, how, with what goes along unnamed."""
    assert written is not None
    print_notes(written.issues)
    how = "" if written.mode == "copy" else f" ({written.mode}: the data files are SOURCE's)"
    say(f"written: {printable(dest)}{how}", GOOD)
    if written.carried_nbytes:
        say(f"carried: {written.carried_nbytes:,} bytes of SOURCE's data files that no tensor of it names")


def what_holds(steps: Sequence[Step], source: str) -> str:
    """Return what a proof of these steps says: how many tensors hold the source's values, and how many were filled."""
    fills = [step.fill for step in steps if step.fill is not None]
    if not fills:
        return f"all {count_of(steps, 'tensor')} match {printable(source)}"
    kept = len(steps) - len(fills)
    holds = f"{kept} tensor holds" if kept == 1 else f"{kept} tensors hold"
    filled = "1 was filled" if len(fills) == 1 else f"{len(fills)} were filled"
    return f"{holds} the source's values, {filled} ({kinds_of(fills)})"


def kinds_of(fills: Iterable[Fill]) -> str:
    """Return each kind of values once, with the first and the last seed that it has.

    >>> from tfckpt.types import Fill
    >>> kinds_of([Fill(0.0, 0.02, 7), Fill(0.0), Fill(0.0, 0.02, 9), Fill(1.0)])
    'normal, deviation 0.02, seeds 7 to 9; zeros; ones'
    """
    kinds: dict[Fill, list[Fill]] = {}
    for fill in fills:
        kinds.setdefault(fill._replace(seed=None), []).append(fill)
    return "; ".join(_kind(sorted(kind)) for kind in kinds.values())


def _kind(fills: Sequence[Fill]) -> str:
    """Return what fills that differ only in their seeds are, from the first seed to the last."""
    first, last = fills[0], fills[-1]
    return str(first) if first == last else f"{str(first).replace('seed', 'seeds')} to {last.seed}"


def _change(step: Step) -> str:
    """Return the shape, and what becomes of it or of the dtype."""
    from tfckpt.bundle.values.dtypes import dtype_name

    text = str(list(step.source_shape))
    if step.shape != step.source_shape:
        text += f" -> {list(step.shape)}"
    if step.same_as is not None:
        text += " same bytes"
    if step.cast is not None:
        text += f" {dtype_name(step.data_type)} -> {dtype_name(step.cast)}"
    return text
