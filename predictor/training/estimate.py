"""How long a training will take, and how much memory: from the last one of its kind here, or else from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ml_core.dataset import TEST_SHARE, VAL_SHARE
from ml_core.poster_text import MOST_READ
from predictor.models import TrainingRun
from predictor.snapshots import PartCounts, count_films
from predictor.training.settings import TrainingSettings

# The parts of a training, in their order; "posters" and "tune" only where encoders are tuned, "reading" where it is learned.
PHASES = ("prepare", "posters", "train", "tune", "reading", "finish")
EPOCHS = {"fusion": 20, "lstm_cnn": 20}  # the recipes' own


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds a unit: of a film to prepare and to finish, of a poster in an epoch, of a film in an epoch to train and to tune, of a
    poster to read; and megabytes.
    """

    prepare: float
    posters: float
    train: float
    tune: float
    reading: float
    finish: float
    memory: float


# Two CPU cores with other work beside it: the starter catalog of `make demo`, and where that is too small to tell (tuning,
# encoding) also the 43,921 films of docs/quality.md. Rounded up: who waits would rather be surprised the other way.
_MEASURED = {
    "fusion": Costs(
        prepare=0.0125, posters=0.02, train=0.0005, tune=0.06, reading=0.17, finish=0.03, memory=1250
    ),
    "lstm_cnn": Costs(
        prepare=0.01, posters=0.0, train=0.001, tune=0.0, reading=0.0, finish=0.03, memory=1200
    ),
}
# A batch of posters with norms at work needs more than one of films; all posters of docs/quality.md were mapped, too.
_TUNING_MEMORY, _POSTERS_MEMORY = 2600.0, 5800.0
# What reads posters: up to four engines of 100 MB each (ml_core.poster_text).
_READING_MEMORY = 400.0
# Starting Python and PyTorch, loading encoders.
_START_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training will need: seconds in all and by phase, memory in megabytes, its films, and where that is known from."""

    seconds: float
    phases: Mapping[str, float]
    memory_megabytes: float
    films: PartCounts
    source: str


def estimate(settings: TrainingSettings) -> Estimate:
    """An estimate for these settings and the films as they are now."""
    films = count_films(settings)
    if films.unassigned:
        # They join train; a split that is new is made of them.
        new = films.unassigned
        if films.train + films.val + films.test:
            val = test = 0
        else:
            val, test = round(VAL_SHARE * new), round(TEST_SHARE * new)
        films = PartCounts(
            films.train + new - val - test, films.val + val, films.test + test, films.posters, 0
        )
    last = _last_of_its_kind(settings)
    costs = _costs_of(last) if last else _MEASURED[settings.network]
    source = (
        f"measured by training {last.pk} on this site ({last.device})"
        if last
        else "measured on two CPU cores with other work beside it; on a GPU it is many times faster"
    )
    units = units_of(settings, train=films.train, val=films.val, test=films.test, posters=films.posters)
    phases = {name: getattr(costs, name) * units[name] for name in PHASES if units[name] or name == "prepare"}
    phases["prepare"] += 0 if last else _START_SECONDS
    memory = costs.memory
    if not last and settings.tune_epochs:
        memory = max(memory, _TUNING_MEMORY)
    if not last and settings.poster_epochs:
        memory = max(memory, _POSTERS_MEMORY)
    if not last and settings.read_posters:
        memory += _READING_MEMORY
    return Estimate(sum(phases.values()), phases, memory, films, source)


def units_of(settings: TrainingSettings, *, train: int, val: int, test: int, posters: int) -> dict[str, int]:
    """How many films, or films times epochs, each phase has to do with; ``posters`` are those of all three parts."""
    films = train + val + test
    with_poster = posters / films if films else 0.0
    return {
        # A teacher reads the films as the encoders do.
        "prepare": films + (train if settings.teacher else 0),
        "posters": round(with_poster * train) * settings.poster_epochs,
        "train": train * (settings.epochs or EPOCHS[settings.network]),
        "tune": train * settings.tune_epochs,
        "reading": min(round(with_poster * train), MOST_READ) + round(with_poster * (val + test))
        if settings.read_posters
        else 0,
        "finish": val + test,
    }


def _last_of_its_kind(settings: TrainingSettings) -> TrainingRun | None:
    """The last one done of the same network and inputs, its encoders tuned if this one's are to be."""
    runs = TrainingRun.objects.filter(
        state=TrainingRun.State.DONE, request__network=settings.network, request__inputs=settings.inputs
    ).filter(progress__has_key="units")
    if settings.tune_epochs:
        runs = runs.filter(request__tune_epochs__gt=0)
    if settings.read_posters:
        runs = runs.filter(request__read_posters=True)
    if settings.poster_epochs:
        runs = runs.filter(request__poster_epochs__gt=0)
    return runs.defer("curves", "log").first()


def _costs_of(run: TrainingRun) -> Costs:
    fallback = _MEASURED[run.request["network"]]
    seconds, units = run.progress.get("seconds", {}), run.progress.get("units", {})

    def cost(phase: str) -> float:
        if not units.get(phase) or phase not in seconds:
            return float(getattr(fallback, phase))
        return float(seconds[phase]) / float(units[phase])

    memory = float(run.progress.get("memory_mb") or fallback.memory)
    return Costs(**{phase: cost(phase) for phase in PHASES}, memory=memory)
