"""The comparison panel as a template tag: `{% load comparison %}`, `{% comparison_panel film %}`."""

from __future__ import annotations

from typing import Any

from django import template

from catalog.models import Film
from predictor.panel import Shown, film_panel
from predictor.panel import shown as find_shown

register = template.Library()


@register.inclusion_tag("predictor/comparison_panel.html")
def comparison_panel(film: Film, shown: Shown | None = None) -> dict[str, Any]:
    """What the displayed version says of the film beside TMDB's genres, or why there is nothing to show.

    `shown` spares the two queries where the view has made them already.
    """
    found = shown if shown is not None else find_shown(film)
    return {
        "film": film,
        "version": found.version,
        "panel": film_panel(film, found.prediction) if found.prediction else None,
    }
