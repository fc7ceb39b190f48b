"""Damaged files of every format are errors that name the file."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.sources.formats.samples import SAMPLES, WHOLE
from unetprep.errors import InvalidInput
from unetprep.sources import open_source
from unetprep.sources.pairing import open_labels
from unetprep.sources.source import Source

NUM_FILES = 30


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A file that is cut short, or in which bits are flipped, most of them in its header."""
    if rng.random() < 0.5:
        return data[: rng.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(rng.choice([1, 2, 8, 40])):
        changed[rng.randrange(min(len(data), rng.choice([64, 400, len(data)])))] ^= 1 << rng.randrange(8)
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLES)
def test_a_damaged_file_is_read_or_refused_by_its_name(tmp_path: Path, name: str) -> None:
    SAMPLES[name][0](tmp_path / name)
    data, rng, refused = (tmp_path / name).read_bytes(), random.Random(name), 0
    for k in range(NUM_FILES):
        path = tmp_path / f"{k}{name[name.index('.') :]}"
        path.write_bytes(damaged(data, rng))
        error = error_of(open_labels if k % 2 else open_source, str(path))
        refused += bool(error)
        assert not error or str(path) in error
    assert refused


def error_of(opener: Callable[[str], Source], path: str) -> str:
    """The message of InvalidInput while a file is opened and read; "" if there is none."""
    try:
        opener(path).read(WHOLE)
    except InvalidInput as error:
        return str(error)
    return ""
