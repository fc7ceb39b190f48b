"""Kinds of faults of a store, and the remedy for each."""

from dataclasses import dataclass

from unetprep.format.layout import FIELDS, IMAGES, TILES
from unetprep.verification.inventory import GROUPS, is_coordinate, pattern_of

IMPORT = "import --image IMAGES --labels LABELS"


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be: at which object or array, and what to do."""

    kind: str
    path: str
    message: str
    to_do: str


def command_of(node: str, url: str) -> str:
    """The command that makes an array."""
    pattern = pattern_of(node)
    if pattern == f"{IMAGES}/*/weights" or pattern.startswith(f"{IMAGES}/*/labels/target"):
        stage = "weights"
    else:
        stage = {FIELDS: "deform", TILES: "tiles"}.get(pattern.split("/")[0], IMPORT)
    return f"unetprep {stage} --out {url}"


def to_do(kind: str, node: str, url: str) -> str:
    """What mends a fault of the node (group or array)."""
    command = command_of(node, url)
    again = f"repeat: {command}, with the same options"
    if kind == "unknown":
        return "delete it, unless it is yours: then keep it outside of the store"
    if kind in ("metadata", "missing") and pattern_of(node) in GROUPS:
        return "restore it from a copy, or make the store anew"
    if kind in ("metadata", "stale") or is_coordinate(node):
        return f"make it anew: {command} --overwrite, with the same options"
    if kind == "damaged":
        return f"delete it (unetprep verify {url} --repair does), then {again}"
    if kind in ("missing", "unfinished"):
        return again
    return f"delete its shards, then {again}" if kind == "digest" else f"delete it, then {again}"
