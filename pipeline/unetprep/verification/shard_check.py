"""Check of one shard: its checksums, its values, and the digest of imported pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Index, shard_box
from unetprep.format.sharding import Damaged, Shards, shard_key
from unetprep.stages.base import Sizes
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


def check_shard(
    storage: Storage, path: str, shards: Shards, index: Index, keep: bool, sizes: Sizes | None = None
) -> CheckedShard:
    """Read a whole shard, and check its checksums and values. `keep` its pixels, or of a stack the digests of images.

    Raises OSError if it cannot be read, which says nothing about the shard.
    """
    key = f"{path}/{shard_key(index)}"
    box = shard_box(index, shards.shape, shards.shard)
    inner = tuple(slice(0, b.stop - b.start) for b in box)
    try:
        data = storage.get(key)
        if keep:
            block = np.ascontiguousarray(shards.decode(data)[inner])
            problem = problem_with(path, block)
            if sizes is None:
                return CheckedShard(key, "values", problem, block)
            first = box[-3].start
            digests = (pixel_digest(block[..., k : k + 1, :y, :x]) for k, (y, x) in enumerate(sizes[box[-3]].tolist()))
            return CheckedShard(key, "values", problem, None, first, tuple(digests))
        problem = ""
        for _, values in shards.chunks_of(data):
            problem = problem or problem_with(path, values)
    except (Damaged, FileNotFoundError) as error:
        return CheckedShard(key, "damaged", str(error))
    return CheckedShard(key, "values", problem)


def node_of(key: str) -> str:
    """The node that an object belongs to."""
    return key.rpartition("/c/")[0] if "/c/" in key else key.rpartition("/")[0]


def digest_of(record: dict[str, Any]) -> str | None:
    """The digest of the imported pixels of an array; None if it is not that of the pixels as stored."""
    if record.get("stage") != "import" or record.get("parameters", {}).get("instances") == "components":
        return None
    found: str | None = record.get("inputs", {}).get("pixels")
    return found


def little(block: NDArray[Any]) -> bytes:
    """The values of a block as little-endian bytes, as digests take them."""
    return block.astype(block.dtype.newbyteorder("<")).tobytes()
