"""JSON files of annotation tools: read with a bound, and taken apart with errors that name the place."""

import json
import os
from typing import Any, TypeVar

from unetprep.errors import InvalidInput
from unetprep.host_memory import available_memory
from unetprep.storage.regular_files import read_regular

T = TypeVar("T")
MEMORY_PER_BYTE = 10  # of a JSON file in Python, roughly
UNCHECKED_BYTES = 2**24
SHOWN = 60  # characters of a value in a message


def read_json(path: str) -> Any:
    """The content of a JSON file. Raises InvalidInput for one that is damaged, or too large for the memory."""
    needed, available = os.path.getsize(path) * MEMORY_PER_BYTE, available_memory()
    if needed > UNCHECKED_BYTES * MEMORY_PER_BYTE and available is not None and needed > available:
        raise InvalidInput(
            f"{path} needs about {needed / 2**30:.3g} GiB to be read, and {available / 2**30:.3g} GiB are free",
            hint="split it into a file for each part of the images, or use a machine with more memory",
        )
    try:
        return json.loads(read_regular(path).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is no valid JSON: {error}", hint="export it again: it may be cut short") from None


def member(of: Any, key: str, kind: type[T], where: str) -> T:
    """A member of a JSON object. Raises InvalidInput, naming `where`, if it is missing or of another type."""
    if not isinstance(of, dict):
        raise InvalidInput(f"{where} is {shown(of)}", allowed="a JSON object, {...}")
    value = of.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidInput(f"{where}: {key} is {shown(value)}", allowed=f"a value of type {kind.__name__}")
    return value


def shown(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
