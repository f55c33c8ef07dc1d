"""The layouts there are, by the name that ``to`` takes and the family of the source."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tfckpt.base.issues import Issue, Remedy, choose, run
from tfckpt.base.options import TF1_NAME
from tfckpt.errors import UsageError
from tfckpt.families.albert import garden as albert
from tfckpt.families.bert import garden as bert
from tfckpt.families.bert import garden_2019 as bert_2019
from tfckpt.families.electra import garden as electra
from tfckpt.families.language.rules import Family, HubLayout, Layout, ObjectLayout
from tfckpt.families.mobilebert import garden as mobilebert

TF1 = HubLayout(
    TF1_NAME, about="TensorFlow 1, name-based: the way back from any object-based checkpoint of these models"
)

# Of one family, the fuller ones first: of those that hold equally much, the way back takes the first.
OBJECT_LAYOUTS: tuple[ObjectLayout, ...] = (
    bert.PRETRAINER,
    bert.PRETRAIN_MODEL,
    bert.BERT_PRETRAINER,
    bert.CLASSIFIER_OWN_POOLER,
    bert.CLASSIFIER,
    bert.SPAN_LABELER,
    bert.TOKEN_CLASSIFIER,
    bert.ENCODER,
    bert_2019.BERT_MODEL,
    bert_2019.BERT_LAYER,
    albert.PRETRAINER,
    albert.CLASSIFIER,
    albert.SPAN_LABELER,
    albert.TOKEN_CLASSIFIER,
    albert.ENCODER,
    electra.PRETRAINER,
    electra.ENCODER,
    electra.GENERATOR,
    mobilebert.PRETRAINER,
    mobilebert.ENCODER,
)
# A name that several families have (ALBERT's word table is called as BERT's) is told apart by what stands first.
FAMILIES: tuple[Family, ...] = (mobilebert.MOBILEBERT, albert.ALBERT, bert.BERT, electra.ELECTRA)
LAYOUTS: tuple[Layout, ...] = (*OBJECT_LAYOUTS, bert.KERAS, bert_2019.KERAS_V2, TF1)
NAMES = tuple(dict.fromkeys(layout.name for layout in LAYOUTS))
# Targets that take the same variables, for models that compute different things: neither names nor shapes tell which.
LOOK_ALIKES: tuple[tuple[str, ...], ...] = (
    (bert.CLASSIFIER.name, bert.TOKEN_CLASSIFIER.name, bert.CLASSIFIER_OWN_POOLER.name),
)


def find_family(names: Collection[str]) -> Family | None:
    """Return the family whose anchor is among the variables' names, under whatever scope; None if there is none.

    >>> find_family(["module/bert/embeddings/word_embeddings"]).name
    'BERT'
    """
    ends = tuple(f"/{name}" for name in names)
    return next((family for family in FAMILIES if any(end.endswith(f"/{family.anchor}") for end in ends)), None)


def find_models(text: str) -> tuple[ObjectLayout, ...]:
    """Return the models that ``FAMILY`` or ``FAMILY/TARGET`` means; all there are, if it is empty.

    >>> [layout.name for layout in find_models("ELECTRA/generator")]
    ['generator']

    Raises: UsageError, which lists the families, or the family's targets.
    """
    name, _, target = text.partition("/")
    family = [layout for layout in OBJECT_LAYOUTS if layout.family.name.lower() == name.lower()]
    found = [layout for layout in family if target in ("", layout.name)]
    if text and not found:
        known = ", ".join(layout.name for layout in family) or ", ".join(family.name for family in FAMILIES)
        raise UsageError(f"no model {text!r}; there are {known}")
    return tuple(found) if text else OBJECT_LAYOUTS


def find_layout(name: str, names: Collection[str] = ()) -> Layout:
    """Return the layout of that name, for a source that has variables of these names.

    Raises: UsageError, which lists the names there are, or those that there are for the source's family.
    """
    found = [layout for layout in LAYOUTS if layout.name == name]
    if not found:
        text = f"no target {name!r}; there are {', '.join(NAMES)}"
        raise UsageError(Issue("said", got=text, remedies=_nearest(name, NAMES)))
    family = find_family(names)
    for layout in found:
        if not isinstance(layout, ObjectLayout) or family in (None, layout.family):
            return layout
    assert family is not None
    others = [layout.name for layout in LAYOUTS if not isinstance(layout, ObjectLayout) or layout.family == family]
    text = f"no target {name!r} for {family.name}, which the source is; there are {', '.join(others)}"
    raise UsageError(Issue("said", got=text, remedies=_nearest(name, others)))


def _nearest(name: str, names: Sequence[str]) -> tuple[Remedy, ...]:
    import difflib

    near = difflib.get_close_matches(name, list(dict.fromkeys(names)), n=3)
    return choose(to=near) or (run("tfckpt layouts"),)
