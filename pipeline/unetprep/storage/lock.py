"""Lock of a store or a run directory: an object that its holder creates, updates regularly and deletes at the end.

The lock of a killed process is taken over: at once on the same machine, where the process is known to be gone;
elsewhere after a while without an update.
"""

import json
import logging
import os
import platform
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from unetprep.credentials import mask_credentials
from unetprep.errors import Conflict
from unetprep.storage.base import Storage
from unetprep.storage.signals import deferred_signals

LOCK = ".lock"
TOUCH_S = 5.0
DEAD_AFTER_S = 60.0  # longer than a storage waits for its server
ELSEWHERE = "wait for it, or write to another store"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """Content of a lock: the process that holds it, and its number of updates."""

    token: str = ""
    host: str = "an unknown machine"
    place: str = ""  # where `pid` means this process: machine, boot, namespace
    pid: int = -1
    started: str = ""
    command: str = "an unknown command"
    beat: int = 0

    def __str__(self) -> str:
        return f"{self.command} (process {self.pid} on {self.host})"

    @property
    def is_dead(self) -> bool:
        """Whether the process is known to be gone; only visible within its own scope."""
        return self.place == _place() and _started(self.pid) != self.started

    @property
    def is_alive(self) -> bool:
        """Whether the process is known to run on this machine. It may be suspended, without updates."""
        return self.place == _place() and self.pid != os.getpid() and "" != self.started == _started(self.pid)


class Lock:
    """A lock that this process holds."""

    def __init__(self, storage: Storage, url: str, hint: str, is_flat: bool = False) -> None:
        self.url, self.hint, self.is_flat = url, hint, is_flat
        self._storage = storage
        self._mine = Holder(
            uuid4().hex,
            platform.node(),
            _place(),
            os.getpid(),
            _started(os.getpid()),
            mask_credentials(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]))[:200],
        )

    def check(self) -> None:
        """Raise Conflict if another process has taken over the lock, such as while this one was suspended."""
        seen = _read(self._storage)
        if seen is None or seen.token != self._mine.token:
            other = f"was taken over by {seen}" if seen else "is gone"
            raise Conflict(f"the lock of {self.url} {other} while this process held it", hint=self.hint)

    def acquire(self) -> None:
        """Take the lock, or that of a dead process, and remove orphaned temporary files."""
        fresh = self._storage.put_if_absent(LOCK, _encoded(self._mine))
        if not fresh:
            self._take_over()
        for key in list(self._storage.orphaned_temporaries(below=not fresh and not self.is_flat)):
            self._storage.delete(key)

    def release(self) -> None:
        """Delete the lock if this process holds it."""
        seen = _read(self._storage)
        if seen and seen.token == self._mine.token:
            self._storage.delete(LOCK)

    def _take_over(self) -> None:
        """Replace the lock of a dead process. If two try at once, the later one wins and the other notices."""
        seen = self._wait()
        if seen:
            self._storage.put(LOCK, _encoded(self._mine))
            time.sleep(TOUCH_S / 10)
        else:
            self._storage.put_if_absent(LOCK, _encoded(self._mine))
        now = _read(self._storage)
        if now is None or now.token != self._mine.token:
            raise Conflict(f"another run has just begun on {self.url}", hint=self.hint)

    def _wait(self) -> Holder | None:
        """Wait until the holder counts as dead; None if it releases the lock. Raises Conflict at its first update."""
        seen, since = _read(self._storage), time.monotonic()
        if seen and not seen.is_dead:
            log.info("%s is locked: waiting up to %d s to see whether that run is alive", self.url, DEAD_AFTER_S)
        while seen and not seen.is_dead and time.monotonic() - since < DEAD_AFTER_S:
            time.sleep(TOUCH_S / 10)
            now = _read(self._storage)
            if now and now != seen:
                raise self._taken(now)
            seen = now
        if seen and seen.is_alive:
            raise self._taken(seen)
        return seen

    def _taken(self, by: Holder) -> Conflict:
        return Conflict(f"another run works on {self.url}: {by}", hint=self.hint)

    def touch(self, stop: threading.Event) -> None:
        """Update the lock until `stop`, or until another process has taken it over."""
        beat = 0
        while not stop.wait(TOUCH_S):
            beat += 1
            try:
                self.check()
                self._storage.put(LOCK, _encoded(replace(self._mine, beat=beat)))
            except Conflict:
                return  # each write checks that its array still belongs to this run
            except OSError:
                continue  # the run itself will report it, or continue


_held: dict[tuple[str, int], Lock] = {}  # by URL and thread


@contextmanager
def locked(storage: Storage, url: str, hint: str = ELSEWHERE, is_flat: bool = False) -> Iterator[Lock]:
    """Hold the lock of the storage at `url`; reentrant within a thread.

    Temporary files of killed processes directly at the root are removed, and those in folders below when the lock of a
    dead process is taken over, unless the storage `is_flat` and its folders belong to others.
    Raises Conflict, with `hint` as what to do, if another run holds the lock.
    """
    mine = (url if "://" in url else os.path.realpath(url), threading.get_ident())
    if mine in _held:
        yield _held[mine]
        return
    lock = Lock(storage, url, hint, is_flat)
    _held[mine] = lock
    try:
        with _holding(lock):
            yield lock
    finally:
        _held.pop(mine, None)


@contextmanager
def _holding(lock: Lock) -> Iterator[None]:
    stop = threading.Event()
    toucher = threading.Thread(target=lock.touch, args=(stop,), daemon=True)
    try:
        lock.acquire()
        toucher.start()
        yield
    finally:
        with deferred_signals(), suppress(OSError):  # the error that ended the run is the one to report
            stop.set()
            if toucher.ident:
                toucher.join()
            lock.release()


def holder(storage: Storage) -> tuple[str, bool] | None:
    """The process that holds the lock of a storage, and whether it is known to be dead; None without a lock."""
    found = _read(storage)
    return (str(found), found.is_dead) if found else None


def _read(storage: Storage) -> Holder | None:
    """The lock; None if there is none. An invalid document counts as the lock of an unknown process."""
    try:
        content = storage.get(LOCK)
    except FileNotFoundError:
        return None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    return _validated(document, content)


def _validated(document: Any, content: bytes) -> Holder:
    """The holder in a document; an unknown one if a field is missing, of another type or out of range."""
    unknown = Holder(token=f"{zlib.crc32(content)}")  # distinguishes consecutive documents
    if not isinstance(document, dict):
        return unknown
    found = {name: document.get(name, value) for name, value in asdict(unknown).items()}
    if any(type(value) is not type(getattr(unknown, name)) for name, value in found.items()):
        return unknown
    if not 0 < found["pid"] < 2**31:
        return unknown
    shown = {name: "".join(c for c in found[name] if c.isprintable())[:300] for name in ("host", "command")}
    return Holder(**found | shown)


def _encoded(lock: Holder) -> bytes:
    return json.dumps(asdict(lock)).encode()


def _place() -> str:
    """The scope in which process numbers are unique: machine, boot, and namespace of a container."""
    parts = [platform.node()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def _started(pid: int) -> str:
    """Start time of a process of this machine, which distinguishes reused process numbers; "" if it is gone.

    A process that has ended and that its parent has not waited for (a zombie, as in a container without an init
    process) is gone too.
    """
    try:
        about = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if about[0] in "ZX" else about[19]
    except OSError:
        pass
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
