"""`zarr.json` documents of groups and arrays as dictionaries, with a checksum that detects damage.

The seal is the SHA-256 of the document without it, as canonical JSON. It stands among our own attributes, so other
software passes it over.
"""

import json
from functools import cache
from hashlib import sha256
from typing import Any

import zarr
from zarr.core.array_spec import ArrayConfigParams
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from unetprep.layout import KEY, ArraySpec
from unetprep.store.codecs import compressors

Document = dict[str, Any]
SEAL = "checksum"
WHOLE_SHARDS: ArrayConfigParams = {"write_empty_chunks": True}


def group_document() -> Document:
    """A group without attributes."""
    return {"attributes": {}, "zarr_format": 3, "node_type": "group"}


def array_document(spec: ArraySpec, attributes: Document) -> Document:
    """An array as zarr-python would write it."""
    text = _array_text(
        spec.shape, spec.dtype, spec.chunk, spec.shard, spec.codec, spec.dims
    )  # the same for all images of one size
    return {**json.loads(text), "attributes": attributes}


@cache
def _array_text(
    shape: tuple[int, ...],
    dtype: str,
    chunk: tuple[int, ...],
    shard: tuple[int, ...],
    codec: str,
    dims: tuple[str, ...],
) -> bytes:
    array = zarr.create_array(
        MemoryStore(),
        shape=shape,
        dtype=dtype,
        chunks=chunk,
        shards=shard,
        compressors=compressors(codec, dtype),
        fill_value=0,
        dimension_names=dims,
        config=WHOLE_SHARDS,
    )
    return array.metadata.to_buffer_dict(default_buffer_prototype())["zarr.json"].to_bytes()


def record_of(document: Document) -> Document:
    """What stands under our key, the seal left out."""
    record = document.get("attributes", {}).get(KEY, {})
    return {key: value for key, value in record.items() if key != SEAL}


def encode(document: Document, seal: bool = True) -> bytes:
    """The document as bytes, with a seal that fits; or with the one that it had, which did not fit, to be found."""
    if not seal:
        return _text(document)
    attributes = document.get("attributes", {})
    sealed = {**attributes, KEY: {**record_of(document), SEAL: _digest(document)}}
    return _text({**document, "attributes": sealed})


def is_intact(data: bytes) -> bool:
    """Whether these bytes are just what `encode` made; also true of a document that never had a seal."""
    document: Document = json.loads(data)
    seal = document.get("attributes", {}).get(KEY, {}).get(SEAL)
    return seal is None or (seal == _digest(document) and data == _text(document))


def has_seal(data: bytes) -> bool:
    """Whether a document has a seal, right or wrong."""
    document: Document = json.loads(data)
    return SEAL in document.get("attributes", {}).get(KEY, {})


def _digest(document: Document) -> str:
    plain = {**document, "attributes": {**document.get("attributes", {}), KEY: record_of(document)}}
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _text(document: Document) -> bytes:
    return json.dumps(document, indent=2).encode()
