"""Parsing, validation and checksums of `zarr.json` documents.

Every document of a store passes through `parse_document`, which checks that it is a JSON object describing a group or
an array, and that its unetprep attributes (under `KEY`) have the types of pipeline/LAYOUT.md. Later code can rely on
these types. Attributes of other software are not checked.

The checksum is the SHA-256 of the document without it, as canonical JSON; see pipeline/LAYOUT.md.
"""

import json
from hashlib import sha256
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.format.schema import CHECKS, is_list_of, is_size

Json = dict[str, Any]

DOCUMENT = "zarr.json"
KEY = "unetprep"  # the attribute that contains all attributes of unetprep
CHECKSUM = "checksum"
FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)  # version 1 is version 2 without stacks, with coordinate arrays
NODE_TYPES = ("group", "array")
SHOWN_CHARACTERS = 80


class DamagedDocument(InvalidInput):
    """A document that is invalid or whose checksum does not match."""


def parse_object(data: bytes, where: str, hint: str = "") -> Json:
    """Parse a JSON object. Raises DamagedDocument, whose message begins with `where`, for anything else."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedDocument(f"{where} is not valid JSON: {error}", hint=hint) from None
    if not isinstance(found, dict):
        raise DamagedDocument(f"{where} holds {_shown(found)}", allowed="a JSON object", hint=hint)
    return found


def parse_document(data: bytes, where: str, hint: str = "", *, verify: bool = True) -> Json:
    """Parse the `zarr.json` of a Zarr v3 group or array, and validate everything that unetprep reads of it.

    `where` names the document. Raises DamagedDocument for invalid metadata and attributes, and with `verify` also for
    a checksum that does not match; a document without a checksum is accepted. The unetprep attributes of a document
    that declares another format version are not checked.
    """
    document = parse_object(data, where, hint)
    problem, allowed = _metadata_problem(document) or _attributes_problem(document) or ("", "")
    if problem:
        raise DamagedDocument(f"{where}: {problem}", allowed=allowed, hint=hint)
    if verify and not has_valid_checksum(document):
        problem = "its checksum does not match: it is damaged, or other software has changed it"
        raise DamagedDocument(f"{where}: {problem}", hint=hint)
    return document


def record_of(document: Json) -> Json:
    """The unetprep attributes of a document without the checksum; {} if it has none."""
    return {key: value for key, value in _ours(document).items() if key != CHECKSUM}


def has_valid_checksum(document: Json) -> bool:
    """Whether the checksum of a document matches its content; true for a document without a checksum."""
    return _ours(document).get(CHECKSUM) in (None, _digest(document))


def has_checksum(data: bytes) -> bool:
    """Whether a document has a checksum, valid or not. Raises ValueError for invalid JSON."""
    return CHECKSUM in _ours(json.loads(data))


def is_intact(data: bytes) -> bool:
    """Whether a document is byte for byte what `encode` wrote; true for a document without a checksum.

    Raises ValueError for invalid JSON.
    """
    document = json.loads(data)
    found = _ours(document).get(CHECKSUM)
    return found is None or (found == _digest(document) and data == _text(document))


def encode(document: Json) -> bytes:
    """A document as bytes, with its checksum."""
    ours = {**record_of(document), CHECKSUM: _digest(document)}
    return _text({**document, "attributes": {**document.get("attributes", {}), KEY: ours}})


def _ours(document: Any) -> Json:
    attributes = document.get("attributes") if isinstance(document, dict) else None
    found = attributes.get(KEY) if isinstance(attributes, dict) else None
    return found if isinstance(found, dict) else {}


def _digest(document: Json) -> str:
    plain = {**document, "attributes": {**document.get("attributes", {}), KEY: record_of(document)}}
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _text(document: Json) -> bytes:
    return json.dumps(document, indent=2).encode()


def _metadata_problem(document: Json) -> tuple[str, str] | None:
    """(problem, allowed) of the metadata of Zarr; None if they are valid."""
    if document.get("zarr_format") != 3:
        return f"its zarr_format is {_shown(document.get('zarr_format'))}", "3"
    if document.get("node_type") not in NODE_TYPES:
        return f"its node_type is {_shown(document.get('node_type'))}", " or ".join(NODE_TYPES)
    if not isinstance(document.get("attributes", {}), dict):
        return f"its attributes are {_shown(document['attributes'])}", "a JSON object"
    return _array_problem(document) if document["node_type"] == "array" else None


def _array_problem(document: Json) -> tuple[str, str] | None:
    shape, names = document.get("shape"), document.get("dimension_names")
    if not is_list_of(shape, is_size):
        return f"its shape is {_shown(shape)}", "a list of integers from 0"
    if not isinstance(document.get("data_type"), str | dict):
        return f"its data_type is {_shown(document.get('data_type'))}", "the name of a data type"
    if names is not None and not (is_list_of(names, lambda n: n is None or isinstance(n, str)) and _fits(names, shape)):
        return f"its dimension_names are {_shown(names)}", "a name or null for each axis"
    if not is_list_of(document.get("codecs"), _is_named) or not document["codecs"]:
        return f"its codecs are {_shown(document.get('codecs'))}", "a list of objects that have a name"
    return _grid_problem(document.get("chunk_grid"), shape)


def _grid_problem(grid: Any, shape: Any) -> tuple[str, str] | None:
    if not _is_named(grid):
        return f"its chunk_grid is {_shown(grid)}", "an object that has a name"
    if grid["name"] != "regular":
        return None
    chunk = grid["configuration"].get("chunk_shape") if isinstance(grid.get("configuration"), dict) else None
    if not (is_list_of(chunk, lambda n: is_size(n) and n > 0) and _fits(chunk, shape)):
        return f"its chunk_shape is {_shown(chunk)}", f"{len(shape)} integers from 1"
    return None


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def _fits(values: Any, shape: Any) -> bool:
    return len(values) == len(shape)


def _attributes_problem(document: Json) -> tuple[str, str] | None:
    """(problem, allowed) of the unetprep attributes; None if they are valid."""
    ours = document.get("attributes", {}).get(KEY, {})
    if not isinstance(ours, dict):
        return f"its attribute {KEY} is {_shown(ours)}", "a JSON object"
    if ours.get("format_version", FORMAT_VERSION) not in READABLE_VERSIONS:
        return None  # `Store.open` refuses other versions
    for key, value in ours.items():
        if key in CHECKS and not CHECKS[key].accepts(value):
            return f"its attribute {key} is {_shown(value)}", CHECKS[key].allowed
    return None


def _shown(value: Any) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
