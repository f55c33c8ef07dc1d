"""Every option of the public calls, each once: its name, its type, its default, what it means, and its flag.

A call's options are the keys of a ``TypedDict``, in order; type checkers read that. What else there is to an option stands in
the `Option` beside its type: the signatures, the help of Python and of the command line, the flags, the completion and the
API page are made from it. Texts speak to Python callers: ``name="value"`` is a keyword; `for_shell` makes a flag of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, TypeVar, cast, get_args, get_origin, get_type_hints

from tfckpt.base.progress import Progress

PathLike = str | os.PathLike[str]
Kinds = TypeVar("Kinds", bound=Mapping[str, object])
Substitution = tuple[str, str]  # a regular expression, and what stands for it

# What stands for a target's name: here, so that the command line needs no tables to say what its default is.
DEFAULT = "encoder"
AUTO = "auto"  # the fullest target for what the source holds
TF1_NAME = "tf1"  # the way back
SOURCE = "source"  # names and shapes as they are

QUOTE = '"'
MOST_BINS = 1000  # bars of a histogram
ENDS = ("source", "dest", "sources")  # what a call reads and writes


class Option(NamedTuple):
    """What there is to say of an option besides its name.

    Attributes:
        default: its value unless given.
        help: what it means. The first sentence stands alone in the command line's help.
        flag: what the command line calls it; empty if it has no flag. Of what is true unless given, the flag turns it off.
        metavar: what the command line calls its value; it also tells how that is read.
        spelled: its type in ``inspect.signature``; unless given, the type's own name.
        words: what the command line takes for its values, each with what it means, if not the values themselves.
        type: what a type checker reads; it is filled in from where the option stands.
    """

    default: Any
    help: str
    flag: str = ""
    metavar: str = ""
    spelled: str = ""
    words: tuple[tuple[str, Any], ...] = ()
    type: Any = None

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a closed set; none if the set is open."""
        kinds = (self.type, *get_args(self.type))
        return next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ())


class NamedOptions(TypedDict, total=False):
    """How the names of a source that has no object graph are read, where other code than the family's own wrote them."""

    rename: Annotated[
        Sequence[Substitution | str] | str,
        Option(
            (),
            "read the source's variables under other names, by (regular expression, replacement) pairs, as ``re.sub`` does, "
            'in order. ``"auto"`` finds them by place and shape, and does nothing where two variables are as like. Where a '
            "source fits a target as it is, `export` and `import_` rename what they write.",
            "--rename",
            "auto|REGEX=REPLACEMENT",
            "str | Sequence[str | tuple[str, str]]",
        ),
    ]
    source_scope: Annotated[
        str,
        Option(
            "",
            "which of several models in one file to take: the scope that its names begin with, such as ``bert_1``. The "
            "others are left out.",
            "--source-scope",
            "SCOPE",
        ),
    ]
    averages: Annotated[
        bool,
        Option(
            False,
            "take the moving averages of variables in place of the variables; one that has no average is taken as it is.",
            "--averages",
        ),
    ]
    head: Annotated[
        Sequence[str],
        Option(
            (),
            "take this variable, and the bias beside it, as the target's head: ``NAME``, or ``NAME:KIND``, where ``KIND`` is "
            "``classifier``, ``token`` or ``span``, which names the target too. What lies in the file the other way round is "
            "transposed; what is square needs ``NAME:KIND:kernel`` if it is multiplied as "
            "``inputs @ kernel``, or else ``NAME:KIND:weights``.",
            "--head",
            "NAME[:KIND]",
            "Sequence[str]",
        ),
    ]


class DescribingOptions(TypedDict, total=False):
    """What may be told of a model that no tensor shows."""

    config: Annotated[
        PathLike | None,
        Option(
            None,
            "the model's JSON configuration, if it is not ``bert_config.json``, ``albert_config.json`` or "
            "``config.json`` beside the source. Name-based targets do not read it.",
            "--config",
            "FILE",
            "PathLike | None",
        ),
    ]
    num_heads: Annotated[
        int | None,
        Option(
            None,
            "number of attention heads, if no configuration states it. For name-based targets 0 is none: shapes stay.",
            "--num-heads",
            "N",
            "int | None",
        ),
    ]


class ModelOptions(NamedOptions, DescribingOptions, total=False):
    """What a conversion may be told of the model, of its variables and of the optimizer."""

    exclude: Annotated[
        Sequence[str],
        Option(
            (),
            "leave out variables whose names contain any of these texts; ``=NAME`` means a whole name, and a text "
            "with ``*``, ``?`` or ``[`` is a glob of whole names. A text that takes what the target needs is a "
            "complaint, unless ``fill`` gives that values: for a head or a pooler, or for what is named whole.",
            "--exclude",
            "TEXT",
            "Sequence[str]",
        ),
    ]
    fill: Annotated[
        str | None,
        Option(
            None,
            'how to fill kernels and tables that the target needs and the source lacks: ``"zeros"``, or '
            '``"normal:SEED"`` for random numbers. The random numbers have a standard deviation of 0.02, like BERT\'s '
            "own initializer. Missing scales of norms get ones, shifts and biases zeros. Zeros from which training "
            "could not start are refused (docs/targets.md). Unless given, each missing variable is refused.",
            "--fill",
            "zeros|normal:SEED",
            "str | None",
        ),
    ]
    slots: Annotated[
        Literal["drop", "convert", "keep"] | None,
        Option(
            None,
            "what to do with the optimizer's state (``adam_m``, ``adam_v``, ``global_step``): leave it out, convert "
            "it for a Keras optimizer, or keep it by name (unless given, it is left out; for the target ``keras``, "
            'kept). ``"convert"`` makes them the slots and the step of a Keras optimizer under the root\'s '
            '``optimizer``; on the way back, those of either kind of optimizer become TF1\'s again. ``"keep"`` '
            "carries them by name, in ``keras`` and ``tf1``. Keras's Adam corrects its averages for their bias and "
            "google-research's does not: training goes on from the same state, but its first steps are smaller than "
            "TF1's would be (docs/slots.md).",
            "--slots",
            "",
            "str | None",
        ),
    ]
    optimizer: Annotated[
        Literal["adam-weight-decay", "adamw"] | None,
        Option(
            None,
            "the optimizer for ``slots=\"convert\"``: Model Garden's AdamWeightDecay, unless given, or Keras's new "
            "AdamW. The new one is built for the model's ``trainable_variables``.",
            "--optimizer",
            "",
            "str | None",
        ),
    ]
    learning_rate: Annotated[
        float | None,
        Option(
            None,
            'a constant learning rate for the optimizer that ``slots="convert"`` writes. Unless given, that '
            "optimizer is expected to have a schedule, which has no rate to restore.",
            "--learning-rate",
            "RATE",
            "float | None",
        ),
    ]
    keep_names: Annotated[
        bool,
        Option(
            False,
            "also list each tensor under its TF1 name and with its TF1 shape, over the same bytes. So one file "
            "restores in both generations.",
            "--keep-names",
        ),
    ]
    scope: Annotated[
        str,
        Option(
            "",
            'a prefix for every TF1 name, such as ``"module/"``; only with ``to="tf1"``.',
            "--scope",
            "TEXT",
        ),
    ]
    model: Annotated[
        str,
        Option(
            "",
            "which model an object-based source contains, if several are possible. It is a family or "
            '``"FAMILY/TARGET"``, such as ``"ELECTRA/generator"``: an encoder\'s objects of ELECTRA may be BERT\'s.',
            "--model",
            "FAMILY[/TARGET]",
        ),
    ]
    vocab_size: Annotated[
        int | None,
        Option(
            None,
            "cut or extend the vocabulary to this number of words. It is the number of rows of the word table, and "
            "of all else that has one for each word.",
            "--vocab-size",
            "N",
            "int | None",
        ),
    ]
    max_positions: Annotated[
        int | None,
        Option(
            None,
            "cut or extend the position table to this number of rows.",
            "--max-positions",
            "N",
            "int | None",
        ),
    ]
    resize_fill: Annotated[
        Literal["zeros", "mean"],
        Option(
            "zeros",
            'values of added rows: ``"zeros"``, or the ``"mean"`` of the old rows.',
            "--resize-fill",
            "",
            "str",
        ),
    ]
    layout: Annotated[
        PathLike | None,
        Option(
            None,
            'a TOML file that describes your own layout, which becomes the target. With ``to="tf1"``, the way back '
            "from it.",
            "--layout",
            "FILE",
            "PathLike | None",
        ),
    ]
    families: Annotated[
        PathLike | None,
        Option(
            None,
            "a folder with families of models of your own, each a folder of TOML tables. Their targets are there beside "
            "all others.",
            "--families",
            "DIR",
            "PathLike | None",
        ),
    ]


class TargetOptions(TypedDict, total=False):
    """The target of a conversion."""

    to: Annotated[
        str,
        Option(
            DEFAULT,
            'name of the target\'s layout; ``tfckpt layouts`` lists them. ``"auto"`` takes the fullest one for '
            "what the source holds, and says why in the plan's notes.",
            "--to",
            "TARGET",
        ),
    ]


class Request(TargetOptions, ModelOptions, total=False):
    """What a plan is made from, besides the source."""


class SourceOptions(TypedDict, total=False):
    """How a source is read."""

    source_format: Annotated[
        Literal["v1", "v2"] | None,
        Option(
            None,
            'which format to read if both exist: ``"v2"``, unless given, or ``"v1"``.',
            "--format",
            "",
            "str | None",
        ),
    ]


class VerifyOptions(TypedDict, total=False):
    """What is checked on the way."""

    verify: Annotated[bool, Option(True, "check each tensor's checksum while copying.", "--no-verify")]


class WriteOptions(TypedDict, total=False):
    """How a destination is written."""

    sync: Annotated[bool, Option(True, "wait until the files have reached the disk.", "--no-sync")]
    overwrite: Annotated[bool, Option(False, "replace ``dest`` if it exists.", "--overwrite")]


class TrialOptions(TypedDict, total=False):
    """Whether anything is written at all."""

    dry_run: Annotated[bool, Option(False, "show what would be done, and write nothing.", "--dry-run")]


class ProgressOptions(TypedDict, total=False):
    """Who is told how far a call has come."""

    progress: Annotated[
        Progress | None, Option(None, "called with (bytes done, bytes in all).", spelled="Progress | None")
    ]


class PlanOptions(Request, SourceOptions, total=False):
    """The options of `tfckpt.plan`."""


class ProveOptions(PlanOptions, ProgressOptions, total=False):
    """The options of `tfckpt.prove`."""


class ModeOptions(TypedDict, total=False):
    """How bytes get from one checkpoint to another."""

    mode: Annotated[
        Literal["copy", "link", "reflink", "auto"],
        Option(
            "copy",
            "copy every byte; share the source's data files by hard links or reflinks; or use the first of reflink, "
            "link and copy that works. A link makes ``dest``'s first data files the source's, and a reflink clones "
            "that share their extents; what changes goes into one more. A linked file is one file: editing the "
            "source's in place would change ``dest`` (docs/modes.md).",
            "--mode",
            "",
            "str",
        ),
    ]


class AfterwardsOptions(TypedDict, total=False):
    """What is done when all is written."""

    update_state: Annotated[
        bool,
        Option(
            False,
            "make ``dest`` the latest checkpoint of its directory. It is entered in the file ``checkpoint``, which "
            "``latest_checkpoint`` reads.",
            "--update-state",
        ),
    ]
    prove: Annotated[
        bool,
        Option(
            False,
            "after writing, read both checkpoints again and compare every value and every checksum.",
            "--prove",
        ),
    ]


class ConvertOptions(
    PlanOptions, ModeOptions, VerifyOptions, WriteOptions, AfterwardsOptions, ProgressOptions, total=False
):
    """The options of `tfckpt.convert`."""


class RenameOptions(TypedDict, total=False):
    """What names are changed to."""

    rename: Annotated[
        Sequence[Substitution],
        Option(
            (),
            "rename with (regular expression, replacement) pairs, as ``re.sub`` does: names, or paths of objects; "
            "they apply in order.",
            "--rename",
            "REGEX=REPLACEMENT",
            "Sequence[tuple[str, str]]",
        ),
    ]


class EditOptions(TypedDict, total=False):
    """What is left out."""

    drop: Annotated[
        Sequence[str],
        Option(
            (),
            "leave out what matches one of these shell globs of names, paths of objects, or full names. ``*`` also "
            "matches ``/``. One that matches no name is tried on paths of objects, then on full names. An object "
            "with several tensors is left out as a whole.",
            "--drop",
            "PATTERN",
            "Sequence[str]",
        ),
    ]
    keep: Annotated[
        Sequence[str],
        Option(
            (),
            "keep only what matches one of these shell globs, which are read like those of ``drop``.",
            "--keep",
            "PATTERN",
            "Sequence[str]",
        ),
    ]


class FileOptions(TypedDict, total=False):
    """Which kind of file, and whose names."""

    kind: Annotated[
        str | None,
        Option(
            None,
            'kind of file, if its name does not show it: ``"safetensors"``, ``"npz"``, or ``"npy"``, which is a '
            "directory. For safetensors files the library of that name is needed.",
            "--as",
            "",
            "str | None",
        ),
    ]
    to: Annotated[
        str,
        Option(
            SOURCE,
            'the names and shapes to use: ``"source"`` (unchanged), or a target of `convert`, such as ``"tf1"``. '
            '``"auto"`` takes the fullest that fits. Options that say something of a model are for targets; only '
            '``exclude`` also goes with ``"source"``.',
            "--to",
            "TARGET",
        ),
    ]


class NameOptions(TypedDict, total=False):
    """What tensors of objects are called where no object graph goes along."""

    names: Annotated[
        Literal["key", "path", "full"],
        Option(
            "key",
            'which names to use for tensors of objects: ``"key"``, their keys; ``"path"``, the paths that ``tfckpt '
            'tree`` draws; ``"full"``, the names that TensorFlow 1 would use. A full name is such as '
            "``lstm/lstm_cell/kernel``. What lacks a full name has its path, and what has no path its key, which is "
            "noted. ``rename`` comes after that.",
            "--names",
            "",
            "Literal['key', 'path', 'full']",
        ),
    ]


class ImportOptions(
    FileOptions, EditOptions, ModelOptions, ModeOptions, WriteOptions, TrialOptions, ProgressOptions, total=False
):
    """The options of `tfckpt.import_`."""


class ExportOptions(
    FileOptions,
    EditOptions,
    NameOptions,
    ModelOptions,
    SourceOptions,
    VerifyOptions,
    WriteOptions,
    TrialOptions,
    ProgressOptions,
    total=False,
):
    """The options of `tfckpt.export`."""


class StorageOptions(TypedDict, total=False):
    """In what form tensors are stored, and which of them."""

    cast: Annotated[
        str | None,
        Option(
            None,
            "convert all floating-point tensors to this dtype, such as ``float16``. TensorFlow does not cast when it "
            "restores.",
            "--cast",
            "DTYPE",
            "str | None",
        ),
    ]
    strip_optimizer: Annotated[
        bool,
        Option(
            False,
            "leave out optimizer state. That is the state of TF1's and TF2's optimizers, with loss scales and "
            "accumulated gradients; but not what the model uses too, nor moving averages, which a note names.",
            "--strip-optimizer",
        ),
    ]
    shards: Annotated[
        int | None,
        Option(
            None,
            "number of data files, with about equal bytes (unless given, as many as the source has).",
            "--shards",
            "N",
            "int | None",
        ),
    ]
    max_shard_size: Annotated[
        int | None,
        Option(
            None,
            "the largest size of a data file; larger tensors are split into slices. Slices that are larger are put "
            "together first, and those of a dtype or rank in which TensorFlow could not do it.",
            "--max-shard-size",
            "BYTES",
            "int | None",
        ),
    ]
    big_endian: Annotated[
        bool | None,
        Option(
            None,
            "byte order of the values (unless given, the source's).",
            "--byte-order",
            "",
            "bool | None",
            (("little", False), ("big", True)),
        ),
    ]


class RewriteOptions(
    RenameOptions,
    EditOptions,
    StorageOptions,
    SourceOptions,
    VerifyOptions,
    WriteOptions,
    TrialOptions,
    ProgressOptions,
    total=False,
):
    """The options of `tfckpt.rewrite`."""


class JoinOptions(TypedDict, total=False):
    """How several checkpoints become one."""

    prefer: Annotated[
        Sequence[str],
        Option(
            (),
            'whose value counts if several sources have one: ``"SOURCE"`` for everything, or ``"PATTERN=SOURCE"``. '
            "The source is spelled as in ``sources``. ``PATTERN`` is a glob of object paths, with all below them; if "
            'it means none, of names, and then of full names. Instead of a glob a role: ``"optimizer '
            'state=SOURCE"``, so that ``"model=SOURCE"`` is for weights, and ``"model/*=SOURCE"`` for an object of '
            'that name. The first that means something counts, and ``"SOURCE"`` alone only for what no other means.',
            "--prefer",
            "[PATTERN=]SOURCE",
            "Sequence[str]",
        ),
    ]
    partial: Annotated[
        bool,
        Option(
            False,
            "allow missing slices of partitioned tensors, to merge in several steps.",
            "--partial",
        ),
    ]


class MergeOptions(JoinOptions, VerifyOptions, WriteOptions, TrialOptions, ProgressOptions, total=False):
    """The options of `tfckpt.merge`."""


class WeightOptions(TypedDict, total=False):
    """How much each source counts."""

    weights: Annotated[
        Sequence[float] | None,
        Option(
            None,
            "a positive number for each source; only the ratios matter (unless given, all are equal).",
            "--weights",
            "W,W,...",
            "Sequence[float] | None",
        ),
    ]


class AverageOptions(WeightOptions, VerifyOptions, WriteOptions, TrialOptions, ProgressOptions, total=False):
    """The options of `tfckpt.average`."""


class SalvageOptions(SourceOptions, WriteOptions, TrialOptions, ProgressOptions, total=False):
    """The options of `tfckpt.salvage`."""


class Compared(TypedDict, total=False):
    """What of two checkpoints is compared, and how exactly."""

    atol: Annotated[
        float,
        Option(
            0.0,
            "the absolute difference that two values may have. They are alike where ``|a - b| <= atol + rtol * "
            "max(|a|, |b|)``.",
            "--atol",
            "NUMBER",
        ),
    ]
    rtol: Annotated[
        float, Option(0.0, "the difference that two values may have, relative to the larger one.", "--rtol", "NUMBER")
    ]
    ignore_dtypes: Annotated[
        bool,
        Option(
            False,
            "compare values only. One tensor may be float32 and the other float16.",
            "--ignore-dtypes",
        ),
    ]
    only: Annotated[
        Sequence[str],
        Option(
            (),
            'compare only this: globs of names, such as ``"bert/*"``, or names of roles, such as ``"model"``. Where '
            "a glob matches no name, it is for paths of objects, or else full names. Nothing else is compared, and "
            "``ignored`` tells what that is. A role's name means the role, also where a tensor is called so.",
            "--only",
            "PATTERN|ROLE",
            "Sequence[str]",
        ),
    ]
    ignore: Annotated[
        Sequence[str],
        Option(
            (),
            'do not compare this, given likewise, such as ``"optimizer state"``. Where the two checkpoints tell '
            "different roles of one tensor, or a path leads to it in one of them alone, it is compared.",
            "--ignore",
            "PATTERN|ROLE",
            "Sequence[str]",
        ),
    ]


class DiffOptions(Compared, ProgressOptions, total=False):
    """The options of `tfckpt.diff`, besides ``plan``."""


class HistogramOptions(TypedDict, total=False):
    """How a histogram is drawn."""

    bins: Annotated[
        int,
        Option(
            10,
            "bars of the histogram. They are of equal width, from the smallest finite value to the largest.",
            "--bins",
            "BARS",
        ),
    ]


class StatisticsOptions(HistogramOptions, SourceOptions, ProgressOptions, total=False):
    """The options of `tfckpt.statistics`, besides ``pattern``."""


class InfoOptions(DescribingOptions, SourceOptions, total=False):
    """The options of `tfckpt.info`."""


class PageOptions(TypedDict, total=False):
    """What a report says, and where its page goes."""

    to: Annotated[
        str | None,
        Option(
            None,
            'show the mapping to this target, such as ``"encoder"``, or ``"auto"``. Unless given, what ``dest`` holds '
            "tells whether it is another checkpoint of the same names, or which conversion made it.",
            "--to",
            "TARGET",
            "str | None",
        ),
    ]
    stats: Annotated[
        bool,
        Option(
            True,
            "read values: for statistics, histograms and checksums, and to compare those of ``dest``. Without it no tensor "
            "is read: names, dtypes and shapes are compared, and nothing is proved.",
            "--no-stats",
        ),
    ]
    bins: Annotated[int, Option(24, f"bars of the histograms, from 1 to {MOST_BINS}.", "--bins", "BARS")]
    overwrite: Annotated[bool, Option(False, "replace the file if it exists.", "--overwrite")]


class ReportOptions(PageOptions, ModelOptions, SourceOptions, ProgressOptions, total=False):
    """The options of `tfckpt.report`, besides ``output``."""


class Fixed(Mapping[str, Any]):
    """Values by name, which nobody can change: ``fixed | {...}`` makes others.

    >>> Fixed({"to": "encoder"}) | {"to": "tf1"}
    Fixed({'to': 'tf1'})
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __or__(self, others: Mapping[str, Any]) -> Fixed:
        return Fixed({**self._values, **others})

    def __repr__(self) -> str:
        return f"Fixed({self._values!r})"


@cache
def options_of(kind: type) -> Mapping[str, Option]:
    """Return the options that are the keys of a ``TypedDict``, in order.

    >>> options_of(PlanOptions)["resize_fill"].choices
    ('zeros', 'mean')
    """
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint.__metadata__[0]._replace(type=hint.__origin__) for name, hint in hints.items()}


@cache
def every_option() -> Mapping[str, Option]:
    """Return the options of all calls by name; what two calls have under one name has one flag."""
    kinds: tuple[type, ...] = (ConvertOptions, ExportOptions, RewriteOptions, MergeOptions, AverageOptions, DiffOptions)
    kinds += (StatisticsOptions, ReportOptions)
    return {name: option for kind in kinds for name, option in options_of(kind).items()}


def given(kind: type[Kinds], values: Mapping[str, Any]) -> Kinds:
    """Return the options of one kind: the values that are given, of other options none, and the defaults.

    >>> given(SourceOptions, {"source_format": "v1", "mode": "link"})
    Fixed({'source_format': 'v1'})
    """
    found = {name: values.get(name, option.default) for name, option in options_of(kind).items()}
    fixed = Fixed({name: tuple(value) if isinstance(value, list) else value for name, value in found.items()})
    return cast("Kinds", fixed)


def for_shell(text: str) -> str:
    """Return a text with options as the command line says it: flags for keywords, capitals for what is read and written.

    >>> for_shell('for ``slots="convert"``, with ``dest``, see `convert`')
    'for --slots convert, with DEST, see convert'
    """
    options = every_option()

    def say(match: re.Match[str]) -> str:
        name, equals, value = match[1].partition("=")
        if name in options and options[name].flag:
            return f"{options[name].flag} {value.strip(QUOTE)}" if equals and value != "True" else options[name].flag
        return name.upper() if name in ENDS else match[1].strip(QUOTE)

    return re.sub("``?([^`]+)``?", say, text)
