"""Rules that choose the values scaled to 0 and 1 for the network, and the limits of scaled values. No imports."""

INTENSITY_RULES = ("auto", "dtype", "minmax", "percentile")
CLIP = (-0.5, 1.5)  # range of scaled values; it limits the influence of hot pixels on their neighbours


def intensity_rule_for(rule: str, dtype: str) -> str:
    """The rule, with `auto` resolved: dtype for uint8, whose range the paper uses, percentile for all other types."""
    if rule != "auto":
        return rule
    return "dtype" if dtype == "uint8" else "percentile"
