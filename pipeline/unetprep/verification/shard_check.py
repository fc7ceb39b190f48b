"""Check of one shard: its checksums, its values, and the digest of imported pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box, Index, shard_box
from unetprep.format.sharding import Damaged, Shards, shard_key
from unetprep.params.importing import PIECES
from unetprep.stages.base import Sizes
from unetprep.stages.classes import NUMBER
from unetprep.stages.stacks import pixel_digest
from unetprep.storage.base import Storage
from unetprep.verification.values import problem_with


@dataclass
class CheckedShard:
    """Result of reading a shard: its fault, if any, and, for a digest, its pixels or those of its images."""

    key: str
    kind: str = ""
    problem: str = ""
    block: NDArray[Any] | None = None
    first: int = 0  # slice of a stack at which the shard begins
    digests: tuple[str, ...] = ()  # of the images of a stack in the shard


Limits = tuple[float, float]  # the least and the greatest value


def check_shard(
    storage: Storage, path: str, shards: Shards, index: Index, limits: Limits, keep: bool, sizes: Sizes | None = None
) -> CheckedShard:
    """Read a whole shard, and check its checksums and values. `keep` its pixels, or of a stack the digests of images.

    `sizes` (image, 2) are the sides of the images, if the array lies in a stack. Raises OSError if the shard cannot be
    read, which says nothing about it.
    """
    key = f"{path}/{shard_key(index)}"
    box = shard_box(index, shards.shape, shards.shard)
    try:
        data = storage.get(key)
        if sizes is not None:
            return _check_images(key, shards, data, box[-3], limits, keep, sizes)
        if keep:
            inner = tuple(slice(0, b.stop - b.start) for b in box)
            block = np.ascontiguousarray(shards.decode(data)[inner])
            return CheckedShard(key, "values", problem_with(limits, block), block)
        problem = ""
        for _, values in shards.chunks_of(data):
            problem = problem or problem_with(limits, values)
    except (Damaged, FileNotFoundError) as error:
        return CheckedShard(key, "damaged", str(error))
    return CheckedShard(key, "values", problem)


def _check_images(
    key: str, shards: Shards, data: bytes, slices: slice, limits: Limits, keep: bool, sizes: Sizes
) -> CheckedShard:
    """Check the images in a shard of a stack one after the other, and that the padding around them is 0."""
    chunks: dict[int, list[tuple[Box, NDArray[Any]]]] = {}
    for (*channel, k, row, column), values in shards.chunks_of(data):
        place = zip((*channel, 0, row, column), shards.chunk, strict=True)
        chunks.setdefault(k, []).append((tuple(slice(i * n, (i + 1) * n) for i, n in place), values))
    problem, digests = "", []
    for k, (height, width) in enumerate(sizes[slices].tolist()):
        whole = np.zeros((*shards.shard[:-3], 1, *shards.shard[-2:]), shards.dtype)
        for where, values in chunks.get(k, ()):
            whole[where] = values
        image = whole[..., :height, :width]
        problem = problem or problem_with(limits, image)
        if not problem and np.count_nonzero(whole) != np.count_nonzero(image):
            problem = f"the padding of slice {slices.start + k} is not 0"
        if keep:
            digests.append(pixel_digest(image))
    return CheckedShard(key, "values", problem, first=slices.start, digests=tuple(digests))


def node_of(key: str) -> str:
    """The node that an object belongs to."""
    return key.rpartition("/c/")[0] if "/c/" in key else key.rpartition("/")[0]


def digest_of(record: dict[str, Any]) -> str | None:
    """The digest of the imported pixels of an array; None if it is not that of the pixels as stored."""
    made = record.get("parameters", {})
    if record.get("stage") != "import" or made.get("instances") in PIECES or NUMBER in made:
        return None
    found: str | None = record.get("inputs", {}).get("pixels")
    return found


def little(block: NDArray[Any]) -> bytes:
    """The values of a block as little-endian bytes, as digests take them."""
    return block.astype(block.dtype.newbyteorder("<")).tobytes()
