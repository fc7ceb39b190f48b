"""One update: its gradient in parts, mixed precision, the averaged weights, and what it refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.config import FitConfig
from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream
from unettrain.trainer import Diverged, Trainer

MakeStore = Callable[..., Path]


def batch_of(store: Path, size: int = 4) -> Batch:
    return TileStream(store, batch_size=size, augmentation=NO_AUGMENTATION).batch(0)


def trainer(store: Path, **values: Any) -> Trainer:
    config = FitConfig(**({"base_channels": 2, "dropout": 0.0, "batch_size": 4} | values))
    tiles = TileStream(store, augmentation=NO_AUGMENTATION).tiles
    return Trainer(config.network(1, tiles.depth), config, tiles.tile_px)


def gradients(made: Trainer, batch: Batch) -> list[torch.Tensor]:
    made.update(batch)
    return [p.grad.clone() for p in made.model.parameters() if p.grad is not None]


def set_scale(made: Trainer, scale: float) -> None:
    made.scaler.scale(torch.ones(()))  # the scale exists from the first use on
    made.scaler.update(scale)


@pytest.mark.parametrize("normalizer", ["weights", "pixels", "none"])
@pytest.mark.parametrize("parts", [2, 4])
def test_the_gradient_in_parts_is_that_of_the_whole_batch(make_store: MakeStore, normalizer: str, parts: int) -> None:
    store = make_store()
    batch = batch_of(store)
    whole = trainer(store, normalizer=normalizer, clip_norm=0.0)
    some = trainer(store, normalizer=normalizer, clip_norm=0.0, accumulate=parts)
    found, expected = gradients(some, batch), gradients(whole, batch)
    greatest = max(float(g.abs().max()) for g in expected)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * greatest)
    assert some.pending_loss == pytest.approx(whole.pending_loss, rel=1e-5)


def test_fp16_scales_the_loss_and_skips_an_update_that_overflows(make_store: MakeStore) -> None:
    store = make_store()
    made = trainer(store, amp="fp16")
    before = [p.detach().clone() for p in made.model.parameters()]
    set_scale(made, 2.0**100)
    made.update(batch_of(store))
    assert all(torch.equal(a, b) for a, b in zip(made.model.parameters(), before, strict=True))
    assert (made.step, made.scaler.get_scale()) == (1, 2.0**99)
    set_scale(made, 2.0**10)
    made.update(batch_of(store))
    assert not torch.equal(next(made.model.parameters()), before[0])
    assert {p.dtype for p in made.model.parameters()} == {torch.float32}


def test_the_scale_of_fp16_is_restored(make_store: MakeStore) -> None:
    store = make_store()
    made, other = trainer(store, amp="fp16"), trainer(store, amp="fp16")
    set_scale(made, 2.0**7)
    made.update(batch_of(store))
    other.restore(made.checkpoint(with_optimizer=True))
    assert other.scaler.state_dict() == made.scaler.state_dict()
    assert other.scaler.get_scale() == 2.0**7


def test_the_averaged_network_is_validated_and_kept(make_store: MakeStore) -> None:
    store = make_store()
    made = trainer(store, ema=0.9, learning_rate=0.1)
    for _ in range(3):
        made.update(batch_of(store))
    assert made.averaged is not None
    kept, whole = made.checkpoint(with_optimizer=False), made.checkpoint(with_optimizer=True)
    averaged = made.averaged.state_dict()
    torch.testing.assert_close(kept.weights, averaged, rtol=0, atol=0)
    torch.testing.assert_close(whole.ema, averaged, rtol=0, atol=0)
    torch.testing.assert_close(whole.weights, made.model.state_dict(), rtol=0, atol=0)
    assert not torch.equal(whole.weights["head.weight"], averaged["head.weight"])
    torch.testing.assert_close(whole.build().state_dict(), averaged, rtol=0, atol=0)
    batch = batch_of(store)
    torch.testing.assert_close(made.predict(batch)[0], made.averaged(batch.image))


def test_a_network_is_compiled_when_asked_to(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = list[object]()

    def compile_it(model: torch.nn.Module) -> Callable[..., torch.Tensor]:
        compiled.append(model)
        return lambda image: model(image) * 1

    monkeypatch.setattr(torch, "compile", compile_it)
    store = make_store()
    made = trainer(store, compile=True)
    made.update(batch_of(store))
    assert compiled == [made.model]
    trainer(store)
    assert len(compiled) == 1


def test_a_gradient_that_is_not_finite_makes_no_update(make_store: MakeStore) -> None:
    store = make_store()
    made = trainer(store)
    with torch.no_grad():
        made.model.head.weight.fill_(torch.inf)
    before = made.model.down[0].state_dict()
    with pytest.raises(Diverged, match="at step 0 the loss is nan"):
        made.update(batch_of(store))
    torch.testing.assert_close(made.model.down[0].state_dict(), before, rtol=0, atol=0)
    assert made.step == 0
