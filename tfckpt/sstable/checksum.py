"""Masked CRC-32C: the checksum of every block, tensor and string in a checkpoint.

A checksum of bytes that contain checksums is weak, so LevelDB stores crc32c rotated and shifted.
Source: leveldb util/crc32c.h; the polynomial is Castagnoli's, RFC 3720 appendix B.4.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import ModuleType

__all__ = ["crc32c", "mask", "masked_crc32c", "unmask"]

MASK_DELTA = 0xA282EAD8  # kMaskDelta
U32_MASK = 0xFFFFFFFF


def _load() -> ModuleType:
    """Return the compiled module inside crc32c, or crc32c where it has none or is loaded already.

    The package around it sets up a command line and has importlib.metadata look up its version: half of what a first
    `tfckpt.open` would cost.
    """
    package = PathFinder.find_spec("crc32c")
    if "crc32c" not in sys.modules and package is not None and package.submodule_search_locations:
        spec = PathFinder.find_spec("crc32c._crc32c", package.submodule_search_locations)
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return import_module("crc32c")


crc32c: Callable[..., int] = _load().crc32c


def mask(crc: int) -> int:
    """Return the stored form of a CRC-32C.

    >>> hex(mask(0))
    '0xa282ead8'
    """
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & U32_MASK


def unmask(masked: int) -> int:
    """Return the CRC-32C of a stored form.

    >>> unmask(mask(0x12345678)) == 0x12345678
    True
    """
    rotated = (masked - MASK_DELTA) & U32_MASK
    return (rotated >> 17 | rotated << 15) & U32_MASK


def masked_crc32c(data: bytes | memoryview) -> int:
    """Return the stored form of the CRC-32C of ``data``."""
    return mask(crc32c(data))
