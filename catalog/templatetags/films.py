"""Showing films: poster or title card."""

from __future__ import annotations

from typing import Any

from django import template

from catalog.models import Film
from catalog.title_cards import title_card

register = template.Library()


@register.inclusion_tag("catalog/film_art.html")
def film_art(film: Film, *, eager: bool = False) -> dict[str, Any]:
    """The film's poster over its dominant colour, or a typographic title card where it has none.

    Decorative beside a title: the text alternative is empty. `eager` is for what is seen at once.
    """
    poster = film.poster
    return {
        "film": film,
        "poster": poster,
        "eager": eager,
        "card": None if poster else title_card(film.title, number=film.pk or 0),
    }
