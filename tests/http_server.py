"""An HTTP server of one file on the loopback interface, which breaks off, lies and changes its mind as a test says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Served:
    """What is served at every path. `asked` are the (Range, If-Range) of the requests so far.

    `cuts`: the bytes of its body after which each answer in turn breaks off. `statuses`: the first answers, in place of
    the file. `announced`: a Content-Length or Content-Range of so many bytes for the whole. `shift`: how many bytes a
    range begins too late.
    """

    content: bytes
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    chunked: bool = False
    shift: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    """Serve until the block ends; `served.url` is the URL of the file."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, served)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}/file.bin"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


def _answer(handler: BaseHTTPRequestHandler, served: Served) -> None:
    asked, condition = handler.headers.get("Range", ""), handler.headers.get("If-Range", "")
    served.asked.append((asked, condition))
    if served.statuses:
        handler.send_response(served.statuses.pop(0))
        _end(handler, served.headers | {"Content-Length": "0"})
        return
    whole = len(served.content) if served.announced is None else served.announced
    is_same = condition in ("", served.etag, served.modified)
    begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked and served.ranges and is_same else 0
    if begin >= len(served.content) > 0:
        handler.send_response(416)
        _end(handler, {"Content-Range": f"bytes */{len(served.content)}", "Content-Length": "0"})
        return
    handler.send_response(206 if begin else 200)
    begin += served.shift if begin else 0
    headers = {"ETag": served.etag, "Last-Modified": served.modified, "Content-Length": str(whole - begin)}
    if begin:
        headers["Content-Range"] = f"bytes {begin}-{whole - 1}/{whole}"
    if served.chunked:
        del headers["Content-Length"]
        headers["Transfer-Encoding"] = "chunked"
    _end(handler, {name: value for name, value in headers.items() if value} | served.headers)
    body = served.content[begin:]
    is_cut = bool(served.cuts)
    body = body[: served.cuts.pop(0)] if is_cut else body
    if served.chunked:
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) + (b"" if is_cut else b"0\r\n\r\n"))
    else:
        handler.wfile.write(body)


def _end(handler: BaseHTTPRequestHandler, headers: dict[str, str]) -> None:
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
