"""The kinds of issues, and what is said of each: what is wrong, and what a user should know of a result.

In double backticks stands an option, as a Python caller writes it.
"""

from __future__ import annotations

from collections.abc import Mapping

COMPLAINTS: Mapping[str, str] = {
    # of anything of which its error alone tells all
    "said": "{got}",
    # of the operating system, or of a store
    "refused": "{subject}: cannot {expected}: {got}",
    "taken": "{subject}: already exists{got}; choose another name, or give ``overwrite`` to replace it",
    # of names
    "same-but-for-scope": "{subject} and {got} differ only by the scope {expected}",
    "same-target": "{subject} and {got} would both be called {expected}",
    "several-models": "several models, and one is expected: {got}",
    "which-model": "{got} models, and one is expected: ``source_scope`` names it",
    "one-model": "{subject}: {got}",
    # of sizes
    "wrong-shape": "{subject}: expected {expected}, got {got}",
    "wrong-vocabulary": (
        "{subject}: expected {expected}, got {got}; the configuration must state the source's own size; use "
        "``vocab_size`` to change it in the target"
    ),
    "wrong-positions": (
        "{subject}: expected {expected}, got {got}; the configuration must state the source's own size; use "
        "``max_positions`` to change it in the target"
    ),
    "padded-table": (
        "{subject}: expected {expected}, got {got} rows; if those beyond are padding, {given} cuts them off; else the "
        "configuration must state the source's own size"
    ),
    "contradicting-heads": "{subject}: {got}, but {expected}",
    "contradicting-layers": "{subject}: {expected}, but the checkpoint has {got}",
    "only-value": "{subject}: {got}, but {expected}",
    "relative-positions": (
        "{subject}: {got}, but no target can hold it: Model Garden's encoders add a table of absolute positions to the "
        'embeddings; ``to="keras"`` takes it, since it only renames'
    ),
    "unknown-heads": (
        "{subject} is unknown: {got}, and shapes do not show it; give ``config`` or ``num_heads``{expected}"
    ),
    "layer-numbers": "{subject}: expected {expected}, got {got}",
    "no-such-size": "{subject}: no tensor to write has this size, so it cannot become {expected}",
    "no-numbers": "{subject}: {got}, and only tables of numbers can be resized",
    "no-mean": ('{subject}: it has no row of which new ones could be the mean; ``resize_fill="zeros"`` fills them'),
    "joined-axis": "{subject}: its axis of {got} is one with others ({expected}), so it cannot be resized",
    # of variables that are there and have no place
    "stray-variable": (
        "{subject} {got}: {expected} neither takes nor drops this variable; ``exclude`` leaves out its trained values"
    ),
    "stray-beside": (
        "{subject} {got}: {expected} neither takes nor drops this variable, which is beside its model; ``exclude`` "
        "leaves it out"
    ),
    "stray-tensor": "{subject} {got}: no part of the {expected} that was found; ``exclude`` drops it",
    "refused-variables": "{subject}: {expected}; a table of your own can place them: ``layout``",
    "not-shared": (
        "{subject}: {expected} has one variable for it and {got}, which holds other values; {given} has one for each"
    ),
    "optional-part": "{subject}: {got}, though {expected}",
    "averages-alone": "moving averages of variables that are not there: {subject}; ``averages`` takes them",
    "head-without-kind": "``head`` {subject}: name its target with ``to``, or its kind behind it: {expected}",
    "square-head": (
        "{subject} {got}: it is as long as it is wide, and nothing tells whether it is multiplied as inputs @ kernel or as "
        "inputs @ weights.T; ``head`` says it"
    ),
    "several-biases": "{subject}: several vectors beside it may be its bias: {got}",
    "head-found": "{subject} may be the head that {expected} lacks: ``head`` takes it",
    "heads-found": "{got} variables may be the head that {expected} lacks, and ``head`` takes one: {subject}",
    "paired": "{got} under other names, which is not all that is wrong: {subject} is {expected}, told by place and shape",
    "renamed": "{got} under other names: {subject} is {expected}, told by place and shape; ``rename`` reads them so",
    # of variables that are left out and needed
    "excluded": "{subject}: {got}, and {expected}",
    "excluded-head": "{subject}: {got}, and {expected}; ``fill`` gives it values",
    "excluded-by-a-part": "{subject}: {got}, and {expected}; '=NAME' excludes one variable alone",
    # of variables that have a place and are not there
    "missing-variable": "{subject}: missing, and {expected}; ``fill`` gives it values",
    "missing-network": "{subject}: missing, and {expected}",
    "missing-head": (
        'no {subject}, which {expected}; the source has {got}; give it values with ``fill``, or use ``to="auto"`` to '
        "take what the source has"
    ),
    "zeros-stay": (
        '{subject}: filled with zeros, from which training cannot start: {expected}; ``fill="normal:SEED"`` gives '
        "values from which it can"
    ),
    "size-untold": "{subject}: missing, and {expected}; it cannot be filled, because nothing shows its size ({got})",
    "too-large-to-fill": "{subject}: missing, and {expected}; {got} is far larger than all that the source holds",
    "missing-tensor": "{subject}: missing, though the object graph has it; it would become {expected}",
    # of what the source is instead
    "keys-without-graph": (
        "no variable {subject}, which every source of {expected} has; its names are keys of objects, but it has no "
        "object graph, without which TensorFlow finds none of them"
    ),
    "other-variables": (
        "no variable {subject}, which every source of {expected} has; it has other variables, {got} in all; to "
        "convert another kind of model, write a table of your own: ``layout``"
    ),
    "related-model": (
        "{got}, as in {expected}: no target takes such a model; tfckpt ls shows its variables, and tfckpt export writes "
        "their values for other programs"
    ),
    "no-known-family": (
        "no model of a known family: expected one of {expected}; ``to`` names a target, ``layout`` one of your own"
    ),
    "look-alikes": "names and shapes do not tell whether this is a model for {got}: give ``to`` with one of them",
    "no-graph": (
        'no object graph: it is name-based, like all TF1 checkpoints; leave out ``to="tf1"`` to convert it to '
        "TensorFlow 2"
    ),
    "no-model-in-graph": "no model of {expected} in its object graph; tfckpt tree shows what it holds",
    # of a destination
    "no-target": "no target matches it; name one with ``to``; tfckpt layouts lists them",
    "other-options": "it is not {expected}: its names and shapes are those of {given}",
    "a-copy": "it is not {expected}: it has the names and shapes of the source, like a copy",
    "another-model": "all {got} tensors differ: it holds another model's values",
    "other-values": "{subject}: {got}",
    "not-the-same": "{subject}: {got}",
    "unaccounted": "{subject}: nothing in the source corresponds to it",
    # of files of other frameworks
    "unknown-file-kind": "{subject}: cannot tell what to write: expected {expected}; ``kind`` says it too",
    "unnamed-file-kind": (
        "kind of file: expected {expected} for what has no name to tell it, got {got}; ``kind`` says it"
    ),
    "no-form": "tensor {subject}: {got}; {expected}``drop`` leaves it out",
    "no-name": "tensor {subject}: {got}; ``rename`` gives it another{expected}",
    "alike-names": "tensors {subject} and {got}: numpy.load takes one for the other; ``rename`` helps",
    # of checkpoints of one model
    "unknown-copy": (
        "{subject} stores a weight of the model a second time, in a list of any order, and it is not known which: "
        "average what rewriting each source with ``drop`` {expected} makes of it"
    ),
    "graphs-differ": "the object graph is not that of {subject}: {got}",
    "optimizers-differ": (
        "the object graph is not that of {subject}: {got}; without optimizers they agree: average what rewriting "
        "each source with ``strip_optimizer`` makes of it"
    ),
    # of optimizer state
    "no-slots": "no optimizer state: none of the variables has {expected}",
    "slot-of-a-piece": ('{subject}: the pieces of this slot do not make up {got}; ``slots="drop"`` leaves all out'),
    "missing-slot": "{subject}: {got}, though its other slot is there",
    "missing-step": "{subject}: {got}, and the optimizer needs it for {expected}",
    "unknown-order": "the order in which {subject} keeps its slots is not known for {expected}; {got} needs none",
    "moments-in-doubt": (
        '{subject}: its slots do not tell which are its two moments: {got}; ``slots="drop"`` leaves all out'
    ),
    "no-optimizer": "one optimizer with slots {expected} is expected in the object graph, got {got}",
    "other-slots": '{subject}: {got}, and {expected}; ``slots="drop"`` leaves them out',
}

NOTES: Mapping[str, str] = {
    # of what a source is taken for
    "found-model": "the model is {subject} of {expected}, at {got}",
    "alike": "it may as well be {got}, which has the same variables; ``model`` says which it is",
    "found-names": "the names are those of {subject} of {expected}",
    "chosen-target": "target {subject}: {got}",
    "read-as": "{got} read under other names: {subject} as {expected}",
    "renames-found": "``rename`` {subject}: found by place and shape",
    "of-any-model": "{subject}: under no model's scope; taken for that of {expected} where the target needs it",
    "averages-taken": "{expected}: the moving average is taken; {got}",
    "scope-left-out": "the scope {subject} before the variables' names is left out",
    "guessed-slots": "{subject} behind the variables' names is taken for {expected}: it stands behind nearly all",
    # of values: which are taken, and which are not the source's
    "taken-for-excluded": "{subject} is taken for {expected}: {got}",
    "copy-differs": "{subject} differs from {got}, which is taken for {expected}",
    "copy-in-another-form": "{subject} is not compared with {got}, which is taken for {expected}: it has another form",
    "filled": "{subject}: filled ({got}), since the source has nothing for it",
    "filled-though-there": "{subject}: filled ({got}), although the source has {expected}",
    "optimizer-constant": "{subject}: {got}, the optimizer's own",
    "moving-average-left-out": (
        "{subject}: a moving average, with which the model may be meant to be evaluated, is left out, and the variables that "
        "were trained are taken; ``averages`` takes them"
    ),
    "beside-left-out": "left out, since it is beside the model that is named: {subject}",
    "layers-left-out": "{subject}: excluded as a whole; the target has {expected}",
    "stored-twice": "{subject}: stored twice, since its bytes change places",
    "names-unchanged": "{got} through as they are: {subject}",
    "heads-not-given": (
        "no head count given: attention weights keep their TF1 shapes; a target of names reads no configuration, and "
        "``num_heads`` splits them"
    ),
    "size-as-it-is": "{expected}: {got} already, in {subject}",
    "rows-cut": "{expected}: the last {got} cut off in {subject}",
    "rows-of-zeros": "{expected}: {got} added, zeros, in {subject}",
    "rows-of-means": "{expected}: {got} added, the mean of the old ones, in {subject}",
    # of what the model must be built with
    "other-dtype": (
        "{got} {subject}: TensorFlow does not cast when it restores, so the model must have that dtype too"
    ),
    "new-dtype": "TensorFlow does not cast when it restores: the model must have the new dtype too",
    "build-with": "{subject}: build the model with {expected}, {got}",
    "build-with-the-right": "{subject}: build the model with the right {expected}, {got}",
    "build-with-your-own": "{subject}: build the model with a function of your own as {expected}, {got}",
    "label-count": "{subject}, but {got}: build the model with {expected}",
    "other-epsilon": (
        "{subject}, and the norms of the model have {got}, for which it has no argument: when its variables are made, "
        "{expected}, or its outputs differ"
    ),
    # of options
    "no-use": "{given}: {subject} has no use for it",
    "excludes-nothing": "``exclude`` {subject}: no variable",
    "no-tensor": "{subject}: no tensor",
    "renames-nothing": "{subject}, which is to be renamed: {expected}",
    "renamed-as": "``rename`` {subject}: taken for {expected}; {got}",
    "one-full-name": "``rename`` {subject}: several variables have one full name now: {got}",
    "taken-as": "{subject}: taken for {expected}; {got}",
    "there-and-replaced": "{subject} is there already: it would be replaced",
    "there-and-refused": "{subject} is there already: without ``overwrite`` it is refused",
    "no-such-names": "``names``: {got}, and {expected}: {subject}",
    # of what goes along with what is named
    "kept-trained": "{subject}: kept {got}; its key begins with an optimizer's, and names what that trains: {expected}",
    "slots-go-along": "{subject}: with {got} of what goes: {expected}",
    "slots-stay": "{subject}: nothing tells which slots of an optimizer are of what goes, so they stay",
    "kept-beside": "{subject}: kept {got}, {expected}; a pattern drops what is named",
    "no-model-left": "no model variable is left: {got} dropped",
    "objects-together": "{subject}: of the same objects as what is named, so they go or stay together",
    # of object graphs
    "graph-dropped": "without its object graph TensorFlow 2 restores none of these tensors into objects",
    "graph-missing": (
        "keys of objects, and no object graph, without which TensorFlow restores none of them: export with target 'tf1', "
        "import that, and convert it"
    ),
    "graph-unread": "patterns are compared with keys alone, since the object graph cannot be read: {got}",
    "graph-lost": "the object graph is lost: TensorFlow restores what was saved by names only",
    "graph-as-it-is": "the object graph goes along as it is, and cannot be read: {got}",
    "graph-without": "the object graph goes without {got}: {subject}",
    "set-aside": "{subject}: intact, and not written, since another tensor of the same object is lost",
    "asked-for": "{subject}: lost; if an object saved by {got} asks for it, TensorFlow restores nothing",
    "too-many-paths": "the graph has more paths than are compared with patterns; keys are compared with all",
    "saved-model": (
        "{subject} asks for all objects that it names, and does not load with variables that lack any or have moved"
    ),
    "header-lost": "the header is lost: {got} data files by their names, and little-endian, as nearly all are",
    # of several checkpoints
    "graphs-joined": "the object graphs of {subject} are joined: {got}",
    "structure-preferred": "the structure of objects is that of {subject}, which is preferred where they contradict",
    "order-of-lists": (
        "{subject}: its lists are in the order of {got}; restore it in a program that makes the variables in that order"
    ),
    "copies-follow": "copies of weights, as Keras 3 exports them, are taken from where their originals are",
    "not-in-preferred": "``prefer`` {subject}: what {expected} does not have is of {got}",
    "nothing-averaged": "nothing is averaged: all is as in {subject}",
    "averaged": "{got} {expected}",
    "not-averaged": "{expected}, not averaged but as in {got}: {subject}",
    "order-in-doubt": (
        "optimizer {subject}: places in lists alone tell for which variables moments are, and another run may have another "
        "order; to leave it out, rewrite each source without optimizer state first"
    ),
    "averaged-copies": "copies of weights, which follow the weights: {subject}",
    "not-the-newest": "smaller in {got}, which should be the newest, than in another source: {subject}",
    "averaged-scalars": "scalars that differ, averaged as if they were weights: {subject}",
    "not-finite": "values that are no finite numbers in some source, and in the average: {subject}",
}

CODES: Mapping[str, str] = {**COMPLAINTS, **NOTES}
