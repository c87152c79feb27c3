"""Similar films: nearest by embedding, under one version, suitable for all."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import connection

from predictor.models import EMBEDDING_DIMENSIONS, Prediction
from predictor.registry import partition_of
from predictor.similarity import similar_films
from tests.factories import make_film, make_poster, make_prediction, make_version

pytestmark = pytest.mark.django_db


def direction(degrees: float) -> list[float]:
    """A unit vector in the plane of the first two dimensions."""
    vector = np.zeros(EMBEDDING_DIMENSIONS)
    vector[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector.tolist()


def predicted_at(degrees, version, **film):
    film = make_film(**film)
    return make_prediction(film, version, embedding=direction(degrees))


@pytest.fixture
def version():
    return make_version()


def test_the_nearest_by_angle_come_first_and_the_film_itself_is_not_among_them(version):
    here = predicted_at(0, version)
    far, near, middle = (predicted_at(degrees, version).film for degrees in (80, 5, -40))
    assert similar_films(read(here)) == [near, middle, far]
    assert similar_films(read(here), count=2) == [near, middle]


def test_adult_films_are_hidden(version):
    here = predicted_at(0, version)
    predicted_at(1, version, adult=True)
    shown = predicted_at(90, version).film
    assert similar_films(read(here)) == [shown]


def test_another_versions_predictions_do_not_count(version):
    other = make_version(displayed=False)
    here = predicted_at(0, version)
    predicted_at(1, other)
    assert similar_films(read(here)) == []


def test_a_film_predicted_from_nothing_is_like_no_other(version):
    predicted_at(1, version)
    blank = make_prediction(make_film(overview=""), version, inputs=[])
    assert similar_films(read(blank)) == []


def test_one_query_brings_the_films_with_their_posters(version, django_assert_num_queries):
    here = predicted_at(0, version)
    for degrees in (10, 20, 30):
        predicted_at(degrees, version, poster=make_poster())
    here = read(here)
    with django_assert_num_queries(1):
        assert [film.poster.get_absolute_url() for film in similar_films(here)] != []


def test_the_nearest_are_found_through_the_hnsw_index(version):
    """Where there is one; that it wins where films are many is the planner's own affair."""
    here = predicted_at(0, version)
    for degrees in range(1, 30):
        predicted_at(degrees, version)
    here = read(here)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # their pending checks would forbid an index
        cursor.execute(
            f"CREATE INDEX nearest_films ON {partition_of(version)} USING hnsw (embedding halfvec_cosine_ops)"
        )
        cursor.execute("SET LOCAL enable_sort = off")
    plans: list[str] = []

    def explain(execute, sql, params, many, context):
        with connection.cursor() as cursor:
            cursor.cursor.execute(f"EXPLAIN {sql}", params)
            plans.append("\n".join(row[0] for row in cursor.fetchall()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        assert len(similar_films(here)) == 12
    assert "nearest_films" in plans[0]


def read(prediction: Prediction) -> Prediction:
    """As a page gets it: from the database."""
    return Prediction.objects.get(version_id=prediction.version_id, film_id=prediction.film_id)
