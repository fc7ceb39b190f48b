"""Exclusive lock of a store: an object that a run creates first, touches while it works, and deletes last.

A run that was killed leaves it behind. It is taken over at once where its process is known to be dead (on the same
machine), and elsewhere as soon as it has not been touched for a while.
"""

import json
import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from unetprep.errors import Conflict
from unetprep.storage.storage import Storage

LOCK = ".lock"
TOUCH_S = 5.0
DEAD_AFTER_S = 60.0  # longer than a storage waits for its server

log = logging.getLogger(__name__)

_held: dict[tuple[str, int], int] = {}  # stores that a thread of this process has locked, and how often


@contextmanager
def locked(storage: Storage, url: str) -> Iterator[None]:
    """Hold the lock of a store; again within the same thread, it is held already.

    Raises Conflict if another run holds it.
    """
    mine = (url if "://" in url else os.path.realpath(url), threading.get_ident())
    _held[mine] = _held.get(mine, 0) + 1
    try:
        with _lock(storage, url) if _held[mine] == 1 else nullcontext():
            yield
    finally:
        _held[mine] -= 1
        if not _held[mine]:
            del _held[mine]


@contextmanager
def _lock(storage: Storage, url: str) -> Iterator[None]:
    mine = {
        "token": uuid4().hex,
        "host": platform.node(),
        "place": _place(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200],
    }
    if not storage.put_new(LOCK, _encoded(mine, 0)):
        _take_over(storage, url, mine)
        for key in list(storage.leftovers()):
            storage.delete(key)
    stop = threading.Event()
    toucher = threading.Thread(target=_touch, args=(storage, mine, stop), daemon=True)
    toucher.start()
    try:
        yield
    finally:
        stop.set()
        toucher.join()
        with suppress(OSError):  # what ended the run is what is to be told
            if (_read(storage) or {}).get("token") == mine["token"]:
                storage.delete(LOCK)


def holder(storage: Storage) -> tuple[str, bool] | None:
    """Which run holds the lock of a store, and whether it is known to be dead; None if none does."""
    lock = _read(storage)
    return (f"{lock['command']} (process {lock['pid']} on {lock['host']})", _is_dead(lock)) if lock else None


def _take_over(storage: Storage, url: str, mine: dict[str, Any]) -> None:
    """Replace the lock of a dead run. Two that try at once: the later one wins, and the other one sees it."""
    seen = _read(storage)
    since = time.monotonic()
    if seen and not _is_dead(seen):
        log.info("%s is locked: waiting up to %d s to see whether that run is alive", url, DEAD_AFTER_S)
    while seen and not _is_dead(seen) and time.monotonic() - since < DEAD_AFTER_S:
        time.sleep(TOUCH_S / 10)
        now = _read(storage)
        if now and now != seen:
            raise Conflict(
                f"another run works on {url}: {now['command']} (process {now['pid']} on {now['host']})",
                hint="wait for it, or write to another store",
            )
        seen = now
    if seen:
        storage.put(LOCK, _encoded(mine, 0))
        time.sleep(TOUCH_S / 10)
    else:
        storage.put_new(LOCK, _encoded(mine, 0))
    if (_read(storage) or {}).get("token") != mine["token"]:
        raise Conflict(f"another run has just begun on {url}", hint="wait for it, or write to another store")


def _touch(storage: Storage, mine: dict[str, Any], stop: threading.Event) -> None:
    beat = 0
    while not stop.wait(TOUCH_S):
        beat += 1
        try:
            if (_read(storage) or {}).get("token") != mine["token"]:
                return  # somebody holds that we are dead; every write sees whether the array is still ours
            storage.put(LOCK, _encoded(mine, beat))
        except OSError:
            continue  # what the run itself does will fail, or go on


def _read(storage: Storage) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(storage.get(LOCK))
    except FileNotFoundError:
        return None
    except ValueError:
        return {"command": "?", "pid": -1, "host": "?"}
    return found


def _encoded(lock: dict[str, Any], beat: int) -> bytes:
    return json.dumps({**lock, "beat": beat}).encode()


def _is_dead(lock: dict[str, Any]) -> bool:
    """Whether the run is known to be dead, which can be seen in its own place only."""
    return lock.get("place") == _place() and _started(lock["pid"]) != lock.get("started")


def _place() -> str:
    """Where a process number means the same process: this boot of this machine, and this namespace of a container."""
    parts = [platform.node()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def _started(pid: int) -> str:
    """When a process of this machine began, which tells it from a later one of the same number; "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
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
