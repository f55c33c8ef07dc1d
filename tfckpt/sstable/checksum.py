"""Masked CRC-32C: the checksum of every block, tensor and string in a checkpoint.

A checksum of bytes that contain checksums is weak, so LevelDB stores crc32c rotated and shifted.
Source: leveldb util/crc32c.h; the polynomial is Castagnoli's, RFC 3720 appendix B.4.
"""

from __future__ import annotations

from crc32c import crc32c

__all__ = ["crc32c", "mask", "masked_crc32c", "unmask"]

MASK_DELTA = 0xA282EAD8  # kMaskDelta
U32_MASK = 0xFFFFFFFF


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
