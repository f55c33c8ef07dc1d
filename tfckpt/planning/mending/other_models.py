"""Which other model a source may be: the rows of several lead to the same variables of an object graph.

An encoder that was saved alone does not tell whether it is BERT's, an ELECTRA's or its generator's. One of them is taken, and
the plan says which others it may be. Where that one cannot become what is asked for, another one may.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tfckpt.base.issues import Issue, Remedy, choose, give
from tfckpt.errors import PlanError, UsageError, remedied
from tfckpt.families.catalog import Catalog
from tfckpt.families.language.layouts import Layout, ObjectRows
from tfckpt.families.language.match import Match


def name_of(model: ObjectRows) -> str:
    """Return what a user gives for a model."""
    return f"{model.family.name}/{model.name}"


def may_be(alike: Sequence[ObjectRows]) -> list[Issue]:
    """Return what to say of models that a source may be as well as the one that it is taken for."""
    names = [name_of(model) for model in alike]
    return [Issue("alike", got=" or ".join(names), remedies=choose(model=names))] if names else []


def find_layout(catalog: Catalog, to: str, match: Match) -> Layout:
    """Return the target of that name for the model that was found.

    Raises: UsageError if its family has none; it says which other model would have one, if the source may be that.
    """
    try:
        return catalog.find_layout(to, match.family)
    except UsageError as error:
        others = [
            model for model in match.alike if any(o.name == to and o.family == model.family for o in catalog.models)
        ]
        if not others:
            raise
        (issue,) = error.issues
        names = " or ".join(map(name_of, others))
        text = f"{issue.got}; but it may as well be {names}, which has the same variables"
        raise UsageError(issue._replace(got=text, remedies=(*_remedies(others, to), *issue.remedies))) from None


def with_other_models(error: PlanError, match: Match | None, to: str, works: Callable[[str], bool]) -> PlanError:
    """Return the error of a plan that failed, with the model that is called as its target, if the source may be that.

    Args:
        error: what was wrong.
        match: the model that the source was taken for.
        to: the name of the target.
        works: whether the same can be planned for a model.
    """
    alike = match.alike if match is not None and match.layout.name != to else ()
    for model in alike:
        if model.name == to and works(name_of(model)):
            (remedy,) = _remedies([model], to)
            return remedied(PlanError([*error.issues, Issue("alike", got=name_of(model), remedies=(remedy,))]), remedy)
    return error


def _remedies(models: Sequence[ObjectRows], to: str) -> tuple[Remedy, ...]:
    """Return the options that say which model it is, the one that is called as the target before others."""
    ordered = sorted(models, key=lambda model: model.name != to)
    return tuple(give(model=name_of(model)) for model in ordered)
