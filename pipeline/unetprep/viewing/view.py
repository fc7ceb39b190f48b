"""A store in a web browser."""

import os
from types import TracebackType
from typing import TYPE_CHECKING

from unetprep.errors import InvalidInput
from unetprep.storage.paths import StrPath
from unetprep.viewing.layers import ImageView, image_view

if TYPE_CHECKING:
    from unetprep.viewing.page import Page

MOST_PORT = 2**16 - 1


class Viewing:
    """A page that shows an image at `url`, until `close` or the end of a `with` block."""

    def __init__(self, shown: ImageView, page: "Page") -> None:
        self.shown, self.page, self.url = shown, page, page.url

    @property
    def layers(self) -> list[str]:
        """The names of the layers."""
        return [layer.name for layer in self.shown.layers]

    def close(self) -> None:
        """Stop the server of the page."""
        self.page.close()

    def __enter__(self) -> "Viewing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def view(store: StrPath, image: str | None = None, *, prediction: StrPath | None = None, port: int = 0) -> Viewing:
    """Serve a page at 127.0.0.1 that shows an image with its labels, target and weights, and a prediction of it.

    `image` is by default the first; `stacks/0` shows a whole stack. `prediction` is a file of its size: integers are
    labels of cells, real numbers probabilities. Pixels are read when they are looked at, so images may have any size.
    `port` 0 takes a free one. The server runs in threads of this process.

    Raises InvalidInput if the extra `view` is not installed, the image does not exist, nothing of it is finished, the
    prediction has another size, or the port is taken.

        with unetprep.view("ds.zarr") as viewing:
            print(viewing.url)
            input("Enter ends it")
    """
    if not 0 <= port <= MOST_PORT:
        raise InvalidInput(f"port is {port}", allowed=f"0 to {MOST_PORT}; 0 chooses a free one")
    try:
        from unetprep.viewing.page import Page
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("unetprep"):
            raise
        raise InvalidInput(
            f"neuroglancer, which shows stores in a browser, is not installed: {error}",
            hint="pip install 'unetprep[view]'",
        ) from None
    shown = image_view(os.fspath(store), image, None if prediction is None else os.fspath(prediction))
    page = Page(port)
    page.show(shown)
    for layer in shown.layers:
        layer.data.on_failure(page.tell)
    return Viewing(shown, page)
