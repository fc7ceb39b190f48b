"""Download of files over HTTP: resumed where a connection was cut off, verified, and complete or not there.

A server is not trusted: what it says of length, range and type is compared with what it sends and with the manifest.
Of the standard library `urllib`, only the handlers of http and https are used, so that no redirect leads to a file of
this machine; proxies are those of the environment.
"""

import http.client
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from time import sleep
from typing import IO
from urllib import request
from urllib.error import HTTPError, URLError

from unetprep.errors import Failure
from unetprep.fetching.checking import Checked
from unetprep.fetching.data_set import Expected
from unetprep.fetching.digests import BLOCK
from unetprep.fetching.partial import Partial
from unetprep.fetching.unpacking import check_space

TIMEOUT_S = 60.0  # without a byte
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)  # before attempts in a row that bring nothing new
LONGEST_PAUSE_S = 120.0  # that a server may ask for
MOST_ATTEMPTS = 100
RETRIED = (408, 425, 429, 500, 502, 503, 504)
UNSATISFIABLE = 416  # the range begins behind the end of the file
PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
BY_HAND = "download it in a browser, and take it from there with --from FOLDER"
AGAIN = "repeat the command later"

OnBytes = Callable[[int, int], None]  # bytes that are there, and of the whole; 0 if the server does not say


class _Interrupted(Exception):
    """An attempt that failed, but may be repeated, after a pause in seconds if the server asks for one."""

    def __init__(self, reason: object, pause_s: float = 0) -> None:
        super().__init__(str(reason) or type(reason).__name__)
        self.pause_s = pause_s


def download(expected: Expected, folder: Path, on_bytes: OnBytes = lambda done, total: None) -> Checked:
    """Download a file into a folder, or go on with a download that was interrupted; the check of the whole.

    Raises Failure if the server cannot be reached, breaks off again and again, or gives something else than the
    manifest states. Then nothing is under the name of the file, and only what can be resumed is kept beside it.
    """
    with Partial(folder, expected) as partial:
        _complete(partial, on_bytes)
        checked = partial.check()
        if checked.difference and partial.is_joined:  # perhaps of parts of different files
            partial.begin("")
            _complete(partial, on_bytes)
            checked = partial.check()
        if checked.difference:
            num_bytes = partial.size
            partial.begin("")
            raise Failure(
                f"{expected.url} gave {num_bytes} bytes that are not {expected.path}: {checked.difference}",
                hint="something on the way may change it; or it has been replaced, and the manifest needs its digest",
            )
        partial.commit()
    return checked


def _complete(partial: Partial, on_bytes: OnBytes) -> None:
    """Download what is missing, in as many attempts as bring something new."""
    failures, best = 0, partial.size
    for _ in range(MOST_ATTEMPTS):
        try:
            _transfer(partial, on_bytes)
            return
        except _Interrupted as reason:
            failures = 1 if partial.size > best else failures + 1
            best = max(best, partial.size)
            if failures > len(PAUSES_S):
                raise _gave_up(partial, reason) from reason
            sleep(min(max(PAUSES_S[failures - 1], reason.pause_s), LONGEST_PAUSE_S))
    raise _gave_up(partial, f"{MOST_ATTEMPTS} attempts were interrupted")


def _gave_up(partial: Partial, reason: object) -> Failure:
    kept = f"check the connection and repeat the command, which goes on from byte {partial.size}"
    return Failure(
        f"{partial.expected.url} could not be downloaded: {reason}",
        hint=kept if partial.size and partial.can_be_resumed else f"check the connection; {AGAIN}, or {BY_HAND}",
    )


def _transfer(partial: Partial, on_bytes: OnBytes) -> None:
    """One request for what is missing. Raises _Interrupted if it brings less."""
    url = partial.expected.url
    with _response(partial) as response:
        if response is None:
            return
        _refuse_other_content(response, url)
        begin, total = _range_of(response, partial)
        _check_total(total, partial.expected)
        check_space(partial.path.parent, (total or 0) - begin)
        if begin == 0:
            partial.begin(_validator(response.headers))
        _receive(response, partial, total, on_bytes)
    end = total if total is not None else partial.expected.num_bytes
    if end is not None and partial.size < end:
        raise _Interrupted(f"the connection ended after {partial.size} of {end} bytes")


def _receive(response: http.client.HTTPResponse, partial: Partial, total: int | None, on_bytes: OnBytes) -> None:
    most = partial.expected.max_bytes if total is None else total
    while block := _read(response):
        if not partial.size:
            _refuse_page(block, partial.expected)
        if partial.size + len(block) > most:
            partial.begin("")
            raise Failure(f"{partial.expected.url} gives more than {most} bytes", allowed=f"up to {most}", hint=BY_HAND)
        partial.append(block)
        on_bytes(partial.size, total or partial.expected.num_bytes or 0)


def _read(response: http.client.HTTPResponse) -> bytes:
    with _network_errors():
        return response.read1(BLOCK)


@contextmanager
def _network_errors() -> Iterator[None]:
    try:
        yield
    except URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise Failure(
                f"the server cannot be trusted: {error.reason}", hint=f"check the URL; or {BY_HAND}"
            ) from error
        raise _Interrupted(error.reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(error) from error


# -- requests ---------------------------------------------------------------------------------------------------------


class _Redirects(request.HTTPRedirectHandler):
    """Follows redirects to http and https, but not from https to http."""

    def redirect_request(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> request.Request | None:
        """The request of the new URL. Raises Failure for one that is not followed."""
        allowed = ("https://",) if req.full_url.startswith("https://") else ("https://", "http://")
        if not newurl.startswith(allowed):
            raise Failure(
                f"{req.full_url} leads to {newurl}", allowed=f"a URL with {' or '.join(allowed)}", hint=BY_HAND
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _opener() -> request.OpenerDirector:
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.UnknownHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        _Redirects(),
        request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


@contextmanager
def _response(partial: Partial) -> Iterator[http.client.HTTPResponse | None]:
    """The answer to a request for what is missing; None if nothing is missing."""
    headers = {"User-Agent": "unetprep", "Accept-Encoding": "identity"}
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
        if partial.validator:
            headers["If-Range"] = partial.validator
    response = None
    try:
        with _network_errors():
            response = _opener().open(request.Request(partial.expected.url, headers=headers), timeout=TIMEOUT_S)
    except _Interrupted as reason:
        if not isinstance(reason.__cause__, HTTPError):
            raise
        with reason.__cause__ as error:
            _handle_status(error, partial)
    try:
        yield response
    finally:
        if response is not None:
            response.close()


def _handle_status(error: HTTPError, partial: Partial) -> None:
    """Return if nothing is missing. Raises _Interrupted if an answer of this status may be followed by a better one."""
    url = partial.expected.url
    if error.code == UNSATISFIABLE and partial.size:
        if error.headers.get("Content-Range") == f"bytes */{partial.size}":
            return
        partial.begin("")
        raise _Interrupted("the part that was there is longer than the file")
    if error.code in RETRIED:
        seconds = error.headers.get("Retry-After", "0")
        raise _Interrupted(f"status {error.code} {error.reason}", float(seconds) if seconds.isdecimal() else 0)
    hint = BY_HAND if error.code in (401, 403) else f"check the URL; or {BY_HAND}"
    raise Failure(f"{url} could not be downloaded: status {error.code} {error.reason}", hint=hint)


# -- answers ----------------------------------------------------------------------------------------------------------


def _refuse_other_content(response: http.client.HTTPResponse, url: str) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Failure(f"{url} comes compressed as {encoding}", allowed="the file as it is", hint=BY_HAND)
    if response.status not in (200, 206):
        raise Failure(f"{url} could not be downloaded: status {response.status}", hint=BY_HAND)


def _refuse_page(begin: bytes, expected: Expected) -> None:
    """Refuse a web page in place of a file: a form to log in, or an error that has the status of success."""
    is_page = re.match(
        rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", begin[:4096], re.I | re.S
    )
    if is_page and not expected.path.lower().endswith((".html", ".htm")):
        raise Failure(f"{expected.url} gives a web page instead of {expected.path}", hint=BY_HAND)


def _range_of(response: http.client.HTTPResponse, partial: Partial) -> tuple[int, int | None]:
    """The first byte of an answer, and the bytes of the whole file; None if the server does not say."""
    if response.status == 200:
        return 0, response.length  # Content-Length; None with chunks
    found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", response.headers.get("Content-Range", ""))
    other = partial.validator and _validator(response.headers) not in ("", partial.validator)
    if found is None or int(found[1]) != partial.size or other:
        partial.begin("")
        raise _Interrupted("the server gave another part than it was asked for")
    partial.is_joined = True
    return partial.size, None if found[2] == "*" else int(found[2])


def _check_total(total: int | None, expected: Expected) -> None:
    if total is None:
        return
    if total > expected.max_bytes or (expected.num_bytes not in (None, total) and not expected.pixels):
        most = "" if expected.num_bytes is not None else "up to "
        raise Failure(
            f"{expected.url} has {total} bytes, as the server says", allowed=f"{most}{expected.max_bytes}", hint=BY_HAND
        )


def _validator(headers: Message) -> str:
    """What identifies this content of the URL; "" if the server says nothing that does."""
    etag = headers.get("ETag", "")
    found = etag if re.fullmatch(r'"[!#-~]{1,200}"', etag) else headers.get("Last-Modified", "")  # a weak one does not
    return found if re.fullmatch(r"[ -~]{0,210}", found) else ""
