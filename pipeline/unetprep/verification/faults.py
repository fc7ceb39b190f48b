"""Kinds of faults of a store, and the remedy for each."""

from dataclasses import dataclass

from unetprep.format.layout import FIELDS, TILES
from unetprep.verification.inventory import GROUPS, pattern_of

IMPORT = "import --image IMAGES --labels LABELS"


@dataclass(frozen=True)
class Fault:
    """A fault of a store: its `kind`, the `path` of the object or array, a `message`, and the remedy (`to_do`)."""

    kind: str
    path: str
    message: str
    to_do: str


def command_of(node: str, url: str) -> str:
    """The command that makes an array."""
    pattern = pattern_of(node)
    within = pattern.partition("*/")[2]
    if within == "weights" or within.startswith("labels/target"):
        stage = "weights"
    else:
        stage = {FIELDS: "deform", TILES: "tiles"}.get(pattern.split("/")[0], IMPORT)
    return f"unetprep {stage} --out {url}"


def to_do(kind: str, node: str, url: str) -> str:
    """The remedy of a fault of a node (group or array)."""
    command = command_of(node, url)
    again = f"repeat: {command}, with the same options"
    if kind == "unknown":
        return "delete it, or move it out of the store"
    if kind in ("metadata", "missing") and pattern_of(node) in GROUPS:
        return "restore it from a copy, or make the store again"
    if kind in ("metadata", "stale"):
        return f"compute it again: {command} --overwrite, with the same options"
    if kind == "damaged":
        return f"delete it (unetprep verify {url} --repair does), then {again}"
    if kind in ("missing", "unfinished"):
        return again
    return f"delete its shards, then {again}" if kind == "digest" else f"delete it, then {again}"
