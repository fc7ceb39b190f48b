"""Text output of `unetprep info`."""

from typing import Any


def as_text(found: dict[str, Any]) -> str:
    """A store's description as a few lines: images, fields, tiles, each with its state."""
    lines = [f"{found['store']}  (format version {found['format_version']})", ""]
    for image in found["images"]:
        lines.append(f"image {image['name']}  [{image['split']}]  from {', '.join(image['source'] or ['?'])}")
        lines += [f"    {name:<10}{_array(array)}" for name, array in image["arrays"].items()]
    fields = found["fields"]
    folding = f"  {fields['folding_fields']:.3g} of them fold" if "folding_fields" in fields else ""
    lines.append(f"fields        {_array(fields)}{_parameters(fields, 'sigma_px', 'seed')}{folding}")
    tiles = found["tiles"]
    geometry = f"  {tiles['tile']} -> {tiles['output']} pixels, margin {tiles['margin']}" if "tile" in tiles else ""
    geometry += ", virtual" if "index_only" in tiles.get("parameters", {}) else ""
    lines.append(f"tiles         {_array(tiles)}{geometry}")
    return "\n".join(lines)


def _array(array: dict[str, Any]) -> str:
    if "shape" not in array:  # missing, or its document is damaged
        return str(array["state"])
    shape = " x ".join(map(str, array["shape"]))
    return f"{array['state']:<10}  {shape}  {array['dtype']}  {_size(array['stored_bytes'])}"


def _parameters(array: dict[str, Any], *names: str) -> str:
    return "".join(f"  {name} {array['parameters'][name]}" for name in names if name in array.get("parameters", {}))


def _size(num_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.4g} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.4g} TiB"
