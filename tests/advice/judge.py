"""How it ends for a dialect to type what is said to be next: right, refused in words, lost, or at a dead end.

Right is a destination that holds every value of the dialect's which the target takes, at the places where the real
checkpoint's conversion has it, bit for bit; all else must be dropped by a rule of the target that the report names.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from advice import follow
from advice.dialects import DEST, SOURCE, Dialect
from advice.draft import DEAD_END, EITHER, LOST, REFUSED, RIGHT
from advice.follow import Chain
from advice.sources import FILL, GRAPH, MADE_UP, Stored, Undamaged, asked, matches, read, undamaged
from tfckpt.base.options import AUTO

MENDED = f"{SOURCE}.mended"
EXCLUDED = "excluded by"  # begins the rule of what the command line leaves out
NETWORKS = ("bert/", "electra/", "generator/")  # what begins so is of the model
# Rules for what training keeps beside a model.
BESIDE = ("optimizer state", "moving average", "training step", "training state", "metric", "random state", "copy")


class Outcome(NamedTuple):
    """How it ended, and why if that is not right."""

    end: str
    why: str = ""


def is_expected(dialect: Dialect, outcome: Outcome) -> bool:
    """Return whether a dialect ended as it must."""
    return outcome.end in ((RIGHT, REFUSED) if dialect.end == EITHER else (dialect.end,))


def try_dialect(dialect: Dialect) -> tuple[Chain, Outcome]:
    """Write a dialect below the current directory, which is empty, and follow what is said; return what came of it."""
    dialect.write()
    before = _files()
    chain = follow.follow([*dialect.argv, "--json", "--no-sync"])
    return chain, judge(dialect, chain, left=_files() - before)


def mend(dialect: Dialect) -> Outcome:
    """Write a dialect below the current directory, undo its names by `tfckpt rewrite`, and convert what is written.

    The outcome is what the dialect's generator says is possible, whatever is said to be next.
    """
    dialect.write()
    argv, first = dialect.argv, list[follow.Said]()
    if dialect.back:
        renames = [word for pattern, replacement in dialect.back for word in ("--rename", f"{pattern}={replacement}")]
        argv = [MENDED if word == SOURCE else word for word in argv]
        first.append(follow.type_in(shlex.join(["tfckpt", "rewrite", SOURCE, MENDED, *renames])))
    chain = follow.follow(argv)
    return judge(dialect, chain._replace(said=(*first, *chain.said)), left=set())


def _files() -> set[str]:
    return {os.path.join(directory, name) for directory, _, names in os.walk(os.curdir) for name in names}


def judge(dialect: Dialect, chain: Chain, *, left: set[str]) -> Outcome:
    """Return how it ended; ``left`` are the files that are new."""
    if chain.end == follow.DEAD_END:
        return Outcome(DEAD_END, chain.why)
    if chain.end in (follow.REFUSED, follow.SHOWN):
        if left:
            return Outcome(DEAD_END, f"refused, and {', '.join(sorted(left))} written")
        return Outcome(REFUSED) if _in_words(chain) else Outcome(DEAD_END, "refused without a word")
    reports = [said.report for said in chain.said if said.report is not None]
    if not reports or not reports[-1]["to"]:
        return Outcome(DEAD_END, "what was asked for is not there")
    losses = list(_losses(dialect, reports))
    return Outcome(LOST, "; ".join([*losses[:3], *(["..."] if losses[3:] else [])])) if losses else Outcome(RIGHT)


def _in_words(chain: Chain) -> bool:
    """Whether the refusal has a line that says why."""
    refusal = next(said for said in chain.said if not said.is_answer)
    return any(follow.NEXT.fullmatch(line) is None and len(line.split()) > 4 for line in refusal.lines)


def _losses(dialect: Dialect, reports: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what was lost, a line for each."""
    last, final = reports[-1], undamaged(dialect.folder, reports[-1]["to"])
    assert final is not None, last["to"]
    dest = read(DEST)
    names: dict[str, str | None] = {name: name for name in dialect.variables}
    for report in reports[:-1]:
        moved = {step["source"]: step["target"] for step in report["steps"]}
        names = {name: None if now is None else moved.get(now) for name, now in names.items()}
    dropped = {item["source"]: item["rule"] for item in last["dropped"]}
    taken = {step["source"] for step in last["steps"]}
    for name, now in names.items():
        hub = dialect.variables[name]
        if hub is not None and hub in final.keys:
            yield from _elsewhere(name, hub, dest, final)
        elif now is None:
            yield f"{name} was left out on the way"
        elif now in dropped:
            yield from _dropped(dialect, name, hub, dropped[now])
        elif now not in taken:
            yield f"{name} is not mentioned"
    yield from _strangers(dialect, last, final)
    if {*final.keys} <= {*dialect.variables.values()} and dest.get(GRAPH) != final.values.get(GRAPH):
        yield "the object graph is another model's"


def _elsewhere(name: str, hub: str, dest: Mapping[str, Stored], final: Undamaged) -> Iterator[str]:
    """Yield a place at which a variable's value should be and is not. A copy may be missing, as may what it is for."""
    there = [key for key in final.keys[hub] if key in dest]
    wrong = [key for key in there or final.keys[hub] if dest.get(key) != final.values[key]]
    if wrong:
        yield f"{name} is not at {wrong[0]}"


def _dropped(dialect: Dialect, name: str, hub: str | None, rule: str) -> Iterator[str]:
    """Yield that a variable was dropped, unless a rule of the target says so and nobody asked for it."""
    taken = asked(dialect.folder, dialect.to).keys
    if rule.startswith(EXCLUDED) and hub not in taken and not name.startswith(NETWORKS):
        return  # it stands beside what was asked for, and the report names it
    is_chosen = dialect.to == AUTO  # the report names the target that was chosen, and the heads that it does not take
    if rule.startswith(EXCLUDED) or rule in BESIDE or (not is_chosen and hub in taken):
        yield f"{name} was dropped: {rule}"


def _strangers(dialect: Dialect, last: Mapping[str, Any], final: Undamaged) -> Iterator[str]:
    """Yield what stands at the places of variables that the dialect has not."""
    steps = {step["target"]: step for step in last["steps"]}
    had = {hub for hub in dialect.variables.values() if hub is not None}
    for hub in final.keys.keys() - had:
        for step in (steps[key] for key in final.keys[hub] if key in steps):
            if step["fill"] is None:
                yield f"{step['source']} is at {step['target']}, where {hub} should be"
            elif FILL[0] not in dialect.options and not matches(hub, MADE_UP):
                yield f"{hub} was made up ({step['fill']}), though it is of the body and nobody asked for it"
