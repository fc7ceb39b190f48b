"""Refusal of a run that cannot fit into the memory of a worker, before anything is written.

What the stages need follows from the first pass of the import, which is made in any case, and from a dry run. So a
memory limit costs no further reading of the sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from unetprep.engine.importing import ImportCheck
from unetprep.engine.scheduler import Scheduler
from unetprep.estimate.dry_run import DryRun
from unetprep.estimate.sampled_scan import SampledScan, with_known_values
from unetprep.parameter import Params
from unetprep.params import ImportParams
from unetprep.stages.first_reading import first_readings_bytes
from unetprep.stages.importing import Import, plan_parts
from unetprep.stages.splits import Part
from unetprep.stages.table import Stage

Stages = Sequence[tuple[Stage, Params]]


@dataclass(frozen=True)
class MemoryCheck(ImportCheck):
    """Refuses an import, and the stages behind it, that a worker has too little memory for."""

    url: str
    scheduler: Scheduler
    stages: Stages
    overwrite: bool

    def before_reading(self, parts: Sequence[Part], params: ImportParams) -> None:
        """Raise InvalidInput where even the first pass does not fit; the least memory is then found from a sample."""
        reader = self.scheduler.worker.for_one_thread()
        needed = reader.fixed_bytes + first_readings_bytes(parts, params)
        if reader.memory_bytes is not None and needed > reader.memory_bytes:
            dry_run = self._dry_run()
            dry_run.add_memory(needed)
            found = plan_parts(parts, params, SampledScan(), dry_run.store, overwrite=self.overwrite)
            planned = with_known_values(dry_run.store, found)
            self._refuse(dry_run, planned, any(part.image for part in parts))

    def before_writing(self, planned: Import, has_images: bool) -> None:
        """Raise InvalidInput where the import or one of the stages does not fit."""
        self._refuse(self._dry_run(), planned, has_images)

    def without_import(self) -> None:
        """Raise InvalidInput where one of the stages does not fit."""
        create = bool(self.stages) and self.stages[0][0].creates_store
        self._refuse(DryRun(self.url, self.scheduler.worker, create=create, overwrite=self.overwrite), None, False)

    def _dry_run(self) -> DryRun:
        return DryRun(self.url, self.scheduler.worker, create=True, overwrite=self.overwrite)

    def _refuse(self, dry_run: DryRun, planned: Import | None, has_images: bool) -> None:
        for _ in dry_run.plan_import(planned, has_images) if planned else ():
            pass
        for stage, params in self.stages:
            for _ in dry_run.plan_stage(stage, params):
                pass
        dry_run.refuse()
