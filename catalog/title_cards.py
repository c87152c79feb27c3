"""Typographic title cards, shown where a film has no poster.

Colours, motif and line breaks follow from the film alone, so that a film keeps its card. Everything is an SVG
presentation attribute: the content security policy allows no inline style.
"""

from __future__ import annotations

import unicodedata
import zlib
from dataclasses import dataclass

# Ground, motif, lettering. Lettering against ground and motif is 4.5 : 1 or better (a test computes it).
PALETTES = (
    ("#1f2a44", "#2d3c60", "#f3e3c3"),
    ("#5a1a22", "#72252e", "#fbe6d4"),
    ("#173d36", "#21544a", "#f2ead0"),
    ("#3a2450", "#4c3268", "#f6dfe6"),
    ("#6b3a12", "#7f4a1e", "#fff0d6"),
    ("#22343f", "#314b5a", "#e6f1ee"),
    ("#40351c", "#574928", "#fbeec3"),
    ("#4a1f3d", "#602c50", "#fde4ea"),
    ("#1c3f5c", "#275475", "#eef3df"),
    ("#2e2e2e", "#414141", "#f4efe4"),
    ("#11433f", "#1b5a55", "#ffe9cf"),
    ("#533027", "#693f34", "#fdeadb"),
)
MOTIFS = ("moon", "curtain", "beam", "horizon")
WIDTH, HEIGHT = 200, 300
_MARGIN = 18
# Widths of letters at size 1, by kind: the widest of the kind in bold Palatino.
_NARROW, _SMALL, _CAPITAL, _WIDE = 0.39, 0.61, 0.83, 1.0
_NARROW_LETTERS = frozenset("fijlrtIJ .,:;!'’|()[]-·")
_WIDE_LETTERS = frozenset("mMW&%@—…")
_SIZES = (30, 26, 22, 19, 16, 14)
_MAX_LINES = 6


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the title and its baseline."""

    text: str
    y: int


@dataclass(frozen=True, slots=True)
class TitleCard:
    """What the card's template draws; lengths in the units of its 200 x 300 view box."""

    ground: str
    shade: str
    ink: str
    motif: str
    size: int
    lines: list[Line]


def title_card(title: str, *, number: int) -> TitleCard:
    """The card of the film with that title; `number` (its id) tells films of one title apart."""
    seed = zlib.crc32(f"{number}:{title}".encode())
    ground, shade, ink = PALETTES[seed % len(PALETTES)]
    size, lines = _set_title(title)
    leading = round(size * 1.16)
    return TitleCard(
        ground=ground,
        shade=shade,
        ink=ink,
        motif=MOTIFS[seed // len(PALETTES) % len(MOTIFS)],
        size=size,
        lines=[Line(text=line, y=_MARGIN + 26 + size + row * leading) for row, line in enumerate(lines)],
    )


def _set_title(title: str) -> tuple[int, list[str]]:
    """The largest size at which the title fits, and its lines; cut with an ellipsis at the smallest."""
    for size in _SIZES:
        room = (WIDTH - 2 * _MARGIN) / size
        lines = _broken(title.split(), room)
        if len(lines) <= _MAX_LINES and all(width(line) <= room for line in lines):
            return size, lines
    lines = [piece for line in lines for piece in _cut(line, room)]
    if len(lines) > _MAX_LINES:
        last = _cut(lines[_MAX_LINES - 1], room - _WIDE)[0]
        lines = [*lines[: _MAX_LINES - 1], last.rstrip() + "…"]
    return _SIZES[-1], lines


def width(text: str) -> float:
    """How wide a text is at size 1, rather too much than too little."""
    return sum(map(_letter_width, text))


def _letter_width(letter: str) -> float:
    if letter in _NARROW_LETTERS or unicodedata.combining(letter):
        return _NARROW
    if letter in _WIDE_LETTERS or unicodedata.east_asian_width(letter) in "WF":
        return _WIDE
    return _CAPITAL if letter.isupper() else _SMALL


def _broken(words: list[str], room: float) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and width(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _cut(line: str, room: float) -> list[str]:
    pieces = [""]
    for letter in line:
        if pieces[-1] and width(pieces[-1] + letter) > room:
            pieces.append("")
        pieces[-1] += letter
    return pieces
