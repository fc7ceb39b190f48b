"""What the benchmarks of this folder have written, as tables for people: RESULTS.md.

python -m benchmarks.weights.results
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.measure import described

HERE = Path(__file__).parent


def kernel_tables(found: dict[str, Any]) -> list[str]:
    """The kernel against one pass, and against one transform for each cell."""
    lines = [
        "## The kernel, in units of one `edt.edt` pass over the same image",
        "",
        f"One thread, after compilation, the two in turn. {described(found)}. Median of the pairs (range).",
        "*Weights*: from labels and target. *All*: from labels alone, with separation and class balance.",
        "",
        "| image | cells | covered | weights | all |",
        "|---|---|---|---|---|",
    ]
    for row in found["one_pass_2d"] + found["one_pass_3d"]:
        image = " x ".join(map(str, row["shape"])) + (", 4:1:1" if len(row["shape"]) == 3 else "")
        weights, whole = row["weights"], row["with_separation_and_counts"]
        lines.append(
            f"| {image} | {row['cells']} | {row['covered']:.0%} | **{weights['ratio']:.2f}**"
            f" ({weights['ratio_min']:.2f} to {weights['ratio_max']:.2f}) | {whole['ratio']:.2f} |"
        )
    lines += [
        "",
        "## One transform of the whole image for each cell, in units of `unetprep.weight_map`",
        "",
        "| image | cells | SciPy | OpenCV | edt |",
        "|---|---|---|---|---|",
    ]
    for row in found["one_transform_a_cell"]:
        times = " | ".join(f"{row[name]['times_longer']:.0f}" for name in ("scipy", "opencv", "edt"))
        lines.append(f"| {row['shape'][0]} x {row['shape'][1]} | {row['cells']} | {times} |")
    return [*lines, "", "![Time against the number of cells](growth.png)", ""]


def job_table(found: dict[str, Any]) -> list[str]:
    """The whole job against a copy."""
    side = found["shape"][0]
    lines = [
        f"## The whole job: {side} x {side} pixels, {found['cells']:,} cells",
        "",
        f"{described(found)}. Medians of {found['repeats']} processes each; the ratio is that of runs side by side.",
        "",
        "| workers | `unetprep weights`, s | peak MiB | copy of the weights by Dask, s | ratio | with import, s |",
        "|---|---|---|---|---|---|",
    ]
    for workers in (1, 2):
        row = found[f"workers_{workers}"]
        lines.append(
            f"| {workers} | {row['weights']['seconds']:.1f} | {row['weights']['peak_mib']:.0f}"
            f" | {row['copy']['seconds']:.1f} | **{row['weights_to_copy']['ratio']:.2f}**"
            f" | {row['with_import']['seconds']:.1f} ({row['with_import']['peak_mib']:.0f} MiB) |"
        )
    cluster = found["cluster"]
    said = (
        f"Two threads of one process: {found['two_threads']:.2f} times as fast as one. Dask workers, processes of one"
        f" thread each: one took {cluster['one_worker_seconds']:.1f} s, two {cluster['two_workers_seconds']:.1f} s,"
        f" {cluster['speedup']:.2f} times as fast."
    )
    return [*lines, "", said, ""]


def main() -> None:
    """Write the tables of what has been measured."""
    lines = ["# Weight maps, measured", "", "Written by `make bench` from the JSON files beside it.", ""]
    for name, tables in (("kernel", kernel_tables), ("job", job_table)):
        lines += tables(json.loads((HERE / f"{name}.json").read_text()))
    (HERE / "RESULTS.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
