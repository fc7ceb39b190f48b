"""What the benchmarks of this folder have written, as tables for people: RESULTS.md.

python -m benchmarks.engine.results
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.measure import described

HERE = Path(__file__).parent
KINDS = (("local", "threads"), ("processes", "Dask worker processes"))


def overhead_table(found: dict[str, Any]) -> list[str]:
    """What a shard costs of which nothing is made."""
    lines = [
        "## A job that does nothing",
        "",
        f"{found['workers']} workers. {described(found)}. Medians of {found['repeats']} processes each.",
        "",
        "| workers | shards | us a shard | peak MiB |",
        "|---|---|---|---|",
    ]
    for kind, name in KINDS:
        lines += [
            f"| {name} | {row['shards']:,} | **{row['us_a_shard']:.1f}** | {row['peak_mib']:.0f} |"
            for row in found[kind]["sizes"]
        ]
    growth = ", ".join(f"{name} {found[kind]['growth_mib']:.0f} MiB" for kind, name in KINDS)
    return [*lines, "", f"From 1,000 to 1,000,000 shards the client and the scheduler grow by: {growth}.", ""]


def copying_table(found: dict[str, Any]) -> list[str]:
    """A copy in three ways."""
    side = found["shape"][0]
    lines = [
        f"## Copying {side} x {side} {found['dtype']} with a halo of {found['halo']}, store to store",
        "",
        f"{found['workers']} threads. {described(found)}. Medians of {found['repeats']} processes each, in turn.",
        "",
        "| | s | peak MiB | the engine is faster by | and needs of its memory |",
        "|---|---|---|---|---|",
        f"| the engine | {found['engine']['seconds']:.1f} | {found['engine']['peak_mib']:.0f} | | |",
    ]
    for name, title in (("hand", "a thread pool by hand"), ("dask", "`map_overlap` and `to_zarr`")):
        ours = found[f"engine_against_{name}"]
        lines.append(
            f"| {title} | {found[name]['seconds']:.1f} | {found[name]['peak_mib']:.0f} | **{ours['speed']:.2f}**"
            f" ({ours['speed_min']:.2f} to {ours['speed_max']:.2f}) | {ours['memory']:.2f} |"
        )
    return [*lines, ""]


def reading_table(found: dict[str, Any]) -> list[str]:
    """Shards read and written."""
    lines = [
        "## Reading and writing shards",
        "",
        f"{found['megabytes']:.0f} MB, {found['threads']} threads. {described(found)}. Time of ours / theirs, in turn.",
        "",
        "| | ours, MB/s | / zarr-python | / tensorstore |",
        "|---|---|---|---|",
    ]
    for verb in ("reading", "writing"):
        speed = found["megabytes"] / found[verb]["zarr"]["ours_seconds"]
        ratios = (f"**{found[verb][n]['ratio']:.2f}** ({_range(found[verb][n])})" for n in ("zarr", "tensorstore"))
        lines.append(f"| {verb} | {speed:.0f} | {' | '.join(ratios)} |")
    return [*lines, ""]


def _range(found: dict[str, float]) -> str:
    return f"{found['ratio_min']:.2f} to {found['ratio_max']:.2f}"


def chaos_table(found: dict[str, Any]) -> list[str]:
    """What random kills did."""
    kills = ", ".join(f"{name} {count}" for name, count in sorted(found["kills"].items()))
    return [
        "## Chaos",
        "",
        f"{sum(found['kills'].values())} kills at random moments ({kills}; seed {found['seed']}), on a disk and on an"
        f" S3 server: {found['stores_finished']} stores finished, {found['stores_that_differ']} of them differ from the"
        f" undisturbed one. {described(found)}.",
        "",
    ]


def main() -> None:
    """Write the tables of what has been measured."""
    lines = [
        "# The engine, measured",
        "",
        "Written by `make bench` and `make chaos` from the JSON files beside it.",
        "",
    ]
    tables = {"overhead": overhead_table, "copying": copying_table, "reading": reading_table, "chaos": chaos_table}
    for name, table in tables.items():
        lines += table(json.loads((HERE / f"{name}.json").read_text()))
    (HERE / "RESULTS.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
