"""Text and JSON output of `unetprep relabel`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unetprep.relabeling.relabeler import Relabelled


def as_values(store: str, done: "Relabelled") -> dict[str, Any]:
    """What was done, as plain values."""
    return {"store": store, "status": "done" if done.shards else "nothing to do", **asdict(done)}


def as_text(store: str, done: "Relabelled") -> str:
    """A line for each kind of array, and what became of the class weights."""
    if not done.shards:
        return f"relabel: nothing to do, the labels are those of {store}"
    lines = [f"{kind}: {s.recomputed} shards computed again, {s.kept} kept" for kind, s in done.shards.items()]
    if done.class_weights:
        before, after = (", ".join(f"{w:.6g}" for w in weights) for weights in done.class_weights)
        lines.append(
            f"the class weights follow the labels: {before} became {after}, so all weights were computed again"
            " (--keep-class-weights keeps the numbers)"
        )
    return "\n".join([*lines, f"-> {store}"])
