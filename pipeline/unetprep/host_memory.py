"""How much memory this process can still take: of the machine, and of the limits (cgroup, ulimit) it runs under."""

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes until the memory of the machine or a limit of this process is exhausted; None where nothing says so."""
    found = [*_of_machine(), *_of_cgroups(), *_of_ulimit()]
    return max(0, min(found)) if found else None


def _of_machine() -> Iterator[int]:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024


def _of_ulimit() -> Iterator[int]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return
    with suppress(OSError, ValueError, IndexError):
        used_pages = int(Path("/proc/self/statm").read_text().split()[0])
        yield limit - used_pages * resource.getpagesize()


def _of_cgroups() -> Iterator[int]:
    """Of the control groups of this process and those above them, version 2 and version 1."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                yield from _of_group(CGROUPS, path, "memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                yield from _of_group(CGROUPS / "memory", path, *names)


def _of_group(root: Path, path: str, limit: str, usage: str, cache: str) -> Iterator[int]:
    """Limits minus usage; files that are cached count as used, but are given up when memory is needed."""
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError):  # such as the limit "max"
            free = int((folder / limit).read_text()) - int((folder / usage).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            yield free + int(stat.get(cache, 0))
        if folder == root:
            return
