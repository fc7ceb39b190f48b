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
    """What can be done with objects. Errors of the place come as OSError, as FileNotFoundError where one is absent."""

    durable = False  # whether what was written stays, whatever happens; else it is looked for once a run is through

    @abstractmethod
    def get(self, key: str) -> bytes:
        """A whole object."""

    @abstractmethod
    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[bytes]:
        """Parts of an object."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write an object, in the place of the one that stands there. Then no power cut takes it any more."""

    @abstractmethod
    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object where none stands; False, and nothing is changed, where one does."""

    @abstractmethod
    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(key, bytes) of all objects whose key begins with `prefix`, which ends in a slash or is empty."""

    @abstractmethod
    def delete(self, prefix: str) -> None:
        """Delete the object of this key, and all those below it."""

    def orphaned_temporaries(self, below: bool = True) -> Iterator[str]:
        """Keys of temporary files that killed processes left behind; `below` False: of those directly at the root."""
        return iter(())


class Remote(Storage):
    """A storage behind a URL."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @abstractmethod
    def stat(self, key: str) -> tuple[int, str]:
        """Bytes of an object, and what changes when it does."""

    @abstractmethod
    def read_part(self, key: str, offset: int, length: int) -> tuple[bytes, str]:
        """A part of an object, and what changes when the object does, as `stat` says it."""

    @abstractmethod
    def children(self) -> list[str]:
        """Names directly below the root: of objects, and of what would be folders on a disk."""

    @abstractmethod
    def errors(self, verb: str, key: str = "") -> AbstractContextManager[None]:
        """Turn what the client raises inside into an OSError: what could not be done, where, and what to do."""

    @abstractmethod
    def zarr_store(self) -> "ZarrStore":
        """The root for zarr, for reading."""

    def place(self, key: str = "") -> str:
        """The URL of an object, to be shown: without passwords and signatures."""
        return mask_credentials(f"{self.url}/{key}" if key else self.url)
