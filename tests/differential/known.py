"""Where TensorFlow and tfckpt are known to differ, by name. Each is seen in a long run, or has a case of its own."""

from __future__ import annotations

KNOWN = {
    "name-not-utf8": "TensorFlow lists no names if one is no UTF-8, and cannot say what is wrong with that tensor",
    "slices-not-read": "TensorFlow writes slices of every dtype, and puts those of some dtypes together again",
    "part-not-read": "TensorFlow reads no part of a whole tensor of such a dtype, either",
    "one-byte-not-swapped": "TensorFlow refuses float8 and types below a byte in a big-endian bundle, with nothing to swap",
    "empty-source-merged": "TensorFlow counts a bundle without tensors as a data file, and its merge cannot be read",
    "policy-slices-not-read": "TensorFlow's MaxShardSizePolicy cuts a variable whose slices it cannot put together again",
    "policy-never-ends": "TensorFlow's MaxShardSizePolicy starts files for ever where no slice is small enough for one",
    "empty-behind-the-end": "TensorFlow reads no byte of a tensor without elements, and misses that its file is cut short",
}
# What ends TensorFlow's process is not tried here: an empty name, slices of more than eight dimensions, and what
# tests/tf/test_corner_cases.py has.
