"""The charts of the data page."""

from __future__ import annotations

from catalog.exploration import LAST_BIN_WORDS, WORDS_PER_BIN, Exploration
from ml_core.drawing import columns, flat_bars, heat_map
from predictor.charts import Chart

MAX_LANGUAGES = 14


def charts_of(exploration: Exploration) -> list[Chart]:
    """The charts of the data page, in its order."""
    if not exploration.films:
        return []
    return [
        _genres(exploration),
        _number_of_genres(exploration),
        _together(exploration),
        _decades(exploration),
        _languages(exploration),
        _overviews(exploration),
        _missing(exploration),
    ]


def _genres(exploration: Exploration) -> Chart:
    counts = exploration.by_genre
    (most, many), (least, few) = counts[0], counts[-1]
    times = f", {many / few:.0f} times as common as {least} ({few:,})" if few else ""
    return Chart(
        name="genres",
        title="Films by genre",
        finding=f"{most} leads with {many:,} films{times}: a model that guessed by frequency alone would look good"
        " and know nothing, so each genre gets a threshold of its own.",
        columns=("Genre", "Films"),
        rows=list(counts),
        draw=lambda scheme, width: flat_bars(
            [name for name, _ in counts], [n for _, n in counts], [f"{n:,}" for _, n in counts], width
        ),
    )


def _together(exploration: Exploration) -> Chart:
    names = [name for name, _ in exploration.by_genre]
    square: list[list[float | None]] = [
        [
            None if i == j else exploration.together[i][j] / (exploration.together[i][i] or 1)
            for j in range(len(names))
        ]
        for i in range(len(names))
    ]
    row, column, share = max(
        (
            (row, column, share)
            for row, line in zip(names, square, strict=True)
            for column, share in zip(names, line, strict=True)
            if share is not None
        ),
        key=lambda entry: entry[2],
    )
    return Chart(
        name="together",
        title="Genres that occur together",
        finding=f"Of the films of a row’s genre, the share that also has the column’s. {row} goes with {column}"
        f" most often: {share:.0%}.",
        columns=("Genre", *names),
        rows=[
            (name, *(f"{together / (line[i] or 1):.0%}" for together in line))
            for i, (name, line) in enumerate(zip(names, exploration.together, strict=True))
        ],
        draw=lambda scheme, width: heat_map(names, square, scheme, width, domain=(0.35, 0.8)),
        wide=True,
    )


def _number_of_genres(exploration: Exploration) -> Chart:
    counts = exploration.by_number_of_genres
    mean = sum(k * n for k, n in counts) / (exploration.labelled or 1)
    return Chart(
        name="genres-per-film",
        title="Genres a film has",
        finding=f"A labelled film has {mean:.1f} genres on average. {exploration.films - exploration.labelled:,} films"
        " have none of the 18 that are predicted; they are in the catalog, but nothing is learned from them.",
        columns=("Genres", "Films"),
        rows=list(counts),
        draw=lambda scheme, width: columns(
            [str(k) for k, _ in counts], [n for _, n in counts], width, title="genres"
        ),
    )


def _decades(exploration: Exploration) -> Chart:
    counts = exploration.by_decade
    decade, most = max(counts, key=lambda entry: entry[1], default=(0, 0))
    return Chart(
        name="decades",
        title="Films by decade",
        finding=f"The {decade}s have the most films ({most:,})." if counts else "No film has a date.",
        columns=("Decade", "Films"),
        rows=[(f"{start}s", n) for start, n in counts],
        draw=lambda scheme, width: columns(
            [f"{start}s" for start, _ in counts],
            [n for _, n in counts],
            width,
            title="decade of release",
            every=2 if width > 400 else 4,
        ),
    )


def _languages(exploration: Exploration) -> Chart:
    counts = exploration.by_language
    shown = counts[:MAX_LANGUAGES]
    if rest := counts[MAX_LANGUAGES:]:
        shown = [*shown, (f"{len(rest)} others", sum(n for _, n in rest))]
    known = sum(n for _, n in counts)
    first = f" {counts[0][0]} makes up {counts[0][1] / known:.0%} of them." if counts else ""
    return Chart(
        name="languages",
        title="Films by original language",
        finding=f"{known:,} films name their language.{first}",
        columns=("Language", "Films"),
        rows=list(counts),
        draw=lambda scheme, width: flat_bars(
            [name for name, _ in shown], [n for _, n in shown], [f"{n:,}" for _, n in shown], width
        ),
    )


def _overviews(exploration: Exploration) -> Chart:
    counts = exploration.overview_words
    named = [
        f"{LAST_BIN_WORDS}+" if start >= LAST_BIN_WORDS else f"{start}–{start + WORDS_PER_BIN - 1}"
        for start, _ in counts
    ]
    return Chart(
        name="overviews",
        title="Length of overviews",
        finding=f"Half of the overviews have at most {exploration.median_words} words: little text, which is why the"
        " poster helps.",
        columns=("Words", "Films"),
        rows=list(zip(named, (n for _, n in counts), strict=True)),
        draw=lambda scheme, width: columns(
            [str(start) for start, _ in counts],
            [n for _, n in counts],
            width,
            title=f"words ({WORDS_PER_BIN} a bar, from the number named)",
            every=2 if width > 400 else 5,
        ),
    )


def _missing(exploration: Exploration) -> Chart:
    total = exploration.films
    counts = sorted(exploration.missing, key=lambda entry: -entry[1])
    return Chart(
        name="missing",
        title="What is missing",
        finding="Share of films that lack a thing. A model must give a sensible answer without poster or without"
        " overview, and say which it used.",
        columns=("Lacks", "Films", "Share"),
        rows=[(name, n, f"{n / total:.1%}") for name, n in counts],
        draw=lambda scheme, width: flat_bars(
            [name for name, _ in counts],
            [n / total for _, n in counts],
            [f"{n / total:.1%}" for _, n in counts],
            width,
        ),
    )
