"""Posters: verified, then stored once each under the hash of their content."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image

from catalog.image_formats import PosterError, read_header
from catalog.models import Poster

__all__ = ["PosterError", "PosterFacts", "save_file", "store_poster", "verify_poster"]

MOST_BYTES = 10 * 2**20
EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
CONTENT_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
# Enough pixels to tell the colour of a poster, few enough to count them in no time.
_SAMPLE_PIXELS_A_SIDE = 32
_COLOURS = 6
_ROWS_IN_A_STRIP = 32


@dataclass(frozen=True, slots=True)
class PosterFacts:
    """What verifying a poster found out: format, sizes in bytes and pixels, SHA-256, and colour as ``#rrggbb``."""

    format: str
    size: int
    width: int
    height: int
    sha256: str
    dominant_colour: str

    @property
    def name(self) -> str:
        """Where it is stored, below the media folder."""
        return f"posters/{self.sha256[:2]}/{self.sha256}.{EXTENSIONS[self.format]}"


def verify_poster(content: bytes) -> PosterFacts:
    """Check an image all the way: its size, its structure, its pixels' number, and that it decodes to the end.

    Takes at most a second and 64 MB for what is refused and for what is accepted. Raises `PosterError` with a code:
    ``empty``, ``too-large``, ``format``, ``pixels``, ``truncated``, ``trailing-data``, ``animated``, ``too-complex`` or
    ``broken``.
    """
    if not content:
        raise PosterError("empty", "The image is empty.")
    if len(content) > MOST_BYTES:
        raise PosterError("too-large", f"The image has more than {MOST_BYTES // 2**20} MB.")
    header = read_header(content)
    try:
        with Image.open(io.BytesIO(content), formats=[header.format.upper()]) as image:
            if image.size != (header.width, header.height):
                raise PosterError("broken", "The image is broken: its sizes contradict each other.")
            image.draft("RGB", (max(header.width // 8, 1), max(header.height // 8, 1)))
            image.load()
            colour = _dominant_colour(image)
    except PosterError:
        raise
    except Exception as error:
        # Pillow's decoders raise many kinds (OSError, SyntaxError, struct.error ...) on bytes that only look right.
        raise PosterError("broken", f"The image is broken or cut short ({error}).") from error
    return PosterFacts(
        format=header.format,
        size=len(content),
        width=header.width,
        height=header.height,
        sha256=hashlib.sha256(content).hexdigest(),
        dominant_colour=colour,
    )


def store_poster(content: bytes) -> Poster:
    """Verify an image and store it, or find it where it already is. Raises `PosterError`."""
    facts = verify_poster(content)
    save_file(facts, content)
    poster, _ = Poster.objects.get_or_create(
        sha256=facts.sha256,
        defaults={
            "file": facts.name,
            "format": facts.format,
            "size": facts.size,
            "width": facts.width,
            "height": facts.height,
            "dominant_colour": facts.dominant_colour,
        },
    )
    return poster


def save_file(facts: PosterFacts, content: bytes) -> None:
    """Put the file in its place, before any row names it. One that a full disk or a bad copy left half is replaced."""
    if default_storage.exists(facts.name) and default_storage.size(facts.name) == facts.size:
        return
    default_storage.save(facts.name, ContentFile(content))


def _dominant_colour(image: Image.Image) -> str:
    """The commonest of a few colours that stand for the image."""
    sample = _sample(image).quantize(_COLOURS)
    counts = sample.getcolors() or [(1, 0)]
    place = 3 * int(max(counts)[1])  # type: ignore[call-overload]
    red, green, blue = (sample.getpalette() or [0, 0, 0])[place : place + 3]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _sample(image: Image.Image) -> Image.Image:
    """A small copy in RGB, made strip by strip: a second full copy of 12 megapixels would take 36 MB more."""
    factor = min(image.width, image.height) // _SAMPLE_PIXELS_A_SIDE
    if factor < 2:
        return image.convert("RGB").resize(
            (min(image.width, _SAMPLE_PIXELS_A_SIDE), min(image.height, 2 * _SAMPLE_PIXELS_A_SIDE)),
            Image.Resampling.BOX,
        )
    small = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    strip = factor * max(_ROWS_IN_A_STRIP // factor, 1)
    for top in range(0, image.height, strip):
        part = image.crop((0, top, image.width, min(top + strip, image.height))).convert("RGB")
        small.paste(part.reduce(factor), (0, top // factor))
    return small
