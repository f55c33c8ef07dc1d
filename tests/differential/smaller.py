"""Cases made small: whatever can be left out while the difference stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from differential.cases import Case, Write


def smaller(case: Case, still: Callable[[Case], bool]) -> Case:
    """Return the case without all that can be left out, one thing after the other, while ``still`` is true of it."""
    while True:
        for other in _steps(case):
            if still(other):
                case = other
                break
        else:
            return case


def _steps(case: Case) -> Iterator[Case]:
    """Yield cases that have a little less: tensors, bundles, what happens to them, options."""
    many = len(case.tensors)
    if many > 8:
        yield _with_tensors(case, range(many // 2))
        yield _with_tensors(case, range(many // 2, many))
    for n in range(min(many, 50)):
        yield _with_tensors(case, [m for m in range(many) if m != n])
    if len(case.bundles) > 1:
        yield replace(case, bundles=(tuple(write for bundle in case.bundles for write in bundle),))
        for n in range(len(case.bundles)):
            yield replace(case, bundles=case.bundles[:n] + case.bundles[n + 1 :])
    plain = Case((), ())
    for name in ("damage", "rewrite", "max_shard_size", "breaks", "big_endian"):
        if getattr(case, name) != getattr(plain, name):
            yield replace(case, **{name: getattr(plain, name)})


def _with_tensors(case: Case, kept: range | list[int]) -> Case:
    numbers = {old: new for new, old in enumerate(kept)}
    bundles = tuple(
        tuple(Write(numbers[write.tensor], write.part) for write in bundle if write.tensor in numbers)
        for bundle in case.bundles
    )
    return replace(case, tensors=tuple(case.tensors[n] for n in kept), bundles=bundles)
