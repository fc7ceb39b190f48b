"""Memory of this machine and of the limits (cgroups, ulimit) of this process: in all, and what is still available."""

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

CGROUPS = Path("/sys/fs/cgroup")


class _Limit(NamedTuple):
    """Bytes that one limit allows, and how many of them are still available."""

    total: int
    available: int


def available_memory() -> int | None:
    """Bytes until the memory of the machine or a limit of this process is exhausted; None if unknown."""
    found = [limit.available for limit in _limits()]
    return max(0, min(found)) if found else None


def total_memory() -> int | None:
    """Bytes of memory of the machine, or of the smallest limit of this process, used or not; None if unknown."""
    return min((limit.total for limit in _limits()), default=None)


def machine_memory() -> int | None:
    """Bytes of memory of the machine, whatever the limits of this process; None if unknown."""
    return next((limit.total for limit in _of_machine()), None)


def _limits() -> Iterator[_Limit]:
    yield from _of_machine()
    yield from _of_cgroups()
    yield from _of_ulimit()


def _of_machine() -> Iterator[_Limit]:
    with suppress(OSError, ValueError, KeyError):
        lines = (line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        kib = {name: value.split()[0] for name, value in lines}
        yield _Limit(int(kib["MemTotal"]) * 1024, int(kib["MemAvailable"]) * 1024)


def _of_ulimit() -> Iterator[_Limit]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return
    with suppress(OSError, ValueError, IndexError):
        used_pages = int(Path("/proc/self/statm").read_text().split()[0])
        yield _Limit(limit, limit - used_pages * resource.getpagesize())


def _of_cgroups() -> Iterator[_Limit]:
    """Limits of the control groups of this process and of their parents, version 2 and version 1."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                yield from _of_group(CGROUPS, path, "memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                yield from _of_group(CGROUPS / "memory", path, *names)


def _of_group(root: Path, path: str, limit: str, usage: str, cache: str) -> Iterator[_Limit]:
    """Limits of a group and its parents; cached files count as used, but are dropped when memory is needed."""
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError):  # such as the limit "max"
            total = int((folder / limit).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            yield _Limit(total, total - int((folder / usage).read_text()) + int(stat.get(cache, 0)))
        if folder == root:
            return
