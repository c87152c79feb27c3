"""Charts as SVG files, drawn on the server by Vega-Lite.

A page shows one with ``<picture>``: a file for each colour scheme, and for wide and narrow screens, so that lettering
stays readable on a phone. As files of their own they need no script and no inline style in the page.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache

from ml_core.drawing import SCHEMES, Scheme, to_svg

# Of the drawing code: a change of it makes new files.
DRAWING = "2"
CACHE_SECONDS = 24 * 3600
WIDTHS = {"wide": 620, "narrow": 300}


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a page: its words, its numbers as a table, and how to draw it.

    ``draw(scheme, width)`` returns a Vega-Lite specification without the general look; ``width`` in pixels. ``drawn`` are
    numbers of the drawing that the table does not have. A ``wide`` chart takes the page's whole width.
    """

    name: str
    title: str
    finding: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    draw: Callable[[Scheme, int], dict[str, Any]]
    drawn: Any = None
    wide: bool = False

    def digest(self) -> str:
        """Changes when the numbers or the drawing do."""
        drawn = json.dumps([DRAWING, self.name, self.rows, self.drawn], ensure_ascii=False)
        return hashlib.sha256(drawn.encode()).hexdigest()[:16]


def with_addresses(
    charts: Iterable[Chart], address: Callable[[str, str, str], str]
) -> list[dict[str, Chart | str]]:
    """Charts as the template `predictor/chart.html` takes them: with the addresses of their four drawings.

    ``address(name, scheme, width)`` is where a drawing is; what is drawn is told by the query, so that it can be kept.
    """
    return [
        {"chart": chart}
        | {
            f"{scheme}_{width}": f"{address(chart.name, scheme, width)}?v={digest}"
            for scheme in SCHEMES
            for width in WIDTHS
        }
        for chart in charts
        for digest in [chart.digest()]
    ]


def svg(chart: Chart, *, scheme: str, width: str) -> str:
    """The chart as SVG, from the cache where it was drawn before.

    ``scheme`` is a key of `SCHEMES`, ``width`` one of `WIDTHS`.
    """
    key = f"chart:{chart.digest()}:{scheme}:{width}"
    known = cache.get(key)
    if isinstance(known, str):
        return known
    drawn = to_svg(chart.draw(SCHEMES[scheme], WIDTHS[width]), SCHEMES[scheme])
    cache.set(key, drawn, CACHE_SECONDS)
    return drawn
