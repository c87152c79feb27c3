"""The training loop: it learns, keeps the best, repeats itself, and goes on after an interruption as if there were none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ml_core.checkpoints import CheckpointError, load_checkpoint
from ml_core.labels import LABELS
from ml_core.training import FitConfig, FitResult, Rows, TrainingError, fit, shuffled

DEVICE = torch.device("cpu")
FILMS = 200
TRAIN, VAL = np.arange(150), np.arange(150, FILMS)


class InterruptionError(Exception):
    """What stops a training in these tests."""


class NumbersSource:
    """Two numbers a film, with noise in training; stops the training at a given batch."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.values = np.random.default_rng(0).normal(size=(FILMS, 2)).astype(np.float32)
        weights = np.random.default_rng(1).normal(size=(2, len(LABELS)))
        self.labels = (self.values @ weights > 0.5).astype(np.float32)
        self.stop_at, self.batches = stop_at, 0

    def order(self, rows: Rows, *, batch_size: int, generator: np.random.Generator) -> list[Rows]:
        return shuffled(rows, batch_size=batch_size, generator=generator)

    def inputs(self, rows: Rows, *, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        if generator is not None:
            self.batches += 1
            if self.batches == self.stop_at:
                raise InterruptionError
        values = torch.from_numpy(self.values[rows])
        if generator is None:
            return (values,)
        return (values + 0.1 * torch.randn(values.shape, generator=generator),)


def train(source: NumbersSource, checkpoint: Path | None = None, **changes: object) -> FitResult:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, len(LABELS)))
    settings = {
        "epochs": 4,
        "batch_size": 16,
        "learning_rate": 0.01,
        "average": 0.9,
        "checkpoint_seconds": 0.0,
    }
    config = FitConfig(**(settings | {"schedule": "cosine", "warmup": 0.1} | changes))  # type: ignore[arg-type]
    return fit(
        module,
        source,
        source.labels,
        train=TRAIN,
        val=VAL,
        config=config,
        device=DEVICE,
        checkpoint=checkpoint,
    )


def same(one: FitResult, other: FitResult) -> bool:
    return one.epochs == other.epochs and all(torch.equal(one.state[k], other.state[k]) for k in one.state)


def test_it_learns_and_the_best_epoch_is_kept() -> None:
    result = train(NumbersSource())
    assert result.epochs[-1]["loss"] < result.epochs[0]["loss"]
    assert result.best_val_macro_roc_auc == max(epoch["val_macro_roc_auc"] for epoch in result.epochs) > 0.9


def test_the_same_seed_gives_the_same_figures_and_another_seed_others() -> None:
    assert same(train(NumbersSource()), train(NumbersSource()))
    assert not same(train(NumbersSource()), train(NumbersSource(), seed=1))


@pytest.mark.parametrize("stop_at", [5, 10, 11, 25, 40])
def test_a_resumed_training_gives_what_an_uninterrupted_one_gives(tmp_path: Path, stop_at: int) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(InterruptionError):
        train(NumbersSource(stop_at), checkpoint)
    assert same(train(NumbersSource(), checkpoint), train(NumbersSource()))


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first = train(NumbersSource(), tmp_path / "c.safetensors")
    source = NumbersSource()
    assert same(train(source, tmp_path / "c.safetensors"), first)
    assert source.batches == 0


def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    train(NumbersSource(), tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match="other films or settings"):
        train(NumbersSource(), tmp_path / "c.safetensors", learning_rate=0.02)


def test_a_broken_checkpoint_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "c.safetensors").write_bytes(b"\x80\x04 not safetensors")
    with pytest.raises(CheckpointError, match="delete it to start over"):
        load_checkpoint(tmp_path / "c.safetensors")


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    source = NumbersSource()
    source.values[3] = np.inf
    with pytest.raises(TrainingError, match="not finite"):
        train(source)


def test_no_film_to_validate_on_is_told() -> None:
    source = NumbersSource()
    with pytest.raises(TrainingError, match="0 to validate on"):
        fit(
            nn.Linear(2, 18),
            source,
            source.labels,
            train=TRAIN,
            val=VAL[:0],
            config=FitConfig(epochs=1),
            device=DEVICE,
        )


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    config = FitConfig(epochs=1, learning_rate=1.0, schedule="cosine", warmup=0.1)
    rates = [config.rate(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == 1.0
    assert rates[-1] < 0.001


def test_a_training_without_progress_ends_when_its_patience_does() -> None:
    patient = train(NumbersSource(), epochs=80, patience=2)
    assert len(patient.epochs) == patient.best_epoch + 1 + 2 < 80
