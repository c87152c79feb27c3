"""Charts as SVG files, drawn on the server by Vega-Lite.

A page shows one with ``<picture>``: a file for each colour scheme, and for wide and narrow screens, so that lettering
stays readable on a phone. As files of their own they need no script and no inline style in the page.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache

# Of the drawing code: a change of it makes new files.
DRAWING = "2"
CACHE_SECONDS = 24 * 3600
# Shares at which a scheme's ramp has its three colours.
RAMP_SHARES = (0.0, 0.35, 0.8)
WIDTHS = {"wide": 620, "narrow": 300}


@dataclass(frozen=True, slots=True)
class Scheme:
    """The colours of charts, as the stylesheet has them."""

    ink: str
    soft: str
    line: str
    accent: str
    ramp: tuple[str, str, str]
    # Numbers on the ramp: what reads on its beginning, what on its end, and the share (0 to 1) from which the latter.
    numbers: tuple[str, str]
    numbers_turn: float


SCHEMES = {
    "light": Scheme(
        ink="#1d1a16",
        soft="#5d564b",
        line="#e0d9cd",
        accent="#9c1f30",
        ramp=("#fbf4ec", "#d98b7c", "#7c1423"),
        numbers=("#000000", "#ffffff"),
        numbers_turn=0.53,
    ),
    "dark": Scheme(
        ink="#f2ede4",
        soft="#b9b0a2",
        line="#37322d",
        accent="#f0938b",
        ramp=("#221e1c", "#8a4a48", "#f8b4ad"),
        numbers=("#ffffff", "#000000"),
        numbers_turn=0.455,
    ),
}
# Fonts of one width, so that what is measured on the server fits in the visitor's browser.
_FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of the data page: its words, its numbers as a table, and how to draw it.

    ``draw(scheme, width)`` returns a Vega-Lite specification without the general look; ``width`` in pixels.
    """

    name: str
    title: str
    finding: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    draw: Callable[[Scheme, int], dict[str, Any]]

    def digest(self) -> str:
        """Changes when the numbers or the drawing do."""
        drawn = json.dumps([DRAWING, self.name, self.rows], ensure_ascii=False)
        return hashlib.sha256(drawn.encode()).hexdigest()[:16]


def svg(chart: Chart, *, scheme: str, width: str) -> str:
    """The chart as SVG, from the cache where it was drawn before.

    ``scheme`` is a key of `SCHEMES`, ``width`` one of `WIDTHS`.
    """
    key = f"chart:{chart.digest()}:{scheme}:{width}"
    known = cache.get(key)
    if isinstance(known, str):
        return known
    # Some 60 MB and most of a second at first use: only where a chart is drawn.
    import vl_convert

    look = _look(SCHEMES[scheme])
    drawn: str = vl_convert.vegalite_to_svg(chart.draw(SCHEMES[scheme], WIDTHS[width]) | {"config": look})
    cache.set(key, drawn, CACHE_SECONDS)
    return drawn


def _look(scheme: Scheme) -> dict[str, Any]:
    text = {"labelFont": _FONT, "titleFont": _FONT, "labelColor": scheme.ink, "titleColor": scheme.soft}
    return {
        "background": "transparent",
        "padding": {"left": 8, "right": 8, "top": 4, "bottom": 4},
        "font": _FONT,
        "view": {"stroke": None},
        "axis": text
        | {
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": 400,
            "domain": False,
            "ticks": False,
            "gridColor": scheme.line,
            "labelPadding": 6,
            "labelLimit": 160,
        },
        "legend": text | {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 400},
        "bar": {"fill": scheme.accent},
        "text": {"font": _FONT, "fontSize": 12, "fill": scheme.ink},
    }


def rows(**columns: list[Any]) -> Any:
    """Columns of equal length as Vega-Lite's data."""
    import altair as alt

    names = list(columns)
    return alt.Data(  # type: ignore[no-untyped-call]
        values=[dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    )


def flat_bars(names: list[str], values: list[float], shown: list[str], width: int) -> dict[str, Any]:
    """Horizontal bars in the given order, with the number at the end of each."""
    import altair as alt

    room = max(values, default=1) * (1.22 if width < 400 else 1.12) or 1
    base = alt.Chart(rows(name=names, value=values, shown=shown)).encode(
        y=alt.Y("name:N", sort=None, title=None),
        x=alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, room], nice=False)),
    )
    bars = base.mark_bar(height=14, cornerRadiusEnd=2)
    ends = base.mark_text(align="left", dx=5).encode(text="shown:N")
    return dict((bars + ends).properties(width=width - 110, height={"step": 23}).to_dict())


def columns(names: list[str], values: list[int], width: int, *, title: str, every: int = 1) -> dict[str, Any]:
    """Vertical bars in the given order; every n-th is named."""
    import altair as alt

    named = names[::every]
    chart = (
        alt.Chart(rows(name=names, value=values))
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X(
                "name:O",
                sort=None,
                title=title,
                axis=alt.Axis(values=named, labelAngle=0, grid=False),
                scale=alt.Scale(paddingInner=0.16, paddingOuter=0.1),
            ),
            y=alt.Y(
                "value:Q", title="films", axis=alt.Axis(tickCount=5, format="~s" if width < 400 else ",d")
            ),
        )
    )
    return dict(chart.properties(width=width - 60, height=260).to_dict())
