"""Families and layouts that a user writes: the same tables as those of this room, in TOML.

    [family]            name, anchor, config_files, look_alikes
    [family.sizes]      letter = "field of the configuration"
    [config]            key of the configuration file = "field", where the file calls it otherwise
    [defaults]          field = size, where no configuration and no shape tells it
    [order]             paths, block; and [order.parts] target = [paths of its parts]
    [[heads]]           rule, patterns

    [layout]            name, about, model, edges, roots, placeholders
    [parts.NAME]        rows, order, aliases, optional
    [[parts.NAME.each]] source, path, field, rows, aliases; and [[parts.NAME.each.each]] the same
    [[placement]]       part, path, only_with
    [[drops]]           rule, patterns

    [names]             name, about, rows
    [[names.each]]      source, path, field, rows; and [[names.each.each]] the same

The first group is a family, the second an object-based layout of it, the third one by names. One file holds a family and an
object-based layout; a folder has the family in one file, and each layout in one of its own. `tfckpt.families.language.rules`
says what the tables mean. Everything that is wrong is gathered, each with its table and row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfckpt.errors import LayoutError
from tfckpt.families.language.axes import problems
from tfckpt.families.language.family import Drop, Family, Order
from tfckpt.families.language.layouts import NameRows, ObjectRows, Placed
from tfckpt.families.language.rules import (
    CHOICES,
    FUSED,
    JOINED,
    NUMBER_MARK,
    PADDED_MARK,
    Alias,
    Each,
    Part,
    Row,
    Variable,
    joined_axes,
)

PATH_PART = r"(?:[^./]|\.\.|\.S)+"  # an edge's name in key form: its dots doubled, its slashes written .S
PATH = re.compile(rf"{PATH_PART}(?:/{PATH_PART})*")
MARK = re.compile(r"\{[^{}]*\}?|\}")
MAX_DEPTH = 8  # of tables `each`; MobileBERT needs two
MAX_EDGES = 64  # of one path
MAX_OPTIONAL = 8  # the way back tries every choice of them


@dataclass(slots=True)
class _Table:
    """One table of the document: its values are taken out one by one, what nobody took is unknown."""

    place: str
    values: dict[str, Any]
    lines: list[str]

    def complain(self, line: str, place: str = "") -> None:
        self.lines.append(f"{place or self.place}: {line}")

    def take(self, key: str, kind: type, *, required: bool = False) -> Any:
        """Return a value of that kind; an empty one if it is absent or of another."""
        value = self.values.pop(key, None)
        if value is None and required:
            self.complain(f"{key}: missing")
        elif value is not None and type(value) is not kind:
            self.complain(f"{key}: expected {_KINDS[kind]}, got {_kind(value)}")
        return value if type(value) is kind else kind()

    def text(self, key: str, *, required: bool = False) -> str:
        value: str = self.take(key, str, required=required)
        if required and value == "" and not any(line.startswith(f"{self.place}: {key}:") for line in self.lines):
            self.complain(f"{key}: expected a text, got an empty one")
        return value

    def lists(self, key: str, length: int, what: str) -> list[tuple[int, tuple[str, ...]]]:
        """Return a list of lists of so many texts, each with its number, counted from 1."""
        found = []
        for number, item in enumerate(self.take(key, list), 1):
            if type(item) is list and len(item) == length and all(type(text) is str for text in item):
                found.append((number, tuple(item)))
            else:
                self.complain(f"{key}: row {number}: expected {what}, got {item!r:.80}")
        return found

    def texts(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        items = self.take(key, list, required=required)
        for number, item in enumerate(items, 1):
            if type(item) is not str:
                self.complain(f"{key}: item {number}: expected a string, got {_kind(item)}")
        return tuple(item for item in items if type(item) is str)

    def table(self, key: str, *, required: bool = False) -> _Table:
        place = f"[{self.place.strip('[]')}.{key}]" if self.place else f"[{key}]"
        value = self.values.pop(key, None)
        if value is None and required:
            self.lines.append(f"{place}: missing")
        elif value is not None and type(value) is not dict:
            self.lines.append(f"{place}: expected a table, got {_kind(value)}")
        return _Table(place, dict(value) if type(value) is dict else {}, self.lines)

    def tables(self, key: str) -> Iterator[_Table]:
        place = f"[[{self.place.strip('[]').partition(']]')[0]}.{key}]]" if self.place else f"[[{key}]]"
        for number, item in enumerate(self.take(key, list), 1):
            if type(item) is dict:
                yield _Table(f"{place} {number}", dict(item), self.lines)
            else:
                self.lines.append(f"{place} {number}: expected a table, got {_kind(item)}")

    def strings(self) -> dict[str, str]:
        """Return all values of a table that has names for keys and texts for values."""
        for key, value in self.values.items():
            if type(value) is not str or not value:
                self.complain(f"{key}: expected a text, got {value!r:.80}")
        found = {key: value for key, value in self.values.items() if type(value) is str and value}
        self.values = {}
        return found

    def done(self) -> None:
        for key in self.values:
            self.complain(f"{key}: unknown")


_KINDS: Mapping[type, str] = {str: "a string", list: "an array", dict: "a table"}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), type(value).__name__)


@dataclass(slots=True)
class _Found:
    """The variables of one part with numbers still open, each with the place of its row; and whether paths lead to them."""

    variables: list[tuple[str, Variable]] = field(default_factory=list)
    are_paths: bool = True


def build_layout(document: Mapping[str, Any], origin: str) -> ObjectRows:
    """Return the object-based layout that a parsed TOML document describes, with its family.

    Args:
        document: tables as the module says.
        origin: the file's name, for messages.
    Raises: LayoutError, with everything that is wrong.
    """
    top = _Table("", dict(document), [])
    family = _family(top)
    layout = _objects(top, family)
    _end(top, origin, "family, config, layout, parts, placement, drops")
    fields = {each.field for placed in layout.parts for each in placed.part.each if each.field}
    assert family.config is not None
    return layout._replace(family=family._replace(config={name: name for name in sorted(fields)} | {**family.config}))


def build_family(document: Mapping[str, Any], origin: str) -> Family:
    """Return the family that a parsed TOML document describes; arguments and errors as `build_layout` has them."""
    top = _Table("", dict(document), [])
    family = _family(top)
    _end(top, origin, "family, config, defaults, order, heads")
    return family


def build_layout_of(family: Family, document: Mapping[str, Any], origin: str) -> ObjectRows | NameRows:
    """Return the layout of a family that a parsed TOML document describes; other arguments and errors as `build_layout`."""
    top = _Table("", dict(document), [])
    layout = _names(top, family) if "names" in document else _objects(top, family)
    _end(top, origin, "names; or layout, parts, placement, drops")
    return layout


def _end(top: _Table, origin: str, known: str) -> None:
    """Complain about tables that nobody took, and raise all complaints."""
    for key in top.values:
        top.lines.append(f"{key}: unknown; there are {known}")
    if top.lines:
        raise LayoutError([f"{origin}: {line}" for line in dict.fromkeys(top.lines)])


def _names(top: _Table, family: Family) -> NameRows:
    table = top.table("names", required=True)
    found = _Found(are_paths=False)
    rows = _rows(table, family.sizes, ("", ""), found)
    each = tuple(_each(item, family.sizes, ("", ""), found, 1) for item in _closing(table, "each"))
    layout = NameRows(table.text("name", required=True), table.text("about"), family, Part(rows, each))
    if not any(family.anchor in variable.names for _, variable in found.variables):
        table.complain(f"rows: no row has the name {family.anchor!r}, the family's anchor")
    _check_twice(top, [(place, "name", variable.path) for place, variable in found.variables])
    _check_joined(top, [(place, variable) for place, variable in found.variables])
    table.done()
    return layout


def _check_joined(top: _Table, rows: Sequence[tuple[str, Variable]]) -> None:
    """Complain about hub names that a row joins with others and that stand in a row beside it, or twice in one."""
    named = Counter(name for _, variable in rows for name in variable.names)
    for place, variable in rows:
        for name in dict.fromkeys(variable.names if variable.more else ()):
            if named[name] > 1:
                top.lines.append(f"{place}: hub name {name!r}: in a row that joins several, and once more")


def _objects(top: _Table, family: Family) -> ObjectRows:
    table = top.table("layout", required=True)
    found: dict[str, _Found] = {}
    parts = _parts(top, family.sizes, found)
    placement = [_placed(item, parts) for item in top.tables("placement")]
    if not placement and len(parts) == 1:
        placement = [Placed(part) for part in parts.values()]
    layout = ObjectRows(
        table.text("name", required=True),
        family,
        table.text("about"),
        table.text("model", required=True),
        tuple(placement),
        _rules(top, "drops"),
        _aliases(table, "edges"),
        table.texts("roots"),
        table.texts("placeholders"),
    )
    _check_paths(table, (layout.model, *filter(None, layout.roots), *layout.placeholders))
    table.done()
    _check_whole(top, layout, parts, found)
    return layout


def _closing(top: _Table, key: str) -> Iterator[_Table]:
    """Yield tables, and say after each what it had that nobody took."""
    for table in top.tables(key):
        yield table
        table.done()


def _family(top: _Table) -> Family:
    table = top.table("family", required=True)
    sizes = table.table("sizes")
    letters = sizes.strings()
    for letter in letters:
        if not re.fullmatch("[A-Za-z][A-Za-z0-9]*", letter):
            sizes.complain(f"{letter}: expected a letter as axes patterns have them")
    family = Family(
        table.text("name", required=True),
        table.text("anchor", required=True),
        letters,
        heads=_rules(top, "heads"),
        defaults=_defaults(top.table("defaults")),
        config_files=table.texts("config_files"),
        config={name: name for name in letters.values()} | top.table("config").strings(),
        look_alikes=tuple(tuple(names) for names in table.take("look_alikes", list) if isinstance(names, list)),
        order=_order(top.table("order")),
    )
    table.done()
    return family


def _rules(top: _Table, key: str) -> tuple[Drop, ...]:
    return tuple(Drop(t.text("rule", required=True), t.texts("patterns", required=True)) for t in _closing(top, key))


def _defaults(table: _Table) -> tuple[tuple[str, int, str], ...]:
    for name, size in table.values.items():
        if type(size) is not int or size < 1:
            table.complain(f"{name}: expected a positive integer, got {size!r:.80}")
    return tuple((name, size, "the family's default") for name, size in table.values.items())


def _order(table: _Table) -> Order | None:
    if not table.values:
        return None
    parts = table.table("parts", required=True)
    order = Order(
        {target: parts.texts(target) for target in list(parts.values)}, table.texts("paths"), table.texts("block")
    )
    table.done()
    return order


def _parts(top: _Table, sizes: Mapping[str, str], found: dict[str, _Found]) -> dict[str, Part]:
    tables = top.table("parts", required=True)
    parts = {}
    for name in list(tables.values):
        table = tables.table(name)
        found[name] = _Found()
        rows = _rows(table, sizes, ("", ""), found[name])
        each = tuple(_each(item, sizes, ("", ""), found[name], 1) for item in _closing(table, "each"))
        part = Part(rows, each, table.texts("order"), _aliases(table, "aliases"), table.texts("optional"))
        if len(part.optional) > MAX_OPTIONAL:
            table.complain(f"optional: expected at most {MAX_OPTIONAL}, got {len(part.optional)}")
        for prefix in part.optional:
            if not any(variable.name.startswith(prefix) for _, variable in found[name].variables):
                table.complain(f"optional: no row's name begins with {prefix!r}")
        if not found[name].variables:
            table.complain("rows: expected at least one")
        table.done()
        parts[name] = part
    return parts


def _each(table: _Table, sizes: Mapping[str, str], above: tuple[str, str], found: _Found, depth: int) -> Each:
    source, path = table.text("source", required=True), table.text("path", required=True)
    for key, text in (("source", source), ("path", path)):
        if text and not (PADDED_MARK.search(text) and len(MARK.findall(text)) == 1):
            table.complain(f"{key}: expected {NUMBER_MARK} once in {text!r}, and no other mark")
    if found.are_paths and path and not (path.endswith("/") and PATH.fullmatch(path[:-1])):
        table.complain(f"path: expected one in key form that ends in a slash, got {path!r}")
    inner = above[0] + source, above[1] + path
    each: tuple[Each, ...] = ()
    if depth < MAX_DEPTH:
        each = tuple(_each(item, sizes, inner, found, depth + 1) for item in _closing(table, "each"))
    elif table.take("each", list):
        table.complain(f"each: more than {MAX_DEPTH} deep")
    rows = _rows(table, sizes, inner, found)
    return Each(source, path, rows, each, _aliases(table, "aliases"), table.text("field"))


def _rows(table: _Table, sizes: Mapping[str, str], above: tuple[str, str], found: _Found) -> tuple[Row, ...]:
    """Return a table's rows; ``above`` is what goes before their names and paths."""
    rows = []
    for number, (name, path, axes) in table.lists("rows", 3, "[hub name, path, axes]"):
        place = f"{table.place}: row {number} ({name!r})"
        wrong = (*_row_problems(name, path, are_paths=found.are_paths), *_joining_problems(name, axes))
        for problem in (*wrong, *problems(axes.replace(JOINED, ""), sizes)):
            table.complain(problem, place)
        row = (name, path, axes)
        rows.append(row)
        names = FUSED.join(above[0] + own for own in name.split(FUSED))
        part = Part(rows=((names, above[1] + path, axes),))
        found.variables += [(place, variable) for variable in part.variables(lambda *prefixes: ())]
    return tuple(rows)


def _joining_problems(name: str, axes: str) -> Iterator[str]:
    """Yield what is wrong with a row that joins several hub names, or seems to."""
    expected = FUSED in name
    if axes.count(JOINED) != expected or len(joined_axes(axes)) != expected:
        yield f"axes {axes!r}: expected {JOINED} once, before the axis along which the names of a row lie, and only there"


def _row_problems(name: str, path: str, *, are_paths: bool) -> Iterator[str]:
    marks = MARK.findall(name.partition(FUSED)[0])
    strange = [mark for mark in (*marks, *MARK.findall(path)) if mark not in CHOICES]
    if not name:
        yield "expected a hub name, got an empty one"
    if strange:
        yield f"unknown mark {strange[0]!r}; rows may have {', '.join(CHOICES)}, and `each` {NUMBER_MARK}"
    elif sorted(marks) != sorted(MARK.findall(path)):
        yield f"path {path!r}: expected the marks that the name has"
    if are_paths and not PATH.fullmatch(path):
        yield f"path {path!r}: expected edge names with slashes between, a dot in one doubled, a slash in one written .S"
    elif not path:
        yield "expected a name, got an empty one"
    if path.count("/") >= MAX_EDGES:
        yield f"path {path[:40]!r}...: expected at most {MAX_EDGES} edges, got {path.count('/') + 1}"


def _aliases(table: _Table, key: str) -> tuple[Alias, ...]:
    pairs = [(pair[0], pair[1]) for _, pair in table.lists(key, 2, "[second path, path]")]
    _check_paths(table, (path for pair in pairs for path in pair))
    return tuple(pairs)


def _check_paths(table: _Table, paths: Iterable[str]) -> None:
    for path in paths:
        if not PATH.fullmatch(path):
            table.complain(f"path {path!r}: expected edge names with slashes between, a dot in one doubled")


def _placed(table: _Table, parts: Mapping[str, Part]) -> Placed:
    name = table.text("part", required=True)
    if name and name not in parts:
        table.complain(f"part: no part {name!r}; there are {', '.join(parts)}")
    path = table.text("path")
    _check_paths(table, [path] if path else [])
    placed = Placed(parts.get(name, Part()), path, table.text("only_with"))
    table.done()
    return placed


def _check_whole(top: _Table, layout: ObjectRows, parts: Mapping[str, Part], found: Mapping[str, _Found]) -> None:
    """Complain about what no table shows alone: names and paths that come twice, names that no row has."""
    names = {name for part in found.values() for _, variable in part.variables for name in variable.names}
    if layout.family.anchor and layout.family.anchor not in names:
        top.lines.append(f"[family]: anchor: no row has the name {layout.family.anchor!r}")
    for part in found.values():
        _check_twice(top, [(place, "name", name) for place, variable in part.variables for name in variable.names])
    absolute = []
    for placed in layout.parts:
        if placed.only_with and placed.only_with not in names:
            top.lines.append(f"[[placement]]: only_with: no row has the name {placed.only_with!r}")
        name = next((name for name, part in parts.items() if part is placed.part), "")
        prefix = f"{placed.path}/" if placed.path else ""
        absolute += [(place, "path", prefix + v.path) for place, v in (found[name].variables if name else [])]
    _check_twice(top, absolute)
    for name in parts.keys() - {n for n, part in parts.items() for placed in layout.parts if placed.part is part}:
        top.lines.append(f"[parts.{name}]: not placed; [[placement]] says where")


def _check_twice(top: _Table, items: list[tuple[str, str, str]]) -> None:
    """Complain about texts that come twice, and about paths that go on below a variable."""
    first: dict[str, str] = {}
    for place, what, text in items:
        other = first.setdefault(text, place)
        if other != place:
            top.lines.append(f"{place}: {what} {text!r}: that of {other} already")
    for place, what, text in items:
        edges = text.split("/")[: MAX_EDGES + 1] if what == "path" else []
        for path in ("/".join(edges[:count]) for count in range(1, len(edges))):
            if path in first:
                top.lines.append(f"{place}: path {text!r}: {path!r} is a variable, of {first[path]}")
