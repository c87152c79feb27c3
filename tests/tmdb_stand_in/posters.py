"""Posters, drawn from their path: real JPEGs of the sizes that TMDB has, and what a faulty image server sends instead."""

from __future__ import annotations

import colorsys
import functools
import io
import math
import random
import struct
import textwrap
import zlib

from PIL import Image, ImageDraw, ImageFont

SIZES = {name: int(name[1:]) for name in ("w92", "w154", "w185", "w342", "w500", "w780")} | {"original": 1000}
ENORMOUS_BYTES = 12 * 2**20


@functools.lru_cache(maxsize=2048)
def draw_poster(path: str, *, caption: str, hue: int, width: int) -> bytes:
    """A JPEG `width` pixels wide and half as high again; equal arguments, equal bytes."""
    dice = random.Random(path)
    height = width * 3 // 2

    def colour(turn: int, saturation: float, value: float) -> tuple[int, int, int]:
        shade = colorsys.hsv_to_rgb((hue + turn) % 360 / 360, saturation, value)
        return tuple(round(255 * part) for part in shade)  # type: ignore[return-value]

    image = Image.new("RGB", (1, 2))
    image.putpixel((0, 0), colour(dice.randint(-25, 25), 0.6, dice.uniform(0.5, 0.9)))
    image.putpixel((0, 1), colour(dice.randint(-60, 60), 0.8, dice.uniform(0.1, 0.3)))
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(image)
    for _ in range(dice.randint(2, 4)):
        x, y, radius = dice.random() * width, dice.random() * height * 0.7, dice.uniform(0.08, 0.35) * width
        corners, start = dice.choice((3, 4, 5, 40)), dice.random() * math.tau
        angles = [start + math.tau * corner / corners for corner in range(corners)]
        pen.polygon(
            [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles],
            fill=colour(dice.randint(-90, 90), dice.uniform(0.2, 0.9), dice.uniform(0.3, 1)),
        )
    pen.multiline_text(
        (width / 2, height * 0.93),
        textwrap.fill(caption.upper(), 16),
        fill="white",
        font=_font(width // 12),
        anchor="md",
        align="center",
    )
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def gif(content: bytes) -> bytes:
    """The same picture as a GIF."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.quantize(16).save(buffer, "GIF")
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of a hundred bytes that says it is 30,000 pixels wide and as high."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@functools.cache
def _font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(pixels)
