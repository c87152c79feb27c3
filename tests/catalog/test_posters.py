from __future__ import annotations

import contextlib
import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from catalog.posters import PosterError, verify_poster
from tests.catalog.images import JPEG, PNG, REFUSED, WEBP, encoded
from tests.conftest import PROJECT


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_sound_poster_is_refused_with_its_own_code(case: str) -> None:
    content, code = REFUSED[case]
    with pytest.raises(PosterError) as refusal:
        verify_poster(content)
    assert refusal.value.code == code
    assert str(refusal.value)


@pytest.mark.parametrize(
    ("content", "format_"),
    [
        (encoded("JPEG"), "jpeg"),
        (encoded("JPEG", progressive=True), "jpeg"),
        (encoded("JPEG", mode="L"), "jpeg"),
        (encoded("JPEG", mode="CMYK"), "jpeg"),
        (encoded("JPEG", exif=b"Exif\0\0" + bytes(50)), "jpeg"),
        (encoded("PNG"), "png"),
        (encoded("PNG", mode="RGBA"), "png"),
        (encoded("PNG", mode="P"), "png"),
        (encoded("PNG", mode="1"), "png"),
        (encoded("PNG", mode="I;16"), "png"),
        (encoded("WEBP"), "webp"),
        (encoded("WEBP", mode="RGBA", lossless=True), "webp"),
        (encoded("WEBP", exif=b"Exif\0\0" + bytes(51)), "webp"),
    ],
)
def test_a_sound_poster_is_described_by_what_it_holds(content: bytes, format_: str) -> None:
    facts = verify_poster(content)
    assert (facts.format, facts.width, facts.height) == (format_, 60, 90)
    assert facts.size == len(content)
    assert facts.sha256 == hashlib.sha256(content).hexdigest()


def test_the_format_is_that_of_the_content_whatever_the_name_says(tmp_path: Path) -> None:
    assert verify_poster(PNG).name.endswith(".png")


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (140, 210), (1000, 1500)])
def test_the_dominant_colour_is_that_of_most_of_the_poster(format_: str, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (200, 30, 60))
    image.paste((255, 255, 255), (0, 0, size[0] // 4, size[1] // 4))
    buffer = io.BytesIO()
    image.save(buffer, format_)
    colour = verify_poster(buffer.getvalue()).dominant_colour
    channels = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    assert all(abs(one - other) < 12 for one, other in zip(channels, (200, 30, 60), strict=True))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([JPEG, PNG, WEBP]), st.data())
def test_a_damaged_image_is_accepted_or_refused_and_never_crashes(
    content: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(PosterError):
        assert verify_poster(bytes(damaged)).sha256


LARGEST = {
    "JPEG of 40 megapixels": ("JPEG", (8_000, 5_000), "RGB", {"quality": 20}),
    "progressive JPEG of 10 megapixels": (
        "JPEG",
        (2_500, 4_000),
        "RGB",
        {"progressive": True, "subsampling": 0},
    ),
    "progressive CMYK JPEG of 7 megapixels": (
        "JPEG",
        (2_000, 3_500),
        "CMYK",
        {"progressive": True, "quality": 20},
    ),
    "PNG of 12 megapixels": ("PNG", (3_000, 4_000), "RGBA", {"compress_level": 1}),
    "PNG of 12 megapixels with a palette": ("PNG", (3_000, 4_000), "P", {"compress_level": 1}),
    "WebP of 3.9 megapixels": ("WEBP", (1_560, 2_500), "RGB", {"method": 0}),
    "WebP of 3.9 megapixels with metadata": (
        "WEBP",
        (1_560, 2_500),
        "RGB",
        {"method": 0, "exif": b"Exif\0\0" + bytes(2**20 - 100)},
    ),
}
BOMBS = [
    "a PNG of 900 megapixels in 100 bytes",
    "a JPEG of 60 megapixels",
    "a WebP of 12 megapixels",
    "a PNG of a million pieces",
    "a JPEG of a hundred scans",
    "a PNG of packed texts",
    "a JPEG of nothing but filling",
    "a JPEG that is one endless scan",
]
# Each poster is verified in a fork of a process that has verified small ones, its highest memory counted from there.
_MEASURE = """
import os, re, sys, time
from pathlib import Path
os.environ.update(DJANGO_SETTINGS_MODULE="genresite.settings", GENRESITE_NO_SECRETS="1", HTTPS="0")
import django
django.setup()
from catalog.posters import PosterError, verify_poster

def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

for path in sorted(Path(sys.argv[1]).iterdir()):
    if path.name.startswith("0"):
        verify_poster(path.read_bytes())
        continue
    if os.fork():
        os.wait()
        continue
    content = path.read_bytes()
    Path("/proc/self/clear_refs").write_text("5")
    before, cpu = highest(), time.process_time()
    try:
        verify_poster(content)
        outcome = "accepted"
    except PosterError as error:
        outcome = error.code
    print(path.name, outcome, highest() - before, time.process_time() - cpu, flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int, float]]:
    """By case: what became of the poster, kB of memory that verifying it took, and seconds of processor time."""
    folder = tmp_path_factory.mktemp("measured")
    for number, small in enumerate((JPEG, PNG, WEBP)):
        (folder / f"0-{number}").write_bytes(small)
    cases = [*LARGEST, *BOMBS]
    for number, case in enumerate(cases):
        if case in LARGEST:
            format_, size, mode, options = LARGEST[case]
            content = encoded(format_, size=size, mode=mode, **options)
        else:
            content = REFUSED[case][0]
        (folder / f"1-{number:02}").write_bytes(content)
    output = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(folder)], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {
        case: (line.split()[1], int(line.split()[2]), float(line.split()[3]))
        for case, line in zip(cases, output, strict=True)
    }


@pytest.mark.parametrize("case", LARGEST)
def test_the_largest_posters_that_are_accepted_take_no_more_than_64_mb_and_a_second(
    case: str, measured: dict[str, tuple[str, int, float]]
) -> None:
    outcome, memory, seconds = measured[case]
    assert outcome == "accepted"
    assert memory <= 64 * 1024
    assert seconds <= 1


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_is_refused_in_no_time_and_little_memory(
    case: str, measured: dict[str, tuple[str, int, float]]
) -> None:
    outcome, memory, seconds = measured[case]
    assert outcome == REFUSED[case][1]
    assert memory <= 8 * 1024
    assert seconds <= 0.5
