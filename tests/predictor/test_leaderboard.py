"""The leaderboard: which figure, in which order, and what stands beside it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from predictor import leaderboard as board_module
from predictor.models import ModelVersion, PredictionRun
from tests.factories import make_version
from tests.predictor.reading import page_text
from tests.predictor.test_models_page import report

pytestmark = pytest.mark.django_db


@pytest.fixture
def board() -> list[ModelVersion]:
    """Three versions: the best is the biggest and oldest, the last one has no figures."""
    made = [
        make_version(
            name=name,
            size=size,
            metrics=metrics,
            trained_at=datetime(2026, month, 1, tzinfo=UTC),
            displayed=name == "middling",
        )
        for name, size, month, metrics in (
            (
                "best",
                90_000_000,
                1,
                {"test": {"overview_poster": report(1648, 0.94), "poster": report(99, 0.7)}},
            ),
            ("middling", 30_000_000, 2, {"test": {"overview_poster": report(1648, 0.93)}}),
            ("unmeasured", 50_000_000, 3, {}),
        )
    ]
    ModelVersion.objects.filter(name="middling").update(
        metrics={"test": {"overview_poster": report(1648, 0.93) | {"expected_calibration_error": 0.01}}}
    )
    ModelVersion.objects.filter(name="best").update(
        metrics={
            "test": {
                "overview_poster": report(1648, 0.94) | {"expected_calibration_error": 0.02},
                "poster": report(99, 0.7),
            }
        }
    )
    return made


def order(client, query: str = "") -> list[str]:
    page = client.get(f"/models/{query}").content.decode()
    return re.findall(r'leaderboard__version"><a href="/models/\d+/">([^<]+)</a>', page)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["best", "middling", "unmeasured"]),
        ("?sort=-quality", ["middling", "best", "unmeasured"]),
        ("?metric=calibration", ["middling", "best", "unmeasured"]),
        ("?metric=calibration&sort=-quality", ["best", "middling", "unmeasured"]),
        ("?inputs=poster", ["best", "unmeasured", "middling"]),
        ("?sort=size", ["middling", "unmeasured", "best"]),
        ("?sort=-size", ["best", "unmeasured", "middling"]),
        ("?sort=date", ["unmeasured", "middling", "best"]),
        ("?sort=name", ["best", "middling", "unmeasured"]),
        ("?sort=-name", ["unmeasured", "middling", "best"]),
    ],
)
def test_the_best_comes_first_or_what_one_asks_for_and_the_unknown_last(client, board, query, expected):
    assert order(client, query) == expected


def test_a_row_tells_figure_interval_films_size_and_date(client, board):
    shown = page_text(client.get("/models/"))
    assert "best fusion" in shown
    assert "0.940 0.930 to 0.950 1,648 85.8" in shown
    assert "1 Jan 2026" in shown
    assert "middling ★ Champion ● Displayed" in shown
    assert "Macro F1 0.650" not in shown
    assert "0.650 It came without. 1,648" in page_text(client.get("/models/?metric=macro-f1"))


def test_choices_are_links_that_keep_the_others(client, board):
    page = client.get("/models/?metric=map&inputs=poster&sort=-size").content.decode().replace("&amp;", "&")
    targets = set(re.findall(r'href="(/models/(?:\?[^"]*)?)"', page))
    assert "/models/?inputs=poster&metric=micro-f1&sort=-size" in targets
    assert "/models/?inputs=overview_poster&metric=map&sort=-size" in targets
    assert "/models/?inputs=poster&metric=map&sort=size" in targets
    assert "/models/?inputs=poster&metric=map" in targets
    for target in targets:
        assert client.get(target).status_code == 200
    assert 'aria-sort="descending"' in page


@pytest.mark.parametrize("query", ["metric=luck", "sort=id", "sort=--size", "inputs=title", "inputs=x"])
def test_a_choice_there_is_not_is_not_found(client, board, query):
    assert client.get(f"/models/?{query}").status_code == 404


def test_speed_is_that_of_the_fastest_run_of_a_fair_length(client, board):
    now = timezone.now()
    for seconds, predicted, state in (
        (100, 1000, "done"),
        (20, 1000, "done"),
        (1, 199, "done"),
        (1, 9000, "failed"),
    ):
        run = PredictionRun.objects.create(
            version=board[0], predicted=predicted, state=state, finished_at=now
        )
        PredictionRun.objects.filter(pk=run.pk).update(created_at=now - timedelta(seconds=seconds))
    assert "85.8 MB 50 1 Jan" in page_text(client.get("/models/")).replace("\xa0", " ")
    assert order(client, "?sort=speed")[0] == "best"


def test_of_many_versions_the_newest_and_those_in_use_are_shown(client, board, monkeypatch):
    monkeypatch.setattr(board_module, "MOST_VERSIONS", 1)
    assert set(order(client)) == {"unmeasured", "middling"}
    assert "the admin site has all" in page_text(client.get("/models/"))


def test_the_page_reads_no_more_for_more_versions(client, board, django_assert_max_num_queries):
    for _ in range(5):
        make_version(displayed=False)
    with django_assert_max_num_queries(6):
        client.get("/models/")


def test_two_versions_can_be_chosen_the_champion_against_the_newest(client, board):
    page = client.get("/models/").content.decode()
    chosen = re.findall(r'<option value="(\d+)" selected', page)
    assert chosen == [str(board[1].pk), str(board[2].pk)]
