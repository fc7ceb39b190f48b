"""LRU cache of files that are decoded as a whole, such as pictures."""

import os
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import IO, Any, cast

from numpy.typing import NDArray

from unetprep.sources.urls import File, is_url
from unetprep.storage.regular_files import open_regular

WHOLE_KEPT = 4


def decoded(decode: Callable[..., NDArray[Any]], path: str, endpoint: str, *how: Any) -> NDArray[Any]:
    """What `decode` makes of the current version of a file; the last ones are cached. `how` are further arguments."""
    if is_url(path):
        return _decoded(decode, File.at(path, endpoint), 0, how)
    return _decoded(decode, path, os.stat(path).st_mtime_ns, how)


@lru_cache(maxsize=WHOLE_KEPT)
def _decoded(
    decode: Callable[..., NDArray[Any]], file: str | File, changed_ns: int, how: tuple[Any, ...]
) -> NDArray[Any]:
    return decode(file, *how)


def path_of(file: str | File) -> str:
    """The path or URL of a file, for messages."""
    return file if isinstance(file, str) else file.url


def opened(file: str | File) -> IO[bytes]:
    """A file for reading; one at a URL is fetched as a whole."""
    return cast(IO[bytes], open_regular(file)) if isinstance(file, str) else BytesIO(file.read())
