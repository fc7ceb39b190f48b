"""Command `import-weights`."""

import click

from unetcli.options import Examples, common, result
from unetcli.param_types import Choice


@click.command(
    "import-weights",
    cls=Examples,
    short_help="Take the weights of another U-Net.",
    examples="unettrain import-weights unet.pth --out unet.pt --concatenation skip-first --padding same",
)
@click.argument("file")
@click.option("--out", required=True, metavar="PATH", help="The checkpoint, .pt.")
@click.option(
    "--concatenation",
    required=True,
    type=Choice(["up-first", "skip-first"]),
    help="Order in which the other network concatenates: torch.cat([upsampled, skip]) or torch.cat([skip, upsampled]).",
)
@click.option(
    "--padding",
    required=True,
    type=Choice(["valid", "same"]),
    help="Padding of its 3x3: 0 or 1 pixel.",
)
@click.option(
    "--intensity",
    "intensity_rule",
    type=Choice(["dtype", "minmax", "percentile"]),
    default="dtype",
    show_default=True,
    help="How its images were scaled to 0..1: by the range of their dtype (as / 255), or of each image.",
)
@click.option(
    "--dtype",
    "image_dtype",
    type=Choice(["uint8", "uint16", "float32"]),
    default="uint8",
    show_default=True,
    help="Dtype of its training images.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier checkpoint at --out.")
@common
def import_weights(
    file: str,
    out: str,
    concatenation: str,
    padding: str,
    intensity_rule: str,
    image_dtype: str,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Make a checkpoint from the state dict of another U-Net in FILE, to predict with it or to train it further.

    Layers are matched by order and shape, and listed. If one does not fit, nothing is taken. Options say what the
    weights cannot tell; compare a prediction with one of the other software.
    """
    from unettrain import load_foreign_weights

    done = load_foreign_weights(
        file,
        out,
        concatenation=concatenation,
        padding=padding,
        intensity_rule=intensity_rule,
        image_dtype=image_dtype,
        overwrite=overwrite,
    )
    layers = [f"  {theirs} -> {ours}" for theirs, ours in done.pairs]
    ignored = [f"  {name} is no tensor: ignored" for name in done.ignored]
    network = done.network
    head = (
        f"import-weights: depth {network.depth}, {network.base_channels} base channels, {network.num_classes} classes,"
        f" padding {network.padding}, normalization {network.normalization}"
    )
    result("import-weights", done.as_dict(), "\n".join([head, *layers, *ignored, f"-> {out}"]), as_json)
