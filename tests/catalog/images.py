"""Images for tests: sound ones of every kind, and all that must be refused, with the code of each refusal."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image

from catalog.posters import MOST_BYTES


def encoded(format_: str, *, size: tuple[int, int] = (60, 90), mode: str = "RGB", **options: Any) -> bytes:
    image = Image.linear_gradient("L").resize(size).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))


def jpeg_sized(width: int, height: int, *, progressive: bool = False, mode: str = "RGB") -> bytes:
    """A small JPEG whose frame header declares another size."""
    content = bytearray(encoded("JPEG", mode=mode, progressive=progressive))
    at = content.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def webp_sized(width: int, height: int) -> bytes:
    """A small lossless WebP whose frame header declares another size."""
    content = bytearray(encoded("WEBP", lossless=True))
    at = content.index(b"VP8L") + 9
    content[at : at + 4] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    return bytes(content)


def animated(format_: str) -> bytes:
    frames = [Image.new("RGB", (20, 30), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, format_, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def with_many_scans() -> bytes:
    content = encoded("JPEG", progressive=True)
    start = content.index(b"\xff\xda")
    return content[:start] + content[start:-2] * 12 + content[-2:]


JPEG, PNG, WEBP = encoded("JPEG"), encoded("PNG"), encoded("WEBP")

REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "a web page": (b"<!doctype html><title>404</title>", "format"),
    "a web page that begins as a JPEG": (b"\xff\xd8\xff\xd9<!doctype html>", "broken"),
    "a GIF": (encoded("GIF"), "format"),
    "a TIFF": (encoded("TIFF"), "format"),
    "a drawing": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "format"),
    "a PostScript program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "format"),
    "more than 10 MB": (JPEG + bytes(MOST_BYTES), "too-large"),
    "a JPEG cut in half": (JPEG[: len(JPEG) // 2], "truncated"),
    "a JPEG without its last byte": (JPEG[:-1], "truncated"),
    "a PNG cut in half": (PNG[: len(PNG) // 2], "truncated"),
    "a PNG without its last byte": (PNG[:-1], "truncated"),
    "a WebP cut in half": (WEBP[: len(WEBP) // 2], "truncated"),
    "a JPEG with a ZIP behind it": (JPEG + b"PK\x05\x06" + bytes(18), "trailing-data"),
    "a PNG with a script behind it": (PNG + b"<script>alert(1)</script>", "trailing-data"),
    "a WebP with something behind it": (WEBP + b"%PDF-1.7", "trailing-data"),
    "two JPEGs in one": (JPEG + JPEG, "trailing-data"),
    "a PNG of 900 megapixels in 100 bytes": (
        png_header(30_000, 30_000) + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b""),
        "pixels",
    ),
    "a PNG wider than a column holds": (
        png_header(40_000, 1) + png_chunk(b"IDAT", zlib.compress(bytes(160_001))) + png_chunk(b"IEND", b""),
        "pixels",
    ),
    "a JPEG of 60 megapixels": (jpeg_sized(10_000, 6_000), "pixels"),
    "a progressive JPEG of 40 megapixels": (jpeg_sized(8_000, 5_000, progressive=True), "pixels"),
    "a WebP of 12 megapixels": (webp_sized(3_000, 4_000), "pixels"),
    "a JPEG without height": (jpeg_sized(100, 0), "broken"),
    "a JPEG of a hundred scans": (with_many_scans(), "too-complex"),
    "a PNG of a million pieces": (
        PNG[:33] + png_chunk(b"tEXt", b"a\0b") * 20_000 + PNG[33:],
        "too-complex",
    ),
    "a PNG of packed texts": (
        PNG[:33] + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**20 - 1))) * 60 + PNG[33:],
        "too-complex",
    ),
    "a JPEG of nothing but filling": (b"\xff\xd8" + b"\xff" * (MOST_BYTES - 2), "truncated"),
    "a JPEG that is one endless scan": (
        JPEG[: JPEG.index(b"\xff\xda") + 14] + b"\xff\x00" * 5_000_000,
        "truncated",
    ),
    "a progressive CMYK JPEG of 10 megapixels": (
        jpeg_sized(2_500, 4_000, progressive=True, mode="CMYK"),
        "pixels",
    ),
    "a PNG with 5 MB of something else in it": (
        PNG[:33] + png_chunk(b"prVt", bytes(5 * 2**20)) + PNG[33:],
        "too-complex",
    ),
    "a WebP with 2 MB of something else in it": (
        encoded("WEBP", exif=b"Exif\0\0" + bytes(2 * 2**20)),
        "too-complex",
    ),
    "a moving PNG": (animated("PNG"), "animated"),
    "a moving WebP": (animated("WEBP"), "animated"),
    "a PNG with a flipped bit": (PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:], "broken"),
    "a PNG without picture": (png_header(10, 10) + png_chunk(b"IEND", b""), "broken"),
    "a PNG with half of its rows": (
        png_header(10, 10) + png_chunk(b"IDAT", zlib.compress(bytes(200))) + png_chunk(b"IEND", b""),
        "broken",
    ),
    "a WebP without picture": (b"RIFF\x04\0\0\0WEBP", "broken"),
}
