"""Posters with something written on them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def lettered(lines: Sequence[str], *, size: int = 26, seed: int = 0, kind: str = "PNG") -> bytes:
    """A dark poster of 140 x 210 pixels with some noise and those lines in white, as large as fits up to ``size``."""
    noise = np.random.default_rng(seed).normal(50, 6, (210, 140, 3))
    image = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        fitting = min(size, int(size * 128 / draw.textlength(line, font=ImageFont.load_default(size))))
        draw.text((6, 30 + 50 * number), line, fill="white", font=ImageFont.load_default(fitting))
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()
