"""Notices before a training: settings that do not have the effect that their names promise."""

from unettrain.config import FitConfig


def settings_notices(config: FitConfig, num_validation_tiles: int) -> tuple[str, ...]:
    """Sentences on settings that do not have the effect that their names promise."""
    found = []
    if not num_validation_tiles and (config.best_by != "last" or config.patience):
        patience = f", and patience {config.patience} has no effect" if config.patience else ""
        found.append(
            f"the store has no validation split: best.pt will be the newest network, not the best by {config.best_by}"
            f"{patience} (unetprep import --val-fraction 0.2 holds images out)"
        )
    if config.accumulate > 1 and config.normalization == "batch":
        found.append(
            f"batch normalisation takes its statistics over each of the {config.accumulate} parts of a batch"
            f" (accumulate), {config.batch_size // config.accumulate} tiles, not over the whole batch"
        )
    if config.batch_size // config.accumulate == 1 and config.normalization == "batch":
        found.append(
            "batch normalisation with one tile a batch trains with the statistics of each tile and predicts with their"
            " average: where tiles differ in brightness, the network may find nothing (--batch-size 8 is usual)"
        )
    return tuple(found)
