"""Posters: from the bytes that were downloaded or uploaded to pixels, safely, and all at once into a mapped array.

Only JPEG, PNG and WebP by their decoded content; the number of pixels is checked before anything is decoded, and a
JPEG is decoded at the smallest of its built-in scales that still covers what is asked for (Pillow's draft mode).
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ml_core.snapshot import Snapshot
from ml_core.stopping import stop_if_asked

Pixels = NDArray[np.uint8]
Size = tuple[int, int]

MOST_BYTES = 10 * 2**20
# A JPEG's draft mode decodes 40 megapixels into less than one; the others are always decoded in full.
MOST_JPEG_PIXELS = 40_000_000
MOST_OTHER_PIXELS = 12_000_000
# A progressive JPEG keeps all its coefficients while it is decoded, 6 bytes a pixel, whatever scale is asked for.
MOST_PROGRESSIVE_PIXELS = 10_000_000
_FORMATS = ("JPEG", "PNG", "WEBP")
_ROWS_IN_A_STRIP = 64


class PosterError(ValueError):
    """An image that is not used, with the reason in words for whoever sent it."""


def decode_poster(data: bytes, size: Size) -> Pixels:
    """Decode an image and stretch it to ``size`` (height, width in pixels): uint8 ``(3, height, width)``, RGB.

    Raises :class:`PosterError` for what is empty, too large, of another format, truncated or a bomb.
    """
    height, width = size
    image = _open(data)
    try:
        image.draft("RGB", (width, height))
        image.load()
        small = _shrink(image, size)
        resized = ImageOps.exif_transpose(small).resize((width, height), Image.Resampling.BICUBIC)
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        raise PosterError(f"the image is broken or truncated ({error})") from error
    return np.ascontiguousarray(np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1))


def _open(data: bytes) -> Image.Image:
    """The image with its header read and its limits checked, its pixels not yet decoded."""
    if not data:
        raise PosterError("the image is empty")
    if len(data) > MOST_BYTES:
        raise PosterError(
            f"the image has {len(data) / 2**20:.1f} MB; at most {MOST_BYTES // 2**20} MB are accepted"
        )
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise PosterError("the image has too many pixels") from error
    except Exception as error:
        # Pillow's parsers raise many kinds (OSError, SyntaxError, struct.error ...) on bytes that are no image.
        raise PosterError("not an image in JPEG, PNG or WebP format") from error
    jpeg = image.format in {"JPEG", "MPO"}
    most = MOST_JPEG_PIXELS if jpeg else MOST_OTHER_PIXELS
    if jpeg and (image.info.get("progressive") or image.info.get("progression")):
        most = MOST_PROGRESSIVE_PIXELS
    pixels = image.width * image.height
    if pixels > most:
        raise PosterError(
            f"the image has {pixels / 1e6:.1f} megapixels; at most {most // 1_000_000} are accepted in its format"
        )
    return image


def _shrink(image: Image.Image, size: Size) -> Image.Image:
    """The image in RGB, large ones first averaged down to at most a few times the target.

    Done in strips: a second copy of 12 megapixels in another mode would take 48 MB.
    """
    factor = min(image.height // (2 * size[0]), image.width // (2 * size[1]))
    if factor < 2:
        return image.convert("RGB")
    small = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    strip = factor * _ROWS_IN_A_STRIP
    for top in range(0, image.height, strip):
        part = image.crop((0, top, image.width, min(top + strip, image.height))).convert("RGB")
        small.paste(part.reduce(factor), (0, top // factor))
    exif = image.getexif()
    small.getexif().update(exif)
    return small


def decode_in_threads(
    posters: Iterable[bytes | None], size: Size, pool: ThreadPoolExecutor
) -> Iterator[Pixels | PosterError | None]:
    """Decode posters in order on a pool; ``None`` stays ``None`` and an unusable image comes back as its error."""

    def attempt(data: bytes | None) -> Pixels | PosterError | None:
        if data is None:
            return None
        try:
            return decode_poster(data, size)
        except PosterError as error:
            return error

    return pool.map(attempt, posters)


@dataclass(frozen=True, slots=True)
class DecodedPosters:
    """All posters of a snapshot as pixels, mapped from disk.

    ``pixels`` is uint8 ``(posters, 3, height, width)``; ``places`` ``(films,)`` has each film's place in it, -1 where a
    film has no usable poster; ``errors`` says why, by row, where there were bytes that could not be used.
    """

    pixels: Pixels
    places: NDArray[np.int64]
    errors: dict[int, str]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Whether each film has pixels, shape ``(films,)``."""
        return self.places >= 0

    def hidden(self) -> DecodedPosters:
        """The same films without any poster."""
        return DecodedPosters(self.pixels, np.full_like(self.places, -1), {})

    def batch(self, rows: NDArray[np.int64]) -> Pixels:
        """Pixels of those films, ``(len(rows), 3, height, width)``; black where there is no poster."""
        places = self.places[rows]
        pixels = self.pixels[np.maximum(places, 0)] if len(self.pixels) else None
        if pixels is None:
            return np.zeros((len(rows), *self.pixels.shape[1:]), dtype=np.uint8)
        pixels[places < 0] = 0
        return pixels


def decode_all(snapshot: Snapshot, size: Size, cache_dir: Path | str) -> DecodedPosters:
    """Decode every poster of a snapshot once into a memory-mapped array, kept by (snapshot hash, size)."""
    height, width = size
    folder = Path(cache_dir)
    folder.mkdir(parents=True, exist_ok=True)
    array_path = folder / f"posters-{snapshot.sha256[:16]}-{height}x{width}.npy"
    errors_path = array_path.with_suffix(".json")
    rows = np.flatnonzero(snapshot.has_poster)
    if not (array_path.exists() and errors_path.exists()):
        _decode_into(snapshot, rows, size, array_path, errors_path)
    errors = {int(row): str(reason) for row, reason in json.loads(errors_path.read_text()).items()}
    places = np.full(len(snapshot), -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    places[list(errors)] = -1
    pixels = np.load(array_path, mmap_mode="r") if len(rows) else np.zeros((0, 3, height, width), np.uint8)
    return DecodedPosters(pixels, places, errors)


def _decode_into(
    snapshot: Snapshot, rows: NDArray[np.int64], size: Size, array_path: Path, errors_path: Path
) -> None:
    """Fill the array aside and rename it, the errors last: the pair is there only when both are whole."""
    errors: dict[int, str] = {}
    aside = array_path.with_name(f".{array_path.name}.{os.getpid()}")
    array = np.lib.format.open_memmap(aside, "w+", dtype=np.uint8, shape=(len(rows), 3, *size))
    chunk = 512  # bounds the decoded posters that wait in memory
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(rows), chunk):
            stop_if_asked()
            some = rows[start : start + chunk].tolist()
            decoded = decode_in_threads((snapshot.poster_bytes(row) for row in some), size, pool)
            for place, (row, result) in enumerate(zip(some, decoded, strict=True), start):
                if isinstance(result, PosterError):
                    errors[row] = str(result)
                elif result is not None:
                    array[place] = result
    array.flush()
    del array
    aside.replace(array_path)
    errors_path.write_text(json.dumps(errors))
