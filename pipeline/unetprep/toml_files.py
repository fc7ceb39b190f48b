"""Reading of untrusted TOML files: regular files of limited size; every fault is an InvalidInput."""

import tomllib
from pathlib import Path
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.storage.regular_files import read_regular

MAX_BYTES = 2**20


def read_toml(path: str | Path, what: str) -> dict[str, Any]:
    """Return the tables of a TOML file; `what` names it in errors ("the recipe").

    Raises InvalidInput if it is missing, a folder, a special file, larger than 1 MiB, or not TOML.
    """
    try:
        return tomllib.loads(read_regular(path, MAX_BYTES).decode())
    except FileNotFoundError:
        raise InvalidInput(f"{what} {path} is not there") from None
    except IsADirectoryError:
        raise InvalidInput(f"{what} {path} is a folder", allowed="a TOML file") from None
    except RecursionError:
        raise InvalidInput(f"{path} is not TOML: its values are nested too deeply") from None
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise InvalidInput(f"{path} is not TOML: {error}") from None
