"""The page of neuroglancer for an image, with its server at 127.0.0.1. It loads nothing from other hosts.

Imported only where it is needed, since it needs the package neuroglancer.
"""

import socket
from collections.abc import Callable
from typing import Any

import neuroglancer
from neuroglancer.local_volume import MeshesNotSupportedForVolume
from neuroglancer.server import Server
from neuroglancer.viewer_base import ViewerBase

from unetprep.errors import InvalidInput
from unetprep.viewing.layers import IMAGE, LABELS, PREDICTION, TARGET, WEIGHTS, ImageView, Layer

HOST = "127.0.0.1"
PAGE_PX = (500, 1000)  # height and width of the panels together that are assumed for the zoom at the start
FARTHEST = 4.0  # pixels of the image along one of the screen at the start: all of them are read
LABEL_OPACITY = 0.35
IGNORED_COLOUR = "#808080"


class Page(ViewerBase):  # type: ignore[misc]
    """A page of one server, whose address holds a secret, so that other users of the machine cannot open it.

    The functions of `neuroglancer.viewer` would share a server, and so a port, with everything in this process.
    """

    def __init__(self, port: int) -> None:
        try:
            socket.create_server((HOST, port)).close()  # a port that is taken is refused before threads are started
        except OSError as error:
            raise InvalidInput(
                f"port {port} of {HOST} cannot be opened: {error.strerror or error}",
                allowed="a free port; 0, the default, chooses one",
            ) from None
        self._server = Server(HOST, port)
        super().__init__(allow_credentials=False)
        self._server.viewers[self.token] = self
        self.url = f"http://{HOST}:{self._server.port}/v/{self.token}/"

    def defer_callback(self, callback: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Run `callback` in the thread of the server."""
        self._server.loop.call_soon_threadsafe(lambda: callback(*args, **kwargs))

    def close(self) -> None:
        """Stop the server."""
        self._server.executor.shutdown(wait=False, cancel_futures=True)
        self._server.stop()

    def tell(self, message: str) -> None:
        """Show a message in the page."""

        def change(config: Any) -> None:
            config.status_messages["unetprep"] = message

        self.config_state.retry_txn(change)

    def show(self, view: ImageView) -> None:
        """Show the layers of an image."""
        z, y, x = view.shape
        with self.txn() as state:
            state.title = view.name
            state.show_axis_lines = state.show_default_annotations = False  # they would lie over cells
            state.dimensions = _space(view, "xyz")
            state.position = [x / 2, y / 2, z // 2 + 0.5]
            for layer in view.layers:
                shown = layer.name not in (TARGET,) + (() if view.dims == 2 else (WEIGHTS,))
                state.layers.append(name=layer.name, layer=_content(layer, view), visible=shown)
            groups = _groups([layer.name for layer in view.layers], view.dims)
            panels = "xy" if view.dims == 2 else "4panel"
            state.cross_section_scale = _zoom(view, len(groups))
            state.layout = neuroglancer.row_layout(
                [neuroglancer.LayerGroupViewer(layers=names, layout=panels) for names in groups]
            )


def _zoom(view: ImageView, num_panels: int) -> float:
    """The smallest sides of pixels along one pixel of the screen, so that the image fits into its panel."""
    down, across = (1, num_panels) if view.dims == 2 else (2, 2)
    sizes = view.pixel_m or (1.0, 1.0, 1.0)
    y, x = (n * size / min(sizes) for n, size in zip(view.shape[1:], sizes[1:], strict=True))
    return min(FARTHEST, max(y * down / PAGE_PX[0], x * across / PAGE_PX[1]))


def _groups(names: list[str], dims: int) -> list[list[str]]:
    """The layers of each panel: of slices the labels, the weights and the prediction side by side over the image."""
    over = [LABELS, TARGET], [WEIGHTS], [PREDICTION]
    if dims == 3:
        return [names]
    return [[n for n in names if n == IMAGE or n in group] for group in over if any(n in group for n in names)] or [
        names
    ]


class Volume(neuroglancer.LocalVolume):  # type: ignore[misc]
    """Pixels of a layer, read by chunk. Of zoomed-out views each is a mean or, of labels, one of up to 64 pixels."""

    def __init__(self, layer: Layer, view: ImageView) -> None:
        super().__init__(
            layer.data,
            dimensions=_space(view, "zyx" if len(layer.data.shape) == 3 else "czyx"),
            volume_type="image" if layer.shader else "segmentation",
            downsampling="2d" if view.dims == 2 else "3d",  # 2d: never over slices, which are independent
        )

    def get_object_mesh(self, object_id: int) -> bytes:
        """Meshes are not offered: they would need the whole volume in memory."""
        raise MeshesNotSupportedForVolume


def _content(layer: Layer, view: ImageView) -> Any:
    source = Volume(layer, view)
    if layer.shader:
        return neuroglancer.ImageLayer(source=source, shader=layer.shader, opacity=1.0)
    ignored = {} if layer.data.ignored is None else {layer.data.ignored: IGNORED_COLOUR}
    return neuroglancer.SegmentationLayer(source=source, selected_alpha=LABEL_OPACITY, segment_colors=ignored)


def _space(view: ImageView, axes: str) -> Any:
    sizes = dict(zip("zyx", view.pixel_m or (1.0, 1.0, 1.0), strict=True))
    unit = "m" if view.pixel_m else ""
    return neuroglancer.CoordinateSpace(
        names=["c^" if a == "c" else a for a in axes],
        units=["" if a == "c" else unit for a in axes],
        scales=[sizes.get(a, 1.0) for a in axes],
    )
