"""What the benchmark of this folder has written, as tables for people: RESULTS.md.

python -m benchmarks.many.results
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.measure import described, page

HERE = Path(__file__).parent
SIZES = {"equal": "256 x 256", "mixed": "100 to 500"}


def both(found: dict[str, float]) -> str:
    """A ratio of CPU time and one of wall time, as two cells of a table."""
    return f"**{found['cpu']:.2f}** | **{found['wall']:.2f}**"


def seconds(found: dict[str, Any], *names: str) -> str:
    """CPU and wall seconds of some variants."""
    return ", ".join(f"{name} {found[name]['cpu_s']:.1f} and {found[name]['wall_s']:.1f} s" for name in names)


def table(header: str, rows: Iterable[str]) -> list[str]:
    """A table as lines, with an empty one behind it."""
    return [header, "|---" * (header.count("|") - 1) + "|", *rows, ""]


def folders_page(found: dict[str, Any]) -> str:
    """Import and weights of many images against a script."""
    rows = [
        f"| {row['images']:,} of {SIZES[row['sizes']]} | {both(made['commands_to_script'])}"
        f" | {both(made['one_process_to_script'])} | {made['script']['cpu_s']:.1f}, {made['script']['wall_s']:.1f} |"
        for row in found["folders"]
        for made in [row["import_and_weights"]]
    ]
    return page(
        "Many small images, measured",
        "benchmarks.many.results",
        "results.json",
        "`unetprep import` and `unetprep weights` as multiples of a plain script (tifffile, `unetprep.weight_map`,"
        f" `numpy.savez`), whole processes. {described(found)}. Least of {found['repeats']} runs each"
        f" ({found['repeats_of_many']} of 5,000 images), in turn. *One process*: both by `unetprep.prepare_store`.",
        "| images | two commands: CPU | wall | one process: CPU | wall | the script, CPU and wall s |",
        rows,
    )


def stores_part(found: dict[str, Any]) -> list[str]:
    """Tiles, repeated commands, and files."""
    rows = []
    for row in found["folders"]:
        tiles = both(row["tiles"]["tiles_to_script"]) if "tiles_to_script" in row["tiles"] else " | "
        rows.append(
            f"| {row['images']:,} of {SIZES[row['sizes']]} | {tiles} | {row['reruns']['longest_over_help_s']:.2f}"
            f" | {row['files']['files']} | **{row['files']['images_a_file']:.1f}** |"
        )
    return [
        "## Tiles, repeated commands and files",
        "",
        "`unetprep tiles` as a multiple of a script (`numpy.pad`, `numpy.save`); by how much the longest of the three"
        " commands that finds nothing to do takes longer than `unetprep --help`; and the files of the whole store.",
        "",
        *table("| images | tiles: CPU | wall | nothing to do, s more | files | images a file |", rows),
    ]


def large_part(found: dict[str, Any]) -> list[str]:
    """One large image."""
    large = found["large"]
    return [
        f"## One TIFF of {large['side_px']} x {large['side_px']} with {large['cells']:,} cells",
        "",
        "`unetprep weights --in` needs so many times the CPU time of a script that calls `weight_map` by blocks of 2048"
        f" and writes with zarr-python: **{large['command_to_script']['cpu']:.2f}**; of its wall time,"
        f" {large['command_to_script']['wall']:.2f}. CPU and wall time: {seconds(large, 'command', 'script')}.",
        "",
    ]


def nnunet_part(found: dict[str, Any]) -> list[str]:
    """Beside nnU-Net."""
    beside = found["nnunet"]
    speed = {name: 1 / beside[f"{name}_to_nnunet"]["wall"] for name in ("weights", "tiles")}
    return [
        f"## Beside nnU-Net {beside['version']}",
        "",
        f"{beside['images']} images of 256 x 256, one process each. `import` and `weights` are"
        f" **{speed['weights']:.1f}** times as fast as `nnUNetv2_plan_and_preprocess -c 2d -np 1`, with `tiles`"
        f" **{speed['tiles']:.1f}** times. CPU and wall time: {seconds(beside, 'nnunet', 'weights', 'tiles')}."
        + beside.get("note", ""),
        "",
    ]


def workers_part(found: dict[str, Any]) -> list[str]:
    """One worker against two."""
    columns = ("two_workers", "two_processes", "two_workers_without_start", "two_processes_without_start")
    rows = (
        f"| {row['data']} | {' | '.join(f'{row[name]:.2f}' for name in columns)} | {row['one']['wall_s']:.1f} |"
        for row in found["two_workers"]
    )
    header = (
        "| data | two workers | two processes | two workers, without start | two processes, without start | one, s |"
    )
    return [
        "## `unetprep weights --workers 2`, times as fast as one",
        "",
        "Beside it, two processes of one worker, each with its own store, at once. *Without start*: less the time of a"
        " command that finds nothing to do.",
        "",
        *table(header, rows),
    ]


def memory_part(found: dict[str, Any]) -> list[str]:
    """Memory by the number of images."""
    rows = (
        f"| {row['images']:,} | {row['import']['peak_mib']:.0f} | {row['weights']['peak_mib']:.0f} |"
        for row in found["memory"]
    )
    title = "## Most memory, by the number of images"
    return [title, "", *table("| images | import, MiB | weights, MiB |", rows)]


def main() -> None:
    """Write the page."""
    found = json.loads((HERE / "results.json").read_text())
    parts = [stores_part, large_part, *([nnunet_part] if "nnunet" in found else []), workers_part, memory_part]
    lines = [line for part in parts for line in part(found)]
    (HERE / "RESULTS.md").write_text("\n".join([folders_page(found), *lines]))


if __name__ == "__main__":
    main()
