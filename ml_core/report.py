"""An evaluation as a folder: ``metrics.json``, and ``report.md`` with its pictures, for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_core.artifact import ArtifactDescription
from ml_core.definitions import BASELINES, DEFINITIONS, INTERVALS, SLICES, THRESHOLDS
from ml_core.drawing import SCHEMES, Scheme, to_svg
from ml_core.evaluation import FIGURES
from ml_core.inputs import JUDGED
from ml_core.metric_charts import (
    PAIRS_SHOWN,
    cooccurrence_map,
    genre_names,
    missed_extra_pairs,
    mistaken_pairs,
    precision_recall_curves,
    predicted_shares,
    reliability_diagram,
    roc_curves,
)
from ml_core.snapshot import Part, Snapshot

Report = Mapping[str, Any]

# Name in FIGURES, heading.
HEADLINES = {
    "macro_roc_auc": "macro ROC AUC",
    "mean_average_precision": "mAP",
    "f1_micro": "micro F1",
    "f1_macro": "macro F1",
    "f1_samples": "samples F1",
    "expected_calibration_error": "ECE",
}
_ARTICLE = {
    "accuracy": "accuracy",
    "loss": "loss",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "hamming": "Hamming",
    "macro_roc_auc": "macro ROC AUC",
}
# What the article reports of its own test set, in the order of _ARTICLE.
_PUBLISHED = ("0.8737", "0.3406", "0.5732", "0.5210", "0.5080", "0.1078", "0.8021")
_SLICES = {
    "genre": "genre that TMDB gives the film",
    "decade": "decade of release",
    "language": "original language",
    "overview_words": "words of the overview",
    "inputs": "inputs that the film has",
}
_GENRE_FIGURES = ("roc_auc", "average_precision", "precision", "recall", "f1")
_PICTURES: dict[str, tuple[str, Callable[[Report, Scheme, int], dict[str, Any]]]] = {
    "roc": ("ROC curves, with the area; the dot is the threshold's", roc_curves),
    "precision-recall": (
        "Precision-recall curves, with the average precision; the dot is the threshold's",
        precision_recall_curves,
    ),
    "reliability": ("Reliability: how often a probability comes true", reliability_diagram),
    "cooccurrence": (
        "Of the films with the row's genre, the share that is predicted the column's",
        cooccurrence_map,
    ),
    "mistaken": ("Films by the genre missed and another one predicted instead", mistaken_pairs),
}
_WIDTH = 620


def write_report(
    folder: Path,
    *,
    description: ArtifactDescription,
    snapshot: Snapshot,
    part: Part,
    reports: Mapping[str, Any],
) -> None:
    """Write what :func:`ml_core.judging.judge` found of an artifact on a part of a snapshot.

    Files of an earlier report of that folder are replaced, others are left alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {
        "artifact": {"name": description.name, "sha256": description.sha256},
        "snapshot": {"sha256": snapshot.sha256},
        "definitions": DEFINITIONS,
        part: reports,
    }
    (folder / "metrics.json").write_text(
        json.dumps(metrics, indent=1, sort_keys=True, allow_nan=False) + "\n"
    )
    for name, report in reports.items():
        for picture in _pictures(report):
            drawn = to_svg(
                _PICTURES[picture][1](report, SCHEMES["light"], _WIDTH), SCHEMES["light"], background="white"
            )
            (folder / f"{name}-{picture}.svg").write_text(drawn)
    lines = _report(description, snapshot, part, reports)
    (folder / "report.md").write_text("\n".join(lines) + "\n")


def headline_table(reports: Mapping[str, Any]) -> str:
    """The short table, for a terminal."""
    width = max(len(name) for name in JUDGED) + 1
    lines = [
        f"{'inputs shown':<{width}} {'films':>6} {'ROC AUC':>8} {'mAP':>6} {'micro':>6} {'macro':>6} {'samples':>7} {'ECE':>6}"
    ]
    for name in JUDGED:
        if name in reports:
            cells = [_number(_value(reports[name], figure)) for figure in HEADLINES]
            lines.append(
                f"{name:<{width}} {reports[name]['films']:>6} {cells[0]:>8} {cells[1]:>6} {cells[2]:>6} {cells[3]:>6}"
                f" {cells[4]:>7} {cells[5]:>6}"
            )
    for single, figures in reports.get("overview_poster", {}).get("differences", {}).items():
        auc = figures["macro_roc_auc"]
        verdict = "above 0" if auc["above_zero"] else "not above 0"
        lines.append(
            f"both inputs minus {single} alone: macro ROC AUC {auc['value']:+.4f}"
            f" (95 % interval {auc['low']:+.4f} to {auc['high']:+.4f}: {verdict})"
        )
    return "\n".join(lines)


def _report(
    description: ArtifactDescription, snapshot: Snapshot, part: Part, reports: Mapping[str, Any]
) -> list[str]:
    shown = [name for name in JUDGED if name in reports]
    seen = max((reports[name]["trained_on"] for name in shown), default=0)
    lines = [
        f"# {description.name} on {part} films",
        "",
        f"Artifact `{description.sha256}` (network {description.network}), snapshot `{snapshot.sha256}`.",
        f"{THRESHOLDS} {INTERVALS} {BASELINES}",
        "",
    ]
    if seen:
        lines += [f"**{seen:,} of these films were trained on: of them the figures prove nothing.**", ""]
    if not shown:
        return [*lines, f"The snapshot has no {part} films."]
    lines += ["## Headline figures", "", *_table(_headline_rows(reports, shown)), ""]
    lines += _differences(reports)
    lines += ["## The article's figures", "", *_table(_article_rows(reports, shown)), ""]
    lines += ["## Every figure", "", *_table(_every_rows(reports, shown)), ""]
    for name in shown:
        lines += [f"## {JUDGED[name].capitalize()}", "", *_detail(name, reports[name])]
    lines += [
        "## Definitions",
        "",
        "p is the probability of a genre, y is 1 where TMDB gives the film the genre and",
    ]
    lines += ["else 0, n is the number of films.", ""]
    return [*lines, *(f"- **{name}**: {text}" for name, text in DEFINITIONS.items()), "", SLICES]


def _headline_rows(reports: Mapping[str, Any], shown: Sequence[str]) -> Iterable[Sequence[str]]:
    yield ("shown", "films", *HEADLINES.values())
    for name in shown:
        report = reports[name]
        yield (
            JUDGED[name],
            f"{report['films']:,}",
            *(_with_interval(report, figure) for figure in HEADLINES),
        )
    for baseline in ("prior", "always_no"):
        of = reports[shown[0]]
        yield (
            f"{baseline.replace('_', ' ')}, films of the first row",
            f"{of['films']:,}",
            *(_number(_value(of["baselines"][baseline], figure)) for figure in HEADLINES),
        )


def _differences(reports: Mapping[str, Any]) -> list[str]:
    differences = reports.get("overview_poster", {}).get("differences")
    if not differences:
        return []

    def rows() -> Iterable[Sequence[str]]:
        figures = list(next(iter(differences.values())))
        yield ("both inputs minus", *(HEADLINES[figure] for figure in figures))
        for single, found in differences.items():
            yield (
                f"{single} alone",
                *(
                    f"{d['value']:+.4f} ({d['low']:+.4f} to {d['high']:+.4f}{'' if d['above_zero'] else ': not above 0'})"
                    for d in found.values()
                ),
            )

    films = reports["overview_poster"]["films"]
    return [
        f"What both inputs add, on the {films:,} films that have both:",
        "",
        *_table(rows()),
        "",
    ]


def _article_rows(reports: Mapping[str, Any], shown: Sequence[str]) -> Iterable[Sequence[str]]:
    yield ("shown", *_ARTICLE.values())
    for name in shown:
        yield (JUDGED[name], *(_with_interval(reports[name], f"article_{figure}") for figure in _ARTICLE))
    for baseline in ("prior", "always_no"):
        found = reports[shown[0]]["baselines"][baseline]
        yield (
            f"{baseline.replace('_', ' ')}, films of the first row",
            *(_number(_value(found, f"article_{figure}")) for figure in _ARTICLE),
        )
    yield ("the article, on its own test films", *_PUBLISHED)


def _every_rows(reports: Mapping[str, Any], shown: Sequence[str]) -> Iterable[Sequence[str]]:
    first = reports[shown[0]]
    yield ("figure", *(JUDGED[name] for name in shown), "prior (first column)", "always no (first column)")
    for figure in FIGURES:
        if not figure.startswith("article_"):
            yield (
                figure.replace("_", " ").replace("roc auc", "ROC AUC").replace("f1", "F1"),
                *(_with_interval(reports[name], figure) for name in shown),
                *(
                    _number(_value(first["baselines"][baseline], figure))
                    for baseline in ("prior", "always_no")
                ),
            )


def _detail(name: str, report: Report) -> list[str]:
    """Genres, pictures and slices of one set of inputs."""
    lines = [f"{report['films']:,} films with {report['labels_per_film']:.2f} genres on average.", ""]
    lines += ["### By genre", "", *_table(_genre_rows(report)), ""]
    for picture in _pictures(report):
        title = _PICTURES[picture][0]
        lines += [f"### {title}", "", f"![{title}]({name}-{picture}.svg)", ""]
        if picture == "mistaken":
            lines += [*_table(_pair_rows(report)), ""]
        if picture == "cooccurrence":
            lines += [*_table(_cooccurrence_rows(report)), ""]
    for kind, entries in report.get("slices", {}).items():
        lines += [f"### By {_SLICES[kind]}", "", *_table(_slice_rows(kind, entries)), ""]
    return lines


def _genre_rows(report: Report) -> Iterable[Sequence[str]]:
    yield ("genre", "films", "threshold", "ROC AUC", "AP", "precision", "recall", "F1", "ECE")
    for genre in report["genres"]:
        intervals = genre.get("intervals", {})
        yield (
            genre["name"],
            f"{genre['support']:,}",
            _number(genre["threshold"]),
            *(_cell(genre[figure], intervals.get(figure)) for figure in _GENRE_FIGURES),
            _number(genre["expected_calibration_error"]),
        )


def _pair_rows(report: Report) -> Iterable[Sequence[str]]:
    yield ("missed", "predicted instead", "films")
    for missed, extra, films in missed_extra_pairs(report)[:PAIRS_SHOWN]:
        yield (missed, extra, f"{films:,}")


def _cooccurrence_rows(report: Report) -> Iterable[Sequence[str]]:
    names = genre_names(report)
    yield ("TMDB's genre", *names)
    for name, line in zip(names, predicted_shares(report), strict=True):
        yield (name, *("-" if share is None else f"{share:.0%}" for share in line))


def _slice_rows(kind: str, entries: Sequence[Report]) -> Iterable[Sequence[str]]:
    yield (kind.replace("_", " "), "films", "genres in macro", *HEADLINES.values())
    for entry in entries:
        figures = entry["figures"]
        if figures is None:
            yield (entry["name"], f"{entry['films']:,}", "too few films", *("" for _ in HEADLINES))
        else:
            found = [figures.get(figure, {"value": None}) for figure in HEADLINES]
            cells = (_cell(one["value"], one) for one in found)
            yield (entry["name"], f"{entry['films']:,}", str(entry["macro_labels"]), *cells)


def _pictures(report: Report) -> list[str]:
    """Which pictures there is anything to draw of."""
    if not report["curves"]:
        return ["reliability"]
    return [name for name in _PICTURES if name != "mistaken" or missed_extra_pairs(report)]


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows as Markdown, the first one the heading; numbers stand to the right."""
    heading, *body = rows
    return [
        f"| {' | '.join(heading)} |",
        f"| --- |{' ---: |' * (len(heading) - 1)}",
        *(f"| {' | '.join(row)} |" for row in body),
    ]


def _value(report: Report, figure: str) -> float | None:
    value: Any = report
    for key in FIGURES[figure]:
        value = value[key]
    return None if value is None else float(value)


def _with_interval(report: Report, figure: str) -> str:
    return _cell(_value(report, figure), report.get("intervals", {}).get(figure))


def _cell(value: float | None, interval: Mapping[str, Any] | None) -> str:
    if value is None or not interval or interval["low"] is None:
        return _number(value)
    return f"{value:.4f} ({interval['low']:.4f}-{interval['high']:.4f})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
