"""Two versions side by side: which films judge them, what the figures are, and where the two differ."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.test import Client

from catalog.models import Film
from ml_core.bootstrap import bootstrap_difference
from ml_core.evaluation import evaluate, macro_roc_auc
from ml_core.labels import LABEL_IDS
from predictor import differing_films as listing
from predictor import version_comparison as comparing
from predictor.browsing import CursorError
from predictor.differing_films import DifferenceFilters, Right, differing_films
from predictor.models import ModelVersion, Prediction, PredictionRun, VersionFilm
from predictor.version_comparison import Basis, compare_versions, version_comparison
from tests.conftest import PROJECT, process_environment
from tests.factories import GENRE_IDS, make_film, make_prediction, make_version
from tests.predictor.reading import page_text
from tests.predictor.two_versions import THRESHOLDS, made_answers, make_films, make_predictions

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


@pytest.fixture
def versions() -> tuple[ModelVersion, ModelVersion]:
    """The champion, and another one with its labels in another order."""
    return make_version(name="first"), make_version(
        name="second", displayed=False, label_ids=list(reversed(LABEL_IDS))
    )


@pytest.fixture
def judged(versions: tuple[ModelVersion, ModelVersion]) -> tuple[ModelVersion, ModelVersion]:
    """Both on 210 test films of both; the second one knows less."""
    fill(versions, 210, parts=("test", "test"))
    return versions


def fill(
    versions: tuple[ModelVersion, ModelVersion], n: int, *, parts: tuple[str, str], **fields: Any
) -> list[Film]:
    labels, good = made_answers(n, noise=1.0)
    _, worse = made_answers(n, noise=2.5)
    films = make_films(labels, **fields)
    for version, p, cuts, part in zip(versions, (good, worse), "ab", parts, strict=True):
        make_predictions(films, version, p, thresholds=THRESHOLDS[cuts], part=part)
    return films


def address(versions: tuple[ModelVersion, ModelVersion], path: str = "", **more: object) -> str:
    pairs = {"a": versions[0].pk, "b": versions[1].pk} | more
    return f"/models/compare/{path}?" + "&".join(f"{name}={value}" for name, value in pairs.items())


# Figures ------------------------------------------------------------------------------------------------------


def test_figures_are_those_of_an_evaluation_of_each(judged):
    found = compare_versions(*judged)
    labels, good = made_answers(210, noise=1.0)
    _, worse = made_answers(210, noise=2.5)
    reports = [evaluate(good, labels, THRESHOLDS["a"]), evaluate(worse, labels, THRESHOLDS["b"])]
    by_key = {figure.key: figure for figure in found.figures}
    assert (found.basis, found.films, found.few, found.is_sample) == (Basis.TEST, 210, False, False)
    for key in ("macro_roc_auc", "mean_average_precision", "expected_calibration_error"):
        figure = by_key[key]
        assert (figure.a, figure.b) == (pytest.approx(reports[0][key]), pytest.approx(reports[1][key]))
        assert figure.by == pytest.approx(figure.b - figure.a, abs=1e-6)
    for average in ("micro", "macro", "samples"):
        figure = by_key[f"f1_{average}"]
        assert figure.a == pytest.approx(reports[0]["f1"][average])
        assert figure.b == pytest.approx(reports[1]["f1"][average])
    for genre, first, second in zip(found.genres, *(report["genres"] for report in reports), strict=True):
        assert (genre.genre_id, genre.films) == (first["tmdb_id"], first["support"])
        assert (genre.roc_auc.a, genre.roc_auc.b) == (
            pytest.approx(first["roc_auc"]),
            pytest.approx(second["roc_auc"]),
        )
        assert genre.f1.by == pytest.approx(second["f1"] - first["f1"], abs=1e-6)


def test_the_interval_is_the_paired_bootstraps_by_film(judged):
    """By `bootstrap_difference`, which calls the metric itself on each draw of films."""
    labels, good = made_answers(210, noise=1.0)
    _, worse = made_answers(210, noise=2.5)
    auc = next(figure for figure in compare_versions(*judged).figures if figure.key == "macro_roc_auc")
    # Films come in the order of a hash, so the draws differ; the bounds do by the noise of a few hundred draws.
    expected = bootstrap_difference(macro_roc_auc, worse, good, labels, n=400)
    width = expected.high - expected.low
    assert auc.low == pytest.approx(expected.low, abs=width / 4)
    assert auc.high == pytest.approx(expected.high, abs=width / 4)


def test_which_is_better_is_said_where_the_interval_leaves_no_doubt(judged):
    found = {figure.key: figure for figure in compare_versions(*judged).figures}
    assert found["macro_roc_auc"].better == "a"
    assert found["macro_roc_auc"].high < 0
    turned = {figure.key: figure for figure in compare_versions(judged[1], judged[0]).figures}
    assert turned["macro_roc_auc"].better == "b"
    assert turned["macro_roc_auc"].low > 0


def test_of_the_calibration_error_less_is_better(versions):
    labels, good = made_answers(210, noise=0.5)
    films = make_films(labels)
    make_predictions(films, versions[0], good, part="test")
    make_predictions(films, versions[1], np.clip(good + 0.25, 0, 1), part="test")
    found = {figure.key: figure for figure in compare_versions(*versions).figures}
    assert found["expected_calibration_error"].by > 0
    assert found["expected_calibration_error"].better == "a"


def test_equal_versions_differ_by_nothing_for_certain(versions):
    labels, p = made_answers(210, noise=1.0)
    films = make_films(labels)
    for version in versions:
        make_predictions(films, version, p, part="test")
    for figure in compare_versions(*versions).figures:
        assert (figure.by, figure.better) == (pytest.approx(0, abs=1e-9), "")


# Which films ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "few"), [(199, True), (200, False)])
def test_fewer_than_200_films_are_too_few(versions, n, few):
    fill(versions, n, parts=("test", "test"))
    found = compare_versions(*versions)
    assert (found.few, found.films) == (few, n)
    assert bool(found.figures) is bool(found.reports) is not few


@pytest.fixture
def ten_are_enough(monkeypatch):
    for module in (comparing, sys.modules["predictor.agreement"]):
        monkeypatch.setattr(module, "FEW_FILMS", 10)


@pytest.mark.usefixtures("ten_are_enough")
def test_test_films_of_both_are_preferred_to_other_films_that_neither_saw(versions):
    fill(versions, 20, parts=("test", "test"))
    fill(versions, 30, parts=("", "test"))
    found = compare_versions(*versions)
    assert (found.basis, found.films) == (Basis.TEST, 20)


@pytest.mark.usefixtures("ten_are_enough")
def test_without_enough_test_films_films_in_neithers_training_judge(versions):
    fill(versions, 5, parts=("test", "test"))
    fill(versions, 6, parts=("", "test"))
    fill(versions, 7, parts=("", ""))
    for parts in (("train", ""), ("", "train"), ("val", "test"), ("test", "val"), ("train", "train")):
        fill(versions, 8, parts=parts)
    found = compare_versions(*versions)
    assert (found.basis, found.films) == (Basis.UNSEEN, 5 + 6 + 7)


def test_films_that_changed_lack_a_genre_or_one_prediction_do_not_count(versions):
    films = fill(versions, 20, parts=("test", "test"))
    Film.objects.filter(pk=films[0].pk).update(input_hash="changed")
    Film.objects.filter(pk=films[1].pk).update(label_ids=[])
    Prediction.objects.filter(film=films[2], version=versions[1]).delete()
    assert compare_versions(*versions).films == 17


def test_labels_are_tmdbs_of_today(versions):
    films = fill(versions, 210, parts=("test", "test"))
    Film.objects.filter(pk__in=[film.pk for film in films]).update(label_ids=[GENRE_IDS["Drama"]])
    found = compare_versions(*versions)
    assert {genre.name: genre.films for genre in found.genres if genre.films} == {"Drama": 210}
    undefined = next(genre for genre in found.genres if genre.name == "War").roc_auc
    assert (undefined.a, undefined.by, undefined.low, undefined.better) == (None, None, None, "")


@pytest.mark.usefixtures("ten_are_enough")
def test_of_many_films_the_same_sample_is_taken_each_time(versions, monkeypatch):
    fill(versions, 40, parts=("test", "test"))
    fill(versions, 40, parts=("", ""))
    monkeypatch.setattr(comparing, "MOST_FILMS", 25)
    first, again = compare_versions(*versions), compare_versions(*versions)
    assert (first.films, first.is_sample) == (25, True)
    assert first.figures == again.figures
    VersionFilm.objects.all().delete()
    assert (compare_versions(*versions).basis, compare_versions(*versions).films) == (Basis.UNSEEN, 25)


def test_it_is_worked_out_once_while_nothing_changes(judged, broker, django_assert_num_queries):
    first = version_comparison(*judged)
    with django_assert_num_queries(2):  # the two counts of writes
        again = version_comparison(*judged)
    assert again.counted_at == first.counted_at
    assert version_comparison(judged[1], judged[0]).counted_at > first.counted_at


def test_comparing_never_imports_torch(settings):
    code = (
        "import sys, numpy as np, django; django.setup()\n"
        "from predictor.version_comparison import _Answers, _differences\n"
        "y = np.eye(18, dtype=np.float32); p = np.full((18, 18), 0.5, np.float32)\n"
        "_differences(_Answers(y, (p, p), (p, p)))\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=process_environment(settings), cwd=PROJECT, check=False
    )
    assert done.returncode == 0


# The page -------------------------------------------------------------------------------------------------------


def test_the_page_shows_figures_differences_and_genres(client, judged):
    found = version_comparison(*judged)
    shown = page_text(client.get(address(judged)))
    auc = found.figures[0]
    assert "On 210 films that were test films of both" in shown
    assert (
        f"Macro ROC AUC {auc.a:.3f} {auc.b:.3f} −{-auc.by:.3f} −{-auc.low:.3f} to −{-auc.high:.3f} A" in shown
    )
    drama = next(genre for genre in found.genres if genre.name == "Drama")
    assert f"Drama {drama.films} {drama.roc_auc.a:.3f} {drama.roc_auc.b:.3f}" in shown


def test_the_curves_of_both_are_drawn_under_the_policy(client, judged):
    page = client.get(address(judged)).content.decode()
    drawings = sorted(set(re.findall(r'srcset="([^"]+narrow[^"]+)"', page)))
    assert len(drawings) == 3 * 2
    for drawing in drawings:
        response = client.get(drawing)
        assert "immutable" in response["Cache-Control"]
        text = response.content.decode()
        assert ET.fromstring(text).tag.endswith("svg")
        assert "A: first" in text
        assert "B: second" in text
        assert not re.search(r"<style|\sstyle=|<script|\son\w+=|<foreignObject", text)


def test_there_is_no_drawing_of_too_few_films_or_of_no_version(client, versions):
    a, b = (version.pk for version in versions)
    assert client.get(f"/models/compare/{a}-{b}/roc/light-wide.svg").status_code == 404
    assert client.get(f"/models/compare/{a}-404404/roc/light-wide.svg").status_code == 404


def test_too_few_films_are_told_with_their_number(client, versions):
    fill(versions, 12, parts=("test", "test"))
    shown = page_text(client.get(address(versions)))
    assert "Too few films to judge by. This site has current predictions of both for 12 films" in shown
    assert "On the same films" not in shown


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("", (200, "Compare two versions")),
        ("?a={a}&b={a}", (400, "one and the same version")),
        ("?a={a}", (400, "Choose two versions")),
        ("?a={a}&b=404404", (404, "There is no version 404404.")),
        ("?a=x&b={a}", (404, "There is no version x.")),
        ("?a={a}&b=" + "9" * 30, (404, "There is no version")),
    ],
)
@pytest.mark.parametrize("path", ["", "films/"])
def test_a_choice_that_cannot_be_compared_is_told_beside_the_form(client, versions, query, answer, path):
    status, words = answer
    response = client.get(f"/models/compare/{path}" + query.format(a=versions[0].pk))
    assert words in page_text(response, status=status)
    assert b'<select id="version-a"' in response.content


def test_with_one_version_there_is_nothing_to_compare(client):
    make_version()
    assert "There are not two versions yet" in page_text(client.get("/models/compare/"))
    assert "Compare two versions" not in page_text(client.get("/models/"))


# A version that has not predicted yet -----------------------------------------------------------------------------


@pytest.fixture
def staff() -> Client:
    """An account of the staff that may start predictions."""
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="add_predictionrun"))
    client = Client()
    client.force_login(user)
    return client


def test_a_version_without_predictions_is_told_and_only_staff_is_offered_to_have_it_predict(
    client, staff, versions
):
    make_prediction(make_film(genres=["Drama"]), versions[0])
    assert "second has no predictions on this site yet." in page_text(client.get(address(versions)))
    assert "An administrator can have it predict the catalog." in page_text(client.get(address(versions)))
    assert "Have it predict the catalog" in page_text(staff.get(address(versions)))


def test_having_it_predict_starts_a_run_and_leads_back(staff, versions, broker):
    make_film(genres=["Drama"])
    back = address(versions)
    response = staff.post(f"/models/{versions[1].pk}/predict/", {"next": back})
    assert response["Location"] == back
    run = PredictionRun.objects.get()
    assert (run.version, run.total, run.created_by.username) == (versions[1], 1, "ada")
    shown = page_text(staff.get(back))
    assert "second is predicting the catalog: 0 of 1 films so far." in shown
    assert "No prediction worker is running" in shown


def test_nobody_else_can_have_it_predict(client, admin_client, versions, broker):
    target = f"/models/{versions[1].pk}/predict/"
    make_film()
    assert client.post(target).status_code == 302
    for fields, status in (({}, 302), ({"is_staff": True}, 403)):
        other = Client()
        other.force_login(User.objects.create_user(f"user {fields}", **fields))
        assert other.post(target).status_code == status
    assert admin_client.get(target).status_code == 405
    assert Client(enforce_csrf_checks=True).post(target).status_code == 403
    assert not PredictionRun.objects.exists()


def test_it_leads_to_no_other_site(staff, versions, broker):
    response = staff.post(f"/models/{versions[1].pk}/predict/", {"next": "https://elsewhere.example/"})
    assert response["Location"] == f"/models/{versions[1].pk}/"


def test_without_the_broker_nothing_is_started_and_it_is_told(staff, versions, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    make_film()
    response = staff.post(f"/models/{versions[1].pk}/predict/", {"next": address(versions)}, follow=True)
    assert "No prediction was started." in page_text(response)
    assert not PredictionRun.objects.exists()


# Films where they differ --------------------------------------------------------------------------------------------


def differ(
    versions: tuple[ModelVersion, ModelVersion],
    *,
    tmdb: list[str],
    a: dict[str, float],
    b: dict[str, float],
    parts: tuple[str, str] = ("", ""),
    **film: Any,
) -> Film:
    made = make_film(genres=tmdb, **film)
    for version, said, part in zip(versions, (a, b), parts, strict=True):
        make_prediction(made, version, probabilities=said, part=part)
        if part:
            VersionFilm.objects.create(version=version, tmdb_id=made.tmdb_id, part=part)
    return made


@pytest.fixture
def differing(versions) -> dict[str, Film]:
    return {
        "a right": differ(versions, tmdb=["Drama"], a={"Drama": 0.9}, b={"War": 0.9}),
        "b right": differ(
            versions, tmdb=["War"], a={"Crime": 0.6}, b={"War": 0.9}, parts=("train", ""), title="Seen"
        ),
        "neither": differ(versions, tmdb=["Drama"], a={"Drama": 0.6, "War": 0.6}, b={"Drama": 0.4}),
        "agreed": differ(versions, tmdb=["Drama"], a={"Drama": 0.9}, b={"Drama": 0.6}),
        "adult": differ(versions, tmdb=["Drama"], a={"Drama": 0.9}, b={"War": 0.99}, adult=True),
        "unlabelled": differ(versions, tmdb=[], a={"Drama": 0.9}, b={"War": 0.99}),
    }


ANY = DifferenceFilters()


def listed(versions, filters: DifferenceFilters = ANY) -> list[int]:
    return [entry.film.pk for entry in differing_films(*versions, filters).films]


def test_only_films_of_which_they_say_different_things_are_listed_the_most_different_first(
    versions, differing
):
    found = differing_films(*versions, DifferenceFilters()).films
    assert {entry.film for entry in found} == {differing[name] for name in ("a right", "b right", "neither")}
    differences = [entry.difference for entry in found]
    assert differences == sorted(differences, reverse=True)
    for entry in found:
        assert entry.difference == pytest.approx(abs(entry.surprise[0] - entry.surprise[1]), abs=1e-6)


@pytest.mark.parametrize(
    ("right", "names"), [("a", ["a right"]), ("b", ["b right"]), ("neither", ["neither"])]
)
def test_who_is_nearer_to_tmdb(versions, differing, right, names):
    expected = [differing[name].pk for name in names]
    assert listed(versions, DifferenceFilters(right=Right(right))) == expected
    found = differing_films(*versions, DifferenceFilters(right=Right(right))).films
    assert [entry.right for entry in found] == [Right(right)]


def test_films_where_one_alone_names_a_genre(versions, differing):
    assert set(listed(versions, DifferenceFilters(genre=GENRE_IDS["Crime"]))) == {differing["b right"].pk}
    assert len(listed(versions, DifferenceFilters(genre=GENRE_IDS["War"]))) == 3
    assert listed(versions, DifferenceFilters(genre=GENRE_IDS["Music"])) == []


def test_only_films_that_neither_was_trained_on(versions, differing):
    assert differing["b right"].pk in listed(versions)
    assert differing["b right"].pk not in listed(versions, DifferenceFilters(unseen=True))
    assert len(listed(versions, DifferenceFilters(unseen=True))) == 2


def test_pages_go_on_where_the_last_one_ended_through_equal_differences(versions):
    films = [differ(versions, tmdb=["Drama"], a={"Drama": 0.9}, b={"War": 0.9}).pk for _ in range(7)]
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page = differing_films(*versions, DifferenceFilters(), cursor=cursor, size=3)
        seen += [entry.film.pk for entry in page.films]
        cursor = page.next_cursor
    assert seen == sorted(films, reverse=True)


def test_a_cursor_is_bound_to_the_versions_and_the_filters(versions, differing):
    cursor = differing_films(*versions, DifferenceFilters(), size=1).next_cursor
    for pair, filters, given in (
        (versions, DifferenceFilters(unseen=True), cursor),
        (versions[::-1], DifferenceFilters(), cursor),
        (versions, DifferenceFilters(), cursor + "x"),
    ):
        with pytest.raises(CursorError):
            differing_films(*pair, filters, cursor=given)


def test_only_so_many_films_are_looked_at_and_those_are_the_ones_that_can_differ_most(versions, monkeypatch):
    mild = differ(versions, tmdb=["Drama"], a={"Drama": 0.6}, b={"Drama": 0.45})
    wild = differ(versions, tmdb=["Drama"], a={"Drama": 0.55}, b={"War": 0.99})
    monkeypatch.setattr(listing, "MOST_LOOKED_AT", 1)
    assert listed(versions) == [wild.pk]
    monkeypatch.setattr(listing, "MOST_LOOKED_AT", 2)
    assert listed(versions) == [wild.pk, mild.pk]


def test_a_prediction_of_a_film_that_has_changed_is_not_held_against_either(versions, differing):
    Film.objects.filter(pk=differing["a right"].pk).update(input_hash="changed")
    assert differing["a right"].pk not in listed(versions)


def test_the_list_takes_two_queries_of_its_own(versions, differing, django_assert_num_queries):
    with django_assert_num_queries(2):
        differing_films(*versions, DifferenceFilters())


def test_the_page_lists_filters_and_turns_pages(client, versions, differing):
    shown = page_text(client.get(address(versions, "films/")))
    assert "Seen" in shown
    assert "In the training of A." in shown
    assert "Seen" not in page_text(client.get(address(versions, "films/", unseen="yes")))
    assert "Seen" in page_text(client.get(address(versions, "films/", right="b", genre=GENRE_IDS["Crime"])))
    for _ in range(30):
        differ(versions, tmdb=["Drama"], a={"Drama": 0.9}, b={"War": 0.9})
    page = client.get(address(versions, "films/")).content.decode()
    following = re.search(r'href="([^"]+)" rel="next"', page)[1].replace("&amp;", "&")
    assert "Back to the beginning of this list" in page_text(client.get(following))
    assert "Films where they differ" in page_text(client.get(address(versions)))


@pytest.mark.parametrize("query", ["genre=1", "right=me", "unseen=no", "after=nonsense"])
def test_a_filter_or_page_there_is_not_is_refused(client, versions, query):
    name, value = query.split("=")
    assert client.get(address(versions, "films/", **{name: value})).status_code == 400
