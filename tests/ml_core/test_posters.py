"""Posters: what decodes, what is refused and with which words, and the mapped array of all."""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ml_core.posters import PosterError, decode_all, decode_poster
from ml_core.snapshot import Snapshot, SnapshotWriter

from .conftest import COLOURS, drawn_poster, film

SIZE = (96, 64)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_header_of(width: int, height: int) -> bytes:
    """A PNG that says it is that large and holds nothing."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_three_formats_decode_to_rgb_of_the_size_asked_for(kind: str) -> None:
    pixels = decode_poster(drawn_poster(35, 1, kind), SIZE)
    assert pixels.shape == (3, *SIZE)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.mean(axis=(1, 2)) - COLOURS[35]).max() < 12


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    image = Image.new("RGB", (300, 450), (200, 30, 30)).convert("RGB").convert("L" if mode == "LA" else mode)
    data = encoded(image.convert(mode), "JPEG" if mode == "CMYK" else "PNG")
    assert decode_poster(data, SIZE).shape == (3, *SIZE)


def test_a_large_image_is_averaged_down_and_not_sampled() -> None:
    stripes = np.zeros((3000, 2000, 3), dtype=np.uint8)
    stripes[::2] = 255
    pixels = decode_poster(encoded(Image.fromarray(stripes), "PNG"), SIZE)
    assert np.abs(pixels.astype(int) - 127).max() < 10


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "not an image in JPEG, PNG or WebP"),
        (drawn_poster(18, 1)[:1200], "broken or truncated"),
        (drawn_poster(18, 1, "PNG")[:2000], "broken or truncated"),
        (encoded(Image.new("RGB", (9, 9)), "GIF"), "not an image in JPEG, PNG or WebP"),
        (encoded(Image.new("RGB", (9, 9)), "BMP"), "not an image in JPEG, PNG or WebP"),
        (encoded(Image.new("RGB", (9, 9)), "TIFF"), "not an image in JPEG, PNG or WebP"),
        (png_header_of(4000, 3001), "12.0 megapixels; at most 12"),
        (png_header_of(60_000, 60_000), "too many pixels"),
        (b"\xff\xd8" + b"\0" * (10 * 2**20), "10.0 MB; at most 10 MB"),
    ],
)
def test_what_is_no_usable_image_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    started = time.monotonic()
    with pytest.raises(PosterError, match=reason):
        decode_poster(data, SIZE)
    assert time.monotonic() - started < 1


def test_a_jpeg_of_39_megapixels_decodes_through_its_draft_mode_and_one_of_41_is_refused() -> None:
    assert decode_poster(encoded(Image.new("L", (5200, 7500)), "JPEG"), SIZE).shape == (3, *SIZE)
    with pytest.raises(PosterError, match="megapixels; at most 40"):
        decode_poster(encoded(Image.new("L", (5500, 7500)), "JPEG"), SIZE)


def test_a_progressive_jpeg_has_a_lower_limit_since_all_of_it_is_held_in_memory() -> None:
    with pytest.raises(PosterError, match="at most 10"):
        decode_poster(encoded(Image.new("L", (3000, 4000)), "JPEG", progressive=True), SIZE)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"]),
)
def test_no_bytes_whatever_raise_anything_else(data: bytes, start: bytes) -> None:
    with pytest.raises(PosterError):
        decode_poster(start + data, SIZE)


def test_all_posters_of_a_snapshot_are_decoded_once_and_unusable_ones_told_by_row(tmp_path: Path) -> None:
    with SnapshotWriter(tmp_path / "s") as writer:
        writer.add(*film(0))
        writer.add(film(1)[0], b"<html>")
        writer.add(film(2)[0])
        writer.add(*film(3))
    snapshot = Snapshot.open(tmp_path / "s")
    first = decode_all(snapshot, SIZE, tmp_path / "cache")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    again = decode_all(snapshot, SIZE, tmp_path / "cache")
    assert written == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert isinstance(again.pixels, np.memmap)
    assert again.usable.tolist() == [True, False, False, True]
    assert list(again.errors) == [1]
    batch = again.batch(np.array([3, 2, 0]))
    assert np.array_equal(batch[0], decode_poster(snapshot.poster_bytes(3) or b"", SIZE))
    assert not batch[1].any()
    assert np.array_equal(first.batch(np.array([0])), batch[2:])
