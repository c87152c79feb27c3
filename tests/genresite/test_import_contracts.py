"""Imports run one way, in Python and in templates."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.template.backends.django import get_installed_libraries

PROJECT = Path(__file__).resolve().parents[2]
# Who may stand on whom, as in pyproject.toml.
BELOW = {"catalog": {"catalog", "ledger"}, "predictor": {"predictor", "catalog", "ledger"}}
# Templates that make up the frame of all pages belong to no app.
FRAME = {"accounts", "admin", "api", "icons"}


def templates() -> list[Path]:
    return sorted(PROJECT.glob("templates/**/*.html")) + sorted(PROJECT.glob("*/templates/**/*.html"))


def owner(template: Path) -> str:
    """The app that a template belongs to: the folder below `templates`, or below `templates/admin`, names it."""
    parts = template.relative_to(PROJECT).parts
    below = parts[parts.index("templates") + 1 : -1]
    return next((name for name in below if name in BELOW), below[0] if below else "")


def libraries() -> dict[str, str]:
    """The app that each tag library of ours comes from."""
    ours = {config.name for config in apps.get_app_configs() if Path(config.path).parent == PROJECT}
    return {
        name: module.split(".")[0]
        for name, module in get_installed_libraries().items()
        if module.split(".")[0] in ours
    }


def test_the_contracts_of_pyproject_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* kept, 0 broken", done.stdout)


def test_there_are_templates_of_both_apps_and_libraries_to_load():
    assert {"catalog", "predictor"} <= {owner(template) for template in templates()}
    assert "predictor" in libraries().values()


@pytest.mark.parametrize("template", templates(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_template_loads_no_tags_of_an_app_above_its_own(template):
    app = owner(template)
    if app in FRAME or app not in BELOW:
        allowed = {"catalog", "predictor", "ledger", "genresite"}
    else:
        allowed = BELOW[app]
    source = template.read_text()
    loaded = {
        name
        for tag in re.findall(r"{%\s*load\s+(.*?)\s*%}", source)
        for name in tag.partition(" from ")[2].split() or tag.split()
    }
    ours = libraries()
    assert {ours[name] for name in loaded & set(ours)} <= allowed
    if app in BELOW:
        used = re.findall(r"{%\s*(?:include|extends)\s+[\"']([^\"'/]+)/", source)
        assert {name for name in used if name in {"catalog", "predictor", "ledger"}} <= allowed
