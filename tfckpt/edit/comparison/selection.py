"""Which tensors a comparison is about: those of some roles, names or objects, or all but those."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tfckpt.base.arguments import texts
from tfckpt.base.issues import Issue
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.graph.roles import ROLES, find_roles
from tfckpt.edit.choice import drop_rule, keep_rule
from tfckpt.errors import UsageError


class Meanings(NamedTuple):
    """What the words of a selection mean in one checkpoint.

    Attributes:
        roles: the role of each tensor; empty if no word is a role's name.
        names: the tensors of each other word.
    """

    roles: Mapping[str, str]
    names: Mapping[str, frozenset[str]]


Found = tuple[Meanings, str]  # of a checkpoint, and the name of a tensor there


class Selection:
    """What is left out, and by which rule.

    A word that is a role's name means the role, any other is a glob over names, else paths of objects, else full names.
    """

    def __init__(self, only: Sequence[str], ignore: Sequence[str]) -> None:
        texts("only", only)
        texts("ignore", ignore)
        self._only, self._ignore = tuple(only), tuple(ignore)
        self._globs = frozenset(word for word in (*only, *ignore) if word not in ROLES)
        self._used: set[str] = set()

    @property
    def has_all(self) -> bool:
        """Whether nothing is left out."""
        return not self._only and not self._ignore

    def meanings(self, checkpoint: Checkpoint) -> Meanings:
        """Return what the words mean in a checkpoint.

        Raises: TensorNotFoundError if a word is the full name of several variables.
        """
        roles: Mapping[str, str] = {}
        if not self._globs.issuperset((*self._only, *self._ignore)):
            roles = find_roles(checkpoint.entries(), checkpoint.object_graph)
        matches = {word: checkpoint.lookup.match(word) for word in self._globs}
        return Meanings(roles, {word: frozenset(found.names if found else ()) for word, found in matches.items()})

    def rule(self, *found: Found) -> str | None:
        """Return the rule that leaves out a tensor, which may be in two checkpoints under two names; None if it stays.

        Where they disagree about its role, or a path leads to it in one alone, it stays: what is not compared has to be what
        was meant on either side.
        """
        ignored = [word for word in self._ignore if self._is_meant(word, found, of_all=True)]
        chosen = [word for word in self._only if self._is_meant(word, found, of_all=False)]
        self._used.update(ignored, chosen)
        if ignored:
            return drop_rule(ignored[0]) if ignored[0] in self._globs else ignored[0]
        return None if chosen or not self._only else keep_rule(self._only)

    def issues(self) -> tuple[Issue, ...]:
        """Return what to say of words that chose nothing.

        Raises: UsageError if no word of ``only`` did.
        """
        if self._only and self._used.isdisjoint(self._only):
            raise UsageError(f"only: no tensor is {self._listed(self._only)} in either checkpoint")
        unused = (word for word in dict.fromkeys((*self._only, *self._ignore)) if word not in self._used)
        return tuple(Issue("no-tensor", self._listed((word,))) for word in unused)

    def check_some(self, compared: int, left_out: int) -> None:
        """Raise UsageError if nothing is compared though something could be: that would find no difference."""
        if not compared and left_out and (self._only or self._ignore):
            words = [
                f"{name} {', '.join(map(repr, w))}" for name, w in (("only", self._only), ("ignore", self._ignore)) if w
            ]
            raise UsageError(f"{' and '.join(words)}: no tensor of either checkpoint is left to compare")

    def _is_meant(self, word: str, found: Collection[Found], *, of_all: bool) -> bool:
        if word not in self._globs:
            return (all if of_all else any)(meanings.roles[name] == word for meanings, name in found)
        known = [(meanings.names[word], name) for meanings, name in found if meanings.names[word]]
        of_one = len({name for _, name in known}) == 1  # two names: those of a plan, of which either may be meant
        return bool(known) and (all if of_all and of_one else any)(name in names for names, name in known)

    def _listed(self, words: Sequence[str]) -> str:
        return " or ".join(f"pattern {word!r}" if word in self._globs else f"role {word!r}" for word in words)
