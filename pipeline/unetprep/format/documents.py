"""Creation of `zarr.json` documents of groups and arrays; `unetprep.format.metadata` parses them."""

import json
from functools import cache

import zarr
from zarr.core.array_spec import ArrayConfigParams
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from unetprep.format.codecs import compressors
from unetprep.format.layout import ArraySpec
from unetprep.format.metadata import Json

Document = Json
WHOLE_SHARDS: ArrayConfigParams = {"write_empty_chunks": True}


def group_document() -> Document:
    """The document of a group without attributes."""
    return {"attributes": {}, "zarr_format": 3, "node_type": "group"}


def array_document(spec: ArraySpec, attributes: Document) -> Document:
    """The document of an array, as zarr-python would write it."""
    # Images of one size share a cached text.
    text = _array_text(spec.shape, spec.dtype, spec.chunk, spec.shard, spec.codec, spec.dims)
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
