"""Several models in a file, each under a scope of its own: ``bert/`` and ``bert_1/``, a teacher and a student."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from tfckpt.base.issues import Issue, choose
from tfckpt.bundle.values.entry import Entry
from tfckpt.errors import PlanError, UsageError, count_of, remedied
from tfckpt.families.language.family import Family
from tfckpt.families.language.rules import scopes_before


class Rooted(NamedTuple):
    """A model in a file.

    Attributes:
        root: what its names begin with, up to the family's own: ``"student/bert/"``.
        called: what stands for that in its family's words: ``"student/bert/"``, or ``"bert/"`` for ``"bert_1/"``.
    """

    root: str
    called: str


def find_roots(names: Collection[str], families: Iterable[Family]) -> list[Rooted]:
    """Return the models of one family that a file holds, each under a root of its own; those under fewer scopes come first.

    >>> from tfckpt.families.catalog import CATALOG
    >>> names = ["bert/embeddings/word_embeddings", "x/bert_1/embeddings/word_embeddings"]
    >>> find_roots(names, CATALOG.families)
    [Rooted(root='bert/', called='bert/'), Rooted(root='x/bert_1/', called='x/bert/')]
    """
    known = list(families)
    tails = dict.fromkeys(family.anchor.partition("/")[2] for family in known)
    tail = next((tail for tail in tails if any(f"/{name}".endswith(f"/{tail}") for name in names)), None)
    if tail is None:
        return []
    own = [family.anchor.partition("/")[0] for family in known if family.anchor.endswith(f"/{tail}")]
    lent = {borrow.own for family in known for borrow in family.borrows}  # a family's second network is no other model
    roots = {root for root in scopes_before(tail, names) if root and not root.endswith(tuple(lent))}
    return [Rooted(root, _called(root, own)) for root in sorted(roots, key=lambda root: (root.count("/"), root))]


def _called(root: str, own: Sequence[str]) -> str:
    scope, _, last = root.rstrip("/").rpartition("/")
    like = next((name for name in own if last.startswith(name)), own[-1])
    return f"{scope}/{like}/" if scope else f"{like}/"


def choose_root(scope: str, roots: Sequence[Rooted]) -> Rooted:
    """Return the model that a scope means.

    Raises: UsageError, which lists the models, if it means none or several.
    """
    text = scope.strip("/") + "/"
    found = [each for each in roots if each.root == text] or [each for each in roots if each.root.startswith(text)]
    if len(found) != 1:
        there = ", ".join(repr(each.root) for each in roots) or "none"
        raise UsageError(f"source_scope {scope!r}: expected the scope of one model; there are {there}")
    return found[0]


def root_of(name: str, roots: Sequence[Rooted]) -> Rooted | None:
    """Return the model that a name is of, the innermost if one is inside another; None if it is under no model's root."""
    return max((each for each in roots if name.startswith(each.root)), key=lambda each: len(each.root), default=None)


def own_scope(root: str, chosen: str) -> str:
    """Return the scope under which nothing of the chosen model is, and all of another one.

    >>> own_scope("student/bert/", "teacher/bert/"), own_scope("bert_1/", "bert/")
    ('student/', 'bert_1/')
    """
    parts, others = root.split("/"), chosen.split("/")
    alike = next((at for at, part in enumerate(parts) if at >= len(others) or part != others[at]), len(parts))
    return "/".join(parts[: alike + 1]) + "/"


def several_models(source: str, roots: Sequence[Rooted], entries: Sequence[Entry]) -> PlanError:
    """Return the error that lists the models of a file, each with its size, and asks for one."""
    remedies = choose(source_scope=[each.root.rstrip("/") for each in roots])
    issues = [Issue("which-model", got=str(len(roots)), origin=source, remedies=remedies)]
    for each in roots:
        own = [entry for entry in entries if root_of(entry.name, roots) == each]
        size = f"{count_of(own, 'variable')}, {sum(e.nbytes for e in own):,} bytes"
        issues.append(Issue("one-model", repr(each.root), got=size, origin=source, remedies=remedies))
    return remedied(PlanError(issues), *remedies)
