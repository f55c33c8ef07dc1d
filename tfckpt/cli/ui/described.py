"""What the command info prints: a line for each fact about a file, so that all of them fit one screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfckpt.base.options import every_option, for_shell
from tfckpt.cli.ui.output import is_terminal, print_facts, sized, some
from tfckpt.cli.ui.terminal import human
from tfckpt.errors import count_of, redacted

if TYPE_CHECKING:
    from tfckpt.about.info import Info
    from tfckpt.about.state import State
    from tfckpt.about.targets import Target
    from tfckpt.families.language.axes import Size

FORMATS = {
    "v2": "TensorBundle, V2",
    "v1": "SavedTensorSlices, V1",
    "npz": ".npz",
    "npy": "a directory of .npy files",
}
MOST_DTYPES, MOST_STEPS, MOST_SLOTS, MOST_CANDIDATES = 6, 3, 6, 12  # that are shown; JSON has all
LONGEST_NAME = 60  # characters of a name that is shown; a crafted one may have millions


def print_info(info: Info) -> None:
    """Print what a file is."""
    print_facts([(label, redacted(text)) for label, text in _lines(info)])


def _lines(info: Info) -> Iterator[tuple[str, str]]:
    """Yield a label and a fact for each line."""
    if info.candidates:
        yield from _folder_lines(info)
        return
    yield "file", info.path
    yield "format", _format(info)
    yield (
        "holds",
        f"{count_of(info.tensors, 'tensor')}, {sized(info.nbytes)} in {count_of(info.data_files, 'file')}",
    )
    for writer in info.writers:
        yield "looks like", f"{writer.what} ({_cut(writer.shown_by)})"
    yield from _model_lines(info)
    summary = info.summary
    dtypes = [f"{name} ({count_of(count, 'tensor')})" for name, count in summary.dtypes.items()]
    steps = [f"{_cut(name)} {'unreadable' if value is None else f'{value:,}'}" for name, value in summary.steps.items()]
    yield "parameters", f"{summary.parameters:,}"
    yield "dtypes", some(dtypes, MOST_DTYPES) or "none"
    yield "steps", some(steps, MOST_STEPS) or "none"
    yield "optimizer", _state(info.optimizer)
    yield "averages", _state(info.averages)
    yield from _target_lines(info.targets)
    if info.obstacles:
        first, more = info.obstacles[0]._replace(origin="").text(for_shell), info.num_obstacles - 1
        yield "no encoder", first + (f"; and {more:,} more" if more else "")


def _folder_lines(info: Info) -> Iterator[tuple[str, str]]:
    yield "folder", info.path
    yield "holds", f"{len(info.candidates):,} of which nothing says which one is meant"
    for name in info.candidates[:MOST_CANDIDATES]:
        yield "candidate", name
    if len(info.candidates) > MOST_CANDIDATES:
        yield "candidate", f"and {len(info.candidates) - MOST_CANDIDATES:,} more; --json has them all"


def _format(info: Info) -> str:
    """Return the kind of file, and of a checkpoint how TensorFlow finds its variables."""
    kind = FORMATS.get(info.format, info.format)
    if info.format not in ("v1", "v2"):
        return kind
    version = "" if info.version is None else f"; version {info.version} in its header"
    return f"{kind}, {'object-based' if info.object_based else 'name-based'}{version}"


def _model_lines(info: Info) -> Iterator[tuple[str, str]]:
    """Yield what model it is, and its sizes that matter; of an unknown model, those that its own names and shapes tell."""
    from tfckpt.about.summary import IN_NAMES, IN_SHAPES

    summary = info.summary
    if summary.family is None:
        from tfckpt.families.catalog import CATALOG

        yield "family", f"unknown: none of {', '.join(family.name for family in CATALOG.families)}"
    else:
        at = f", at {_cut(info.model)}" if info.model else ""
        yield "family", summary.family + (f" (layout {info.layout!r}{at})" if info.layout else "")
    if summary.family or (summary.layers and summary.layers.origin == IN_NAMES):
        yield "layers", _size(summary.layers, "nothing tells")
    if summary.family or (summary.heads and summary.heads.origin == IN_SHAPES):
        yield "heads", _size(summary.heads, info.why_no_heads)


def _size(size: Size | None, why: str) -> str:
    return f"unknown: {why}" if size is None else f"{size.value:,} (from {size.origin})"


def _state(state: State | None) -> str:
    if state is None:
        return "none"
    slots = some([_cut(slot) for slot in state.slots], MOST_SLOTS)
    of = f" for {count_of(state.variables, 'variable')}" if state.variables else ""
    return (
        f"{slots}{of}: " * bool(slots)
        + f"{count_of(state.tensors, 'tensor')}, {human(state.nbytes) if is_terminal() else sized(state.nbytes)}"
    )


def _target_lines(targets: Sequence[Target]) -> Iterator[tuple[str, str]]:
    """Yield what it can become: as it stands, then with each option that it needs."""
    groups: dict[str, list[str]] = {}
    for target in targets:
        groups.setdefault(_flags(target.needs), []).append(target.name)
    for flags, names in groups.items():
        yield "can become", f"{', '.join(names)}" + (f", with {flags}" if flags else "")
    if not groups:
        yield "can become", "none of the targets"


def _flags(needs: Mapping[str, Any]) -> str:
    options = every_option()
    return " ".join(f"{options[name].flag} {options[name].metavar if v is None else v}" for name, v in needs.items())


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."
