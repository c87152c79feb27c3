"""Model and TMDB in sum: what is counted, over which films, and what the page links to."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from django.core.cache import cache

from ml_core.evaluation import precision_recall_f1
from ml_core.labels import LABEL_IDS, LABEL_NAMES
from predictor import agreement as agreement_module
from predictor import keeping
from predictor.agreement import Films, agreement, count_agreement, most_surprising
from tests.factories import make_film, make_prediction, make_version
from tests.predictor.reading import page_text

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_cache():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def version():
    return make_version()


def predict(version, *, tmdb=(), model=(), part="test", **film):
    return make_prediction(
        make_film(genres=list(tmdb), **film),
        version,
        probabilities=dict.fromkeys(model, 0.9),
        part=part,
    )


def test_counts_by_genre(version):
    predict(version, tmdb=["Drama", "War"], model=["Drama"])
    predict(version, tmdb=["Drama"], model=["Drama", "Crime"])
    predict(version, tmdb=["Drama"], model=["Crime"])
    counted = count_agreement(version, parts=Films.TEST.parts)
    by_name = {genre.name: genre.counts for genre in counted.genres}
    drama, crime, war, music = (by_name[name] for name in ("Drama", "Crime", "War", "Music"))
    assert (drama.hits, drama.misses, drama.extras, drama.support) == (2, 1, 0, 3)
    assert (drama.precision, drama.recall, drama.f1) == (1, pytest.approx(2 / 3), pytest.approx(0.8))
    assert (crime.precision, crime.recall, crime.f1) == (0, None, 0)
    assert (war.precision, war.recall, war.f1) == (None, 0, 0)
    assert (music.precision, music.recall, music.f1) == (None, None, None)
    assert list(by_name) == list(LABEL_NAMES)


def test_films_in_all(version):
    predict(version, tmdb=["Drama"], model=["Drama"])
    predict(version, tmdb=["Drama", "War"], model=["Drama"])
    predict(version, tmdb=["War"], model=["Crime"])
    counted = count_agreement(version, parts=Films.TEST.parts)
    assert (counted.films, counted.agree, counted.disjoint) == (3, 1, 1)
    assert (counted.agree_share, counted.disjoint_share) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_the_averages_are_those_of_the_model_card(version):
    """By `ml_core.evaluation`, whose own tests hold it to scikit-learn."""
    rng = np.random.default_rng(7)
    labels = (rng.random((40, 18)) < 0.2).astype(int)
    labels[np.arange(18), np.arange(18)] = 1
    predicted = np.where(rng.random((40, 18)) < 0.15, 1 - labels, labels)
    keep = labels.any(axis=1)
    for truth, said in zip(labels[keep], predicted[keep], strict=True):
        predict(version, tmdb=names(truth), model=names(said))
    counted = count_agreement(version, parts=Films.TEST.parts)
    expected = precision_recall_f1(predicted[keep] > 0, labels[keep])
    assert counted.samples_f1 == pytest.approx(expected["f1"]["samples"])
    assert counted.macro_f1 == pytest.approx(expected["f1"]["macro"])
    assert counted.total.f1 == pytest.approx(expected["f1"]["micro"])
    assert counted.total.precision == pytest.approx(expected["precision"]["micro"])
    assert counted.total.recall == pytest.approx(expected["recall"]["micro"])


def names(row) -> list[str]:
    return [name for name, yes in zip(LABEL_NAMES, row, strict=True) if yes]


def test_only_films_with_something_to_compare_are_counted(version):
    predict(version, tmdb=[], model=["Drama"])
    make_film(genres=["Drama"])
    assert count_agreement(version, parts=Films.ALL.parts).films == 0
    assert count_agreement(version, parts=Films.ALL.parts).samples_f1 is None


def test_another_versions_predictions_are_not_counted(version):
    predict(make_version(displayed=False), tmdb=["Drama"], model=["Drama"])
    assert count_agreement(version, parts=Films.ALL.parts).films == 0


@pytest.mark.parametrize(("films", "count"), [(Films.TEST, 1), (Films.HELD_OUT, 3), (Films.ALL, 4)])
def test_which_films_are_counted(version, films, count):
    for part in ("train", "val", "test", ""):
        predict(version, tmdb=["Drama"], model=["Drama"], part=part)
    assert count_agreement(version, parts=films.parts).films == count
    assert len(most_surprising(version, films=films)) == count


def test_it_is_one_query(version, django_assert_num_queries):
    predict(version, tmdb=["Drama"], model=["Drama"])
    with django_assert_num_queries(1):
        count_agreement(version, parts=Films.ALL.parts)


def test_it_is_counted_once_and_then_kept_for_a_while(version, broker, django_assert_num_queries):
    predict(version, tmdb=["Drama"], model=["Drama"])
    first = agreement(version, films=Films.TEST)
    predict(version, tmdb=["Drama"], model=["Drama"])
    with django_assert_num_queries(0):
        again = agreement(version, films=Films.TEST)
    assert again == first
    assert again.counted_at == first.counted_at
    assert agreement(version, films=Films.ALL).films == 2


def test_while_one_counts_anew_others_are_given_the_old_figures(version, broker):
    predict(version, tmdb=["Drama"], model=["Drama"])
    old = agreement(version, films=Films.TEST)
    predict(version, tmdb=["Drama"], model=["Drama"])
    key = f"agreement:2:{version.pk}:{Films.TEST}"
    cache.delete(f"{key}:fresh")
    cache.add(f"{key}:counting", True)
    assert agreement(version, films=Films.TEST) == old
    cache.delete(f"{key}:counting")
    assert agreement(version, films=Films.TEST).films == 2


@pytest.mark.parametrize(("cost", "age"), [(0.001, 10), (1.0, 100), (30.0, 900)])
def test_what_is_dear_to_count_is_kept_longer(version, broker, monkeypatch, cost, age):
    moments = iter([0.0, cost])
    monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    agreement(version, films=Films.TEST)
    [key] = broker.keys("*agreement*:fresh")
    assert broker.ttl(key) == pytest.approx(age, abs=1)


def test_the_most_surprising_come_first_and_adult_films_are_hidden(version):
    mild = predict(version, tmdb=["Drama"], model=["Drama"])
    wild = predict(version, tmdb=["Drama", "War"], model=["Crime", "Horror"])
    predict(version, tmdb=["Drama", "War", "Music"], model=["Crime", "Horror"], adult=True)
    predict(version, tmdb=[], model=["Crime"])
    found = most_surprising(version, films=Films.TEST)
    assert [prediction.film_id for prediction in found] == [wild.film_id, mild.film_id]


# The page -----------------------------------------------------------------------------------------------------


def test_the_page_shows_and_links_the_disagreements(client, version):
    predict(version, tmdb=["Drama"], model=["War"], title="Odd One")
    predict(version, tmdb=["Drama"], model=["Drama"])
    response = client.get("/compare/")
    shown = page_text(response)
    assert "Films compared 2" in shown
    assert "Agree fully 50 %" in shown
    assert "Drama 1 1 0 2 100 % 50 % 67 %" in shown
    assert "War 0 0 1 0 0 % – 0 %" in shown
    page = response.content.decode()
    for target in (
        "/?genre=18&amp;agreement=misses",
        "/?predicted=10752&amp;agreement=extras",
        "/?agreement=agrees",
    ):
        assert f'href="{target}"' in page
    assert shown.index("Odd One") > shown.index("Most surprising films")


def test_the_links_into_browse_work(client, version):
    predict(version, tmdb=["Drama"], model=["War"], title="Odd One")
    page = client.get("/compare/").content.decode()
    targets = {link.replace("&amp;", "&") for link in re.findall(r'href="(/\?[^"]+)"', page)}
    assert len(targets) > len(LABEL_IDS)
    for target in ("/?genre=18&agreement=misses", "/?predicted=10752&agreement=extras", "/?sort=surprising"):
        assert target in targets
        assert "Odd One" in client.get(target).content.decode()


def test_too_few_films_are_called_too_few(client, version, monkeypatch):
    predict(version, tmdb=["Drama"], model=["War"])
    assert "Too few films to judge." in page_text(client.get("/compare/"))
    cache.clear()
    monkeypatch.setattr(agreement_module, "FEW_FILMS", 1)
    assert "Too few films to judge." not in page_text(client.get("/compare/"))
    assert "Drama too few" in page_text(client.get("/compare/"))


def test_genres_can_be_ordered_by_a_figure(client, version):
    predict(version, tmdb=["War"], model=["War"])
    predict(version, tmdb=["Action", "War"], model=["War"])
    page = client.get("/compare/?order=recall").content.decode()
    order = re.findall(r'<th scope="row"><a [^>]+>([^<]+)</a>', page)
    assert order[:2] == ["War", "Action"]
    assert order[2:] == sorted(order[2:])
    assert 'aria-sort="descending"' in page


@pytest.mark.parametrize("query", ["films=some", "order=id", "films="])
def test_a_choice_there_is_not_is_not_found(client, version, query):
    assert client.get(f"/compare/?{query}").status_code == 404


def test_before_there_is_a_model_or_a_prediction(client):
    assert "There is no model yet" in page_text(client.get("/compare/"))
    make_version()
    assert "Nothing to compare here yet" in page_text(client.get("/compare/?films=all"))


def test_the_page_takes_few_queries(client, version, django_assert_max_num_queries):
    for _ in range(5):
        predict(version, tmdb=["Drama"], model=["War"])
    with django_assert_max_num_queries(4):
        client.get("/compare/")
