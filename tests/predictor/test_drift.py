"""Drift: what changed since the champion was trained, and what that speaks for."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.core.cache import cache
from django.utils import timezone

from catalog.models import Film, LabelChange
from predictor.drift import Advice, measure_drift
from predictor.models import ModelVersion, Prediction, PredictionRun, VersionFilm
from tests.factories import make_film, make_prediction, make_version
from tests.predictor.reading import page_text
from tests.predictor.two_versions import made_answers, make_films, make_predictions

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


@pytest.fixture
def champion() -> ModelVersion:
    """Trained an hour ago on 3,000 films, which this site does not have."""
    version = make_version(name="reigning", trained_at=timezone.now() - timedelta(hours=1))
    VersionFilm.objects.bulk_create(
        VersionFilm(version=version, tmdb_id=9_000_000 + number, part="train") for number in range(3000)
    )
    return version


def add(version: ModelVersion, n: int, *, part: str, noise: float = 1.0) -> list[Film]:
    labels, probabilities = made_answers(n, noise=noise)
    films = make_films(labels)
    make_predictions(films, version, probabilities, part=part)
    return films


def first_run(version: ModelVersion, *, began: int, ended: int, state: str = "done") -> None:
    """A prediction run between so many seconds ago."""
    now = timezone.now()
    run = PredictionRun.objects.create(
        version=version, state=state, finished_at=now - timedelta(seconds=ended)
    )
    PredictionRun.objects.filter(pk=run.pk).update(created_at=now - timedelta(seconds=began))


def test_new_are_films_with_a_genre_that_no_part_of_its_training_had(champion):
    for part in ("train", "val", "test"):
        film = make_film(genres=["Drama"])
        VersionFilm.objects.create(version=champion, tmdb_id=film.tmdb_id, part=part)
    make_film(genres=["Drama"])
    make_film(genres=[])
    old = make_film(genres=["War"])
    Film.objects.filter(pk=old.pk).update(added_at=champion.trained_at - timedelta(days=1))
    found = measure_drift(champion)
    assert (found.trained_on, found.added, found.new_films) == (3001, 5, 2)
    assert found.new_share == pytest.approx(2 / 3001)


def test_without_a_date_of_training_it_counts_from_the_registration(champion):
    ModelVersion.objects.update(trained_at=None)
    champion.refresh_from_db()
    assert measure_drift(champion).since == champion.registered_at


def test_changed_are_films_that_had_to_be_predicted_again_since_the_first_whole_run(champion):
    now = timezone.now()
    films = [make_film(genres=["Drama"]) for _ in range(5)]
    Film.objects.update(added_at=now - timedelta(seconds=600))
    Film.objects.filter(pk=films[3].pk).update(added_at=now - timedelta(seconds=100))
    first_run(champion, began=900, ended=850, state="cancelled")
    first_run(champion, began=500, ended=400)
    first_run(champion, began=90, ended=80)
    for film, seconds in zip(films, (450, 85, 450, 85, 450), strict=True):
        make_prediction(film, champion, predicted_at=now - timedelta(seconds=seconds))
    Film.objects.filter(pk=films[2].pk).update(input_hash="changed")
    # The second was predicted again, the third waits to be; the fourth is new, not changed.
    assert measure_drift(champion).changed_inputs == 2


def test_before_it_has_read_the_catalog_nobody_knows_what_changed(client, champion):
    first_run(champion, began=500, ended=400, state="failed")
    assert measure_drift(champion).changed_inputs is None
    assert "it has not read the whole catalog yet" in page_text(client.get("/models/drift/"))


def test_agreement_on_new_films_beside_that_on_test_films(champion):
    add(champion, 210, part="test")
    new = add(champion, 205, part="", noise=2.0)
    found = measure_drift(champion)
    assert (found.test.films, found.new.films) == (210, 205)
    predictions = Prediction.objects.filter(film__in=new)
    f1 = [2 * len(p.hits) / (2 * len(p.hits) + len(p.misses) + len(p.extras)) for p in predictions]
    surprise = [p.surprise for p in predictions]
    assert found.new.samples_f1 == pytest.approx(np.mean(f1))
    assert found.new.surprise == pytest.approx(np.mean(surprise), rel=1e-5)
    assert found.test.samples_f1 > found.new.samples_f1
    change = found.samples_f1_change
    assert change.by == pytest.approx(found.new.samples_f1 - found.test.samples_f1)
    old_f1 = [
        2 * len(p.hits) / (2 * len(p.hits) + len(p.misses) + len(p.extras))
        for p in Prediction.objects.filter(part="test")
    ]
    margin = 1.96 * np.sqrt(np.var(f1, ddof=1) / 205 + np.var(old_f1, ddof=1) / 210)
    assert change.high - change.by == pytest.approx(margin, rel=1e-3)
    assert found.surprise_change.low > 0


def test_a_clear_loss_of_agreement_speaks_for_training(client, champion):
    add(champion, 210, part="test")
    add(champion, 210, part="", noise=3.0)
    found = measure_drift(champion)
    assert found.advice == Advice.RETRAIN
    assert "agrees less with TMDB on films that are new" in found.reasons[0]
    shown = page_text(client.get("/models/drift/"))
    assert "Training again is worth it. It agrees less with TMDB" in shown


def test_a_tenth_more_films_speaks_for_training(champion):
    add(champion, 210, part="test")
    add(champion, 299, part="")
    assert measure_drift(champion).advice == Advice.KEEP
    make_film(genres=["Drama"])
    found = measure_drift(champion)
    assert found.advice == Advice.RETRAIN
    assert found.reasons == (
        "300 films with a genre are new to it: 10 % more than the 3,000 it was trained on.",
    )


def test_many_changed_films_speak_for_training(champion):
    add(champion, 300, part="train")
    Film.objects.update(added_at=timezone.now() - timedelta(seconds=600))
    first_run(champion, began=500, ended=400)
    VersionFilm.objects.filter(tmdb_id__gte=9_000_300).delete()
    found = measure_drift(champion)
    assert (found.trained_on, found.changed_inputs) == (600, 300)
    assert found.reasons == ("300 films have another text or poster than when it first read them.",)


@pytest.mark.parametrize(("new", "advice"), [(199, Advice.TOO_FEW), (200, Advice.KEEP)])
def test_with_fewer_than_200_new_films_there_is_nothing_to_say(client, champion, new, advice):
    add(champion, 210, part="test", noise=1.0)
    add(champion, new, part="", noise=1.0)
    assert measure_drift(champion).advice == advice
    assert ("Nothing to say yet." in page_text(client.get("/models/drift/"))) == (advice == Advice.TOO_FEW)


def test_figures_of_too_few_films_are_not_set_against_each_other(client, champion):
    add(champion, 150, part="test")
    add(champion, 210, part="", noise=3.0)
    found = measure_drift(champion)
    assert (found.samples_f1_change, found.surprise_change, found.reasons) == (None, None, ())
    assert "these figures cannot be compared" in page_text(client.get("/models/drift/"))


def test_without_films_or_a_champion_the_page_stands(client):
    assert "There is no champion" in page_text(client.get("/models/drift/"))
    make_version()
    assert "0 films with a genre are new to it" in page_text(client.get("/models/drift/"))


def test_it_is_counted_once_and_then_kept_for_a_while(
    client, champion, broker, django_assert_max_num_queries
):
    client.get("/models/drift/")
    with django_assert_max_num_queries(2):
        client.get("/models/drift/")


def test_films_relabelled_since_the_training_are_counted_once_and_not_where_they_are_as_before(champion):
    before_it, back, changed = (make_film(genres=["Drama"]) for _ in range(3))

    def relabel(film, before: list[int], after: list[int], *, days: int) -> None:
        moment = champion.trained_at + timedelta(days=days)
        LabelChange.objects.create(film=film, before=before, after=after, changed_at=moment)
        type(film).objects.filter(pk=film.pk).update(label_ids=after)

    relabel(before_it, [35], [18], days=-1)
    relabel(back, [18], [35], days=1)
    relabel(back, [35], [18], days=2)
    relabel(changed, [18], [35], days=1)
    relabel(changed, [35], [80], days=2)
    assert measure_drift(champion).changed_labels == 1


def test_many_relabelled_films_speak_for_training(client, champion):
    films = [make_film(genres=["Drama"]) for _ in range(310)]
    LabelChange.objects.bulk_create(
        LabelChange(film=film, before=[35], after=[18], changed_at=timezone.now()) for film in films
    )
    found = measure_drift(champion)
    assert found.advice == "retrain"
    assert "310 films have other labels at TMDB" in found.reasons[-1]
    assert "Relabelled" in client.get("/models/drift/").content.decode()
