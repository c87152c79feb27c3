"""What an image's bytes say of themselves, read without decoding a pixel.

Each reader walks its format's own structure from the first byte to the last, so that what is cut short, what has
something else behind the image, and what would decode into more than it may is refused before any decoder sees it.

Sources: ITU-T T.81 annex B (JPEG), the PNG specification of W3C chapter 5, and Google's WebP container specification.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

# At 1/8 scale libjpeg decodes 40 megapixels in little memory; the other formats are always decoded in full.
MOST_JPEG_PIXELS = 40_000_000
MOST_PNG_PIXELS = 12_000_000
# With several scans libjpeg keeps all coefficients, 2 bytes each, up to one a pixel and colour component: 60 MB.
MOST_BUFFERED_JPEG_VALUES = 30_000_000
# Pillow's WebP decoder holds four copies of 4 bytes a pixel: 62 MB, and metadata beside them.
MOST_WEBP_PIXELS = 3_900_000
# libjpeg's own progressive script has 10 scans; each is a pass over the whole image.
MOST_SCANS = 32
# A photograph's metadata takes dozens of them; a million tiny ones would take seconds to walk.
MOST_SECTIONS = 5_000
# Pillow unpacks each compressed text of a PNG, up to 1 MB.
MOST_PNG_TEXTS = 12
# Decoders copy what stands beside the picture, libwebp several times. Colour profiles have up to some 500 kB.
MOST_METADATA = {"png": 4 * 2**20, "webp": 2**20}
# What the catalog's columns hold, and twice what any poster has.
MOST_SIDE = 32_767

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Inside of a scan a 0xFF byte is data when 0x00 follows, and a restart marker from 0xD0 to 0xD7.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# Any number of 0xFF may stand before a marker; looked at one by one, ten million of them take two seconds.
_FILL = re.compile(rb"\xff+(?=\xff)")


class PosterError(ValueError):
    """An image that is not accepted: ``code`` for programs, the message for whoever sent it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Format (``jpeg``, ``png`` or ``webp``) and size in pixels, as the file declares them."""

    format: str
    width: int
    height: int


def read_header(content: bytes) -> ImageHeader:
    """Check the structure of a whole image file. Raises `PosterError`, with one code a check."""
    if content.startswith(b"\xff\xd8\xff"):
        header, most = _read_jpeg(content)
    elif content.startswith(_PNG_SIGNATURE):
        header, most = _read_png(content), MOST_PNG_PIXELS
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        header, most = _read_webp(content), MOST_WEBP_PIXELS
    else:
        raise PosterError("format", "This is no image in JPEG, PNG or WebP format.")
    if not (header.width and header.height):
        raise PosterError("broken", "The image has no width or no height.")
    if header.width * header.height > most or max(header.width, header.height) > MOST_SIDE:
        raise PosterError(
            "pixels",
            f"The image has {header.width:,} x {header.height:,} pixels; at most {most / 1e6:g} megapixels, and "
            f"{MOST_SIDE:,} on a side, are accepted in its format. Send a smaller one.",
        )
    return header


def _truncated() -> PosterError:
    return PosterError("truncated", "The image ends before it is complete. Send it again.")


def _broken(what: str) -> PosterError:
    return PosterError("broken", f"The image is broken: {what}.")


def _end_at(content: bytes, end: int) -> None:
    if end < len(content):
        raise PosterError(
            "trailing-data",
            f"{len(content) - end:,} bytes follow the end of the image. Save it again as a plain image.",
        )


def _too_complex() -> PosterError:
    return PosterError("too-complex", "The image is made of too many pieces. Save it again as a plain image.")


def _read_jpeg(content: bytes) -> tuple[ImageHeader, int]:
    """The header of a JPEG and how many pixels one of its kind may have."""
    position, sections, scans = 2, 0, 0
    size: list[int] | None = None
    progressive, components = False, 3
    while True:
        sections += 1
        if sections > MOST_SECTIONS or scans > MOST_SCANS:
            raise _too_complex()
        marker, body, position = _jpeg_segment(content, position)
        if marker == 0xD9:
            break
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            if size is not None:
                raise _broken("it has two frame headers")
            *size, components = _jpeg_frame(content, marker, body)
            progressive = marker == 0xC2
        elif marker == 0xDA:
            scans += 1
            end = _END_OF_SCAN.search(content, position)
            if end is None:
                raise _truncated()
            position = end.start()
    if size is None or not scans:
        raise _broken("it holds no picture")
    _end_at(content, position)
    buffered = progressive or scans > 1
    most = MOST_BUFFERED_JPEG_VALUES // max(components, 1) if buffered else MOST_JPEG_PIXELS
    return ImageHeader("jpeg", *size), most


def _jpeg_segment(content: bytes, position: int) -> tuple[int, int, int]:
    """The marker at that position, where its segment's body begins, and where the segment ends."""
    if fill := _FILL.match(content, position):
        position = fill.end()
    if position + 2 > len(content):
        raise _truncated()
    if content[position] != 0xFF:
        raise _broken("a marker is missing")
    marker, body = content[position + 1], position + 2
    if marker == 0xD9:
        return marker, body, body
    if body + 2 > len(content):
        raise _truncated()
    length = int.from_bytes(content[body : body + 2], "big")
    if length < 2:
        raise _broken("a segment has no length")
    if body + length > len(content):
        raise _truncated()
    return marker, body, body + length


def _jpeg_frame(content: bytes, marker: int, body: int) -> tuple[int, int, int]:
    """Width, height, and number of colour components."""
    if marker > 0xC2:
        raise PosterError("format", "This kind of JPEG is not shown by browsers. Save it as a usual one.")
    if body + 8 > len(content):
        raise _truncated()
    height, width, components = struct.unpack_from(">HHB", content, body + 3)
    return width, height, components


def _read_png(content: bytes) -> ImageHeader:
    position, sections, texts = len(_PNG_SIGNATURE), 0, 0
    size: tuple[int, int] | None = None
    while True:
        sections += 1
        if sections > MOST_SECTIONS or texts > MOST_PNG_TEXTS:
            raise _too_complex()
        kind, length, end = _png_section(content, position)
        if (size is None) != (kind == b"IHDR"):
            raise _broken("its sections are out of order")
        if kind == b"IHDR":
            if length != 13:
                raise _broken("its header")
            size = struct.unpack_from(">II", content, position + 8)
        elif kind == b"acTL":
            raise _animated()
        elif kind in {b"zTXt", b"iTXt"}:
            texts += 1
        if kind != b"IDAT" and length > MOST_METADATA["png"]:
            raise _too_complex()
        position = end
        if kind == b"IEND":
            break
    assert size is not None
    _end_at(content, position)
    return ImageHeader("png", *size)


def _png_section(content: bytes, position: int) -> tuple[bytes, int, int]:
    """Kind and length of the section at that position, and where it ends."""
    if position + 12 > len(content):
        raise _truncated()
    length, kind = struct.unpack_from(">I4s", content, position)
    end = position + 12 + length
    if end > len(content):
        raise _truncated()
    checksum = zlib.crc32(memoryview(content)[position + 4 : end - 4])
    if checksum != int.from_bytes(content[end - 4 : end], "big"):
        raise _broken(f"the checksum of its {kind.decode('latin-1')!r} section does not fit")
    return kind, length, end


def _read_webp(content: bytes) -> ImageHeader:
    declared = 8 + int.from_bytes(content[4:8], "little")
    if declared > len(content):
        raise _truncated()
    _end_at(content, declared + (declared & 1))
    position, sections, metadata = 12, 0, 0
    canvas: tuple[int, int] | None = None
    frame: tuple[int, int] | None = None
    while position + 8 <= declared:
        sections += 1
        if sections > MOST_SECTIONS:
            raise _too_complex()
        kind, length = struct.unpack_from("<4sI", content, position)
        body = content[position + 8 : position + 8 + min(length, 16)]
        if position + 8 + length > declared:
            raise _truncated()
        if kind in {b"ANIM", b"ANMF"} or (kind == b"VP8X" and body[:1] and body[0] & 0x02):
            raise _animated()
        if kind == b"VP8X" and len(body) >= 10:
            canvas = (int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)
        elif kind in {b"VP8 ", b"VP8L"}:
            if frame is not None:
                raise _broken("it holds two pictures")
            frame = _webp_frame(kind, body)
        elif (metadata := metadata + length) > MOST_METADATA["webp"]:
            raise _too_complex()
        position += 8 + length + (length & 1)
    if frame is None:
        raise _broken("it holds no picture")
    if canvas is not None and canvas != frame:
        raise _broken("the picture does not fit its canvas")
    return ImageHeader("webp", *frame)


def _webp_frame(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8 " and len(body) >= 10 and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    raise _broken("its frame header")


def _animated() -> PosterError:
    return PosterError("animated", "The image is animated. Send a still one.")
