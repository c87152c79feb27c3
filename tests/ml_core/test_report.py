"""The report as a folder, on figures made here."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from ml_core.artifact import ArtifactDescription
from ml_core.definitions import BASELINES, DEFINITIONS, INTERVALS, SLICES, THRESHOLDS
from ml_core.drawing import SCHEMES, to_svg
from ml_core.metric_charts import missed_extra_pairs, precision_recall_curves, predicted_shares, roc_curves
from ml_core.report import headline_table, write_report
from ml_core.snapshot import Snapshot

from .made_figures import report

PROJECT = Path(__file__).parents[2]
DESCRIPTION = cast(ArtifactDescription, SimpleNamespace(name="tiny", network="fusion", sha256="a" * 64))


@pytest.fixture
def written(tmp_path: Path, opened: Snapshot) -> Path:
    write_report(
        tmp_path / "r",
        description=DESCRIPTION,
        snapshot=opened,
        part="test",
        reports={"overview_poster": report()},
    )
    return tmp_path / "r"


def test_metrics_are_as_they_were_found_and_say_of_what_they_are(written: Path, opened: Snapshot) -> None:
    metrics = json.loads((written / "metrics.json").read_text())
    assert metrics["artifact"] == {"name": "tiny", "sha256": "a" * 64}
    assert metrics["snapshot"] == {"sha256": opened.sha256}
    assert metrics["test"] == json.loads(json.dumps({"overview_poster": report()}))
    assert metrics["definitions"] == DEFINITIONS


def test_the_report_has_figures_baselines_slices_and_definitions(written: Path) -> None:
    text = (written / "report.md").read_text()
    auc = report()["macro_roc_auc"]
    assert f"| overview and poster | 150 | {auc:.4f} (0.6543-0.7654) |" in text
    assert re.search(r"\| always no, films of the first row \| 150 \| 0\.5000 ", text)
    assert "| the article, on its own test films | 0.8737 | 0.3406 |" in text
    assert "| overview alone | +0.0100 (-0.0100 to +0.0300: not above 0) |" in text
    assert "| poster alone | +0.1500 (+0.1200 to +0.1800) |" in text
    assert "| 1990s | 10 | too few films |" in text
    assert "were trained on" not in text
    for name, definition in DEFINITIONS.items():
        assert f"- **{name}**: {definition}" in text


def test_every_row_of_a_table_has_as_many_cells_as_its_heading(written: Path) -> None:
    lines = (written / "report.md").read_text().splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("| --- |")]
    assert len(rules) > 6
    for number in rules:
        cells = lines[number - 1].count("|")
        for line in lines[number:]:
            if not line.startswith("|"):
                break
            assert line.count("|") == cells, line


def test_every_picture_of_the_report_is_there_and_is_svg(written: Path) -> None:
    named = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (written / "report.md").read_text())
    assert sorted(named) == sorted(path.name for path in written.glob("*.svg"))
    assert len(named) == 5
    for name in named:
        assert ET.fromstring((written / name).read_text()).tag.endswith("svg")


def test_films_that_were_trained_on_are_told_first(tmp_path: Path, opened: Snapshot) -> None:
    reports = {"overview": report(trained_on=12)}
    write_report(tmp_path, description=DESCRIPTION, snapshot=opened, part="test", reports=reports)
    text = (tmp_path / "report.md").read_text()
    assert text.index("**12 of these films were trained on") < text.index("## Headline figures")


def test_a_part_without_films_says_so(tmp_path: Path, opened: Snapshot) -> None:
    write_report(tmp_path, description=DESCRIPTION, snapshot=opened, part="val", reports={})
    assert "The snapshot has no val films." in (tmp_path / "report.md").read_text()


def test_a_report_of_one_film_is_written(tmp_path: Path, opened: Snapshot) -> None:
    write_report(
        tmp_path, description=DESCRIPTION, snapshot=opened, part="test", reports={"poster": report(1)}
    )
    assert [path.name for path in tmp_path.glob("*.svg")] == ["poster-reliability.svg"]


def test_the_short_table_says_whether_both_inputs_are_better_than_one() -> None:
    table = headline_table({"overview_poster": report()})
    assert "overview_poster" in table
    assert "both inputs minus overview alone: macro ROC AUC +0.0100" in table
    assert "not above 0" in table.splitlines()[-2]
    assert table.splitlines()[-1].endswith("above 0)")


def test_shares_and_pairs_come_from_the_counts() -> None:
    found = report()
    counts = found["cooccurrence"]
    shares = predicted_shares(found)
    assert shares[17][16] == counts["predicted"][17][16] / found["genres"][17]["support"]
    pairs = missed_extra_pairs(found)
    assert [films for _, _, films in pairs] == sorted((films for _, _, films in pairs), reverse=True)
    assert sum(films for _, _, films in pairs) == np.sum(counts["missed_extra"])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [300, 620])
def test_curves_are_drawn_for_every_scheme_and_width(scheme: str, width: int) -> None:
    for draw in (roc_curves, precision_recall_curves):
        drawn = to_svg(draw(report(), SCHEMES[scheme], width), SCHEMES[scheme])
        assert "Science Fiction" in drawn
        assert SCHEMES[scheme].accent in drawn


def test_the_documentation_has_the_definitions_that_reports_have() -> None:
    text = " ".join((PROJECT / "docs" / "quality.md").read_text().split())
    for name, definition in DEFINITIONS.items():
        assert f"**{name}**: {definition}" in text
    for sentence in (INTERVALS, BASELINES, THRESHOLDS, SLICES):
        assert sentence in text
