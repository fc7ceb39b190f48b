"""Creation of `zarr.json` documents of groups and arrays; `unetprep.format.metadata` parses them.

They are what zarr-python writes for `zarr.create_array`, which the tests compare. Importing zarr-python would take as
long as all other imports of a command that finds nothing to do.
"""

from typing import Any

from unetprep.format.codecs import codec_documents
from unetprep.format.layout import ArraySpec
from unetprep.format.metadata import Json

Document = Json
LITTLE_ENDIAN: Json = {"name": "bytes", "configuration": {"endian": "little"}}
CHECKSUM: Json = {"name": "crc32c"}


def group_document() -> Document:
    """The document of a group without attributes."""
    return {"attributes": {}, "zarr_format": 3, "node_type": "group"}


def array_document(spec: ArraySpec, attributes: Document) -> Document:
    """The document of an array, as zarr-python would write it."""
    order = {"name": "bytes"} if spec.dtype.endswith("int8") else LITTLE_ENDIAN  # single bytes have no order
    sharding = {
        "chunk_shape": list(spec.chunk),
        "codecs": [order, *codec_documents(spec.codec, spec.dtype)],
        "index_codecs": [LITTLE_ENDIAN, CHECKSUM],
        "index_location": "end",
    }
    fill: Any = 0.0 if spec.dtype.startswith("float") else 0
    return {
        "shape": list(spec.shape),
        "data_type": spec.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(spec.shard)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": attributes,
        "dimension_names": list(spec.dims),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
