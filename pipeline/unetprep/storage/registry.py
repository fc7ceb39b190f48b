"""Storage interface: objects under one root by key (`images/a/zarr.json`), in a local folder or at a URL.

This is all that a store asks of the place where it lies. An object is there entirely, or not at all.
"""

from urllib.parse import unquote, urlsplit

from unetprep.storage.base import Storage
from unetprep.storage.local import LocalStorage

OBJECT_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl", "http", "https")  # obstore opens these


def open_storage(url: str, endpoint: str = "") -> Storage:
    """The storage at a path or URL. `endpoint` is that of an S3 server; without one the environment's is taken.

    Raises InvalidInput for a URL of an unknown kind. Nothing is asked of a server yet.
    """
    if "://" not in url:
        return LocalStorage(url)
    if url.startswith("file://"):
        return LocalStorage(unquote(urlsplit(url).path))
    # Imports that take a while, and that local paths can do without.
    if url.partition("://")[0] in OBJECT_SCHEMES:
        from unetprep.storage.object_store import ObjectStorage

        return ObjectStorage(url, endpoint)
    from unetprep.storage.fsspec_store import FsspecStorage

    return FsspecStorage(url)
