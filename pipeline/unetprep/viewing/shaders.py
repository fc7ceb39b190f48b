"""GLSL shaders of the layers of a viewer. Their ranges can be changed in the page."""

from collections.abc import Sequence

from unetprep.format.ome import COLORS

# Of matplotlib's inferno, at 0, 1/4, 1/2, 3/4 and 1: dark where a weight is small.
INFERNO = ((0.0, 0.0, 0.016), (0.341, 0.063, 0.431), (0.736, 0.216, 0.330), (0.978, 0.557, 0.035), (0.988, 1.0, 0.645))
STOPS = len(INFERNO) - 1


def intensity_shader(low: float, high: float, num_channels: int) -> str:
    """One channel in grey, or several channels added in the colours of the OME metadata."""
    controls = [_range(f"channel_{c}", low, high, c) for c in range(num_channels)]
    if num_channels == 1:
        return _shader(controls, "emitGrayscale(channel_0());")
    parts = [f"channel_{c}() * {_vector(_rgb(COLORS[c % len(COLORS)]))}" for c in range(num_channels)]
    return _shader(controls, f"emitRGB({' + '.join(parts)});")


def weights_shader(high: float, is_linear: bool) -> str:
    """The weights, or their square roots, in inferno from 0 to `high`; small weights let the image below show."""
    value = "weight()" if is_linear else "sqrt(weight())"
    steps = (f"mix(c, {_vector(INFERNO[k])}, clamp(v * {STOPS}.0 - {k - 1}.0, 0.0, 1.0))" for k in range(1, STOPS + 1))
    colours = (f"c = {step};" for step in steps)
    start = (f"float v = {value};", f"vec3 c = {_vector(INFERNO[0])};")
    return _shader([_range("weight", 0, high)], *start, *colours, "emitRGBA(vec4(c, min(1.0, 2.0 * v)));")


def probability_shader(num_channels: int) -> str:
    """Probabilities of a class in green over the image, or of several classes in the colours of the OME metadata."""
    if num_channels > 1:
        return intensity_shader(0, 1, num_channels)
    return _shader(
        [_range("probability", 0, 1, 0)], "float p = probability();", "emitRGBA(vec4(0.2, 1.0, 0.4, 0.6 * p));"
    )


def _range(name: str, low: float, high: float, channel: int | None = None) -> str:
    of = "" if channel is None else f", channel={channel}"
    return f"#uicontrol invlerp {name}(range=[{low:.9g}, {high:.9g}]{of})"


def _shader(controls: Sequence[str], *lines: str) -> str:
    return "\n".join([*controls, "void main() {", *(f"  {line}" for line in lines), "}"])


def _vector(rgb: Sequence[float]) -> str:
    return f"vec3({', '.join(f'{value:.3f}' for value in rgb)})"


def _rgb(color: str) -> tuple[float, ...]:
    return tuple(int(color[i : i + 2], 16) / 255 for i in (0, 2, 4))
