"""Interface of a storage: objects under keys, on a file system or an object store."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from unetprep.credentials import mask_credentials

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore
Range = tuple[int, int]  # offset and length in bytes; an offset under 0 counts from the end


class Storage(ABC):
    """Operations on objects. Errors are OSError; FileNotFoundError for a missing object."""

    durable = False  # whether a completed write survives a power cut; otherwise a run checks at its end

    @abstractmethod
    def get(self, key: str) -> bytes:
        """A whole object."""

    @abstractmethod
    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[bytes]:
        """Parts of an object."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write or replace an object, durably."""

    @abstractmethod
    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object if it does not exist. Returns False, changing nothing, if it does."""

    @abstractmethod
    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(key, bytes) of all objects whose key begins with `prefix`, which ends in a slash or is empty."""

    @abstractmethod
    def delete(self, prefix: str) -> None:
        """Delete the object of this key and all objects below it."""

    def orphaned_temporaries(self, below: bool = True) -> Iterator[str]:
        """Keys of temporary files left by killed processes; `below` False: only those directly at the root."""
        return iter(())


class Remote(Storage):
    """A storage behind a URL."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @abstractmethod
    def stat(self, key: str) -> tuple[int, str]:
        """Size of an object in bytes, and a tag that changes with its content."""

    @abstractmethod
    def read_part(self, key: str, offset: int, length: int) -> tuple[bytes, str]:
        """A part of an object, and the tag of `stat`."""

    @abstractmethod
    def children(self) -> list[str]:
        """Names of objects and folders directly below the root."""

    @abstractmethod
    def errors(self, verb: str, key: str = "") -> AbstractContextManager[None]:
        """Translate errors of the client into an OSError that names the operation, the object and what to do."""

    @abstractmethod
    def zarr_store(self) -> "ZarrStore":
        """The root for zarr, for reading."""

    def place(self, key: str = "") -> str:
        """URL of an object for messages, without passwords and signatures."""
        return mask_credentials(f"{self.url}/{key}" if key else self.url)
