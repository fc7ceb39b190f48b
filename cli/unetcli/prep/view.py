"""`unetprep view`."""

import os
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager

import click

from unetcli.options import Examples, common, result
from unetcli.prep.options import with_storage_options
from unetprep.errors import Stopped


@click.command(
    cls=Examples,
    short_help="Show an image of a store in a web browser.",
    examples="unetprep view ds.zarr\n"
    "unetprep view ds.zarr --image img007 --prediction cells.tif\n"
    "unetprep view s3://bucket/ds.zarr --no-browser --port 8080",
)
@click.argument("store")
@click.option("--image", metavar="NAME", help="The image; stacks/0 shows a whole stack.  [default: the first]")
@click.option(
    "--prediction", metavar="FILE", help="A prediction of the image, in any image format: labels or probabilities."
)
@click.option("--port", type=int, default=0, help="The port at 127.0.0.1; 0 takes a free one.")
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
@common
@with_storage_options
def view(
    store: str,
    image: str | None,
    prediction: str | None,
    port: int,
    no_browser: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Show an image of a store with its labels, target and weights as layers of a page, until Ctrl-C.

    The page is served at 127.0.0.1, to this machine only, by a server that runs until Ctrl-C. Pixels are read when they
    are looked at. Needs the extra `view`: pip install 'unetprep[view]'.
    """
    import unetprep

    with unetprep.view(store, image, prediction=prediction, port=port) as viewing, _ended_by_ctrl_c():
        shown = viewing.shown
        values = {"store": store, "image": shown.name, "layers": viewing.layers, "url": viewing.url}
        left_out = "".join(f"\nleft out: {name} is {state}" for name, state in shown.unfinished.items())
        text = f"{shown.name}: {', '.join(viewing.layers)}{left_out}\n-> {viewing.url}"
        result("view", {**values, "left_out": shown.unfinished}, text, as_json)
        if not (no_browser or _open(viewing.url)):
            click.echo("no browser was found: open the address in one", err=True)
        if not quiet:
            click.echo("Ctrl-C ends it", err=True)
        threading.Event().wait()


def _open(url: str) -> bool:
    """Open a page in a graphical browser; whether there is one. One in a text terminal could not show the page."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    return webbrowser.open(url)


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Take Ctrl-C as the end of the command, which is how a viewer ends; SIGTERM stops it as any command."""
    try:
        yield
    except Stopped:
        raise
    except KeyboardInterrupt:
        return
