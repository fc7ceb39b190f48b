"""What the benchmarks of this folder have written, as tables for people: RESULTS.md.

python -m benchmarks.stream.results
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.measure import described, page, spread

HERE = Path(__file__).parent


def faster(found: dict[str, float] | None) -> str:
    """How many times as fast as the other we are."""
    if found is None:
        return ""
    return f"**{1 / found['ratio']:.3g}** ({1 / found['ratio_max']:.3g} to {1 / found['ratio_min']:.3g})"


def reading_page(found: dict[str, Any]) -> str:
    """Tiles read at random."""
    rows = [
        f"| {codec} | {v['bytes_a_tile'] / 1e3:.0f} | {faster(v['memmap'])} | {faster(v.get('decoder'))}"
        f" | {faster(v['zarr-python'])} | {faster(v.get('tensorstore'))} |"
        for codec, v in found["codecs"].items()
    ]
    others = [f"{name} {faster(v)}" for name, v in found["others"].items() if isinstance(v, dict)]
    return page(
        "Tiles read and streamed, measured",
        "benchmarks.stream.results",
        "reading.json and stepping.json",
        f"Speed of reading one of {found['tiles']} tiles at random (572 x 572 uint8, 388 x 388 uint8 and float16, noisy"
        " generated cells, warm, one thread), as a multiple of that of a copy from a memory-mapped file, of the bare"
        f" decoder on bytes in memory, of zarr-python and of tensorstore on the same store. {described(found)}.",
        "| codec | kB a tile | memory-mapped copy | decoder | zarr-python | tensorstore |",
        rows,
        f"Not compressed, as a multiple of the speed of others on the same tiles: {', '.join(others)}. webdataset reads"
        " in order.",
    )


def stepping_part(found: dict[str, Any]) -> list[str]:
    """Steps on streamed tiles."""
    lines = [
        "## A step on streamed tiles, against the same step on tensors in memory",
        "",
        f"Tiles of 572 with a margin of 48, lz4, one a step. {described(found)}.",
        "",
        "| step, ms | tiles | threads | a step is a wait | a step is a convolution on one core |",
        "|---|---|---|---|---|",
    ]
    steps = found["codecs"]["lz4"]["steps"]
    for wait, convolution in zip(steps[::2], steps[1::2], strict=True):
        tiles = "augmented" if wait["augmented"] else "as they are"
        lines.append(
            f"| {wait['ms']} | {tiles} | {wait['threads']} | {spread(wait)} | {spread(convolution)}, really"
            f" {convolution['step_ms']:.1f} ms |"
        )
    lines += [
        "",
        "Tiles a second, with nothing done to them:",
        "",
        "| codec | augmented, 1 thread | 2 | as they are, 1 | 2 |",
    ]
    lines.append("|---|---|---|---|---|")
    for codec, v in found["codecs"].items():
        lines.append(f"| {codec} | {' | '.join(f'{speed:.0f}' for speed in v['tiles_a_second'].values())} |")
    return [*lines, ""]


def virtual_part(found: dict[str, Any]) -> list[str]:
    """Virtual tiles against stored ones."""
    size = {name: num / 2**20 for name, num in found["bytes"].items()}
    lines = [
        "## Virtual tiles, as a multiple of the speed of stored ones (lz4)",
        "",
        f"One image of 4096 x 4096; the store takes {size['virtual']:.0f} MiB instead of {size['stored']:.0f}."
        f" {described(found)}.",
        "",
        "| of the decoded image kept | shuffle | tiles | 1 thread | 2 threads |",
        "|---|---|---|---|---|",
    ]
    for one, two in zip(found["cases"][::2], found["cases"][1::2], strict=True):
        tiles = "augmented" if one["augmented"] else "as they are"
        lines.append(f"| {one['kept']:.0%} | {one['shuffle']} | {tiles} | {faster(one)} | {faster(two)} |")
    return [*lines, ""]


def cutting_part(found: dict[str, Any]) -> list[str]:
    """The stage `tiles`."""
    lines = [
        "## `unetprep tiles`, as a multiple of the speed of compressing the same bytes in memory",
        "",
        f"Four images of 2000 x 2000, 144 tiles, one thread, written to disk. {described(found)}.",
        "",
        "| codec | speed | MB a second |",
        "|---|---|---|",
    ]
    for codec, v in found["codecs"].items():
        lines.append(f"| {codec} | {faster(v)} | {v['bytes'] / 1e6 / v['ours_seconds']:.0f} |")
    peaks = ", ".join(f"{num} tiles {peak:.0f} MiB" for num, peak in found["memory"].items())
    return [*lines, "", f"The most memory of the command, imports included: {peaks}.", ""]


def main() -> None:
    """Write the page."""
    reading, stepping, virtual, cutting = (
        json.loads((HERE / f"{name}.json").read_text()) for name in ("reading", "stepping", "virtual", "cutting")
    )
    parts = ["", *stepping_part(stepping), *virtual_part(virtual), *cutting_part(cutting)]
    (HERE / "RESULTS.md").write_text(reading_page(reading) + "\n".join(parts))


if __name__ == "__main__":
    main()
