"""Showing films: poster or title card."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.models import Film, Poster
from catalog.thumbnails import source_set
from catalog.title_cards import title_card

register = template.Library()

# How wide a poster is in each place, as the stylesheets have it; a browser chooses by that before it has read them.
_SIZES = {
    "card": "(max-width: 40rem) calc(50vw - 1.5rem), 13rem",
    "film": "(max-width: 40rem) 7.5rem, (max-width: 60rem) 13rem, 19rem",
    "shelf": "clamp(7.5rem, 14vw, 10.5rem)",
    "row": "4.5rem",
    "explanation": "13rem",
}


@register.inclusion_tag("catalog/film_art.html")
def film_art(film: Film, place: str, *, eager: bool = False) -> dict[str, Any]:
    """The film's poster over its dominant colour, or a typographic title card where it has none.

    Decorative beside a title: the text alternative is empty. `place` is where it is shown: "card", "film", "shelf" or
    "row". `eager` is for what is seen at once.
    """
    poster = film.poster
    return {
        "film": film,
        "poster": poster,
        "place": place,
        "eager": eager,
        "card": None if poster else title_card(film.title, number=film.pk or 0),
    }


@register.simple_tag
def image_source(poster: Poster, place: str) -> SafeString:
    """The attributes of an ``img`` that say where the poster is, in which sizes, and what shape the browser keeps free."""
    sources = source_set(poster)
    return format_html(
        'src="{}"{} width="{}" height="{}"',
        poster.get_absolute_url(),
        format_html(' srcset="{}" sizes="{}"', sources, _SIZES[place]) if sources else "",
        poster.width,
        poster.height,
    )
