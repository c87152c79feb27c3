"""The page of a model version: its curves, its mistakes, and its figures on some of the films."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ml_core.drawing import SCHEMES
from predictor import registry
from predictor.charts import WIDTHS
from predictor.model_details import details
from predictor.models import ModelVersion
from tests.factories import make_version
from tests.ml_core.made_figures import report
from tests.predictor.reading import page_text

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    return {"test": {"overview_poster": report(150), "poster": report(90)}}


@pytest.fixture
def version(metrics: dict[str, Any]) -> ModelVersion:
    return make_version(metrics=metrics)


def pictures(content: str) -> list[str]:
    return re.findall(r"<picture>.*?</picture>", content, re.DOTALL)


def test_it_shows_every_chart_with_words_and_numbers(client, version):
    content = client.get(f"/models/{version.pk}/").content.decode()
    assert len(pictures(content)) == 5
    for picture in pictures(content):
        assert re.search(r'alt="Chart: [^"]{40,}"', picture)
        assert len(set(re.findall(r'(?:src|srcset)="([^"]+)"', picture))) == len(SCHEMES) * len(WIDTHS)
    shown = page_text(client.get(f"/models/{version.pk}/"))
    for title in ("ROC curves", "Precision and recall", "Can its percentages be believed?"):
        assert title in shown
    drama = next(genre for genre in report()["genres"] if genre["name"] == "Drama")
    assert f"Drama {drama['support']} {drama['roc_auc']:.3f}" in shown


def test_its_drawings_are_svg_that_the_policy_allows_and_may_be_kept_for_good(client, version):
    content = client.get(f"/models/{version.pk}/").content.decode()
    addresses = sorted({html.unescape(a) for a in re.findall(r'srcset="([^"]+)"', content)})
    for address in [a for a in addresses if "dark-narrow" in a]:
        response = client.get(address)
        assert response["Content-Type"] == "image/svg+xml"
        assert "immutable" in response["Cache-Control"]
        drawing = response.content.decode()
        assert ET.fromstring(drawing).tag.endswith("svg")
        assert not re.search(r"<style|\sstyle=|<script|\son\w+=|<foreignObject", drawing)


def test_other_inputs_have_charts_of_their_own(client, version):
    first = client.get(f"/models/{version.pk}/").content.decode()
    poster = client.get(f"/models/{version.pk}/?inputs=poster").content.decode()
    assert "?inputs=poster#details" in first
    assert {*pictures(first)}.isdisjoint(pictures(poster))
    assert re.search(r'inputs=poster#details" aria-current="true"', poster)
    assert "90 films" in page_text(client.get(f"/models/{version.pk}/"))


@pytest.mark.parametrize("inputs", ["title", "nonsense"])
def test_inputs_that_it_was_not_tested_with_are_not_found(client, version, inputs):
    assert client.get(f"/models/{version.pk}/?inputs={inputs}").status_code == 404
    assert client.get(f"/models/{version.pk}/{inputs}/roc/light-wide.svg").status_code == 404


@pytest.mark.parametrize("drawing", ["roc/light-huge", "roc/pink-wide", "nothing/light-wide"])
def test_what_is_not_drawn_is_not_found(client, version, drawing):
    assert client.get(f"/models/{version.pk}/poster/{drawing}.svg").status_code == 404
    assert client.get("/models/404404/poster/roc/light-wide.svg").status_code == 404


def test_slices_have_figures_with_intervals_or_say_that_they_are_too_few(client, version):
    shown = page_text(client.get(f"/models/{version.pk}/"))
    decades = {entry["name"]: entry for entry in report()["slices"]["decade"]}
    auc = decades["2000s"]["figures"]["macro_roc_auc"]
    assert "1990s 10 Too few films to judge by" in shown
    assert f"2000s 140 {auc['value']:.3f} {auc['low']:.3f} to {auc['high']:.3f}" in shown
    assert "By original language" not in shown  # all films are in one


def test_languages_are_told_by_name(version, metrics):
    entries = [
        {"name": "fr", "films": 60, "figures": None},
        {"name": "12 others", "films": 9, "figures": None},
    ]
    changed = report(60) | {"slices": {"language": entries}}
    found = details(make_version(metrics={"test": {"poster": changed}}))
    assert [row.name for row in found.slices[0].rows] == ["French", "12 others"]


def test_what_both_inputs_add_is_told_with_its_interval(client, version):
    shown = page_text(client.get(f"/models/{version.pk}/"))
    assert "Overview and poster together are better than the poster alone: 0.150 more macro ROC AUC" in shown
    assert "(95 % interval 0.120 to 0.180)" in shown
    assert "better than the overview alone is not certain" in shown


def test_an_artifact_of_before_shows_what_it_has(client, settings, tmp_path):
    settings.MODEL_ROOT = tmp_path
    version = make_version(
        metrics={"test": {"overview": {"films": 9, "macro_roc_auc": 0.8, "f1": {}, "genres": []}}}
    )
    response = client.get(f"/models/{version.pk}/")
    assert response.status_code == 200
    assert "In detail" not in page_text(response)
    assert pictures(response.content.decode()) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"curves": [1]},
        {"curves": [{"tmdb_id": 28}], "genres": []},
        {"reliability": [{}]},
        {"cooccurrence": {"labelled": []}},
        {"slices": {"decade": [{}]}},
        {"slices": 7},
        {"differences": {"poster": {}}},
        {"genres": None},
    ],
)
def test_figures_of_another_form_are_not_shown_and_break_nothing(client, odd):
    version = make_version(metrics={"test": {"overview_poster": report(60) | odd}})
    assert client.get(f"/models/{version.pk}/").status_code == 200
    assert "In detail" not in page_text(client.get(f"/models/{version.pk}/"))
    assert client.get(f"/models/{version.pk}/overview_poster/roc/light-wide.svg").status_code == 404


def test_pages_that_do_not_show_figures_do_not_read_them(version):
    """They are half a megabyte a version."""
    for read in (registry.champion, registry.displayed):
        with CaptureQueriesContext(connection) as queries:
            assert read() == version
        assert '"metrics"' not in queries[0]["sql"]


def test_in_brief_a_version_has_its_main_figures_without_details(version, metrics):
    brief = ModelVersion.objects.in_brief().get(pk=version.pk)
    with CaptureQueriesContext(connection) as queries:
        reports = brief.test_reports()
    assert len(queries) == 0
    assert set(reports) == {"overview_poster", "poster"}
    assert reports["poster"]["f1"] == metrics["test"]["poster"]["f1"]
    assert reports["poster"]["intervals"] == metrics["test"]["poster"]["intervals"]
    assert {"curves", "slices", "genres", "cooccurrence"}.isdisjoint(reports["poster"])
    assert "curves" in version.test_reports()["poster"]
