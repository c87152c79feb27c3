"""The training loop: it learns, keeps the best, repeats itself, and goes on after an interruption as if there were none."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml_core import stopping
from ml_core.checkpoints import CheckpointError, load_checkpoint
from ml_core.fit_config import FitConfig
from ml_core.labels import LABELS
from ml_core.training import FitResult, Progress, Rows, TrainingError, _mixed, fit, shuffled

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


def train(
    source: NumbersSource,
    checkpoint: Path | None = None,
    *,
    progress: Progress | None = None,
    targets: NDArray[np.float32] | None = None,
    **changes: object,
) -> FitResult:
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
        targets=targets,
        checkpoint=checkpoint,
        progress=progress,
    )


def same(one: FitResult, other: FitResult) -> bool:
    return one.epochs == other.epochs and all(torch.equal(one.state[k], other.state[k]) for k in one.state)


def test_it_learns_its_targets_and_is_judged_by_the_labels() -> None:
    source = NumbersSource()
    labelled = train(source)
    assert same(train(source, targets=source.labels), labelled)
    # Who learns the opposite is wrong on films that are labelled as they are.
    opposite = train(source, targets=1 - source.labels)
    assert opposite.epochs[-1]["loss"] < opposite.epochs[0]["loss"]
    assert opposite.epochs[-1]["val_macro_roc_auc"] < 0.1
    assert opposite.epochs[-1]["val_loss"] > labelled.epochs[-1]["val_loss"]
    # Between yes and no, it comes to say neither.
    halved = train(source, targets=(1 + source.labels) / 3)
    assert labelled.epochs[-1]["loss"] < halved.epochs[-1]["loss"]
    assert halved.epochs[-1]["val_macro_roc_auc"] > 0.9


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


def test_mixup_trains_on_films_mixed_in_pairs_and_is_repeated_by_a_resumed_training(tmp_path: Path) -> None:
    plain, mixed = train(NumbersSource()), train(NumbersSource(), mixup=0.4)
    assert mixed.epochs[0]["loss"] != plain.epochs[0]["loss"]
    assert mixed.best_val_macro_roc_auc > 0.9
    with pytest.raises(InterruptionError):
        train(NumbersSource(25), tmp_path / "c.safetensors", mixup=0.4)
    assert same(train(NumbersSource(), tmp_path / "c.safetensors", mixup=0.4), mixed)


def test_films_are_mixed_with_their_labels_by_one_share() -> None:
    torch.manual_seed(0)
    films = torch.eye(4)
    (mixed, absent), targets = _mixed((films, None), films, beta=1.0)
    share = float(mixed[0, 0])
    assert 0 < share < 1
    assert absent is None
    assert torch.equal(mixed, targets)
    assert torch.allclose(mixed, share * films + (1 - share) * films.flip(0))


def test_a_training_without_progress_ends_when_its_patience_does() -> None:
    patient = train(NumbersSource(), epochs=80, patience=2)
    assert len(patient.epochs) == patient.best_epoch + 1 + 2 < 80


def ends_of_epochs(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the lines between, which come with each checkpoint."""
    return [line for line in lines if "val_loss" in line]


def test_each_epoch_tells_how_well_it_does_on_films_it_is_trained_on_and_on_others() -> None:
    lines: list[dict[str, Any]] = []
    result = train(NumbersSource(), progress=lines.append)
    lines = ends_of_epochs(lines)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    for line, epoch in zip(lines, result.epochs, strict=True):
        assert line["val_macro_roc_auc"] == round(epoch["val_macro_roc_auc"], 6)
        for part in ("train", "val"):
            assert 0 < line[f"{part}_loss"] < 2
            assert 0 <= line[f"{part}_f1_micro"] <= 1
        assert line["films_per_second"] > 0
        assert line["memory_mb"] > 0
        assert 0 <= line["learning_rate"] <= 0.01
    assert lines[-1]["train_macro_roc_auc"] > 0.9
    # What differs between two trainings with equal results is told, and not kept.
    assert not {"films_per_second", "memory_mb"} & set(result.epochs[0])


def test_a_resumed_training_tells_again_what_it_had_reached(tmp_path: Path) -> None:
    whole: list[dict[str, Any]] = []
    train(NumbersSource(), progress=whole.append)
    with pytest.raises(InterruptionError):
        train(NumbersSource(25), tmp_path / "c.safetensors")
    lines: list[dict[str, Any]] = []
    train(NumbersSource(), tmp_path / "c.safetensors", progress=lines.append)
    assert [line["epoch"] for line in ends_of_epochs(lines)] == [1, 2, 3, 4]
    assert [line["val_loss"] for line in ends_of_epochs(lines)] == [
        line["val_loss"] for line in ends_of_epochs(whole)
    ]


def test_a_training_that_ran_out_of_memory_goes_on_with_smaller_batches(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    with pytest.raises(InterruptionError):
        train(NumbersSource(16), checkpoint)  # in its second epoch, five of ten batches done
    source = NumbersSource()
    lines: list[dict[str, Any]] = []
    train(source, checkpoint, batch_size=8, progress=lines.append)
    assert [line["epoch"] for line in ends_of_epochs(lines)] == [1, 2, 3, 4]
    assert source.batches == 9 + 2 * 19  # what was left of the second epoch, and two more


def test_asked_to_stop_it_writes_its_checkpoint_and_goes_on_from_there(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"

    class Asking(NumbersSource):
        def inputs(self, rows: Rows, *, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
            if generator is not None and self.batches == 12:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().inputs(rows, generator=generator)

    with stopping.listening(), pytest.raises(stopping.TrainingStopped):
        train(Asking(), checkpoint, checkpoint_seconds=1000.0)
    rest = NumbersSource()
    assert same(train(rest, checkpoint, checkpoint_seconds=1000.0), train(NumbersSource()))
    assert rest.batches <= 28
