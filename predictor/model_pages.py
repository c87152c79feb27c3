"""What pages tell of a model version: its figures, its thresholds, and its model card as safe HTML."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ml_core.artifact import ArtifactDescription, ArtifactError
from ml_core.inputs import INPUT_SETS
from ml_core.labels import LABELS
from predictor import artifact_storage
from predictor.models import ModelVersion

log = structlog.get_logger(__name__)

INPUT_NAMES = {
    "overview_poster": "Overview and poster",
    "overview": "Overview, no poster",
    "title_poster": "Poster and title, no overview",
    "title": "Title alone",
    "poster": "Poster alone",
    "picture": "Poster alone, unread",
    "all_films": "Each film with what it has",
}
_NAMES = {label.tmdb_id: label.name for label in LABELS}
# Column heading, path into a report of `ml_core.evaluation.evaluate`, name of its interval.
_FIGURES = (
    ("Macro ROC AUC", ("macro_roc_auc",), "macro_roc_auc"),
    ("mAP", ("mean_average_precision",), "mean_average_precision"),
    ("Micro F1", ("f1", "micro"), "f1_micro"),
    ("Macro F1", ("f1", "macro"), "f1_macro"),
    ("Samples F1", ("f1", "samples"), "f1_samples"),
    ("Calibration error", ("expected_calibration_error",), "expected_calibration_error"),
)
FIGURE_NAMES = tuple(name for name, _, _ in _FIGURES)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a model, with its 95 % interval where the artifact has one; None where it is not defined."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A model's figures on test films, of which it was shown `inputs`."""

    inputs: str
    films: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """What stands in a version's artifact beside its weights.

    `thresholds` has a row by genre, with a number for each of the sets of inputs named by `threshold_inputs`.
    """

    html: SafeString
    threshold_inputs: tuple[str, ...]
    thresholds: tuple[tuple[str, tuple[float, ...]], ...]
    encoders: tuple[tuple[str, str], ...]


class CardUnreadable(Exception):  # noqa: N818 - a state to be told, not a fault
    """The version's files are gone, or were changed after it was registered."""


def reports(version: ModelVersion) -> list[Report]:
    """The version's figures on its test films, one report for each set of inputs it was tested with."""
    test = version.test_reports()
    return [
        Report(
            inputs=inputs,
            films=int(test[name].get("films", 0)),
            figures=tuple(_figure(test[name], *figure) for figure in _FIGURES),
        )
        for name, inputs in INPUT_NAMES.items()
        if name in test
    ]


def card(version: ModelVersion) -> Card:
    """The version's model card, thresholds and encoders, from its artifact. Raises CardUnreadable.

    An artifact never changes, so what was read and checked once is kept by this process.
    """
    try:
        return _card(artifact_storage.local(version), version.sha256)
    except (ArtifactError, OSError, UnicodeDecodeError) as error:
        # The message names paths of this machine: for the log alone.
        log.warning("artifact unreadable", version=version.pk, error=str(error))
        raise CardUnreadable from error


@functools.lru_cache(maxsize=32)
def _card(folder: Path, sha256: str) -> Card:
    description = ArtifactDescription.read(folder)
    if description.sha256 != sha256:
        raise ArtifactError(f"{folder} is not the artifact that was registered")
    return Card(
        html=safe_markdown((folder / "MODEL_CARD.md").read_text(encoding="utf-8")),
        threshold_inputs=tuple(INPUT_NAMES[name] for name in INPUT_SETS),
        thresholds=tuple(
            (_NAMES[label], tuple(description.thresholds[name][column] for name in INPUT_SETS))
            for column, label in enumerate(description.label_ids)
        ),
        encoders=tuple(
            (kind.replace("_", " "), f"{encoder.get('package', '')} {encoder.get('version', '')}".strip())
            for kind, encoder in sorted(dict(description.config.get("encoders") or {}).items())
        ),
    )


def safe_markdown(text: str) -> SafeString:
    """Markdown as HTML that can do nothing: HTML in it is shown as text, and links lead only to http, https, mailto.

    Headings are taken down a level, so that they fit beneath that of a section; the first, a title, is left out.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = markdown.parse(text)
    if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        tokens = tokens[3:]
    for token in tokens:
        _fit(token)
    # Safe: markdown-it escapes all text, and with html=False passes no tag of the source's own.
    return mark_safe(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S308


def _fit(token: Token) -> None:
    """Headings a level down; alignment as a class, inline styles being forbidden by our security policy."""
    if token.type in {"heading_open", "heading_close"}:
        token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    style = str(token.attrs.pop("style", ""))
    if "right" in style:
        token.attrSet("class", "numeric")


def _figure(report: Mapping[str, Any], name: str, path: tuple[str, ...], interval: str) -> Figure:
    value: Any = report
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    intervals = report.get("intervals")
    bounds = intervals.get(interval) if isinstance(intervals, Mapping) else None
    bounds = bounds if isinstance(bounds, Mapping) else {}
    return Figure(name=name, value=value, low=bounds.get("low"), high=bounds.get("high"))
