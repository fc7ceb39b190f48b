"""Prefetching ring buffer for batches."""

import weakref
from contextlib import closing
from types import SimpleNamespace

import pytest
import torch

from unettrain.stream.prefetch import Buffers, Prefetcher


class Event:
    """Of a GPU that is never done before it is waited for."""

    def __init__(self, at: int) -> None:
        self.at = at

    def synchronize(self) -> None:
        waited.append(self.at)


waited = list[int]()


def test_page_locked_arrays_are_not_filled_before_the_gpu_has_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by copies that were begun after the next batch was asked for."""
    waited.clear()
    now, last_copy, again = [0], dict[int, int](), list[tuple[int, int]]()
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory, **more: torch.zeros(*shape, **more))
    stream = SimpleNamespace(record_event=lambda: Event(now[0]))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)

    def fill(part: int, buffers: Buffers, k: int, scratch: None) -> None:
        if id(buffers) in last_copy:
            again.append((last_copy[id(buffers)], waited[-1]))

    prefetcher: Prefetcher[int, None] = Prefetcher(
        [((1,), torch.float32)], fill, lambda: None, 1, 1, "unettrain-stream", pinned=True
    )
    held, tensors = 0, list[torch.Tensor]()
    with closing(prefetcher.batches([k] for k in range(30))) as batches:
        for pending in batches:
            if held:  # the batch before is copied now, and let go
                now[0] += 1
                last_copy[held] = now[0]
            held, tensors = id(pending.buffers), pending.buffers.tensors()
            del pending
    del tensors
    assert len(again) > 10
    assert all(waited_for >= copied for copied, waited_for in again)


def test_batches_that_were_held_and_let_go_are_not_kept() -> None:
    """A consumer that held many of them leaves behind no more than any other."""
    prefetcher: Prefetcher[int, None] = Prefetcher(
        [((1,), torch.float32)], lambda *_: None, lambda: None, 1, 1, "unettrain-stream"
    )
    made, held = list[weakref.ref[Buffers]](), list[torch.Tensor]()
    with closing(prefetcher.batches([k] for k in range(60))) as batches:
        for k, pending in enumerate(batches):
            made.append(weakref.ref(pending.buffers))
            held = [*held, *pending.buffers.tensors()] if k < 30 else []
            del pending
        assert 1 <= len({id(buffers()) for buffers in made if buffers()}) <= 5
