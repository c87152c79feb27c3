"""How far the catalog has gone on since the champion was trained."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from predictor import drift as measured
from predictor import registry
from predictor.agreement import FEW_FILMS
from predictor.drift import Change, Drift
from predictor.panel import percent, signed


@require_safe
def drift(request: HttpRequest) -> HttpResponse:
    """What changed, how well the champion does on what is new, and whether that speaks for training again."""
    champion = registry.champion()
    context: dict[str, Any] = {"champion": champion, "few_films": FEW_FILMS}
    if champion is not None:
        found = measured.drift(champion)
        context |= {
            "drift": found,
            "new_share": "" if found.new_share is None else percent(found.new_share),
            "rows": _rows(found),
            "too_few": min(found.test.films, found.new.films) < FEW_FILMS,
            "worthwhile_percent": round(100 * measured.WORTHWHILE_SHARE),
            "worthwhile_drop": measured.WORTHWHILE_DROP,
        }
    return render(request, "predictor/drift.html", context)


def _rows(found: Drift) -> list[dict[str, str]]:
    return [
        _row("Samples F1", "", found.test.samples_f1, found.new.samples_f1, found.samples_f1_change),
        _row("Macro F1", "", found.test.macro_f1, found.new.macro_f1, None),
        _row(
            "Mean surprise", "less is better", found.test.surprise, found.new.surprise, found.surprise_change
        ),
    ]


def _row(
    name: str, about: str, test: float | None, new: float | None, change: Change | None
) -> dict[str, str]:
    return {
        "name": name,
        "about": about,
        "test": "–" if test is None else f"{test:.3f}",
        "new": "–" if new is None else f"{new:.3f}",
        "by": "" if change is None else signed(change.by),
        "interval": "" if change is None else f"{signed(change.low)} to {signed(change.high)}",
    }
