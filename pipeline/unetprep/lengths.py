"""Units of length in which microscopes state pixel sizes, by their names in OME-NGFF."""

METERS = {
    "meter": 1.0, "centimeter": 1e-2, "millimeter": 1e-3, "micrometer": 1e-6, "nanometer": 1e-9, "picometer": 1e-12,
    "angstrom": 1e-10, "inch": 0.0254,
}  # fmt: skip
