"""Fingerprints of predictions: what an output was made from, and what a killed prediction may continue from."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import blake2b, sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.checkpoint import Checkpoint
from unettrain.data.intensity import ArrayLike

DIGITS = 16


class Digested:
    """An image that takes the digest of everything that is read of it, in the order in which it is read."""

    def __init__(self, image: ArrayLike) -> None:
        self._image, self._hash = image, blake2b()
        self.shape, self.dtype = image.shape, image.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        found = np.ascontiguousarray(self._image[key])
        self._hash.update(found.view(np.uint8).data if found.size else b"")
        return found

    @property
    def digest(self) -> str:
        """The digest of shape, dtype and pixels."""
        whole = self._hash.copy()
        whole.update(repr((tuple(self.shape), np.dtype(self.dtype).str)).encode())
        return whole.hexdigest()


def digest_of_checkpoint(trained: Checkpoint) -> str:
    """The digest of a network: its shape and its weights."""
    found = blake2b(repr(sorted(asdict(trained.network).items())).encode())
    for name, tensor in sorted(trained.weights.items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def fingerprint(values: Mapping[str, Any]) -> str:
    """A fingerprint of plain values."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:DIGITS]
