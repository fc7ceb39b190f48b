"""Lengths and sizes as text."""

import pytest

from unetprep.errors import InvalidInput
from unetprep.params import (
    LENGTH_UNITS,
    format_bytes,
    parse_bytes,
)


def test_the_units_are_those_of_ome_ngff() -> None:
    assert len(set(LENGTH_UNITS)) == len(LENGTH_UNITS) == 26
    assert {"micrometer", "nanometer", "angstrom", "meter", "millimeter", "yottameter", "parsec"} <= set(LENGTH_UNITS)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4 * 10**9), ("3.5GiB", 3758096384), (" 512 MiB ", 2**29), ("1TB", 10**12), ("10B", 10), ("2KB", 2000)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["4", "4G", "GB", "-1GB", "0GB", "4iB", "4 gigabytes", "1e3MB"])
def test_sizes_of_which_one_cannot_be_sure(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"memory is '.*'\n  allowed: a number and B, KB, MB, GB"):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["9" * 400 + "GB", "99999TiB", "0B", "1e3GB", "٣GB"])
def test_memory_is_a_plain_number(text: str) -> None:
    with pytest.raises(InvalidInput, match="memory is"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "size"), [("2GiB", 2**31), ("1.5 KB", 1500), ("512MiB", 2**29), ("7B", 7), ("3TB", 3 * 10**12)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size
    assert abs(parse_bytes(format_bytes(size)) - size) <= size / 1024


@pytest.mark.parametrize("text", ["2", "GB", "-1GB", "0B", "2Gb", "1e9B", ""])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="such as 4GB"):
        parse_bytes(text)
