"""Rules that choose the values that become 0 and 1 for the network, and its limits. Standard library alone."""

INTENSITY_RULES = ("auto", "dtype", "minmax", "percentile")
CLIP = (-0.5, 1.5)  # scaled values are clipped to it, so that a hot pixel does not reach the pixels around it


def intensity_rule_for(rule: str, dtype: str) -> str:
    """The rule that `auto` stands for: dtype for uint8, whose range the paper uses, and percentile for all else."""
    if rule != "auto":
        return rule
    return "dtype" if dtype == "uint8" else "percentile"
