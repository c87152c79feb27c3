"""The ablation table: what each input, tuning, and each loss is worth - and the article's networks beside ours.

Every variant is a training of its own on the same snapshot, split and seed, judged by the same code; its artifact stays in
the output folder, and a variant whose artifact is there is not trained again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ml_core.artifact import ArtifactDescription, ArtifactError
from ml_core.inputs import InputSet
from ml_core.losses import LossName
from ml_core.networks import network
from ml_core.recipes import TrainingRequest

TABLE_FILE, FIGURES_FILE = "ablation.md", "ablation.json"


class UnknownVariantError(ValueError):
    """A variant that the table does not have. The message lists those that it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One training of the table."""

    name: str
    told: str
    network: Literal["fusion", "lstm_cnn"] = "fusion"
    inputs: Literal["both", "overview", "poster"] = "both"
    tuned: bool = False
    loss: LossName = "bce"


VARIANTS: tuple[Variant, ...] = (
    Variant(name="article-overview", told="article's LSTM alone", network="lstm_cnn", inputs="overview"),
    Variant(name="article-poster", told="article's CNN alone", network="lstm_cnn", inputs="poster"),
    Variant(name="article-both", told="article's LSTM + CNN", network="lstm_cnn"),
    Variant(name="frozen-overview", told="ours, overview and title only, encoders frozen", inputs="overview"),
    Variant(name="frozen-poster", told="ours, poster only, encoders frozen", inputs="poster"),
    Variant(name="frozen-both", told="ours, encoders frozen"),
    Variant(name="frozen-asymmetric", told="ours, encoders frozen, asymmetric loss", loss="asymmetric"),
    Variant(name="frozen-balanced", told="ours, encoders frozen, balanced loss", loss="balanced"),
    Variant(
        name="tuned-overview",
        told="ours, overview and title only, encoder tuned",
        inputs="overview",
        tuned=True,
    ),
    Variant(name="tuned-poster", told="ours, poster only, encoder tuned", inputs="poster", tuned=True),
    Variant(name="tuned-both", told="ours, encoders tuned", tuned=True),
)
# What the table has of each variant: the inputs shown to it, and how they are called there.
_SHOWN: tuple[tuple[InputSet, str], ...] = (
    ("overview_poster", "overview and poster"),
    ("overview", "overview, poster hidden"),
    ("poster", "poster, all else hidden"),
)


def ablate(request: TrainingRequest, *, names: Sequence[str] = (), output: Path) -> str:
    """Train and judge the variants of those names (all of them without any); returns the table as Markdown.

    ``request`` says everything that the variants have in common; ``tune_epochs`` and ``poster_epochs`` are for those that are
    tuned. The table and its figures are written to ``output`` after each variant.

    Raises:
        UnknownVariantError: a name that no variant has.
    """
    unknown = set(names) - {variant.name for variant in VARIANTS}
    if unknown:
        raise UnknownVariantError(
            f"no variant {min(unknown)!r}; there are: {', '.join(variant.name for variant in VARIANTS)}"
        )
    output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    table = ""
    for variant in VARIANTS:
        if names and variant.name not in names:
            continue
        rows += _figures(variant, _trained(variant, request, output / variant.name))
        table = _table(rows)
        (output / FIGURES_FILE).write_text(json.dumps(rows, indent=1) + "\n")
        (output / TABLE_FILE).write_text(table)
    return table


def _trained(variant: Variant, request: TrainingRequest, folder: Path) -> ArtifactDescription:
    try:
        return ArtifactDescription.read(folder)
    except ArtifactError:
        asked = replace(
            request,
            artifact=folder,
            name=variant.name,
            inputs=variant.inputs,
            loss=variant.loss,
            tune_epochs=request.tune_epochs if variant.tuned else 0,
            poster_epochs=request.poster_epochs if variant.tuned else 0,
            # The epochs asked for are our heads'; the article's networks have the article's.
            epochs=request.epochs if variant.network == "fusion" else None,
        )
        network(variant.network).load_recipe()(asked)
        return ArtifactDescription.read(folder)


def _figures(variant: Variant, description: ArtifactDescription) -> list[dict[str, Any]]:
    """A row for each set of inputs that the variant can be shown."""
    test = description.metrics["test"]
    return [
        {
            "variant": variant.name,
            "told": variant.told,
            "shown": shown,
            "films": test[name]["films"],
            "macro_roc_auc": test[name]["macro_roc_auc"],
            "mean_average_precision": test[name]["mean_average_precision"],
            **{f"f1_{average}": test[name]["f1"][average] for average in ("micro", "macro", "samples")},
            "article_f1": test[name]["article"]["f1"],
            "article_hamming": test[name]["article"]["hamming"],
            "sha256": description.sha256,
        }
        for name, shown in _SHOWN
        if name in test
    ]


def _table(rows: Sequence[dict[str, Any]]) -> str:
    columns = {
        "macro_roc_auc": "macro ROC AUC",
        "mean_average_precision": "mAP",
        "f1_micro": "micro F1",
        "f1_macro": "macro F1",
        "f1_samples": "samples F1",
        "article_f1": "samples F1 at 0.5",
        "article_hamming": "Hamming at 0.5",
    }
    lines = [
        "| network | shown | films | " + " | ".join(columns.values()) + " |",
        "| --- | --- | --- |" + " --- |" * len(columns),
    ]
    lines += [
        f"| {row['told']} | {row['shown']} | {row['films']:,} | "
        + " | ".join("-" if row[name] is None else f"{row[name]:.4f}" for name in columns)
        + " |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"
