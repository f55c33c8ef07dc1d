"""Models that have a family's names and are none of it: one line says what they are, in place of one for each variable.

Strategy: a sign is looked for in what the target lacks and in what it has no place for, by shapes and by where names stand.
It is believed only where nothing of that could be the family's own variable under another name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tfckpt.base.issues import Issue, export
from tfckpt.bundle.values.entry import Entry
from tfckpt.checkpoint.graph.roles import BESIDE, find_roles
from tfckpt.errors import some
from tfckpt.families.language.axes import parse
from tfckpt.families.language.facts import NUM_LAYERS
from tfckpt.families.language.layouts import ObjectRows
from tfckpt.families.language.relatives import NoTable, OneLayer, OwnNorms, SeveralTables, Sign, Widened
from tfckpt.families.language.rules import NUMBER_MARK, numbers_in, scopes_before
from tfckpt.families.language.target import lacking, placed_parts
from tfckpt.planning.fitting.withheld import network_of
from tfckpt.planning.mending.find_renames import Gap, find_gap

HIDDEN = "hidden_size"
NUMBERS = re.compile(r"_?\d+")


def find_relative(source: str, entries: Sequence[Entry], layout: ObjectRows, known: Mapping[str, int]) -> Issue | None:
    """Return what to say of a source that is a relative of the layout's family; None if nothing shows that it is.

    Args:
        source: its prefix.
        entries: what its index says.
        layout: the family's encoder.
        known: the sizes that a configuration states, by field.
    """
    family = layout.family
    roles = find_roles(entries, None) if family.relatives else {}
    model = [entry for entry in entries if roles.get(entry.name) not in BESIDE]
    scopes = scopes_before(family.anchor, (entry.name for entry in model)) if family.relatives else []
    if len(scopes) != 1:
        return None
    looked = _Look(find_gap(model, layout, scopes[0]), layout, known)
    found = [(relative, names) for relative in family.relatives if (names := looked.find(relative.sign))]
    if not found:
        return None
    says = ", and ".join(relative.says.format(found=some(names, 2)) for relative, names in found)
    return Issue("related-model", "", found[0][0].models, says, source, export(source))


class _Look:
    """Looks for signs in what stands between a source and an encoder."""

    def __init__(self, gap: Gap, layout: ObjectRows, known: Mapping[str, int]) -> None:
        self._gap, self._layout, self._known = gap, layout, known
        self._strays, self._missing = gap.strays, gap.missing
        words = gap.known.get(layout.family.anchor)
        self._width = words.shape[-1] if words is not None and words.shape else None
        self._hidden = known.get(HIDDEN) or self._usual_hidden()

    def find(self, sign: Sign) -> list[str]:
        """Return the names that show a sign, with their shapes where they are tensors; none if nothing shows it."""
        match sign:
            case OneLayer():
                return self._one_layer(sign)
            case Widened():
                return self._widened()
            case SeveralTables():
                return self._several_tables(sign)
            case NoTable():
                return self._no_table(sign)
            case OwnNorms():
                return self._own_norms(sign)

    def _usual_hidden(self) -> int | None:
        """Return the hidden size that most variables have."""
        fields = self._layout.family.sizes
        sizes: Counter[int] = Counter()
        for name, entry in self._gap.known.items():
            axes = parse(self._gap.patterns[name])[0]
            last = axes[-1] if axes else ()
            if name != self._layout.family.anchor and entry.shape and fields.get("".join(last)) == HIDDEN:
                sizes[entry.shape[-1]] += 1
        return sizes.most_common(1)[0][0] if sizes else None

    def _one_layer(self, sign: OneLayer) -> list[str]:
        names = {*self._gap.known, *self._strays}
        start, _, end = sign.layer.partition(NUMBER_MARK)
        if list(numbers_in(names)(sign.layer, "")):
            return []
        one = (
            v.name
            for placed in placed_parts(self._layout, names)
            for v in placed.part.variables(lambda *prefixes: (0,), lacking(placed.part, names))
        )
        rows = {name.removeprefix(f"{start}0{end}") for name in one if name.startswith(f"{start}0{end}")}
        held = Counter(name.removesuffix(row) for name in self._strays for row in rows if name.endswith(f"/{row}"))
        scopes = [scope for scope, count in held.items() if 2 * count > len(rows)]
        if len(scopes) != 1 or (re.search(r"\d/$", scopes[0]) and self._known.get(NUM_LAYERS, 1) == 1):
            return []  # no layer at all, several under another name, or a model of one
        return [f"{self._gap.scope}{scopes[0]}".rstrip("/")]

    def _widened(self) -> list[str]:
        if self._width is None or self._hidden is None or self._width == self._hidden:
            return []
        return self._shown(name for name, entry in self._strays.items() if entry.shape == (self._width, self._hidden))

    def _several_tables(self, sign: SeveralTables) -> list[str]:
        scope = sign.table.rpartition("/")[0] + "/"
        tables = self._tables(scope)
        if sign.table in self._missing:
            others = [n for n in self._missing if n != sign.table and n.startswith(scope) and self._is_table(n)]
            return self._shown(tables) if len(tables) - len(others) > 1 else []
        numbered = [name for name in tables if NUMBERS.fullmatch(name.removeprefix(sign.table))]
        return self._shown([sign.table, *numbered] if numbered else [])

    def _no_table(self, sign: NoTable) -> list[str]:
        network = network_of(self._layout, {*self._gap.known, *self._missing})
        gone = {name for name in self._missing if name in network}
        encoder = sign.layer.partition(NUMBER_MARK)[0].rpartition("/")[0] + "/"
        tables = self._tables(sign.table.partition("/")[0] + "/")
        is_there = any(not name.startswith(encoder) for name in tables)  # under another name
        if gone != {sign.table} or is_there or not list(numbers_in(self._gap.known)(sign.layer, "")):
            return []
        return [f"{self._gap.scope}{sign.table}"]

    def _own_norms(self, sign: OwnNorms) -> list[str]:
        within = {name: entry for name, entry in self._strays.items() if name.startswith(sign.within)}
        norms: dict[str, int] = {}
        for name in within:
            scope = name.rpartition("/")[0]
            norms[scope] = norms.get(scope, 0) + 1
        are_vectors = all(entry.shape == (self._hidden,) for entry in within.values())
        repeat = min(Counter(NUMBERS.sub("", scope) for scope in norms).values(), default=0) > 1
        missing = [norm for norm in sign.norms if any(name.startswith(norm) for name in self._missing)]
        if not (are_vectors and repeat) or {*norms.values()} != {2} or len(norms) - len(missing) < 2:
            return []
        return [f"{self._gap.scope}{scope}" for scope in sorted(norms)]

    def _tables(self, scope: str) -> list[str]:
        """Return the strays below a scope that have a row for each of something, as wide as a word's."""
        return [
            name
            for name, entry in self._strays.items()
            if name.startswith(scope) and len(entry.shape) == 2 and entry.shape[1] == self._width
        ]

    def _is_table(self, name: str) -> bool:
        return len(parse(self._gap.patterns[name])[0]) == 2

    def _shown(self, names: Iterable[str]) -> list[str]:
        """Return tensors as they are called in the source, with their shapes."""
        all_of_them = {**self._gap.known, **self._strays}
        return [f"{all_of_them[name].name} {list(all_of_them[name].shape)}" for name in names]
