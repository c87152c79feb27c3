"""A small catalog that a network learns from in seconds, and what tests of trainings ask of running ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from predictor.models import SplitAssignment, TrainingRun
from predictor.tasks import tend_trainings
from predictor.training import runs as training
from predictor.training.settings import TrainingSettings
from tests.factories import jpeg, make_film, make_poster

STORIES = {
    "Drama": "A grieving mother and her estranged daughter face illness, loss and forgiveness",
    "Comedy": "Two clumsy friends stumble through a hilarious wedding full of pranks and jokes",
    "Horror": "A haunted house awakens, and a bloodthirsty demon hunts the terrified teenagers",
    "Documentary": "Archive footage and interviews with experts tell the true history of the glaciers",
}
COLOURS = {
    "Drama": (70, 70, 160),
    "Comedy": (240, 210, 60),
    "Horror": (20, 10, 10),
    "Documentary": (90, 160, 90),
}
# So many epochs take long enough to do something to the training meanwhile.
MANY = 200


def make_trainable_films(number: int = 48) -> None:
    """Films of four genres in a split; every third has a poster."""
    genres = list(STORIES)
    for place in range(number):
        genre = genres[place % len(genres)]
        poster = make_poster(jpeg(colour=COLOURS[genre], seed=place)) if place % 3 == 0 else None
        film = make_film(
            genres=[genre],
            overview=f"{STORIES[genre]}, in the year {1950 + place}.",
            release_date=f"{1950 + place}-01-01",
            original_language="en" if place % 2 else "fr",
            vote_count=place,
            poster=poster,
        )
        part = ("train", "train", "val", "test")[(place // len(genres)) % 4]
        SplitAssignment.objects.create(split="default", film=film, part=part, group=film.pk)


def ask(**settings: Any) -> TrainingRun:
    """A training on one thread, of two epochs unless told otherwise."""
    asked = TrainingSettings.parse({"epochs": 2, "threads": 1} | settings)
    run, is_new = training.request_training(asked=asked)
    assert is_new
    return run


def became(run: TrainingRun, *states: str) -> Callable[[], bool]:
    """Whether the run is in one of these states now; beat's look at trainings, only sooner."""

    def look() -> bool:
        tend_trainings()
        run.refresh_from_db()
        return run.state in states

    return look


def trains(run: TrainingRun, *, epochs: int = 2) -> Callable[[], bool]:
    """Whether the run's process is at work now and so many epochs are told."""

    def look() -> bool:
        run.refresh_from_db()
        assert run.state in ("waiting", "interrupted", "running"), (run.state, run.reason, run.log)
        return run.state == "running" and len(run.curves) >= epochs

    return look


def processes_that_train() -> Iterator[psutil.Process]:
    """Processes of `python -m ml_core train` that were started by tests of this user's, for a folder of this test's."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            words = process.cmdline()
            if "ml_core" in words and "train" in words and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def processes_of(run: TrainingRun, root: Any) -> list[psutil.Process]:
    """The run's processes that are alive: those told to work in its folder."""
    folder = f"{root}/runs/{run.pk}/work"
    return [process for process in processes_that_train() if folder in process.cmdline()]
