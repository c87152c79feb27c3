"""The look of charts, as Vega-Lite configuration: the same in a report and on the site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Scheme:
    """The colours of charts, as the site's stylesheet has them; ``ramp`` from none to most.

    ``second`` is that of the second of two models drawn into one chart, the first being in ``accent``: told apart from it by
    those who do not tell red from green, too.

    ``numbers`` are what reads on the beginning of the ramp and what on its end; ``numbers_turn`` is the place on it, 0 to 1,
    from which the latter is written.
    """

    ink: str
    soft: str
    line: str
    accent: str
    second: str
    ramp: tuple[str, str, str]
    numbers: tuple[str, str]
    numbers_turn: float


SCHEMES = {
    "light": Scheme(
        ink="#1d1a16",
        soft="#5d564b",
        line="#e0d9cd",
        accent="#9c1f30",
        second="#1f5fa8",
        ramp=("#fbf4ec", "#d98b7c", "#7c1423"),
        numbers=("#000000", "#ffffff"),
        numbers_turn=0.70,
    ),
    "dark": Scheme(
        ink="#f2ede4",
        soft="#b9b0a2",
        line="#37322d",
        accent="#f0938b",
        second="#7db3f5",
        ramp=("#221e1c", "#8a4a48", "#f8b4ad"),
        numbers=("#ffffff", "#000000"),
        numbers_turn=0.617,
    ),
}
# Fonts of one width, so that what is measured where it is drawn fits where it is seen.
_FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"


def to_svg(specification: dict[str, Any], scheme: Scheme, *, background: str = "transparent") -> str:
    """A Vega-Lite specification without configuration as SVG, in the look of all charts."""
    # Some 60 MB and most of a second at first use: only where a chart is drawn.
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(specification | {"config": _look(scheme, background)})
    return drawn


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


def heat_map(
    names: list[str],
    shares: list[list[float | None]],
    scheme: Scheme,
    width: int,
    *,
    domain: tuple[float, float],
) -> dict[str, Any]:
    """A square of shares, rows and columns alike, None left empty; on narrow screens without the numbers.

    ``domain`` says at which share the ramp's middle stands, and from which on its colour no longer changes.
    """
    import altair as alt

    wide = width > 400
    cells = [
        (row, column, share)
        for row, line in zip(names, shares, strict=True)
        for column, share in zip(names, line, strict=True)
        if share is not None
    ]
    base = alt.Chart(
        rows(row=[c[0] for c in cells], column=[c[1] for c in cells], share=[c[2] for c in cells])
    ).encode(
        x=alt.X("column:N", sort=names, title=None, axis=alt.Axis(orient="top", labelAngle=-60)),
        y=alt.Y("row:N", sort=names, title=None),
    )
    squares = base.mark_rect(cornerRadius=1).encode(
        color=alt.Color(
            "share:Q",
            scale=alt.Scale(range=list(scheme.ramp), domain=[0, *domain], clamp=True),
            legend=None,
        )
    )
    size = {"width": (46 if wide else 12) * len(names), "height": (26 if wide else 12) * len(names)}
    if not wide:
        small = squares.encode(
            x=alt.X(
                "column:N",
                sort=names,
                title=None,
                axis=alt.Axis(orient="top", labelAngle=-90, labelFontSize=9),
            ),
            y=alt.Y("row:N", sort=names, title=None, axis=alt.Axis(labelFontSize=9)),
        )
        return dict(small.properties(**size).to_dict())
    turn = domain[0] + (2 * scheme.numbers_turn - 1) * (domain[1] - domain[0])
    written = base.mark_text(fontSize=11).encode(
        text=alt.Text("share:Q", format=".0%"),
        color=alt.condition(
            f"datum.share >= {turn}", alt.value(scheme.numbers[1]), alt.value(scheme.numbers[0])
        ),
        opacity=alt.condition("datum.share >= 0.045", alt.value(1), alt.value(0)),
    )
    return dict((squares + written).properties(**size).to_dict())


def _look(scheme: Scheme, background: str) -> dict[str, Any]:
    text = {"labelFont": _FONT, "titleFont": _FONT, "labelColor": scheme.ink, "titleColor": scheme.soft}
    return {
        "background": background,
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
        "header": text | {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 400},
        "legend": text | {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 400},
        "bar": {"fill": scheme.accent},
        "line": {"stroke": scheme.accent},
        "text": {"font": _FONT, "fontSize": 12, "fill": scheme.ink},
    }
