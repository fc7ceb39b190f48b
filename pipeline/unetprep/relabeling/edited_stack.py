"""Job that replaces edited labels in the shards of a stack; the other images of a shard are kept as they are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from unetprep.format.boxes import Box
from unetprep.format.layout import labels_path
from unetprep.format.places import TABLE
from unetprep.stages.base import Blocks
from unetprep.stages.import_jobs import LabelsJob
from unetprep.stages.importing import provenance
from unetprep.stages.stacks import LabelRule, StackImportJob, array_of_stack, digest_of_all
from unetprep.store import Store


@dataclass(frozen=True)
class EditedStackJob(StackImportJob):
    """Copy the sources of edited images into the slices of a stack of labels that is stored."""

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """One image, as edited or as stored."""
        (box,) = boxes
        if box[0].start in self.sources:
            return StackImportJob.compute(self, store, boxes)
        return (store.read(self.outputs[0].path, box),)


def edited_stack(store: Store, group: str, edited: Mapping[int, LabelsJob]) -> EditedStackJob:
    """The job that takes edited labels, by slice, into the labels of a stack."""
    path, table, sizes = labels_path(group, "instances"), store.record(group)[TABLE], store.sizes(group)
    assert sizes is not None
    record = store.record(path)
    digests = list(record["digests"])
    for k, job in edited.items():
        digests[k] = job.outputs[0].provenance.inputs["pixels"]
    listed = zip(table["names"], table["sizes"], strict=True)
    made = provenance(record["parameters"], digest_of_all(listed, digests))
    spec = replace(array_of_stack(path, sizes, (), "int32", made), extra={"digests": digests})
    first = next(iter(edited.values()))
    rule = LabelRule(first.ignore_label, first.connectivity, first.by_value, first.threshold)
    return EditedStackJob((spec,), {k: job.source for k, job in edited.items()}, digests, rule, sizes=sizes)
