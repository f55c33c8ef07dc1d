from __future__ import annotations

import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfckpt.sstable.checksum import crc32c, mask, masked_crc32c, unmask

ISCSI_READ = bytes.fromhex(
    "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000"
)

RFC_3720_B4 = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(reversed(range(32))), 0x113FDB5C),
    (ISCSI_READ, 0xD9963A56),
]


@pytest.mark.parametrize(("data", "crc"), RFC_3720_B4, ids=["zeros", "ones", "ascending", "descending", "iscsi"])
def test_checksums_are_those_of_rfc_3720(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc
    assert crc32c(data[11:], crc32c(data[:11])) == crc
    assert unmask(masked_crc32c(memoryview(data))) == crc


@pytest.mark.parametrize(
    ("crc", "masked"),
    [(0, 0xA282EAD8), (1, 0xA284EAD8), (0x8000, 0xA282EAD9), (0xFFFFFFFF, 0xA282EAD7)],
)
def test_a_masked_checksum_is_rotated_and_shifted(crc: int, masked: int) -> None:
    assert mask(crc) == masked


def test_the_checksum_that_tensorflow_stored_of_two_floats() -> None:
    assert masked_crc32c(struct.pack("<2f", 1, 2)) == 0x35E53C59


@given(st.integers(0, 2**32 - 1))
def test_unmask_undoes_mask(crc: int) -> None:
    masked = mask(crc)
    assert unmask(masked) == crc != masked < 2**32
    assert mask(unmask(crc)) == crc


@pytest.mark.parametrize("first", ["crc32c", "tfckpt.sstable.checksum"])
def test_the_checksum_and_its_package_load_in_either_order(first: str) -> None:
    program = (
        f"import {first}, tfckpt.sstable.checksum as ours, crc32c; print(ours.crc32c(b'abc') == crc32c.crc32c(b'abc'))"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert output == "True\n"
