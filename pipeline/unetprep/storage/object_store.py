"""Storage on S3, Google Cloud Storage, Azure or a web server, by obstore.

A failed write does not continue in the background. `put` is one blocking request of the calling thread, which waits for
its end even if it is interrupted: no multipart upload, no queue, no event loop. When it raises, its connection is
closed. A server may still receive a whole request, stay silent until the timeout and execute it later. That is harmless
for shards, since an equal fingerprint means equal bytes.
"""

import io
import os
import re
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store, from_url
from zarr.abc.store import Store as ZarrStore
from zarr.storage import ObjectStore

from unetprep.credentials import mask_credentials
from unetprep.errors import InvalidInput
from unetprep.storage.base import Range, Remote
from unetprep.storage.s3_credentials import endpoint_of_environment, profile_credentials, refuse_other_endpoint

CONNECT_SECONDS = 5
ANSWER_SECONDS = 20  # without a byte of the answer; longer for large writes
SLOWEST_UPLOAD = 500_000  # bytes a second
SLOWEST_DOWNLOAD = 10_000  # bytes a second for each request, as many may share a connection
LARGEST_LIMIT_S = 86_400  # for a whole answer of unknown size
RETRY_SECONDS = 20  # after the first attempt, within which retries start
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0
DELETED_AT_ONCE = 1000
SMALL_GAP = 2**20  # bytes

Client = S3Store | GCSStore | AzureStore | HTTPStore
WHERE_KEYS_ARE = {
    S3Store: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, here and on every worker; for a server\n"
    "           that is not Amazon's also AWS_ENDPOINT_URL; for a public bucket only AWS_SKIP_SIGNATURE=true",
    GCSStore: "set GOOGLE_APPLICATION_CREDENTIALS, here and on every worker",
    AzureStore: "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, here and on every worker",
    HTTPStore: "ask whoever runs the server",
}

_process = 0  # the process that started obstore's threads


class ObjectStorage(Remote):
    """Objects of S3, Google Cloud Storage or Azure; read-only, of a web server. Safe for threads.

    Pickled for a worker it carries URL and endpoint; the worker takes credentials from its own environment.
    """

    def __init__(self, url: str, endpoint: str = "") -> None:
        super().__init__(url)
        scheme, _, rest = url.partition("://")
        if not rest.strip("/"):
            raise InvalidInput(f"{url} names no bucket", allowed=f"{scheme}://BUCKET/PATH")
        try:
            if "://" in rest or not urlsplit(url).netloc or urlsplit(url).port == 0:
                raise ValueError("no server and path")
        except ValueError as error:  # an invalid address or port
            raise InvalidInput(f"{url} is no URL: {error}", allowed=f"{scheme}://HOST/PATH") from None
        self.endpoint = endpoint or endpoint_of_environment()
        self._clients: dict[tuple[float, int, bool], Client] = {}
        self._is_exclusive = False

    def __reduce__(self) -> tuple[type["ObjectStorage"], tuple[str, str]]:
        return ObjectStorage, (self.url, self.endpoint)

    def get(self, key: str) -> bytes:
        """A whole object."""
        with self.errors("read", key):
            start, parts = time.monotonic(), list[bytes]()
            try:
                size = self._download(key, parts, _limit_s(0))
            except BaseError:
                waited = time.monotonic() - start
                if waited < _limit_s(0) or sum(map(len, parts)) < waited * SLOWEST_DOWNLOAD:
                    raise
                parts.clear()  # fast enough, but too large for the usual time limit
                size = self._download(key, parts, LARGEST_LIMIT_S)
            if sum(map(len, parts)) != size:
                raise ConnectionError(f"cannot read {self.place(key)}: the answer was cut short")
            return b"".join(parts)

    def _download(self, key: str, parts: list[bytes], limit_s: float) -> int:
        """Append an object to `parts` as it arrives, and return its size. Raises ConnectionError if it is too slow.

        A limit on silence alone, or one relative to the announced size, would let a server that sends a byte now and
        then hold the command for ever.
        """
        start, num_bytes = time.monotonic(), 0
        found = obstore.get(self._client(limit_s=limit_s), key)
        for part in found.stream(min_chunk_size=1):
            parts.append(bytes(part))
            num_bytes += len(part)
            waited = time.monotonic() - start
            if waited > _limit_s(0) and num_bytes < waited * SLOWEST_DOWNLOAD:
                raise ConnectionError(self._too_slow(key, num_bytes, waited))
        return found.meta["size"]

    def _too_slow(self, key: str, num_bytes: int, waited: float) -> str:
        return (
            f"cannot read {self.place(key)}: the server gave {num_bytes} bytes in {waited:.0f} s\n"
            f"  allowed: at least {SLOWEST_DOWNLOAD} bytes a second\n"
            "  to do:   try again later, or copy the data to a faster server or a local disk"
        )

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[bytes]:
        """Parts of an object. Neighbouring ones share a request; requests run concurrently."""
        with self.errors("read", key):
            try:
                return self._ranges(key, ranges)
            except BaseError as error:
                if not (isinstance(error, NotSupportedError) or "InvalidRange" in str(error) or " 416 " in str(error)):
                    raise
            # Azure has no ranges from the end, and no store has ranges behind it; files return what exists.
            size, _ = self.stat(key)
            starts = [max(0, size + offset) if offset < 0 else min(offset, size) for offset, _ in ranges]
            return self._ranges(
                key, [(a, min(length, size - a)) for a, (_, length) in zip(starts, ranges, strict=True)]
            )

    def _ranges(self, key: str, ranges: Sequence[Range]) -> list[bytes]:
        parts = [b""] * len(ranges)
        spans = _spans([(offset, offset + length) for offset, length in ranges if offset >= 0 and length > 0])
        if spans:
            starts, ends = zip(*spans, strict=True)
            client = self._client(limit_s=_limit_s(sum(ends) - sum(starts)))
            # Joined here, as obstore panics at a range that begins behind the end of the object.
            found = obstore.get_ranges(client, key, starts=starts, ends=ends, coalesce=0)
            for i, (offset, length) in enumerate(ranges):
                at = bisect_right(starts, offset) - 1
                if offset >= 0 and length > 0:
                    part = memoryview(found[at])[offset - starts[at] :]
                    parts[i] = bytes(part[:length])
        for i, (offset, length) in enumerate(ranges):
            if offset < 0:
                client = self._client(limit_s=_limit_s(-offset))
                whole = obstore.get(client, key, options={"range": {"suffix": -offset}}).bytes()
                parts[i] = bytes(memoryview(whole)[:length])
        return parts

    def put(self, key: str, data: bytes) -> None:
        """Write an object in one request, which makes it visible as a whole."""
        with self.errors("write", key):
            obstore.put(self._client(upload=len(data)), key, data, use_multipart=False)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object if it does not exist.

        An attempt without an answer may have succeeded: then the existing object decides. Raises OSError if the server
        ignores the condition.
        """
        started, pause, is_doubtful = time.monotonic(), FIRST_PAUSE_SECONDS, False
        with self.errors("write", key):
            client = self._client(upload=len(data), once=True)
            while True:
                try:
                    obstore.put(client, key, data, mode="create", use_multipart=False)
                    self._check_exclusive(client, key, data)
                    return True
                except (AlreadyExistsError, PreconditionError):
                    with suppress(FileNotFoundError):
                        return is_doubtful and self.get(key) == data
                except GenericError as error:
                    if _is_refusal(error) or time.monotonic() - started > RETRY_SECONDS:
                        raise
                is_doubtful = True
                time.sleep(pause)
                pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)

    def _check_exclusive(self, client: Client, key: str, data: bytes) -> None:
        """Check once that a repeated write is refused: old servers silently ignore the condition."""
        if self._is_exclusive:
            return
        with suppress(AlreadyExistsError, PreconditionError):
            obstore.put(client, key, data, mode="create", use_multipart=False)
            with suppress(BaseError):
                obstore.delete(client, key)
            raise OSError(
                f"{self.url}: the server ignores the condition of a write (If-None-Match), so that two runs at the same"
                " time would not notice each other; use a newer server"
            )
        self._is_exclusive = True

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """All objects below a prefix."""
        with self.errors("list", prefix):
            for batch in obstore.list(self._client(), prefix.rstrip("/") or None, chunk_size=DELETED_AT_ONCE):
                yield from ((found["path"], found["size"]) for found in batch if found["path"])

    def delete(self, prefix: str) -> None:
        """Delete an object and all objects below it, many in each request."""
        key = prefix.rstrip("/")
        with self.errors("delete", prefix):
            client = self._client()
            if key:
                with suppress(FileNotFoundError):
                    obstore.delete(client, key)
            for batch in obstore.list(client, key or None, chunk_size=DELETED_AT_ONCE):
                obstore.delete(client, [found["path"] for found in batch])

    def stat(self, key: str) -> tuple[int, str]:
        """Size of an object in bytes, and its ETag or date."""
        with self.errors("read", key):
            found = obstore.head(self._client(), key)
        return found["size"], _tag(found)

    def read_part(self, key: str, offset: int, length: int) -> tuple[bytes, str]:
        """A part of an object, and its ETag or date, in one request."""
        with self.errors("read", key):
            client = self._client(limit_s=_limit_s(length))
            found = obstore.get(client, key, options={"range": (offset, offset + length)})
            data = bytes(found.bytes())
        return data, _tag(found.meta)

    def children(self) -> list[str]:
        """Names directly below the root."""
        with self.errors("list"):
            found = obstore.list_with_delimiter(self._client())
        return [*found["common_prefixes"], *(each["path"] for each in found["objects"])]

    def zarr_store(self) -> ZarrStore:
        """The root for zarr, for reading."""
        with self.errors("read"):
            return ObjectStore(self._client(limit_s=LARGEST_LIMIT_S), read_only=True)

    def _client(self, *, upload: int = 0, limit_s: float = 0, once: bool = False) -> Client:
        """A client with timeouts for a write of `upload` bytes, or `limit_s` for a whole answer.

        `once`: without retries, which the caller makes.
        """
        _refuse_fork(self.url)
        patience = ANSWER_SECONDS * max(1, -(-upload // (ANSWER_SECONDS * SLOWEST_UPLOAD)))
        limit_s = max(limit_s, patience * 1.5)
        settings = patience, int(limit_s * 1000), once
        if settings not in self._clients:
            self._clients[settings] = self._connect(patience, limit_s, 0 if once else 1000)
        return self._clients[settings]

    def _connect(self, patience: float, limit_s: float, retries: int) -> Client:
        scheme, _, rest = self.url.partition("://")
        is_web = scheme.startswith("http")
        options: dict[str, Any] = {}
        if scheme in ("s3", "s3a"):
            refuse_other_endpoint(self.endpoint)
            options = {"endpoint": self.endpoint} if self.endpoint else {}
            if provider := profile_credentials():
                options["credential_provider"] = provider
        client = from_url(
            self.url if is_web else f"{scheme}://{quote(rest)}",
            client_options={
                "allow_http": (self.url if is_web else self.endpoint).startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "read_timeout": timedelta(seconds=patience),
                "timeout": timedelta(seconds=limit_s),  # of a whole request
            },
            retry_config={
                "max_retries": retries,
                "retry_timeout": timedelta(seconds=RETRY_SECONDS),
                "backoff": {
                    "init_backoff": timedelta(seconds=FIRST_PAUSE_SECONDS),
                    "max_backoff": timedelta(seconds=LONGEST_PAUSE_SECONDS),
                    "base": 2,
                },
            },
            **options,
        )
        assert isinstance(client, Client)
        return client

    @contextmanager
    def errors(self, verb: str, key: str = "") -> Iterator[None]:
        """Translate errors of obstore into an OSError that names the operation, the object and what to do."""
        place = self.place(key)
        if verb != "read" and self.url.startswith(("http://", "https://")) and isinstance(self._client(), HTTPStore):
            raise io.UnsupportedOperation(f"cannot {verb} {place}: of a web server files are read, by their names")
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFoundError(self._absent(key, error)) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise PermissionError(f"cannot {verb} {place}: {_reason(error)}{self._where_keys_are()}") from error
        except NotSupportedError as error:
            hint = "; the server gives no parts of a file: download it" if verb == "read" else ""
            raise io.UnsupportedOperation(f"cannot {verb} {place}: {_reason(error)}{hint}") from error
        except BaseError as error:
            text = str(error)
            if "404 Not Found" in text:
                raise FileNotFoundError(self._absent(key, error)) from error
            if "169.254.169.254" in text:  # address of instance credentials
                raise PermissionError(f"cannot {verb} {place}: no credentials{self._where_keys_are()}") from error
            if "403 Forbidden" in text or "401 Unauthorized" in text:  # from a listing
                raise PermissionError(f"cannot {verb} {place}: {_reason(error)}{self._where_keys_are()}") from error
            if "kind: Connect" in text or "kind: Timeout" in text:
                waited = re.search(r" in ([0-9.]+)([a-z]+)", text)
                during = f" in {float(waited[1]):.0f} {waited[2]}" if waited else ""
                server = mask_credentials(self.endpoint or self.url)
                slow = "" if "kind: Connect" in text else ", or one that comes too slowly"
                raise ConnectionError(f"cannot {verb} {place}: no answer from {server}{during}{slow}") from error
            raise ConnectionError(f"cannot {verb} {place}: {_reason(error)}") from error

    def _absent(self, key: str, error: Exception) -> str:
        if "NoSuchBucket" in str(error):
            return f"the bucket of {self.place(key)} is not there; make it first, or check its name and the endpoint"
        return f"{self.place(key)} is not there"

    def _where_keys_are(self) -> str:
        hints = (hint for kind, hint in WHERE_KEYS_ARE.items() if isinstance(self._client(), kind))
        return f"\n  to do:   {next(hints)}"


def _limit_s(num_bytes: int) -> float:
    """Time limit for an answer of `num_bytes`, in powers of two so that few clients are needed."""
    seconds = 1.5 * ANSWER_SECONDS
    while seconds < num_bytes / SLOWEST_DOWNLOAD:
        seconds *= 2
    return seconds


def _spans(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(start, end) of the requests for these parts. Small gaps are read too, as they cost less than a request."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted(parts):
        if spans and start <= spans[-1][1] + SMALL_GAP:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans


def _tag(found: Mapping[str, Any]) -> str:
    """A tag that changes with the object: its ETag or date."""
    return str(found["e_tag"] or found["last_modified"])


def _refuse_fork(url: str) -> None:
    """Raise OSError in a fork of a process that has used obstore: without its threads, calls would hang."""
    global _process
    _process = _process or os.getpid()
    if _process != os.getpid():
        raise OSError(f"{url} cannot be used in a forked process; start processes with the method 'spawn'")


def _reason(error: Exception) -> str:
    """Message of a server, without our request and its retries."""
    text = str(error).partition("\n\nDebug source")[0]
    code, message = (re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("Code", "Message"))
    if code and message:
        return mask_credentials(f"{code[1]}, {message[1].rstrip('.')}")
    return mask_credentials(" ".join(text.split()))[:400]


def _is_refusal(error: Exception) -> bool:
    """Whether the server has refused, so that a retry is useless."""
    found = re.search(r"status: (\d)\d\d", str(error))
    return "BadScheme" in str(error) or (found is not None and found[1] in "34" and "409" not in str(error))
