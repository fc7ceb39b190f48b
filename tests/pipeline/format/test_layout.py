"""Names and chunk sizes of the store."""

import hashlib
import json
from typing import Any

import pytest

from unetprep.format.layout import (
    PIXEL_CHUNK,
    PIXEL_SHARD,
    STACK_SHARD_PX,
    Provenance,
    absent_from_tiles,
    images_a_shard,
    pixel_array,
    pixel_chunks,
    stack_array,
)

RECORD = Provenance("weights", 2, {"sigma": 5.0, "w0": 10.0}, {"images/a/image": "1"})


@pytest.mark.parametrize(
    ("shape", "dims", "shard"),
    [
        ((1, 5000, 5000), 2, (1, 2048, 2048)),
        ((7, 256, 257), 2, (1, 256, 512)),
        ((1, 1, 1), 2, (1, 256, 256)),
        ((100, 1000, 1000), 3, (64, 512, 512)),
        ((33, 129, 10), 3, (64, 256, 128)),
    ],
)
def test_shards_of_small_images_are_whole_chunks(shape: tuple[int, ...], dims: int, shard: tuple[int, ...]) -> None:
    chunk, found = pixel_chunks(shape, dims)
    assert (chunk, found) == (PIXEL_CHUNK[dims], shard)
    assert all(s % c == 0 for s, c in zip(PIXEL_SHARD[dims], PIXEL_CHUNK[dims], strict=True))


def test_channels_lie_whole_in_a_chunk() -> None:
    spec = pixel_array("images/a/image", (3, 1, 600, 600), "uint8", 2, RECORD)
    assert (spec.dims, spec.chunk, spec.shard) == (("c", "z", "y", "x"), (3, 1, 256, 256), (3, 1, 768, 768))
    spec = pixel_array("images/a/weights", (1, 600, 600), "float32", 2, RECORD)
    assert (spec.dims, spec.chunk, spec.shard) == (("z", "y", "x"), (1, 256, 256), (1, 768, 768))


@pytest.mark.parametrize(
    ("shape", "chunk", "shard"),
    [
        ((40, 70, 50), (1, 80, 64), (9, 80, 64)),
        ((40, 256, 300), (1, 256, 256), (9, 256, 512)),
        ((3, 40, 16, 17), (3, 1, 16, 32), (3, 9, 16, 32)),
        ((1, 40, 1, 2048), (1, 1, 16, 256), (1, 9, 16, 2048)),
    ],
)
def test_a_shard_of_a_stack_holds_whole_images(
    shape: tuple[int, ...], chunk: tuple[int, ...], shard: tuple[int, ...]
) -> None:
    spec = stack_array("stacks/0/image", shape, "uint8", 9, RECORD)
    assert (spec.shape, spec.chunk, spec.shard) == (shape, chunk, shard)
    assert spec.dims == ("c", "z", "y", "x")[-len(shape) :]


@pytest.mark.parametrize("num_images", [16, 17, 670, 100_000])
@pytest.mark.parametrize("side", [16, 256, 1000, 2048])
def test_shards_of_a_stack_hold_about_the_pixels_that_they_should(num_images: int, side: int) -> None:
    num_pixels = num_images * side**2
    each = images_a_shard(num_images, num_pixels)
    num_shards = -(-num_images // each)
    if num_pixels <= STACK_SHARD_PX:
        assert num_shards == 1
    else:
        assert each * side**2 <= STACK_SHARD_PX + side**2
        assert num_shards > 1
        assert num_images - (num_shards - 1) * each > 0


def test_a_fingerprint_is_the_digest_of_the_record_whatever_its_order() -> None:
    record = {
        "inputs": {"images/a/image": "1"},
        "kernel_version": 2,
        "parameters": {"sigma": 5.0, "w0": 10.0},
        "stage": "weights",
    }
    assert RECORD.fingerprint == hashlib.sha256(json.dumps(record).encode()).hexdigest()
    assert RECORD.as_dict() == record | {"fingerprint": RECORD.fingerprint}
    other = Provenance("weights", 2, {"w0": 10.0, "sigma": 5.0}, {"images/a/image": "1"})
    assert other.fingerprint == RECORD.fingerprint


@pytest.mark.parametrize("changed", [{"stage": "tiles"}, {"kernel_version": 3}, {"parameters": {}}, {"inputs": {}}])
def test_every_part_of_the_record_changes_the_fingerprint(changed: dict[str, Any]) -> None:
    assert Provenance(**vars(Provenance("weights", 2, {"a": 1}, {"b": "1"})) | changed).fingerprint not in (
        Provenance("weights", 2, {"a": 1}, {"b": "1"}).fingerprint,
        RECORD.fingerprint,
    )


@pytest.mark.parametrize(
    ("parameters", "present", "absent"),
    [
        ({}, {"image", "target", "weights"}, {"instances"}),
        ({"instances": True}, {"image", "target", "weights", "instances"}, set()),
        ({"index_only": True, "instances": True}, set(), {"image", "target", "weights", "instances"}),
    ],
)
def test_arrays_of_tiles_follow_from_their_parameters(
    parameters: dict[str, Any], present: set[str], absent: set[str]
) -> None:
    found = set(absent_from_tiles(parameters))
    assert absent <= found
    assert not present & found
