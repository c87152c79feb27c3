"""Templates keep the order that imports keep: the catalog's know nothing of predictions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

TEMPLATES = Path(settings.BASE_DIR) / "templates"
PREDICTOR_TAGS = {
    path.stem for path in (Path(settings.BASE_DIR) / "predictor" / "templatetags").glob("[a-z]*.py")
}
CATALOGS = sorted((TEMPLATES / "catalog").rglob("*.html"))


def test_there_are_such_tags_and_templates():
    assert "comparison" in PREDICTOR_TAGS
    assert CATALOGS


@pytest.mark.parametrize("template", CATALOGS, ids=lambda path: path.name)
def test_the_catalogs_templates_use_nothing_of_the_predictors(template):
    source = template.read_text(encoding="utf-8")
    loaded = {name for line in re.findall(r"{%\s*load ([^%]+)%}", source) for name in line.split()}
    assert not loaded & PREDICTOR_TAGS
    assert not re.findall(r"{%\s*(?:include|extends)\s+[\"']predictor/", source)
