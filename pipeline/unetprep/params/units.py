"""Numbers of bytes and times as text: "4GB", and the time limits of Slurm."""

import re

from unetprep.errors import InvalidInput

LARGEST_MEMORY = 2**50
LONGEST_TIME = 10 * 366 * 86400  # seconds
BYTES = {"B": 1} | {
    f"{letter}{kind}B": base ** (power + 1)
    for power, letter in enumerate("KMGT")
    for kind, base in (("", 1000), ("i", 1024))
}


def parse_bytes(text: str, name: str = "memory") -> int:
    """The number of bytes that "4GB" or "3.5GiB" means."""
    found = re.fullmatch(r"\s*(\d{1,18}\.?\d{0,18})\s*([KMGT]?i?B)\s*", text, re.ASCII)
    size = int(float(found[1]) * BYTES[found[2]]) if found and found[2] in BYTES else 0
    if not 1 <= size <= LARGEST_MEMORY:
        raise InvalidInput(
            f"{name} is {text[:80]!r}",
            allowed="a number and B, KB, MB, GB, TB, KiB, ...; such as 4GB, and up to 1024TiB",
        )
    return size


def parse_time(text: str, name: str = "walltime") -> int:
    """The number of seconds that a time limit of Slurm means: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS."""
    found = re.fullmatch(r"(?:(\d{1,9})-)?(\d{1,9})(?::(\d{1,9}))?(?::(\d{1,9}))?", text.strip(), re.ASCII)
    if found is None:
        raise InvalidInput(f"{name} is {text[:80]!r}", allowed="HH:MM:SS or D-HH:MM:SS")
    days, *rest = found.groups()
    parts = [int(part) for part in rest if part is not None]
    units = (3600, 60, 1) if days or len(parts) == 3 else (60, 1)
    seconds = int(days or 0) * 86400 + sum(part * unit for part, unit in zip(parts, units, strict=False))
    if seconds > LONGEST_TIME:
        raise InvalidInput(f"{name} is {text!r}", allowed="up to ten years")
    return seconds


def format_bytes(size: float) -> str:
    """A number of bytes as text that `parse_bytes` reads: whole below 10 KiB, MiB and so on."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 10 * 1024:
            return f"{size:.0f}{unit}"
        size /= 1024
    return f"{size:.1f}TiB"
