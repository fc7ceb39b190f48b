"""Choice of the storage for a path or URL."""

from urllib.parse import unquote, urlsplit

from unetprep.storage.base import Storage
from unetprep.storage.local import LocalStorage

OBJECT_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl", "http", "https")  # obstore opens these


def open_storage(url: str, endpoint: str = "") -> Storage:
    """The storage at a path or URL. `endpoint` is that of an S3 server, by default from the environment.

    Raises InvalidInput for an unknown kind of URL. No server is contacted yet.
    """
    if "://" not in url:
        return LocalStorage(url)
    if url.startswith("file://"):
        return LocalStorage(unquote(urlsplit(url).path))
    # Slow imports that local paths do not need.
    if url.partition("://")[0] in OBJECT_SCHEMES:
        from unetprep.storage.object_store import ObjectStorage

        return ObjectStorage(url, endpoint)
    from unetprep.storage.fsspec_store import FsspecStorage

    return FsspecStorage(url)
