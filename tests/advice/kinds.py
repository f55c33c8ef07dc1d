"""The kinds of dialects: what each does to a checkpoint, and how a dialect of it must end.

Kinds of one group are never put together. They are applied in the order of the table: what is renamed as a whole comes last.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from advice.draft import EITHER, REFUSED, RIGHT, Draft, NotApplicableError
from advice.sources import HEADS, TARGETS_OF_OTHERS

END = r"(?=/|$)"  # of a part of a name
QKV = r"(?<=/)(query|key|value)(?=/)"
NORMS = ("layer_norm", "layernorm", "ln", "LN", "norm", "Norm", "rms_norm", "LayerNormalization")
DENSE = ("fc", "linear", "proj", "projection", "affine")
SCOPES = ("module", "model", "tower", "student", "encoder_model/inner", "a/b")
ROOTS = ("roberta", "ernie", "model", "backbone", "text_encoder", "bert_1", "electra_small")
TOLD_BY_WORDS = (("scale", "offset"), ("scale", "shift"), ("weight", "bias"), ("g", "b"), ("gain", "center"))
NOT_TOLD = (("x", "y"), ("p_0", "p_1"), ("param", "param_1"), ("variable", "variable_1"))
INITIALS = (("q", "k", "v"), ("Q", "K", "V"), ("q_proj", "k_proj", "v_proj"), ("wq", "wk", "wv"))
NO_NAMES = (("dense", "dense_1", "dense_2"), ("0", "1", "2"), ("proj_a", "proj_b", "proj_c"), ("x", "y", "z"))
KNOWN_SLOTS = (
    ("Adam", "Adam_1"),
    ("AdamWeightDecayOptimizer", "AdamWeightDecayOptimizer_1"),
    ("LAMB", "LAMB_1"),
    ("Momentum",),
    ("RMSProp", "RMSProp_1"),
    ("adam_m", "adam_v", "accum"),
    ("lamb_m", "lamb_v"),
)
TRAINING_STATE = {
    "loss_scale": np.float32(2**15),
    "good_steps": np.int32(3),
    "bad_steps": np.int32(0),
    "local_step": np.int32(1),
    "batch_finite": np.array(True),
    "beta1_power": np.float32(0.9),
    "beta2_power": np.float32(0.999),
}


# --- what is missing


def nothing(draft: Draft) -> str:
    return RIGHT


def body_variable_missing(draft: Draft) -> str:
    return draft.remove([draft.choose(draft.names(rf"^({draft.root}|generator)/(?!pooler)"))])


def body_part_missing(draft: Draft) -> str:
    names = draft.names(rf"^({draft.root}|generator)/(?!pooler).*/.*/")
    part = draft.choose(name.rpartition("/")[0] for name in names)
    return draft.remove(draft.names(f"^{re.escape(part)}/[^/]+$"))


def table_missing(draft: Draft) -> str:
    return draft.remove([draft.choose(draft.names("_embeddings$"))])


def layer_missing(draft: Draft) -> str:
    number = draft.rng.randrange(2)
    if number == 1 and "--num-heads" in draft.options:  # nothing tells that there was one more
        raise NotApplicableError
    return draft.remove(draft.names(f"^{draft.root}/encoder/layer_{number}/"))


def pooler_missing(draft: Draft) -> str:
    names = draft.names("/pooler/")
    return draft.remove(names if draft.rng.random() < 0.6 or not names else [draft.choose(names)])


def unneeded_missing(draft: Draft) -> str:
    names = [name for name in draft.names() if name not in draft.asked.keys]
    return draft.remove(draft.rng.sample(names, min(len(names), 2)))


def state_missing(draft: Draft) -> str:
    state = [name for name in draft.tensors if name not in draft.variables]
    if not state:
        raise NotApplicableError
    gone = set(draft.rng.sample(state, len(state) // 2))
    draft.tensors = {name: value for name, value in draft.tensors.items() if name not in gone}
    return RIGHT


# --- heads


def head_without_bias(draft: Draft) -> str:
    return draft.remove([draft.choose(draft.names(f"^{_head(draft)}.*bias$"))])


def head_lacks_a_variable(draft: Draft) -> str:
    return draft.remove([draft.choose(draft.names(f"^{_head(draft)}"))])


def head_missing(draft: Draft) -> str:
    return draft.remove(draft.names(f"^{_head(draft)}"))


def head_of_another_target(draft: Draft) -> str:
    if draft.folder not in TARGETS_OF_OTHERS:
        raise NotApplicableError
    draft.to = draft.rng.choice(TARGETS_OF_OTHERS[draft.folder])
    return EITHER


def head_of_another_kind(draft: Draft) -> str:
    if draft.rng.random() < 0.5:
        draft.remove(draft.names(f"^{_head(draft)}"))
    draft.own("project/logits/W", draft.values(13, 7))
    draft.own("project/logits/b", draft.values(7))
    draft.own("crf_loss/transitions", draft.values(7, 7))
    return EITHER  # a target that takes no head may leave it out, and says so


def head_renamed(draft: Draft) -> str:
    head, word = _head(draft), draft.word("head", "my_head", "task")
    above = "" if draft.rng.random() < 0.5 else head[: head[:-1].rfind("/") + 1]
    ending = "/" if head.endswith("/") else "_"
    return draft.substitute(f"^{head}", f"{above}{word}{ending}", (f"^{above}{word}{ending}", head))


def head_under_a_scope(draft: Draft) -> str:
    head, word = _head(draft), draft.word("loss", "head", "model")
    return draft.substitute(f"^{head}", f"{word}/{head}", (f"^{word}/{head}", head))


def head_variable_renamed(draft: Draft) -> str:
    name = draft.choose(draft.names(f"^{_head(draft)}"))
    new = name.rpartition("/")[0] + "/" + draft.word("logits")
    return draft.substitute(f"^{name}{END}", new.lstrip("/"), (f"^{new.lstrip('/')}{END}", name))


def _head(draft: Draft) -> str:
    return draft.rng.choice(HEADS[draft.folder])


# --- slots of optimizers that are none of google-research's


def slots_known(draft: Draft) -> str:
    return _slots(draft, draft.rng.choice(KNOWN_SLOTS))


def slots_known_behind_some(draft: Draft) -> str:
    return _slots(draft, draft.rng.choice(KNOWN_SLOTS), f"^{draft.root}/encoder/")


def slots_unknown(draft: Draft) -> str:
    word = draft.word()
    return _slots(draft, draft.rng.choice([(f"{word}_m", f"{word}_v"), (word, f"{word}_1"), (word,)]))


def slots_unknown_behind_some(draft: Draft) -> str:
    word = draft.word()
    _slots(draft, (f"{word}_m", f"{word}_v"), f"^{draft.root}/encoder/")
    return EITHER


def slots_with_a_scope(draft: Draft) -> str:
    draft.without_state()
    forms = [
        "training/Adam/{}/m",
        "training/AdamWarmup/{}/v",
        "Optimizer/{}/Adam",
        "optimizer/{}/LAMB",
        "opt/{}/AdamW_1",
    ]
    form = draft.rng.choice(forms)
    for name in draft.names():
        draft.add(form.format(name), draft.values(*draft.tensors[name].shape))
    return RIGHT


def slots_before_names(draft: Draft) -> str:
    draft.without_state()
    word = draft.word()
    for name in draft.names():
        for end in ("m", "v"):
            draft.add(f"{word}_{end}/{name}", draft.values(*draft.tensors[name].shape))
    return EITHER


def slots_reduced(draft: Draft) -> str:
    draft.without_state()
    for name in draft.names():
        shape = draft.tensors[name].shape
        ends = {"v": shape} if len(shape) < 2 else {"vr": shape[:1], "vc": shape[1:]}
        for end, reduced in ends.items():
            draft.add(f"{name}_slot_{end}", draft.values(*reduced))
    return RIGHT


def training_state(draft: Draft) -> str:
    for name in draft.rng.sample(sorted(TRAINING_STATE), 4):
        draft.add(name, np.asarray(TRAINING_STATE[name]))
    return RIGHT


def averages(draft: Draft) -> str:
    return _slots(draft, (draft.rng.choice(["ExponentialMovingAverage", "shadow", "ema"]),))


def slot_without_its_variable(draft: Draft) -> str:
    word = draft.word()
    _slots(draft, (f"{word}_m", f"{word}_v"))
    end = draft.remove([draft.choose(draft.names())], slots=False)
    return EITHER if end == RIGHT else end  # nothing tells what is left of it


def _slots(draft: Draft, suffixes: tuple[str, ...], pattern: str = "") -> str:
    draft.without_state()
    for name in draft.names(pattern):
        for suffix in suffixes:
            draft.add(f"{name}/{suffix}", draft.values(*draft.tensors[name].shape))
    return RIGHT


# --- variables that no target knows


def adapters(draft: Draft) -> str:
    word = draft.word("adapter", "lora", "prefix")
    for part in sorted({name.rpartition("/")[0] for name in draft.names("/output/dense/kernel$")}):
        draft.own(f"{part}/{word}/down/kernel", draft.values(13, 7))
        draft.own(f"{part}/{word}/down/bias", draft.values(7))
    return REFUSED


def table_more(draft: Draft) -> str:
    draft.own(f"{draft.network}/embeddings/{draft.word('task')}_embeddings", draft.values(7, 13))
    return REFUSED


def number_more(draft: Draft) -> str:
    draft.own(f"{draft.network}/{draft.word('temperature', 'logit_scale')}", draft.values())
    return REFUSED


def masks(draft: Draft) -> str:
    for name in draft.names("/kernel$"):
        draft.own(f"{name}/mask", draft.values(*draft.tensors[name].shape))
    return REFUSED


def second_model(draft: Draft) -> str:
    form = draft.rng.choice(["teacher/{}", "tower_1/{}", "{}_1"])
    scope = form.format(draft.root)
    for name in draft.names(f"^{draft.root}/"):
        draft.own(scope + name.removeprefix(draft.root), draft.values(*draft.tensors[name].shape))
    return EITHER  # what stands beside a whole model may go; of two models under scopes nobody knows which is meant


def statistics(draft: Draft) -> str:
    word = draft.word("batch_norm")
    for end in ("moving_mean", "moving_variance"):
        draft.own(f"{draft.network}/encoder/{word}/{end}", draft.values(7))
    return REFUSED


def norm_more(draft: Draft) -> str:
    size = draft.tensors[draft.choose(draft.names(f"^{draft.network}/encoder/.*output/dense/bias$"))].shape[0]
    for end in ("gamma", "beta"):
        draft.own(f"{draft.network}/encoder/{draft.norm}/{end}", draft.values(size))
    return REFUSED


def head_more(draft: Draft) -> str:
    head = _head(draft)
    if not head.endswith("/"):
        raise NotApplicableError
    draft.own(f"{head}{draft.word('extra')}", draft.values(7, 13))
    taken = any(hub.startswith(head) for hub in draft.asked.keys)
    return REFUSED if taken else RIGHT  # a target that drops the head drops all that is called so, and says so


# --- dense layers and tables


def dense_renamed(draft: Draft) -> str:
    word = draft.part(*DENSE)
    return draft.substitute(r"(?<=/)dense(?=/|_\d)", word, (rf"(?<=/){word}(?=/|_\d)", "dense"))


def one_dense_renamed(draft: Draft) -> str:
    part = draft.choose(n[: n.index("/dense/")] for n in draft.names(f"^({draft.root}|generator)/.*/dense/"))
    word = draft.part(*DENSE)
    return draft.substitute(f"^{part}/dense/", f"{part}/{word}/", (f"^{part}/{word}/", f"{part}/dense/"))


def kernels_renamed(draft: Draft) -> str:
    return _part_renamed(draft, "kernel", draft.part("weights", "weight", "w", "W", "matrix"))


def biases_renamed(draft: Draft) -> str:
    return _part_renamed(draft, "bias", draft.part("b", "biases", "B", "offset"))


def kernels_and_biases_renamed(draft: Draft) -> str:
    first = kernels_renamed(draft)
    return EITHER if EITHER in (first, biases_renamed(draft)) else RIGHT


def table_renamed(draft: Draft) -> str:
    name = draft.choose(draft.names("_embeddings$")).rpartition("/")[2]
    return _part_renamed(draft, name, draft.part("table", "embedding_table"))


def two_tables_renamed(draft: Draft) -> str:
    first = _part_renamed(draft, "position_embeddings", draft.part("positions"))
    second = _part_renamed(draft, "token_type_embeddings", draft.part("types"))
    is_untold = "--num-heads" in draft.options  # no configuration says how many positions and types there are
    return EITHER if is_untold or EITHER in (first, second) else RIGHT


def _part_renamed(draft: Draft, old: str, new: str) -> str:
    return draft.substitute(f"(?<=/){old}{END}", new, (f"(?<=/){new}{END}", old))


# --- query, key and value


def query_key_or_value_renamed(draft: Draft) -> str:
    return _part_renamed(draft, draft.rng.choice(["query", "key", "value"]), draft.part("lookup"))


def query_key_value_told_apart(draft: Draft) -> str:
    word = draft.word("layer", "proj", "dense")
    if draft.rng.random() < 0.5:
        return draft.substitute(QKV, rf"\1_{word}", (rf"(query|key|value)_{word}", r"\1"))
    return draft.substitute(QKV, rf"{word}_\1", (rf"{word}_(query|key|value)", r"\1"))


def query_key_value_initials(draft: Draft) -> str:
    _three_renamed(draft, draft.rng.choice(INITIALS))
    return EITHER


def query_key_value_not_told_apart(draft: Draft) -> str:
    names = draft.rng.choice(NO_NAMES)
    _three_renamed(draft, tuple(draft.rng.sample(names, 3)))
    return REFUSED


def query_and_key_not_told_apart(draft: Draft) -> str:
    names = draft.rng.choice(NO_NAMES)
    query, key = draft.rng.sample(names, 2)
    _three_renamed(draft, (query, key, "value"))
    return REFUSED


def query_key_value_in_one(draft: Draft) -> str:
    if "student" in draft.folder:  # whose values are of another width
        raise NotApplicableError
    for part in sorted({name.rpartition("/query/")[0] for name in draft.names("/query/")}):
        for end in ("kernel", "bias"):
            names = [f"{part}/{which}/{end}" for which in ("query", "key", "value")]
            if not draft.variables.keys() >= set(names):
                raise NotApplicableError
            joined = np.concatenate([draft.tensors[name] for name in names], axis=-1)
            draft.remove(names)
            draft.own(f"{part}/qkv/{end}", joined)
    return REFUSED


def _three_renamed(draft: Draft, words: tuple[str, ...]) -> None:
    new = dict(zip(("query", "key", "value"), words, strict=True))
    draft.rename(lambda name: re.sub(QKV, lambda match: new[match[1]], name))


# --- norms


def norms_renamed(draft: Draft) -> str:
    word = draft.part(*NORMS)
    end = r"(?=/|_\d)"
    return draft.substitute(f"(?<=/){draft.norm}{end}", word, (f"(?<=/){word}{end}", draft.norm))


def norm_renamed_in_one_place(draft: Draft) -> str:
    place = re.escape(draft.choose(_norm_places(draft)))
    word = draft.part(*NORMS)
    return draft.substitute(
        f"^({place}){draft.norm}(?=/)", rf"\1{word}", (f"^({place}){word}(?=/)", rf"\1{draft.norm}")
    )


def norms_renamed_in_every_layer(draft: Draft) -> str:
    places = [place for place in _norm_places(draft) if "layer_" in place]
    place = re.sub(r"(?<=/layer_)\d+", r"\\d+", re.escape(draft.choose(places)))
    word = draft.part(*NORMS)
    return draft.substitute(
        f"^({place}){draft.norm}(?=/)", rf"\1{word}", (f"^({place}){word}(?=/)", rf"\1{draft.norm}")
    )


def norms_numbered(draft: Draft) -> str:
    """As Keras names them in the order in which they are made."""
    if "albert" in draft.folder:  # has two in one scope, which their numbers tell
        raise NotApplicableError
    word = draft.word("layer_normalization")
    number = {place: f"_{n}" if n else "" for n, place in enumerate(_norm_places(draft))}

    def change(name: str) -> str:
        place, found, rest = name.partition(f"{draft.norm}/")
        return f"{place}{word}{number[place]}/{rest}" if found and place in number else name

    return draft.rename(change, (rf"{word}(_\d+)?(?=/)", draft.norm))


def norms_moved(draft: Draft) -> str:
    """The norm of attention stands beside its output, not in it."""
    layer, norm = r"(/layer_\d+/attention/)", f"{draft.norm}/"
    return draft.substitute(f"{layer}output/{norm}", rf"\1{norm}", (f"{layer}{norm}", rf"\1output/{norm}"))


def norm_parameter_renamed(draft: Draft) -> str:
    old, words = draft.rng.choice([("gamma", ("scale", "weight", "g")), ("beta", ("shift", "offset", "b"))])
    return _part_renamed(draft, old, draft.part(*words))


def norm_parameters_renamed(draft: Draft) -> str:
    _norm_parameters(draft, draft.rng.choice(TOLD_BY_WORDS))
    return EITHER


def norm_parameters_not_told_apart(draft: Draft) -> str:
    _norm_parameters(draft, tuple(draft.rng.sample(draft.rng.choice(NOT_TOLD), 2)))
    return REFUSED


def _norm_parameters(draft: Draft, words: tuple[str, ...]) -> None:
    new = dict(zip(("gamma", "beta"), words, strict=True))
    draft.rename(lambda name: re.sub(rf"(?<=/)(gamma|beta){END}", lambda match: new[match[1]], name))


def _norm_places(draft: Draft) -> list[str]:
    return sorted({name.partition(f"{draft.norm}/")[0] for name in draft.names(f"(^|/){draft.norm}/")})


# --- scopes


def scope_renamed_inside(draft: Draft) -> str:
    inside = {part for name in draft.names(f"^{draft.root}/") for part in name.split("/")[1:-2]}
    old = draft.choose(part for part in inside if not re.match(r"layer_\d|ffn_layer_|query|key|value|dense", part))
    new = draft.word("block", "stack", "inner")
    end = draft.substitute(f"(?<=/){old}(?=/)", new, (f"(?<=/){new}(?=/)", old))
    return EITHER if old == "pooler" else end  # which may be missing, so what is called otherwise may be something else


def scope_added_inside(draft: Draft) -> str:
    word = draft.word("stack", "inner", "transformer_stack")
    return draft.substitute("(?<=/encoder/)", f"{word}/", (f"(?<=/encoder/){word}/", ""))


def layers_renamed(draft: Draft) -> str:
    word = draft.word("block", "layers", "transformer_layer") + draft.rng.choice(["", "_"])
    return draft.substitute(r"(?<=/)layer_(?=\d)", word, (rf"(?<=/){word}(?=\d)", "layer_"))


def layers_from_one(draft: Draft) -> str:
    draft.rename(lambda name: re.sub(r"(?<=/layer_)\d+", lambda match: str(int(match[0]) + 1), name))
    return EITHER


def layers_padded(draft: Draft) -> str:
    draft.rename(lambda name: re.sub(r"(?<=/layer_)\d+", lambda match: f"{int(match[0]):02}", name))
    return EITHER


def first_scope_renamed(draft: Draft) -> str:
    word, untold = draft.word(*ROOTS), _is_network_alone(draft)
    end = draft.substitute(f"^{draft.root}/", f"{word}/", (f"^{word}/", f"{draft.root}/"))
    return EITHER if untold else end


def first_scope_missing(draft: Draft) -> str:
    inside = "|".join(sorted({name.split("/")[1] for name in draft.names(f"^{draft.root}/")}))
    untold = _is_network_alone(draft)
    end = draft.substitute(f"^{draft.root}/", "", (f"^(?=({inside})/)", f"{draft.root}/"))
    return EITHER if untold else end


def _is_network_alone(draft: Draft) -> bool:
    """Whether there is no head: of a network alone nothing but its scope tells a BERT from an ELECTRA."""
    return not draft.names(f"^(?!{draft.root}/)")


def scope_before_all(draft: Draft) -> str:
    return _found_scope(draft, "^(?!global_step)", draft.word(*SCOPES))


def scope_before_the_body(draft: Draft) -> str:
    return _found_scope(draft, "^(?=(bert|electra|generator)/)", draft.word(*SCOPES))


def _found_scope(draft: Draft, where: str, word: str) -> str:
    """Put a scope before names, which is found and left out: nothing has to be mended."""
    ways = set(draft.ways)
    draft.substitute(where, f"{word}/", (f"^{word}/", ""))
    draft.ways = ways
    return RIGHT


def colons(draft: Draft) -> str:
    return draft.substitute("$", ":0", (":0$", ""))


def dots(draft: Draft) -> str:
    return draft.substitute("/", ".", (r"\.", "/"))


class Kind(NamedTuple):
    """One kind of dialect, and the groups of which another kind cannot be with it."""

    make: Callable[[Draft], str]
    groups: tuple[str, ...]


KINDS = {
    "nothing wrong": Kind(nothing, ("missing",)),
    "body: a variable missing": Kind(body_variable_missing, ("missing",)),
    "body: a part missing": Kind(body_part_missing, ("missing",)),
    "body: a table missing": Kind(table_missing, ("missing",)),
    "body: a layer missing": Kind(layer_missing, ("missing",)),
    "pooler missing": Kind(pooler_missing, ("missing",)),
    "missing, and not needed": Kind(unneeded_missing, ("missing", "heads")),
    "head without bias": Kind(head_without_bias, ("heads",)),
    "head lacks a variable": Kind(head_lacks_a_variable, ("heads",)),
    "head missing": Kind(head_missing, ("heads",)),
    "head of another target": Kind(head_of_another_target, ("heads",)),
    "head of another kind": Kind(head_of_another_kind, ("heads", "extra")),
    "slots: some missing": Kind(state_missing, ("slots",)),
    "slots: known": Kind(slots_known, ("slots",)),
    "slots: known, behind some": Kind(slots_known_behind_some, ("slots",)),
    "slots: unknown": Kind(slots_unknown, ("slots",)),
    "slots: unknown, behind some": Kind(slots_unknown_behind_some, ("slots",)),
    "slots: known, with a scope": Kind(slots_with_a_scope, ("slots", "scopes")),
    "slots: unknown, before names": Kind(slots_before_names, ("slots", "scopes")),
    "slots: reduced": Kind(slots_reduced, ("slots",)),
    "slots: training state": Kind(training_state, ("slots",)),
    "slots: averages": Kind(averages, ("slots",)),
    "slot without its variable": Kind(slot_without_its_variable, ("slots", "missing")),
    "extra: adapters": Kind(adapters, ("extra",)),
    "extra: a table": Kind(table_more, ("extra",)),
    "extra: a number": Kind(number_more, ("extra",)),
    "extra: masks": Kind(masks, ("extra",)),
    "extra: a second model": Kind(second_model, ("extra", "scopes")),
    "extra: statistics": Kind(statistics, ("extra",)),
    "extra: a norm": Kind(norm_more, ("extra", "norms", "missing")),
    "extra: in a head": Kind(head_more, ("extra", "heads")),
    "head renamed": Kind(head_renamed, ("heads",)),
    "head under a scope": Kind(head_under_a_scope, ("heads",)),
    "head: a variable renamed": Kind(head_variable_renamed, ("heads",)),
    "dense layers renamed": Kind(dense_renamed, ("dense",)),
    "one dense layer renamed": Kind(one_dense_renamed, ("dense",)),
    "kernels renamed": Kind(kernels_renamed, ("dense",)),
    "biases renamed": Kind(biases_renamed, ("dense",)),
    "kernels and biases renamed": Kind(kernels_and_biases_renamed, ("dense",)),
    "a table renamed": Kind(table_renamed, ("dense",)),
    "two tables renamed": Kind(two_tables_renamed, ("dense",)),
    "query, key or value renamed": Kind(query_key_or_value_renamed, ("qkv",)),
    "query, key, value told apart": Kind(query_key_value_told_apart, ("qkv",)),
    "query, key, value: initials": Kind(query_key_value_initials, ("qkv",)),
    "query, key, value not told apart": Kind(query_key_value_not_told_apart, ("qkv",)),
    "query and key not told apart": Kind(query_and_key_not_told_apart, ("qkv",)),
    "query, key, value in one": Kind(query_key_value_in_one, ("qkv", "dense")),
    "norms renamed": Kind(norms_renamed, ("norms",)),
    "norm renamed in one place": Kind(norm_renamed_in_one_place, ("norms",)),
    "norms renamed in every layer": Kind(norms_renamed_in_every_layer, ("norms",)),
    "norms numbered": Kind(norms_numbered, ("norms",)),
    "norms moved": Kind(norms_moved, ("norms",)),
    "norms: a parameter renamed": Kind(norm_parameter_renamed, ("norms",)),
    "norms: both told by words": Kind(norm_parameters_renamed, ("norms",)),
    "norms: both not told apart": Kind(norm_parameters_not_told_apart, ("norms",)),
    "scope renamed inside": Kind(scope_renamed_inside, ("scopes",)),
    "scope added inside": Kind(scope_added_inside, ("scopes",)),
    "layers renamed": Kind(layers_renamed, ("scopes",)),
    "layers from one": Kind(layers_from_one, ("scopes",)),
    "first scope renamed": Kind(first_scope_renamed, ("scopes",)),
    "first scope missing": Kind(first_scope_missing, ("scopes",)),
    "scope before all": Kind(scope_before_all, ("scopes",)),
    "scope before the body": Kind(scope_before_the_body, ("scopes",)),
    "names end in :0": Kind(colons, ("scopes",)),
    "names with dots": Kind(dots, ("scopes",)),
    "layers padded": Kind(layers_padded, ("scopes",)),
}
