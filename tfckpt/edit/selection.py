"""Which tensors a comparison is about: those of some roles or names, or all but those."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tfckpt.arguments import texts
from tfckpt.checkpoint.checkpoint import Checkpoint
from tfckpt.checkpoint.roles import ROLES, find_roles
from tfckpt.errors import UsageError
from tfckpt.layouts.rules import Drop

Found = tuple[Mapping[str, str], str]  # the roles of a checkpoint, and the name of a tensor there


class Selection:
    """What is left out, and by which rule. A word that is a role's name means the role, any other is a glob over names."""

    def __init__(self, only: Sequence[str], ignore: Sequence[str]) -> None:
        texts("only", only)
        texts("ignore", ignore)
        self._only, self._ignore = tuple(only), tuple(ignore)
        self._globs = {word: Drop("", (word,)) for word in (*only, *ignore) if word not in ROLES}
        self._used: set[str] = set()

    def roles(self, checkpoint: Checkpoint) -> Mapping[str, str]:
        """Return the roles of a checkpoint's tensors; empty if no word is a role's name."""
        if self._globs.keys() >= {*self._only, *self._ignore}:
            return {}
        return find_roles(checkpoint.entries(), checkpoint.object_graph)

    def rule(self, *found: Found) -> str | None:
        """Return the rule that leaves out a tensor, which may be in two checkpoints under two names; None if it stays.

        Where they disagree about its role, it stays: what is not compared has to be what was meant on either side.
        """
        ignored = [word for word in self._ignore if self._is_meant(word, found, of_all=True)]
        chosen = [word for word in self._only if self._is_meant(word, found, of_all=False)]
        self._used.update(ignored, chosen)
        if ignored:
            return f"pattern {ignored[0]!r}" if ignored[0] in self._globs else ignored[0]
        return None if chosen or not self._only else f"not among {', '.join(map(repr, self._only))}"

    def notes(self) -> tuple[str, ...]:
        """Return what to say of words that chose nothing.

        Raises: UsageError if no word of ``only`` did: what compares nothing finds no difference.
        """
        if self._only and self._used.isdisjoint(self._only):
            raise UsageError(f"only: no tensor is {self._listed(self._only)} in either checkpoint")
        unused = (word for word in dict.fromkeys((*self._only, *self._ignore)) if word not in self._used)
        return tuple(f"{self._listed((word,))}: no tensor" for word in unused)

    def _is_meant(self, word: str, found: Collection[Found], *, of_all: bool) -> bool:
        glob = self._globs.get(word)
        if glob is not None:
            return any(glob.matches(name) for _, name in found)
        return (all if of_all else any)(roles[name] == word for roles, name in found)

    def _listed(self, words: Sequence[str]) -> str:
        return " or ".join(f"pattern {word!r}" if word in self._globs else f"role {word!r}" for word in words)
