"""Validation of names and paths that come from documents, manifests, archives and recipes.

Foreign content may not name files outside of its folder. Names are checked as text before any file is touched; paths to
be written or deleted are checked for symbolic links too.
"""

import os
import re
from pathlib import Path

from unetprep.errors import InvalidInput

StrPath = str | os.PathLike[str]

ALLOWED_NAME = "one plain file or folder name: not empty, not . or .., without /, \\ and control characters"
ALLOWED_KEY = "a relative path: plain names separated by /, without . and .."
MAX_NAME_BYTES = 255
SHOWN_CHARACTERS = 120
NO_NAMES = ("", ".", "..")
FORBIDDEN = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029]")  # separators, control characters, line breaks


def safe_name(name: object, where: str) -> str:
    """Return `name` if it is one plain file or folder name; else raise InvalidInput.

    `where` begins the message and says where the name was found: "the image names of STORE".
    """
    if isinstance(name, str) and _is_plain(name):
        return name
    raise InvalidInput(f"{where}: {_shown(name)} cannot be a name", allowed=ALLOWED_NAME)


def safe_key(key: object, where: str) -> str:
    """Return `key` if it is a relative path of plain names ("images/a/image"); else raise InvalidInput."""
    if isinstance(key, str) and all(map(_is_plain, key.split("/"))):
        return key
    raise InvalidInput(f"{where}: {_shown(key)} cannot be a path below it", allowed=ALLOWED_KEY)


def below(root: Path, key: str, where: str = "") -> Path:
    """Return `root / key`, which lies below `root`; an empty `key` is `root` itself.

    Raises InvalidInput as `safe_key` does. Symbolic links are not checked; see `refuse_links`.
    """
    return root / safe_key(key, where or str(root)) if key else root


def refuse_links(root: Path, path: Path) -> None:
    """Raise PermissionError if `path`, or a folder between `root` and `path`, is a symbolic link.

    `root` itself may be a link; missing paths are accepted. Call this before a file is written or deleted.
    """
    while path != root and path != path.parent:
        if path.is_symlink():
            raise PermissionError(
                f"{path} is a symbolic link: inside of {root} nothing is written or deleted through links\n"
                "  to do:   replace the link by a copy of what it points to, or delete it"
            )
        path = path.parent


def _is_plain(name: str) -> bool:
    is_short = len(name) <= MAX_NAME_BYTES // 4 or len(name.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES
    return name not in NO_NAMES and is_short and not FORBIDDEN.search(name)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
