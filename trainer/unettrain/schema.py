"""Validation of documents, such as JSON objects and the content of checkpoints, against the fields of a dataclass."""

from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from unetprep.annotations import conforms, describe_type
from unettrain.errors import InvalidInput


def check_document(document: object, kind: type, source: str) -> dict[str, Any]:
    """The document if it has a value of the right type for each field of `kind` without a default, and no others.

    Raises InvalidInput that begins with `source` and names the field.
    """
    if not isinstance(document, dict):
        raise InvalidInput(f"{source} is {type(document).__name__}", allowed="an object with named values")
    known = {f.name: f for f in fields(kind)}
    types_of = get_type_hints(kind)
    unknown = sorted(str(name) for name in document if name not in known)
    if unknown:
        raise InvalidInput(
            f"{source} holds {', '.join(unknown)[:200]}, which this version does not know",
            hint="use the release of unettrain that wrote it",
        )
    for name, f in known.items():
        if name not in document and f.default is MISSING and f.default_factory is MISSING:
            raise InvalidInput(f"{source} lacks {name}", hint="restore the file from a backup")
        if name in document and not conforms(document[name], types_of[name]):
            value = f"{document[name]!r}"[:60]
            raise InvalidInput(f"{source} says {name} is {value}", allowed=describe_type(types_of[name]))
    return document
