"""The families there are and their layouts, by the name that ``to`` takes and the family of the source."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from tfckpt.base.issues import Issue, Remedy, choose, run
from tfckpt.base.options import TF1_NAME
from tfckpt.errors import UsageError
from tfckpt.families.albert import garden as albert
from tfckpt.families.bert import garden as bert
from tfckpt.families.bert import garden_2019
from tfckpt.families.electra import garden as electra
from tfckpt.families.language.family import Family
from tfckpt.families.language.layouts import Layout, NameRows, ObjectRows
from tfckpt.families.mobilebert import garden as mobilebert

TF1 = NameRows(
    TF1_NAME, about="TensorFlow 1, name-based: the way back from any object-based checkpoint of these models"
)


class Catalog(NamedTuple):
    """Families and layouts.

    Attributes:
        families: one whose anchor ends in the anchor of another, or comes with it, stands before that.
        layouts: of one family, the fuller ones first: of those that hold equally much, the first is taken.
    """

    families: tuple[Family, ...]
    layouts: tuple[Layout, ...]

    @property
    def models(self) -> tuple[ObjectRows, ...]:
        """The object-based layouts."""
        return tuple(layout for layout in self.layouts if isinstance(layout, ObjectRows))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all layouts, each once."""
        return tuple(dict.fromkeys(layout.name for layout in self.layouts))

    @property
    def config_files(self) -> tuple[str, ...]:
        """The names that configurations go by; those that every family has come last."""
        names = dict.fromkeys(name for family in self.families for name in family.config_files)
        return tuple(sorted(names, key=lambda name: all(name in family.config_files for family in self.families)))

    def with_families(self, other: Catalog) -> Catalog:
        """Return the catalog with another's families and layouts, which come first: they were asked for."""
        return Catalog((*other.families, *self.families), (*other.layouts, *self.layouts))

    def find_family(self, names: Collection[str]) -> Family | None:
        """Return the family whose anchor is among the variables' names, under whatever scope; None if there is none.

        >>> CATALOG.find_family(["module/bert/embeddings/word_embeddings"]).name
        'BERT'
        """
        text = "\0/".join(("", *names, ""))  # one search for each family, not one for each name
        return next((family for family in self.families if f"/{family.anchor}\0" in text), None)

    def find_models(self, text: str) -> tuple[ObjectRows, ...]:
        """Return the models that ``FAMILY`` or ``FAMILY/TARGET`` means; all there are, if it is empty.

        >>> [layout.name for layout in CATALOG.find_models("ELECTRA/generator")]
        ['generator']

        Raises: UsageError, which lists the families, or the family's targets.
        """
        name, _, target = text.partition("/")
        family = [layout for layout in self.models if layout.family.name.lower() == name.lower()]
        found = [layout for layout in family if target in ("", layout.name)]
        if text and not found:
            known = ", ".join(layout.name for layout in family) or ", ".join(family.name for family in self.families)
            raise UsageError(f"no model {text!r}; there are {known}")
        return tuple(found) if text else self.models

    def find_layout(self, name: str, family: Family | None = None) -> Layout:
        """Return the layout of that name, for a source of that family.

        Raises: UsageError, which lists the names there are, or those that there are for the source's family.
        """
        found = [layout for layout in self.layouts if layout.name == name]
        if not found:
            text = f"no target {name!r}; there are {', '.join(self.names)}"
            raise UsageError(Issue("said", got=text, remedies=_nearest(name, self.names)))
        for layout in found:
            if family is None or layout.family in (None, family):
                return layout
        assert family is not None
        others = [layout.name for layout in self.layouts if layout.family in (None, family)]
        text = f"no target {name!r} for {family.name}, which the source is; there are {', '.join(others)}"
        raise UsageError(Issue("said", got=text, remedies=_nearest(name, others)))


CATALOG = Catalog(
    # ALBERT's word table is called as BERT's, and MobileBERT has BERT's names and more.
    (mobilebert.MOBILEBERT, albert.ALBERT, bert.BERT, electra.ELECTRA),
    (
        bert.PRETRAINER,
        bert.PRETRAIN_MODEL,
        bert.BERT_PRETRAINER,
        bert.CLASSIFIER_OWN_POOLER,
        bert.CLASSIFIER,
        bert.SPAN_LABELER,
        bert.TOKEN_CLASSIFIER,
        bert.ENCODER,
        garden_2019.BERT_MODEL,
        garden_2019.BERT_LAYER,
        albert.PRETRAINER,
        albert.CLASSIFIER,
        albert.SPAN_LABELER,
        albert.TOKEN_CLASSIFIER,
        albert.ENCODER,
        electra.PRETRAINER,
        electra.PRETRAINER_TIED,
        electra.ENCODER,
        electra.GENERATOR,
        mobilebert.PRETRAINER,
        mobilebert.ENCODER,
        bert.KERAS,
        garden_2019.KERAS_V2,
        TF1,
    ),
)


def _nearest(name: str, names: Sequence[str]) -> tuple[Remedy, ...]:
    import difflib

    near = difflib.get_close_matches(name, list(dict.fromkeys(names)), n=3)
    return choose(to=near) or (run("tfckpt layouts"),)
