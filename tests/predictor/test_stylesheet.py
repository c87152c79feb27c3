"""The colours of the site read well in both schemes: WCAG 2.2, level AA."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

from ml_core.drawing import SCHEMES, Scheme
from tests.catalog.contrast import contrast

STYLESHEET = (settings.BASE_DIR / "static" / "css" / "style.css").read_text()
PAGES = (settings.BASE_DIR / "static" / "css" / "pages.css").read_text()
_BLOCKS = re.findall(r":root \{(.*?)\n\s*\}", STYLESHEET, re.DOTALL)
LIGHT = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", _BLOCKS[0]))
DARK = LIGHT | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", _BLOCKS[1]))

TEXT = [
    *((ink, ground) for ink in ("ink", "ink-soft", "accent") for ground in ("paper", "surface", "sunken")),
    *(
        (kind, ground)
        for kind in ("hit", "miss", "extra", "error")
        for ground in ("paper", "surface", f"{kind}-soft")
    ),
    *((kind, ground) for kind in ("for", "against") for ground in ("surface", "sunken")),
    *(("ink", f"{kind}-soft") for kind in ("hit", "miss", "error")),
    ("accent-ink", "accent"),
    ("accent-ink", "accent-strong"),
    ("accent", "accent-soft"),
    ("paper", "ink"),
]
# Borders of fields, bars and the ring of focus.
GRAPHICS = [("line-strong", "paper"), ("line-strong", "surface"), ("focus", "paper"), ("focus", "surface")]


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_has_a_contrast_of_4_5(scheme: dict[str, str], ink: str, ground: str) -> None:
    assert contrast(scheme[ink], scheme[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("mark", "ground"), GRAPHICS)
def test_what_is_no_text_has_a_contrast_of_3(scheme: dict[str, str], mark: str, ground: str) -> None:
    assert contrast(scheme[mark], scheme[ground]) >= 3


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("kind", ["for", "against"])
def test_a_marked_word_is_read_however_strong_its_mark(scheme: dict[str, str], kind: str) -> None:
    shares = re.findall(r"\.word--\d \{ background: color-mix\(in srgb, var\(--tone\) (\d+)%", PAGES)
    assert len(shares) == 3
    for share in map(int, shares):
        assert contrast(scheme["ink"], _mixed(scheme[kind], scheme["surface"], share / 100)) >= 4.5


def _mixed(colour: str, ground: str, share: float) -> str:
    """So much of a colour over a ground, as `color-mix(in srgb, ...)` with `transparent` comes out."""
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(ground[1:]), strict=True)
    return "#" + bytes(round(share * over + (1 - share) * under) for over, under in pairs).hex()


def test_templates_and_scripts_keep_style_out_of_the_page() -> None:
    for template in (settings.BASE_DIR / "templates").rglob("*.html"):
        text = template.read_text()
        assert not re.search(r"\sstyle=|<style|\son\w+=|<script>(?!\s*$)", text), template


def on_ramp(scheme: Scheme, place: float) -> str:
    """The colour at a place on the ramp, 0 to 1, as Vega draws it."""
    first = 0 if place <= 0.5 else 1
    part = 2 * place - first
    one, other = (
        [int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in scheme.ramp[first : first + 2]
    )
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("percent", range(101))
def test_numbers_read_on_every_colour_of_a_charts_ramp(scheme: str, percent: int) -> None:
    colours = SCHEMES[scheme]
    number = colours.numbers[percent / 100 >= colours.numbers_turn]
    assert contrast(number, on_ramp(colours, percent / 100)) >= 4.5
