"""Posters in the sizes that pages show them in: made when first asked for, once, and then read as posters are.

Not when a poster is stored: an import would take several times as long, for pictures of which most are never looked at.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from threading import Lock

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse
from PIL import Image, ImageOps

from catalog.image_formats import PosterError, read_header
from catalog.models import Poster

# Pages show posters 72 to 304 CSS pixels wide, on screens of one to three pixels to each. 240 is enough for every list on
# a plain screen; the others, for dense ones and for a film's page, are sizes that TMDB sends: a poster of that very size
# takes half the bytes in WebP. Browsers take the smallest that has all the pixels of the screen.
WIDTHS = (240, 342, 500, 780)
# Looked at with photographs and drawings, enlarged twice: at 70 fine lettering begins to fray, 80 shows no more than this
# and takes a fifth more bytes.
_QUALITY = 75
# Decoded to twice the size that is wanted, a JPEG loses nothing that can be seen; Pillow's own `thumbnail` does so too.
_DRAFT = 2
# A page of 24 posters none of which has a thumbnail takes a second or two in all, and each request waits for a fraction of
# that; who would wait longer gets the poster (`benchmarks.thumbnails`).
_PATIENCE_SECONDS = 2.0

# One at a time in a process: a hundred first requests at once take one core, and memory for one picture.
_turn = Lock()


class BusyError(Exception):
    """So many thumbnails are being made that this one has to wait for another request."""


def thumbnail_name(sha256: str, width: int) -> str:
    """Where the thumbnail of a poster is stored, below the media folder."""
    return f"thumbnails/{width}/{sha256[:2]}/{sha256}.webp"


def thumbnail_widths(poster: Poster) -> list[int]:
    """The widths it has thumbnails in, in pixels; none is wider than itself, for nothing is enlarged."""
    return [width for width in WIDTHS if width <= poster.width]


def source_set(poster: Poster) -> str:
    """Its thumbnails, and itself where it is larger, as ``srcset`` wants them; empty where it has no thumbnails."""
    widths = thumbnail_widths(poster)
    if not widths:
        return ""
    addresses = [
        (reverse("thumbnail-file", args=[width, poster.sha256[:2], poster.sha256]), width) for width in widths
    ]
    if poster.width > widths[-1]:
        addresses.append((poster.get_absolute_url(), poster.width))
    return ", ".join(f"{address} {width}w" for address, width in addresses)


def store_thumbnail(poster: Poster, width: int) -> bytes:
    """Make the thumbnail in one of the poster's `thumbnail_widths` and store it, or read it where it is stored.

    Raises `BusyError` after two seconds of waiting for a turn, `FileNotFoundError` where the poster's file is gone, `OSError`
    where it cannot be read or the thumbnail not be stored, and `PosterError` when it is no longer the image it was.
    """
    assert width in thumbnail_widths(poster)
    name = thumbnail_name(poster.sha256, width)
    with _taking_turns():
        # Whoever had the turn before may have made this very one.
        with contextlib.suppress(FileNotFoundError), default_storage.open(name) as made:
            return bytes(made.read())
        with default_storage.open(str(poster.file)) as file:
            content = make_thumbnail(file.read(), width)
        default_storage.save(name, ContentFile(content))
        return content


def make_thumbnail(content: bytes, width: int) -> bytes:
    """A JPEG, PNG or WebP as a WebP of that width in pixels. Raises `PosterError` for what is none, or has too many pixels."""
    header = read_header(content)
    height = max(round(header.height * width / header.width), 1)
    try:
        with Image.open(io.BytesIO(content), formats=[header.format.upper()]) as image:
            image.draft("RGB", (_DRAFT * width, _DRAFT * height))
            # Browsers turn a picture as its camera said; what is encoded anew has lost that.
            upright = ImageOps.exif_transpose(image)
            clear = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
            width = min(width, clear.width)
            height = max(round(clear.height * width / clear.width), 1)
            small = clear.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    except Exception as error:
        # Pillow's decoders raise many kinds, as they do for `catalog.posters.verify_poster`.
        raise PosterError("broken", f"The image is broken or cut short ({error}).") from error
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=_QUALITY)
    return buffer.getvalue()


@contextlib.contextmanager
def _taking_turns() -> Iterator[None]:
    if not _turn.acquire(timeout=_PATIENCE_SECONDS):
        raise BusyError("Too many thumbnails are being made just now.")
    try:
        yield
    finally:
        _turn.release()
