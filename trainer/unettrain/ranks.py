"""Place of this process among the processes (ranks) of one training, as torchrun writes it into the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from unettrain.errors import InvalidInput

# Variable, and field of Ranks. A launcher other than torchrun, such as srun, can set them too.
VARIABLES = {"RANK": "rank", "WORLD_SIZE": "size", "LOCAL_RANK": "local_rank", "LOCAL_WORLD_SIZE": "local_size"}
ADDRESS = ("MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """Number of this process, of all processes, and the same on its own machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run, validates and reports; there is one."""
        return self.rank == 0

    def share(self, batch_size: int, accumulate: int = 1) -> int:
        """Tiles of a batch that each process takes. Raises InvalidInput for a batch that cannot be divided evenly."""
        if batch_size % (self.size * accumulate):
            parts = f" in {accumulate} parts each (accumulate)" if accumulate > 1 else ""
            raise InvalidInput(
                f"batch-size is {batch_size}, and {self.size} processes share each batch{parts}",
                allowed=f"multiples of {self.size * accumulate}",
                hint="the batch is that of all processes together, so that the result does not depend on their number",
            )
        return batch_size // self.size


ALONE = Ranks()


def launched(environment: Mapping[str, str] = os.environ) -> Ranks:
    """The place of this process; ALONE if it was not started as one of several.

    Raises InvalidInput if the variables are incomplete or contradict each other.
    """
    if environment.get("WORLD_SIZE", "1") == "1":
        return ALONE
    try:
        found = Ranks(**{name: int(environment[variable]) for variable, name in VARIABLES.items()})
    except KeyError as missing:
        raise _invalid(f"WORLD_SIZE is {environment['WORLD_SIZE']} and {missing.args[0]} is not set") from None
    except ValueError as error:
        raise _invalid(f"the variables of torchrun are no numbers: {error}") from None
    lacking = [name for name in ADDRESS if not environment.get(name)]
    if lacking:
        raise _invalid(f"WORLD_SIZE is {found.size} and {' and '.join(lacking)} not set")
    if not (0 <= found.rank < found.size and 0 <= found.local_rank < found.local_size <= found.size):
        raise _invalid(f"the variables of torchrun contradict each other: {found}")
    return found


def _invalid(problem: str) -> InvalidInput:
    return InvalidInput(
        problem,
        allowed=f"{', '.join([*VARIABLES, *ADDRESS])}, all or none of them",
        hint="start several processes with torchrun; for a single one, unset WORLD_SIZE",
    )
