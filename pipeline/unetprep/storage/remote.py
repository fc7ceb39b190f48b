"""Base class of remote storages: the storage interface, and what reading sources needs besides."""

from abc import abstractmethod
from contextlib import AbstractContextManager

from zarr.abc.store import Store as ZarrStore

from unetprep.credentials import mask_credentials
from unetprep.storage.registry import Storage


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
    def zarr_store(self) -> ZarrStore:
        """The root for zarr, for reading."""

    def place(self, key: str = "") -> str:
        """The URL of an object, to be shown: without passwords and signatures."""
        return mask_credentials(f"{self.url}/{key}" if key else self.url)
