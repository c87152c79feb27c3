"""The model card of an artifact: what it was trained on, how well it does, what it is for and what it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_core.inputs import JUDGED

_NETWORKS = {
    "fusion": "A sentence encoder reads title, tagline and overview, an image encoder the poster; a learned gate weighs the two, "
    "and one layer of 256 units (the film's embedding) leads to 18 logits. In training, inputs are hidden at random, "
    "so a missing poster or overview is a case it has learnt.",
    "lstm_cnn": "The article's network: Word2Vec embedding and two stacked LSTM layers over the overview's words, four "
    "convolutions over the poster, concatenated, 18 logits. Its published mistakes are mended.",
}

_READS_POSTERS = (
    " A poster that comes with nothing else is looked at in several views{look}, and what is written on it is read (PP-OCRv4) and "
    "weighed in by a head of its own."
)


def model_card(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The card as Markdown, its figures those of ``metrics``."""
    counts = config["snapshot"]["counts"]
    lender = config["encoders"].get("second_image", {}).get("lender")
    reads = ""
    if config.get("reads_poster_text"):
        reads = _READS_POSTERS.format(look=" by two image encoders" if lender else "")
    encoders = [
        f"- {kind.replace('_', ' ')} encoder: `{encoder['package']}` {encoder['version']}, weights `{encoder['sha256'][:16]}…`, "
        + ("layers tuned (in this artifact)" if encoder["tuned"] else "as it came")
        for kind, encoder in config["encoders"].items()
    ]
    reader = config.get("reader")
    if reader:
        encoders.append(f"- reader of posters: `{reader['package']}` {reader['version']}, as it came")
    teacher, start = config.get("teacher"), config.get("start")
    lines = [
        f"# {config['name']}",
        "",
        f"Predicts which of 18 TMDB genres a film has. {_NETWORKS[config['network']]}{reads}",
        "",
        "## Intended use",
        "",
        "Suggesting genres for films in a catalog, and finding films whose recorded genres deserve a second look. Not",
        "for decisions about people, for rating content by age, or for texts and pictures that are not of films.",
        "",
        "## Data",
        "",
        f"{counts['films']:,} films with at least one of the 18 genres: {counts['train']:,} to train, {counts['val']:,}",
        f"to validate, {counts['test']:,} to test; {counts['with_overview']:,} have an overview, {counts['posters']:,} a",
        "poster. Titles and overviews are mostly English. Films that share an overview, or title and year, are in the",
        "same part. Labels are TMDB's genres, entered by volunteers; two snapshots of TMDB agree by about 0.85 to 0.95",
        f"(Jaccard), which bounds what any figure below can mean. Snapshot `{config['snapshot']['sha256'][:16]}…`;",
        "the ids of all films by part are in `films.json.gz`.",
        "",
        "Trained by:",
        "",
        f"    {config['command']}",
        "",
        *([f"TEACHER is `{teacher['name']}` with SHA-256 `{teacher['sha256']}`.", ""] if teacher else []),
        *(_start(start) if start else []),
        *([f"LENDER is `{lender['name']}` with SHA-256 `{lender['sha256']}`.", ""] if lender else []),
        *(["## Stands on", "", *encoders, ""] if encoders else []),
        "## Figures on the test films",
        "",
        f"Calibration and thresholds (by label and set of inputs, criterion {config['threshold_criterion']}) come from",
        "the validation films. Intervals are 95 % bootstrap.",
        "",
        "| inputs shown | films | macro ROC AUC | mAP | micro F1 | macro F1 | samples F1 | ECE |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(JUDGED[name], metrics["test"][name]) for name in JUDGED if name in metrics["test"]),
        "",
        *_genres(metrics["test"]),
        "## Limits",
        "",
        "- Genres that are rare in the data (War, Western, History, Music) rest on few films; see their support above.",
        "- A title alone says little, and the probabilities then stay near the genres' frequencies.",
        "- Overviews in other languages than English, and posters of a style unlike those on TMDB, were hardly seen.",
        "- About 1 % of the posters in the data show another film, and some recorded genres are wrong.",
        "- The encoders were pretrained on web text and photographs and carry whatever slant those have.",
        "",
    ]
    return "\n".join(lines)


def _start(start: Mapping[str, Any]) -> list[str]:
    """What the model went on from, and how that was trained."""
    teacher = start.get("teacher")
    told = f" TEACHER there is `{teacher['name']}` with SHA-256 `{teacher['sha256']}`." if teacher else ""
    return [
        f"START is `{start['name']}` with SHA-256 `{start['sha256']}`, which was trained by:",
        "",
        f"    {start['command']}",
        "",
        *([told.strip(), ""] if told else []),
    ]


def _row(name: str, report: Mapping[str, Any]) -> str:
    intervals = report.get("intervals", {})

    def cell(value: float | None, interval: str) -> str:
        if value is None:
            return "-"
        bounds = intervals.get(interval, {})
        if bounds.get("low") is None:
            return f"{value:.3f}"
        return f"{value:.3f} ({bounds['low']:.3f}-{bounds['high']:.3f})"

    f1 = report["f1"]
    return (
        f"| {name} | {report['films']:,} | {cell(report['macro_roc_auc'], 'macro_roc_auc')} "
        f"| {cell(report['mean_average_precision'], 'mean_average_precision')} | {cell(f1['micro'], 'f1_micro')} "
        f"| {cell(f1['macro'], 'f1_macro')} | {cell(f1['samples'], 'f1_samples')} "
        f"| {cell(report['expected_calibration_error'], 'expected_calibration_error')} |"
    )


def _genres(test: Mapping[str, Any]) -> list[str]:
    """The table by genre, of the films with all inputs (or what comes nearest)."""
    name = next((name for name in JUDGED if name in test), None)
    if name is None:
        return []

    def cell(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    rows = [
        f"| {genre['name']} | {genre['support']} | {cell(genre['roc_auc'])} | {cell(genre['average_precision'])} "
        f"| {cell(genre['threshold'])} | {cell(genre['precision'])} | {cell(genre['recall'])} | {cell(genre['f1'])} |"
        for genre in test[name]["genres"]
    ]
    return [
        f"By genre, {JUDGED[name]}:",
        "",
        "| genre | films | ROC AUC | AP | threshold | precision | recall | F1 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
    ]
