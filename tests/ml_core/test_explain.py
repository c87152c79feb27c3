"""Explanations: what they say of a film is what the model does when the words or regions are really gone.

Faithfulness is shown on the shipped model and films of the starter catalog, which no test trained on.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import vl_convert
from PIL import Image

from ml_core.explain import GRID, MOST_GROUPS, MOST_SINGLE_WORDS, Explanation, cells, explain, word_spans
from ml_core.inputs import tidy
from ml_core.predictor import FilmInput, Predictor
from ml_core.recipes import TrainingRequest
from ml_core.recipes.article import train_lstm_cnn
from ml_core.recipes.fusion import train_fusion
from ml_core.scorers import FilmText

from .conftest import WORDS, drawn_poster

PROJECT = Path(__file__).resolve().parents[2]
STARTER = PROJECT / "catalog" / "starter"
FILMS, REMOVED_WORDS, REMOVED_CELLS, DRAWS = 6, 3, 6, 3
STORY = "A haunted house awakens, and a bloodthirsty demon hunts the terrified teenagers."


def log_odds(probabilities: object) -> np.ndarray:
    p = np.asarray(probabilities, dtype=np.float64)
    return np.log(p / (1 - p))


@pytest.fixture(scope="module")
def shipped() -> Predictor:
    return Predictor.load(PROJECT / "models" / "genresite-v4", device="cpu")


def starter_films() -> list[FilmInput]:
    """The first films of the starter catalog that have both overview and poster."""
    films = []
    for film in json.loads((STARTER / "films.json").read_text()):
        drawing = STARTER / "posters" / f"{film['tmdb_id']}.svg"
        if film["overview"] and drawing.exists() and len(films) < FILMS:
            poster = vl_convert.svg_to_jpeg(drawing.read_text(), scale=1.0, quality=88)
            films.append(FilmInput(film["title"], film["overview"], film["tagline"], poster))
    return films


@pytest.fixture(scope="module")
def explained(shipped: Predictor) -> list[tuple[FilmInput, Explanation]]:
    return [(film, explain(shipped, film)) for film in starter_films()]


def without(film: FilmInput, words: Sequence[tuple[str, int, int]]) -> FilmInput:
    """The film with those stretches of its texts cut out."""
    texts = {"title": film.title, "overview": film.overview, "tagline": film.tagline}
    for field, start, end in sorted(words, key=lambda word: -word[1]):
        texts[field] = f"{texts[field][:start]} {texts[field][end:]}"
    return FilmInput(**texts, poster=film.poster)


def painted_over(film: FilmInput, chosen: Sequence[int]) -> FilmInput:
    """The film with those cells of its poster in the poster's mean colour."""
    assert film.poster is not None
    with Image.open(io.BytesIO(film.poster)) as image:
        pixels = np.array(image.convert("RGB"))
    colour = pixels.mean(axis=(0, 1)).astype(np.uint8)
    grid = cells((pixels.shape[0], pixels.shape[1]))
    for cell in chosen:
        rows, columns = grid[cell]
        pixels[rows, columns] = colour
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return FilmInput(film.title, film.overview, film.tagline, buffer.getvalue())


# Faithfulness ---------------------------------------------------------------------------------------------------


def test_without_the_top_words_a_predicted_genre_falls_further_than_without_random_ones(
    shipped: Predictor, explained: list[tuple[FilmInput, Explanation]]
) -> None:
    random = np.random.default_rng(0)
    top, others = [], []
    for film, explanation in explained:
        places = [(word.field, word.start, word.end) for word in explanation.words]
        draws = [random.choice(len(places), REMOVED_WORDS, replace=False) for _ in range(DRAWS)]
        for column in np.flatnonzero(explanation.prediction.predicted[0]):
            strongest = np.argsort([-word.effects[column] for word in explanation.words])[:REMOVED_WORDS]
            variants = [without(film, [places[i] for i in chosen]) for chosen in (strongest, *draws)]
            p = shipped.predict(variants).probabilities[:, column]
            whole = explanation.prediction.probabilities[0, column]
            top.append(whole - p[0])
            others.append(whole - p[1:].mean())
    assert len(top) >= FILMS
    assert np.mean(top) > 0.10
    assert np.mean(top) > 4 * np.mean(np.abs(others))
    assert np.mean(np.array(top) > others) > 0.9


def test_without_the_top_regions_a_predicted_genre_falls_further_than_without_random_ones(
    shipped: Predictor, explained: list[tuple[FilmInput, Explanation]]
) -> None:
    random = np.random.default_rng(0)
    top, others = [], []
    for film, explanation in explained:
        assert explanation.regions is not None
        effects = explanation.regions.reshape(-1, 18)
        draws = [random.choice(len(effects), REMOVED_CELLS, replace=False) for _ in range(DRAWS)]
        for column in np.flatnonzero(explanation.prediction.predicted[0]):
            strongest = np.argsort(-effects[:, column])[:REMOVED_CELLS]
            variants = [painted_over(film, chosen) for chosen in (strongest, *draws)]
            fallen = log_odds(explanation.prediction.probabilities[0, column]) - log_odds(
                shipped.predict(variants).probabilities[:, column]
            )
            top.append(fallen[0])
            others.append(fallen[1:].mean())
    assert np.mean(top) > np.mean(others) + 0.1
    assert np.mean(np.array(top) > others) > 0.6


def test_an_effect_is_what_a_prediction_without_the_word_loses(
    shipped: Predictor, explained: list[tuple[FilmInput, Explanation]]
) -> None:
    film, explanation = explained[0]
    word = max(explanation.words, key=lambda word: np.abs(word.effects).max())
    p = shipped.predict([film, without(film, [(word.field, word.start, word.end)])]).probabilities
    assert word.effects == pytest.approx(log_odds(p[0]) - log_odds(p[1]), abs=0.02)


# Contributions of the inputs --------------------------------------------------------------------------------------


def test_contributions_are_shapley_values_of_the_answers_that_a_prediction_gives(
    shipped: Predictor, explained: list[tuple[FilmInput, Explanation]]
) -> None:
    for _, explanation in explained:
        prediction = explanation.prediction
        both, text, poster = (
            log_odds(values[0])
            for values in (
                prediction.probabilities,
                prediction.overview_probabilities,
                prediction.poster_probabilities,
            )
        )
        prior = log_odds(shipped.description.config["prior"])
        assert explanation.prior == pytest.approx(prior, abs=1e-3)
        assert explanation.from_texts == pytest.approx((text - prior + both - poster) / 2, abs=0.02)
        assert explanation.prior + explanation.from_texts + explanation.from_poster == pytest.approx(
            both, abs=0.02
        )


@pytest.mark.parametrize(
    ("film", "texts", "poster"),
    [
        (FilmInput("Night", STORY), True, False),
        (FilmInput("Night", ""), True, False),
        (FilmInput("", "", poster=drawn_poster(27, 1)), False, True),
        (FilmInput("Night", STORY, poster=drawn_poster(27, 1)), True, True),
        (FilmInput("", ""), False, False),
        (FilmInput("", "", poster=b"no image"), False, False),
    ],
    ids=["overview", "title", "poster", "both", "nothing", "a broken poster"],
)
def test_an_input_that_is_missing_counts_for_nothing(
    shipped: Predictor, film: FilmInput, texts: bool, poster: bool
) -> None:
    explanation = explain(shipped, film)
    assert bool(np.abs(explanation.from_texts).max() > 0.01) == texts
    assert bool(np.abs(explanation.from_poster).max() > 0.01) == poster
    assert bool(explanation.words) == texts
    assert (explanation.regions is not None) == poster
    probabilities = explanation.prediction.probabilities[0]
    assert explanation.prior + explanation.from_texts + explanation.from_poster == pytest.approx(
        log_odds(probabilities), abs=0.02
    )


def test_a_broken_poster_is_told_and_the_text_explained(shipped: Predictor) -> None:
    explanation = explain(shipped, FilmInput("Night", STORY, poster=b"\xff\xd8\xff broken"))
    assert explanation.prediction.poster_errors[0]
    assert explanation.regions is None
    assert len(explanation.words) == len(word_spans(STORY)) + 1


def test_regions_cover_the_poster_row_by_row(shipped: Predictor) -> None:
    explanation = explain(shipped, FilmInput("", "", poster=drawn_poster(27, 1)))
    assert explanation.regions is not None
    assert explanation.regions.shape == (*GRID, 18)
    covered = np.zeros((225, 150), dtype=int)
    for rows, columns in cells((225, 150)):
        covered[rows, columns] += 1
    assert (covered == 1).all()


# Texts of every kind ------------------------------------------------------------------------------------------------


def test_words_have_their_place_in_the_text_as_it_was_given(shipped: Predictor) -> None:
    film = FilmInput(
        "The  Visit", "  See https://example.com/x :\n\tHe's a \u201cwell-known\u201d spy\u2014again!  "
    )
    found = [getattr(film, w.field)[w.start : w.end] for w in explain(shipped, film).words]
    assert found == [
        *("The", "Visit", "See", "https", "example.com", "x"),
        *("He's", "a", "well-known", "spy", "again"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two words", ["Two", "words"]),
        ("", []),
        ("\u2026 \u2014 !?", []),
        ("Der M\u00fcller\u2019s Stra\u00dfe", ["Der", "M\u00fcller\u2019s", "Stra\u00dfe"]),
        ("\u5343\u3068\u5343\u5c0b\u306e Film", ["\u5343", "\u3068", "\u5343", "\u5c0b", "\u306e", "Film"]),
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u092b\u093f\u0932\u094d\u092e\u0964",
            ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u092b\u093f\u0932\u094d\u092e"],
        ),
        (
            "\u0641\u064a\u0644\u0645 \u062c\u062f\u064a\u062f\u060c",
            ["\u0641\u064a\u0644\u0645", "\u062c\u062f\u064a\u062f"],
        ),
    ],
)
def test_words_are_found_in_any_language(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words


@pytest.mark.parametrize(
    "overview", ["Haunted house", "H\u00e4user", "\u5343\u3068\u5343\u5c0b\u306e\u795e\u96a0\u3057"]
)
def test_short_and_foreign_overviews_are_explained(shipped: Predictor, overview: str) -> None:
    explanation = explain(shipped, FilmInput("", overview))
    assert [overview[w.start : w.end] for w in explanation.words] == [
        overview[start:end] for start, end in word_spans(overview)
    ]
    assert all(np.isfinite(word.effects).all() for word in explanation.words)


class Counting:
    """A scorer that counts the texts it encodes and otherwise is another one."""

    def __init__(self, scorer: object) -> None:
        self._scorer = scorer
        self.texts = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._scorer, name)

    def encode_texts(self, texts: Sequence[FilmText]) -> object:
        self.texts += len(texts)
        return self._scorer.encode_texts(texts)  # type: ignore[attr-defined]


@pytest.mark.parametrize("times", [8, 400])
def test_a_long_overview_takes_no_more_passes_than_a_usual_one(shipped: Predictor, times: int) -> None:
    counting = Counting(shipped.scorer)
    predictor = Predictor(shipped.description, counting)  # type: ignore[arg-type]
    overview = STORY + " A quiet street lies in the rain and nobody is at home there." * times
    explanation = explain(predictor, FilmInput("Night", overview))
    few = 6  # the film as it is, and one group more for each field
    assert counting.texts <= 2 * MOST_GROUPS + few <= MOST_SINGLE_WORDS + few
    covered = np.zeros(len(overview), dtype=int)
    for word in explanation.words:
        if word.field == "overview":
            covered[word.start : word.end] += 1
    assert covered.max() == 1
    assert all(covered[start:end].all() for start, end in word_spans(overview))
    strongest = max(explanation.words, key=lambda word: word.effects[predictor.label_ids.index(27)])
    assert strongest.start < len(STORY), "what is about the genre was found among all that is not"


def test_words_that_hardly_count_do_not_hide_a_url_or_a_placeholder(shipped: Predictor) -> None:
    assert tidy("No overview found.") == ""
    assert not explain(shipped, FilmInput("", "No overview found.")).words


# Any network ----------------------------------------------------------------------------------------------------------


def test_the_articles_network_is_explained_by_its_overview_alone(
    miniature_corpora: Path, tiny_snapshot: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    train_lstm_cnn(
        TrainingRequest(
            snapshot=tiny_snapshot,
            artifact=tmp_path / "article",
            work=tmp_path / "work",
            name="article",
            epochs=1,
            batch_size=8,
            device="cpu",
        )
    )
    predictor = Predictor.load(tmp_path / "article", device="cpu")
    film = FilmInput("Night", f"{WORDS[27]}.", poster=drawn_poster(27, 1000))
    explanation = explain(predictor, film)
    assert {word.field for word in explanation.words} == {"overview"}
    assert explanation.regions is not None
    p = explanation.prediction.probabilities[0]
    assert explanation.prior + explanation.from_texts + explanation.from_poster == pytest.approx(
        log_odds(p), abs=1e-3
    )


def test_a_network_of_posters_alone_is_explained_by_the_poster_alone(
    tiny_snapshot: Path, tmp_path: Path
) -> None:
    train_fusion(
        TrainingRequest(
            snapshot=tiny_snapshot,
            artifact=tmp_path / "posters",
            work=tmp_path / "work",
            name="posters",
            inputs="poster",
            epochs=1,
            device="cpu",
        )
    )
    predictor = Predictor.load(tmp_path / "posters", device="cpu")
    explanation = explain(predictor, FilmInput("Night", STORY, "Do not sleep", drawn_poster(27, 5)))
    assert explanation.words == ()
    assert explanation.regions is not None
    assert np.allclose(explanation.from_texts, 0)
    both = explanation.prior + explanation.from_poster
    assert np.allclose(both, log_odds(explanation.prediction.probabilities[0]), atol=1e-3)
