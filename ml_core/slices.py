"""Figures of some of the films: those of a genre, a decade, a language, with a short overview, with certain inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.bootstrap import bootstrap_figures
from ml_core.inputs import INPUT_SETS, InputSet, tidy
from ml_core.labels import LABEL_NAMES
from ml_core.snapshot import Snapshot
from ml_core.weighted import WeightedFigures

# On fewer films a figure says more of chance than of the model: its interval is wider than what sets slices apart.
FEWEST_FILMS = 50
# A label takes part in a slice's macro averages when so many of its films have it, and so many have not.
FEWEST_OF_A_LABEL = 10
# Slices are many, and their intervals wide: their ends need no more draws.
_DRAWS = 300
# The lowest numbers of words of the bands; a third of TMDB's overviews have fewer than 30.
WORD_BANDS = (1, 10, 20, 35, 60, 100)

_INPUT_NAMES: dict[InputSet | None, str] = {
    "overview_poster": "overview and poster",
    "overview": "overview, no poster",
    "title_poster": "poster and title",
    "title": "title alone",
    "poster": "poster alone",
    None: "none",
}


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """What films are sliced by, one entry a film; ``inputs`` is what a prediction could use of it."""

    years: Sequence[int | None]
    languages: Sequence[str]
    overview_words: NDArray[np.int64]
    inputs: Sequence[InputSet | None]

    @classmethod
    def of(cls, snapshot: Snapshot, rows: NDArray[np.int64], inputs: Sequence[InputSet | None]) -> FilmFacts:
        """Those of some rows of a snapshot, in their order."""
        years, languages = snapshot.films["year"].to_pylist(), snapshot.texts("language")
        overviews = snapshot.texts("overview")
        return cls(
            years=[years[row] for row in rows.tolist()],
            languages=[languages[row] for row in rows.tolist()],
            overview_words=np.array(
                [len(tidy(overviews[row]).split()) for row in rows.tolist()], dtype=np.int64
            ),
            inputs=inputs,
        )


def slices(
    probabilities: NDArray[Any],
    predicted: NDArray[np.bool_],
    labels: NDArray[Any],
    films: NDArray[np.int64],
    facts: FilmFacts,
) -> dict[str, list[dict[str, Any]]]:
    """The headline figures by ``genre``, ``decade``, ``language``, ``overview_words`` and ``inputs``.

    ``films`` are the places of the judged films in ``facts``, one for each row of the arrays, which have shape
    ``(n, 18)``. A slice has ``name``, ``films``, ``figures`` (each with ``value``, ``low`` and ``high``, see
    ``WeightedFigures.headline``; by genre without the calibration error) and ``macro_labels``, over how many labels its macro averages are; ``figures`` is None
    on fewer than ``FEWEST_FILMS`` films. A kind of slice that does not part these films (all of them have the same
    inputs) is left out.
    """
    found = {
        kind: [_slice(name, mask, probabilities, predicted, labels) for name, mask in parts]
        for kind, parts in _parts(np.asarray(labels) > 0, films, facts).items()
    }
    for entry in found["genre"]:
        # Films picked by what is true of them: that is not what a probability promises anything about.
        if entry["figures"] is not None:
            del entry["figures"]["expected_calibration_error"]
    return {kind: entries for kind, entries in found.items() if len(entries) > 1}


def _slice(
    name: str,
    mask: NDArray[np.bool_],
    probabilities: NDArray[Any],
    predicted: NDArray[np.bool_],
    labels: NDArray[Any],
) -> dict[str, Any]:
    films = int(mask.sum())
    if films < FEWEST_FILMS:
        return {"name": name, "films": films, "macro_labels": 0, "figures": None}
    support = labels[mask].sum(axis=0)
    macro = (support >= FEWEST_OF_A_LABEL) & (films - support >= FEWEST_OF_A_LABEL)
    weighted = WeightedFigures(probabilities[mask], predicted[mask], labels[mask], macro=macro)
    intervals = bootstrap_figures(weighted.headline, films=films, n=_DRAWS)
    return {
        "name": name,
        "films": films,
        "macro_labels": int(macro.sum()),
        "figures": {figure: one.to_json() for figure, (one,) in intervals.items()},
    }


def _parts(
    labelled: NDArray[np.bool_], films: NDArray[np.int64], facts: FilmFacts
) -> Mapping[str, list[tuple[str, NDArray[np.bool_]]]]:
    decades = [None if (year := facts.years[film]) is None else year // 10 * 10 for film in films.tolist()]
    inputs = [facts.inputs[film] for film in films.tolist()]
    words = facts.overview_words[films]
    return {
        "genre": [(name, labelled[:, k]) for k, name in enumerate(LABEL_NAMES) if labelled[:, k].any()],
        "decade": [
            ("unknown" if decade is None else f"{decade}s", _where(decades, decade))
            for decade in sorted(set(decades), key=lambda decade: (decade is None, decade or 0))
        ],
        "language": list(_languages([facts.languages[film] for film in films.tolist()])),
        "overview_words": list(_word_bands(words)),
        "inputs": [
            (_INPUT_NAMES[name], _where(inputs, name)) for name in (*INPUT_SETS, None) if name in inputs
        ],
    }


def _languages(languages: Sequence[str]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Languages by their codes, the most frequent first, the rare ones together."""
    counts = Counter(languages)
    rare = sorted(code for code, films in counts.items() if code and films < FEWEST_FILMS)
    for code, _ in counts.most_common():
        if code and code not in rare:
            yield code, _where(languages, code)
    if rare:
        yield f"{len(rare)} others", np.isin(languages, rare)
    if "" in counts:
        yield "unknown", _where(languages, "")


def _word_bands(words: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for low, above in zip((0, *WORD_BANDS), (*WORD_BANDS, None), strict=True):
        mask = (words >= low) & (words < (np.inf if above is None else above))
        if mask.any():
            name = "none" if above == 1 else f"{low} or more" if above is None else f"{low} to {above - 1}"
            yield name, mask


def _where(values: Sequence[Any], wanted: Any) -> NDArray[np.bool_]:
    return np.array([value == wanted for value in values], dtype=np.bool_)
