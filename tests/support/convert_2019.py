"""Runs the converter of Model Garden's 2019 release; a program of its own, since that release is also called `official`.

Usage: convert_2019.py RELEASE SOURCE DEST NUM_HEADS [EXCLUDE...]
"""

from __future__ import annotations

import sys

release, source, dest, num_heads, *exclude = sys.argv[1:]
sys.path.insert(0, release)

from official.nlp.bert import tf1_checkpoint_converter_lib as lib  # noqa: E402

lib.convert(
    checkpoint_from_path=source,
    checkpoint_to_path=dest,
    num_heads=int(num_heads),
    name_replacements=lib.BERT_NAME_REPLACEMENTS,
    permutations=lib.BERT_PERMUTATIONS,
    exclude_patterns=exclude,
)
