"""List a checkpoint behind a URL without downloading it: this fetches only the index, in one request.

    pip install 'tfckpt[remote]'
    python examples/list_remote.py https://example.org/uncased_L-12_H-768_A-12/bert_model.ckpt
    python examples/list_remote.py s3://models/bert_model.ckpt 'bert/encoder/layer_0/*' --show bert/pooler/dense/bias
    python examples/list_remote.py          # without a URL: a checkpoint in fsspec's memory, to try it

``gs://`` and the other schemes of fsspec work in the same way; docs/remote.md says where credentials come from.
``--show`` reads the bytes of one tensor, and no others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

import tfckpt

DEMO = "memory://tfckpt-example/model.ckpt"


def list_checkpoint(url: str, pattern: str | None, show: str | None) -> None:
    """Print a line for each tensor whose name matches, and their sum; and the values of one."""
    with tfckpt.open(url) as checkpoint:
        entries = checkpoint.entries(pattern)
        for entry in entries:
            print(f"{entry.nbytes:>15,}  {entry.dtype_name:<9}{list(entry.shape)!s:<20}{entry.name}")
        print(f"{sum(entry.nbytes for entry in entries):>15,}  bytes in {len(entries)} of {len(checkpoint)} tensors")
        if show is not None:
            print(f"{show}:\n{checkpoint[show]}")


def main(argv: Sequence[str] | None = None) -> int:
    """List the checkpoint of the command line."""
    parser = argparse.ArgumentParser(description="List a checkpoint behind a URL.")
    parser.add_argument("url", nargs="?", help="prefix of the checkpoint; without it, the program makes one in memory")
    parser.add_argument("pattern", nargs="?", help="a shell glob that names must match")
    parser.add_argument("--show", metavar="TENSOR", help="print the values of one tensor")
    args = parser.parse_args(argv)
    try:
        if args.url is None:
            tfckpt.save(DEMO, {"dense/kernel": np.eye(3, dtype=np.float32), "global_step": 1000}, overwrite=True)
        list_checkpoint(args.url or DEMO, args.pattern, args.show)
    except tfckpt.TfckptError as error:
        print(f"list_remote: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
