"""The comparison panel: what the model says of one film's genres, beside what TMDB says, ready to be drawn.

The same panel shows a stored prediction and an online one, which has nothing to be compared with.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.utils.text import get_text_list

from catalog.models import Film
from ml_core.labels import LABELS
from predictor.models import ModelVersion, Part, Prediction
from predictor.online import OnlinePrediction
from predictor.registry import displayed

_NAMES = {label.tmdb_id: label.name for label in LABELS}
_INPUT_ORDER = ("title", "overview", "poster")


class Outcome(enum.StrEnum):
    """How model and TMDB stand to each other on one genre; the last two where TMDB says nothing."""

    HIT = "hit"
    MISS = "miss"
    EXTRA = "extra"
    REJECTION = "rejection"
    PREDICTED = "predicted"
    NOT_PREDICTED = "not-predicted"


_PROMINENT = {Outcome.HIT, Outcome.MISS, Outcome.EXTRA, Outcome.PREDICTED}


@dataclass(frozen=True, slots=True)
class GenreRow:
    """One genre in the panel. Probabilities and the threshold are within 0..1; None where there is no such input."""

    genre_id: int
    name: str
    probability: float
    threshold: float
    overview_probability: float | None
    poster_probability: float | None
    outcome: Outcome

    @property
    def predicted(self) -> bool:
        """Whether the model names the genre."""
        return self.outcome in {Outcome.HIT, Outcome.EXTRA, Outcome.PREDICTED}

    @property
    def labelled(self) -> bool:
        """Whether TMDB names the genre."""
        return self.outcome in {Outcome.HIT, Outcome.MISS}

    @property
    def percent(self) -> str:
        """The probability as one reads it, told apart from the threshold where rounding would hide the difference."""
        if round(100 * self.probability) == round(100 * self.threshold):
            return f"{100 * self.probability:.1f} %"
        return percent(self.probability)

    @property
    def threshold_percent(self) -> str:
        """The threshold, with as many digits as `percent`."""
        if round(100 * self.probability) == round(100 * self.threshold):
            return f"{100 * self.threshold:.1f} %"
        return percent(self.threshold)

    @property
    def bar_width(self) -> str:
        """Length of the bar in a drawing that is 100 wide."""
        return f"{100 * self.probability:.2f}"

    @property
    def threshold_x(self) -> str:
        """Where the threshold's mark stands in a drawing that is 100 wide, kept inside of it."""
        return f"{min(max(100 * self.threshold, 0.5), 99.5):.2f}"

    @property
    def overview_percent(self) -> str:
        """What the overview alone gives, or a dash."""
        return "–" if self.overview_probability is None else percent(self.overview_probability)

    @property
    def poster_percent(self) -> str:
        """What the poster alone gives, or a dash."""
        return "–" if self.poster_probability is None else percent(self.poster_probability)


@dataclass(frozen=True, slots=True)
class Panel:
    """A prediction laid out: the genres that model or TMDB name, the most probable first, then all the others.

    `compared` tells whether there are labels of TMDB's to compare with. `stale` that the film changed after it was
    predicted. `part` is of the version's training, empty where it never met the film. `poster_text` is what was read on the
    poster of an online prediction that had nothing else.
    """

    version: ModelVersion
    prominent: tuple[GenreRow, ...]
    rest: tuple[GenreRow, ...]
    inputs: tuple[str, ...]
    compared: bool
    online: bool
    stale: bool
    part: str
    poster_error: str
    poster_text: str = ""

    @property
    def rows(self) -> tuple[GenreRow, ...]:
        """All genres."""
        return self.prominent + self.rest

    def names(self, outcome: Outcome) -> list[str]:
        """The genres of that outcome, the most probable first."""
        return [row.name for row in self.rows if row.outcome == outcome]

    @property
    def trained_on(self) -> bool:
        """Whether agreement proves nothing, the model having learned this film's labels by heart."""
        return self.part == Part.TRAIN

    @property
    def has_overview_alone(self) -> bool:
        return any(row.overview_probability is not None for row in self.rows)

    @property
    def has_poster_alone(self) -> bool:
        return any(row.poster_probability is not None for row in self.rows)

    @property
    def used(self) -> str:
        """What the model read, as a phrase: "title, overview and poster"."""
        return phrase(list(self.inputs))

    @property
    def missing(self) -> list[str]:
        """What it could have read beside that."""
        return [name for name in ("overview", "poster") if name not in self.inputs]

    @property
    def verdict(self) -> str:
        """The comparison in one sentence."""
        if not self.compared:
            predicted = phrase(self.names(Outcome.PREDICTED))
            said = f"The model says {predicted}." if predicted else "The model is sure of no genre."
            return said if self.online else f"TMDB lists no genre for this film. {said}"
        return _verdict(
            hits=self.names(Outcome.HIT), misses=self.names(Outcome.MISS), extras=self.names(Outcome.EXTRA)
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """What pages show for a film: the displayed version, if there is one, and its prediction, if it has one."""

    version: ModelVersion | None
    prediction: Prediction | None


def shown(film: Film) -> Shown:
    """The displayed version and its prediction of the film: two queries."""
    version = displayed()
    if version is None:
        return Shown(version=None, prediction=None)
    prediction = Prediction.objects.filter(version=version, film=film).first()
    if prediction is not None:
        prediction.version = version
    return Shown(version=version, prediction=prediction)


def film_panel(film: Film, prediction: Prediction) -> Panel:
    """The panel of a stored prediction, compared with the genres that the film has now."""
    rows = _rows(
        label_ids=prediction.version.label_ids,
        probabilities=prediction.probabilities,
        overview=prediction.overview_probabilities,
        poster=prediction.poster_probabilities,
        thresholds=prediction.thresholds,
        predicted=prediction.predicted,
        labels=film.label_ids or None,
    )
    return Panel(
        version=prediction.version,
        prominent=tuple(row for row in rows if row.outcome in _PROMINENT),
        rest=tuple(row for row in rows if row.outcome not in _PROMINENT),
        inputs=_ordered(prediction.inputs),
        compared=bool(film.label_ids),
        online=False,
        stale=prediction.input_hash != film.input_hash,
        part=prediction.part,
        poster_error=prediction.poster_error,
    )


def online_panel(
    prediction: OnlinePrediction, version: ModelVersion, *, labels: Collection[int] | None = None
) -> Panel:
    """The panel of an online prediction: nothing to compare with but `labels`, and nothing known of any training."""
    rows = _rows(
        label_ids=prediction.label_ids,
        probabilities=prediction.probabilities,
        overview=prediction.overview_probabilities,
        poster=prediction.poster_probabilities,
        thresholds=prediction.thresholds,
        predicted=prediction.predicted,
        labels=labels or None,
    )
    return Panel(
        version=version,
        prominent=tuple(row for row in rows if row.outcome in _PROMINENT),
        rest=tuple(row for row in rows if row.outcome not in _PROMINENT),
        inputs=_ordered(prediction.inputs),
        compared=bool(labels),
        online=True,
        stale=False,
        part="",
        poster_error=prediction.poster_error or "",
        poster_text=prediction.poster_text,
    )


def percent(share: float) -> str:
    """A share of 1 as whole percent; what is neither never nor always is not rounded to it."""
    if 0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1:
        return "> 99 %"
    return f"{round(100 * share)} %"


def signed(number: float | None) -> str:
    """A difference as it is shown: three decimals and its sign, a minus being as wide as a plus; a dash for None."""
    if number is None:
        return "–"
    shown = f"{number:+.3f}"
    return shown[1:] if float(shown) == 0 else shown.replace("-", "−")


def phrase(names: Sequence[str]) -> str:
    """Names as one says them: Action, Crime and Drama."""
    return str(get_text_list(list(names), "and"))


def _rows(
    *,
    label_ids: Sequence[int],
    probabilities: Sequence[float],
    overview: Sequence[float] | None,
    poster: Sequence[float] | None,
    thresholds: Sequence[float],
    predicted: Collection[int],
    labels: Collection[int] | None,
) -> list[GenreRow]:
    """The genres of a prediction, the most probable first. `labels` are TMDB's, None where it has none."""
    rows = [
        GenreRow(
            genre_id=genre_id,
            name=_NAMES[genre_id],
            probability=probabilities[column],
            threshold=thresholds[column],
            overview_probability=overview[column] if overview is not None else None,
            poster_probability=poster[column] if poster is not None else None,
            outcome=_outcome(
                predicted=genre_id in predicted, labelled=None if labels is None else genre_id in labels
            ),
        )
        for column, genre_id in enumerate(label_ids)
    ]
    return sorted(rows, key=lambda row: (-row.probability, row.name))


def _outcome(*, predicted: bool, labelled: bool | None) -> Outcome:
    if labelled is None:
        return Outcome.PREDICTED if predicted else Outcome.NOT_PREDICTED
    if labelled:
        return Outcome.HIT if predicted else Outcome.MISS
    return Outcome.EXTRA if predicted else Outcome.REJECTION


def _verdict(*, hits: Sequence[str], misses: Sequence[str], extras: Sequence[str]) -> str:
    """Hits, misses and extras as a sentence; there is at least one hit or miss, the film having labels."""
    if hits and not misses and not extras:
        return f"Model and TMDB agree: {phrase(hits)}."
    if not hits and not extras:
        return f"TMDB says {phrase(misses)}; the model is sure of no genre."
    if not hits:
        return f"Model and TMDB disagree: TMDB says {phrase(misses)}, the model {phrase(extras)}."
    differences = [
        *([f"misses {phrase(misses)}"] if misses else []),
        *([f"adds {phrase(extras)}"] if extras else []),
    ]
    return f"Both say {phrase(hits)}; the model {' and '.join(differences)}."


def _ordered(inputs: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in _INPUT_ORDER if name in inputs)
