"""Judging an artifact on a snapshot's films, by the very path that serves predictions: bytes in, probabilities out.

The figures inside an artifact and those of ``python -m ml_core evaluate`` both come from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.artifact import FilmProbabilities
from ml_core.bootstrap import bootstrap_figures
from ml_core.diagrams import cooccurrence, curves
from ml_core.evaluation import evaluate
from ml_core.inputs import JUDGED, InputSet, input_set
from ml_core.labels import LABEL_IDS
from ml_core.poster_text import PosterReader
from ml_core.predictor import FilmInput, Predictor
from ml_core.slices import FilmFacts, slices
from ml_core.snapshot import Part, Snapshot
from ml_core.thresholds import apply_thresholds
from ml_core.weighted import WeightedFigures

# Films predicted at a time; bounds the posters in memory.
_AT_A_TIME = 1024
_DRAWS = 1000
# The percentiles of draws from a handful of films are not intervals of anything.
_FEWEST_FOR_INTERVALS = 100
_BY_LABEL = "label_"
# Figures of which less is better: a difference of them is not how much better a model is.
_LOWER_BETTER = {"expected_calibration_error"}


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the model said of some films, columns in the order of ``ml_core.labels.LABELS``.

    ``films`` are their places among the part's, ``thresholds`` has shape ``(18,)`` or ``(n, 18)``.
    """

    films: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    thresholds: NDArray[np.float32]

    @property
    def predicted(self) -> NDArray[np.bool_]:
        return apply_thresholds(self.probabilities, self.thresholds)


def judge(
    artifact: Path,
    snapshot_folder: Path,
    *,
    part: Part = "test",
    device: str | None = None,
    reader: PosterReader | None = None,
    in_short: bool = False,
    tell: Callable[[FilmProbabilities], None] | None = None,
) -> dict[str, Any]:
    """The figures of a part's films for each of :data:`ml_core.inputs.JUDGED` that it has films for.

    "overview" hides posters, "title" and "poster" hide all else, on every film that has the input; "overview_poster" and
    "title_poster" are the films that have exactly these inputs, a title beside an overview making no difference;
    "picture" is "poster" of a model that reads posters, without what it reads and seen once; "all_films" is every film with what
    it has. A report is that of :func:`ml_core.evaluation.evaluate`, with

    - ``trained_on``: how many of the films the artifact was trained on, where figures mean nothing;
    - ``intervals``: 95 % bootstrap intervals of all figures by the names of :data:`ml_core.evaluation.FIGURES`; those of
      each genre stand in its entry of ``genres``. None on fewer than 100 films;
    - ``curves``, ``cooccurrence``: see :mod:`ml_core.diagrams`; ``slices``: see :mod:`ml_core.slices`;
    - ``differences``, of "overview_poster" alone: how much better both inputs are than "overview" and "poster" on the
      same films, by figure, with intervals.

    ``reader`` is for who has one already. ``in_short`` leaves out all but ``trained_on``. ``tell`` gets the probabilities of all
    films that TMDB knows, each by what it has.
    """
    predictor = Predictor.load(artifact, device=device, reader=reader)
    snapshot = Snapshot.open(snapshot_folder)
    rows = snapshot.rows(part)
    labels, ids = snapshot.labels[rows], snapshot.tmdb_ids[rows]
    prior = np.asarray(predictor.description.config["prior"])[columns_of(predictor)]
    trained = np.isin(ids, predictor.description.films["train"]) & (ids != 0)
    answers, inputs = _answers(predictor, snapshot, rows)
    facts = FilmFacts.of(snapshot, rows, inputs)
    reports: dict[str, Any] = {}
    for name in JUDGED:
        if name not in answers:
            continue
        said, y = answers[name], labels[answers[name].films]
        report = evaluate(said.probabilities, y, said.thresholds, prior=prior)
        report["trained_on"] = int(trained[said.films].sum())
        if not in_short:
            report["curves"] = curves(said.probabilities, y)
            report["cooccurrence"] = cooccurrence(said.predicted, y)
            report["slices"] = slices(said.probabilities, said.predicted, y, said.films, facts)
            if len(y) >= _FEWEST_FOR_INTERVALS:
                _add_intervals(report, said, y)
        reports[name] = report
    both = answers.get("overview_poster")
    if both is not None and not in_short and len(both.films) >= _FEWEST_FOR_INTERVALS:
        reports["overview_poster"]["differences"] = _differences(both, answers, labels[both.films])
    if tell is not None:
        known = ids != 0
        joint = (
            answers["all_films"].probabilities[known]
            if len(rows)
            else np.zeros((0, len(LABEL_IDS)), np.float32)
        )
        tell(FilmProbabilities(ids[known], joint))
    return reports


def _answers(
    predictor: Predictor, snapshot: Snapshot, rows: NDArray[np.int64]
) -> tuple[dict[str, _Answers], list[InputSet | None]]:
    """What is judged, and the set of inputs that each film has."""
    columns = columns_of(predictor)
    shown = [predictor.predict(films) for films in films_of(snapshot, rows)]
    titles = [
        predictor.predict([FilmInput(film.title, "", tagline=film.tagline) for film in films])
        for films in films_of(snapshot, rows, posters=False)
    ]
    reads_posters = predictor.scorer.reads_poster_text
    posters = [
        predictor.predict([FilmInput("", "", poster=film.poster) for film in films])
        for films in (films_of(snapshot, rows) if reads_posters else ())
    ]
    inputs = [input_set(used) for piece in shown for used in piece.inputs_used]
    has = {
        name: np.array([name in used for piece in shown for used in piece.inputs_used], dtype=np.bool_)
        for name in ("overview", "poster")
    }
    told = np.array([bool(used) for piece in titles for used in piece.inputs_used], dtype=np.bool_)
    exactly = np.array([name or "" for name in inputs])
    joint = _stacked([piece.probabilities for piece in shown], columns)
    thresholds = _stacked([piece.thresholds for piece in shown], columns)
    given = {
        "overview_poster": (joint, exactly == "overview_poster"),
        "overview": (_stacked([piece.overview_probabilities for piece in shown], columns), has["overview"]),
        "title_poster": (joint, exactly == "title_poster"),
        "title": (_stacked([piece.probabilities for piece in titles], columns), told),
    }
    picture = (_stacked([piece.poster_probabilities for piece in shown], columns), has["poster"])
    if reads_posters:
        given["poster"] = (_stacked([piece.probabilities for piece in posters], columns), has["poster"])
        given["picture"] = picture
    else:
        given["poster"] = picture
    answers: dict[str, _Answers] = {}
    vectors = {str(name): vector for name, vector in predictor.description.thresholds.items()}
    for name, (probabilities, mask) in given.items():
        if mask.any():
            vector = np.asarray(vectors["poster" if name == "picture" else name], dtype=np.float32)[columns]
            answers[name] = _Answers(np.flatnonzero(mask), probabilities[mask], vector)
    if len(rows):
        answers["all_films"] = _Answers(np.arange(len(rows)), joint, thresholds)
    return answers, inputs


def films_of(
    snapshot: Snapshot, rows: NDArray[np.int64], *, posters: bool = True
) -> Iterator[list[FilmInput]]:
    """The films of those rows as they are given to a predictor, some at a time."""
    titles, taglines, overviews = (snapshot.texts(column) for column in ("title", "tagline", "overview"))
    for start in range(0, len(rows), _AT_A_TIME):
        yield [
            FilmInput(
                titles[row],
                overviews[row],
                tagline=taglines[row],
                poster=snapshot.poster_bytes(row) if posters else None,
            )
            for row in rows[start : start + _AT_A_TIME].tolist()
        ]


def columns_of(predictor: Predictor) -> list[int]:
    """Where the labels stand in the artifact's own order."""
    return [predictor.label_ids.index(tmdb_id) for tmdb_id in LABEL_IDS]


def _stacked(pieces: list[NDArray[np.float32]], columns: list[int]) -> NDArray[np.float32]:
    return np.concatenate([np.zeros((0, len(columns)), np.float32), *pieces])[:, columns]


def _add_intervals(report: dict[str, Any], said: _Answers, labels: NDArray[np.float32]) -> None:
    weighted = WeightedFigures(said.probabilities, said.predicted, labels)
    found = bootstrap_figures(weighted.every, films=len(labels), n=_DRAWS)
    report["intervals"] = {
        name: intervals[0].to_json() for name, intervals in found.items() if not name.startswith(_BY_LABEL)
    }
    by_label = {name.removeprefix(_BY_LABEL): found[name] for name in found if name.startswith(_BY_LABEL)}
    for k, genre in enumerate(report["genres"]):
        genre["intervals"] = {name: intervals[k].to_json() for name, intervals in by_label.items()}


def _differences(
    both: _Answers, answers: dict[str, _Answers], labels: NDArray[np.float32]
) -> dict[str, dict[str, Any]]:
    """By single input and figure: both minus single, and whether the interval lies above 0 (a better model)."""
    of_both = WeightedFigures(both.probabilities, both.predicted, labels)
    differences: dict[str, dict[str, Any]] = {}
    for name in ("overview", "poster"):
        single = answers[name]
        same = np.isin(single.films, both.films)
        of_single = WeightedFigures(single.probabilities[same], single.predicted[same], labels)

        def difference(
            weights: NDArray[np.float32], of_single: WeightedFigures = of_single
        ) -> dict[str, NDArray[np.float64]]:
            first, second = of_both.headline(weights), of_single.headline(weights)
            return {figure: first[figure] - second[figure] for figure in first if figure not in _LOWER_BETTER}

        found = bootstrap_figures(difference, films=len(labels), n=_DRAWS)
        differences[name] = {
            figure: interval.to_json() | {"above_zero": interval.low > 0}
            for figure, (interval,) in found.items()
        }
    return differences
