"""A check that a Dask scheduler answers at an address, within a limited time, before Dask itself connects.

`distributed` (2026.8) waits for ever for a peer that accepts a connection and says nothing, whatever its timeout, and
raises errors of all kinds at one that speaks another protocol. Each side of a Dask connection begins with a handshake:
the number of bytes that follow (8 bytes, little-endian), then a message that holds the key "pickle-protocol".
"""

import socket
import ssl
import time
from urllib.parse import urlsplit

from unetprep.errors import InvalidInput

MAX_HANDSHAKE_BYTES = 4096
RETRY_S = 0.1
KEY = b"pickle-protocol"  # of every handshake
ALLOWED = "tcp://HOST:PORT or tls://HOST:PORT, such as tcp://10.0.0.1:8786"


class NoSchedulerError(OSError):
    """What answers at an address, if anything, is no Dask scheduler."""


def host_and_port(address: str) -> tuple[str, int]:
    """Host and port of tcp://HOST:PORT. Raises InvalidInput for any other form."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if (
        not host
        or not port
        or parts.username is not None
        or parts.path
        or parts.query
        or parts.fragment
        or not host.isprintable()
    ):
        raise InvalidInput(f"scheduler is {address!r}", allowed=ALLOWED)
    return host, port


def check_peer(address: str, context: ssl.SSLContext | None, timeout_s: float) -> None:
    """Raise NoSchedulerError, or another OSError, unless the peer at an address sends Dask's handshake in time.

    A refused connection is tried again until then: the scheduler may just be starting.
    """
    deadline = time.monotonic() + timeout_s
    host, port = host_and_port(address)
    try:
        with _connect(host, port, deadline) as plain:
            if context is None:
                _check_handshake(plain, deadline)
                return
            with context.wrap_socket(plain, server_hostname=host) as secured:
                _check_handshake(secured, deadline)
    except TimeoutError:
        raise NoSchedulerError(
            f"it accepts connections, or is not reached, but is silent for {timeout_s:g} s"
        ) from None
    except UnicodeError as error:  # a label of the host name that is too long, or empty
        raise NoSchedulerError(f"no such host: {error}") from None


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection((host, port), max(0.001, deadline - time.monotonic()))
        except ConnectionRefusedError:
            if time.monotonic() + RETRY_S > deadline:
                raise
            time.sleep(RETRY_S)


def _check_handshake(peer: socket.socket, deadline: float) -> None:
    length = int.from_bytes(_receive(peer, 8, deadline), "little")
    if length > MAX_HANDSHAKE_BYTES or KEY not in _receive(peer, length, deadline):
        raise NoSchedulerError("what answers there speaks another protocol than Dask")


def _receive(peer: socket.socket, num_bytes: int, deadline: float) -> bytes:
    """So many bytes, all of them before the deadline, however slowly they come."""
    data = b""
    while len(data) < num_bytes:
        peer.settimeout(max(0.001, deadline - time.monotonic()))
        part = peer.recv(num_bytes - len(data))
        if not part:
            raise NoSchedulerError("what answers there closes the connection at once")
        data += part
    return data
