from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from catalog.models import Film, ImportRun, Poster
from catalog.poster_folder import import_posters
from catalog.posters import MOST_BYTES, PosterError, store_poster, verify_poster
from catalog.starter import load_starter
from tests.conftest import PROJECT
from tests.factories import jpeg, make_film, make_poster


def encoded(format_: str, *, size: tuple[int, int] = (60, 90), mode: str = "RGB", **options: Any) -> bytes:
    image = Image.linear_gradient("L").resize(size).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))


def jpeg_sized(width: int, height: int, *, progressive: bool = False) -> bytes:
    """A small JPEG whose frame header declares another size."""
    content = bytearray(encoded("JPEG", progressive=progressive))
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
    "PNG of 12 megapixels": ("PNG", (3_000, 4_000), "RGBA", {"compress_level": 1}),
    "PNG of 12 megapixels with a palette": ("PNG", (3_000, 4_000), "P", {"compress_level": 1}),
    "WebP of 4 megapixels": ("WEBP", (1_600, 2_500), "RGB", {"method": 0}),
}
BOMBS = [
    "a PNG of 900 megapixels in 100 bytes",
    "a JPEG of 60 megapixels",
    "a WebP of 12 megapixels",
    "a PNG of a million pieces",
    "a JPEG of a hundred scans",
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


# Storing ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_equal_posters_are_stored_once_under_their_hash() -> None:
    content = jpeg(width=80, height=120)
    poster = store_poster(content)
    assert store_poster(content) == poster
    assert poster.file.name == f"posters/{poster.sha256[:2]}/{poster.sha256}.jpg"
    assert poster.file.read() == content
    assert (poster.format, poster.width, poster.height, poster.size) == ("jpeg", 80, 120, len(content))
    assert len(default_storage.listdir(f"posters/{poster.sha256[:2]}")[1]) == 1


@pytest.mark.django_db
def test_a_file_that_a_killed_process_left_half_is_replaced() -> None:
    content = jpeg()
    poster = store_poster(content)
    path = Path(poster.file.path)
    path.write_bytes(content[:100])
    poster.delete()
    assert Path(store_poster(content).file.path).read_bytes() == content


def posters_run() -> ImportRun:
    return ImportRun.objects.create(source=ImportRun.Source.KAGGLE)


@pytest.mark.django_db
def test_a_folder_of_posters_is_given_to_its_films_by_their_tmdb_id(tmp_path: Path) -> None:
    films = [make_film(tmdb_id=number) for number in (101, 202, 303, 404)]
    for name, content in {
        "01/101.jpg": jpeg(seed=1),
        "02/202.png": PNG,
        "303.webp": WEBP,
        "04/404.jpg": REFUSED["a JPEG cut in half"][0],
        "05/505.jpg": jpeg(seed=5),
        "06/notes.txt": b"not a poster",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    before = {film.pk: film.input_hash for film in films}
    run = posters_run()

    counts = import_posters(folder=tmp_path, run=run)

    assert (counts.read, counts.stored, counts.unknown, counts.rejected) == (5, 3, 1, 1)
    for film in films:
        film.refresh_from_db()
    assert [film.poster.format if film.poster else None for film in films] == ["jpeg", "png", "webp", None]
    assert [film.input_hash != before[film.pk] for film in films] == [True, True, True, False]
    rejection = run.rejections.get()
    assert (rejection.record, rejection.code) == ("404", "poster-truncated")
    run.refresh_from_db()
    assert run.posters_stored == 3

    again = import_posters(folder=tmp_path, run=posters_run())
    assert (again.stored, again.unchanged) == (0, 3)


@pytest.mark.django_db
def test_a_new_poster_in_the_folder_replaces_the_old_one(tmp_path: Path) -> None:
    film = make_film(tmdb_id=7)
    (tmp_path / "7.jpg").write_bytes(jpeg(seed=1))
    import_posters(folder=tmp_path, run=posters_run())
    (tmp_path / "7.jpg").write_bytes(jpeg(seed=2))
    assert import_posters(folder=tmp_path, run=posters_run()).stored == 1
    film.refresh_from_db()
    assert film.poster is not None
    assert film.poster.file.read() == jpeg(seed=2)


@pytest.mark.django_db
def test_a_file_too_large_is_not_read_into_memory(tmp_path: Path) -> None:
    make_film(tmdb_id=7)
    with (tmp_path / "7.jpg").open("wb") as file:
        file.truncate(2**34)
    run = posters_run()
    import_posters(folder=tmp_path, run=run)
    assert run.rejections.get().code == "poster-too-large"


# The starter catalog ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_starter_catalog_loads_with_its_posters_and_loading_it_again_changes_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("load_starter")
    assert Film.objects.count() >= 200
    assert Film.objects.exclude(poster=None).count() >= 24
    assert Poster.objects.filter(width=500, height=750, format="jpeg").count() == Poster.objects.count()
    assert Film.objects.filter(label_ids=[]).count() == 0
    hashes = dict(Film.objects.values_list("pk", "input_hash"))

    call_command("load_starter")
    assert dict(Film.objects.values_list("pk", "input_hash")) == hashes
    run = ImportRun.objects.first()
    assert run is not None
    assert (run.created, run.updated, run.posters_stored) == (0, 0, 0)
    assert "0 posters drawn" in capsys.readouterr().out


@pytest.mark.django_db
def test_the_starter_catalog_leaves_what_was_imported_and_draws_again_what_it_drew_itself(
    tmp_path: Path,
) -> None:
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 500 750"><rect width="500" height="750" fill="{}"/></svg>'
    films = [
        {"tmdb_id": number, "title": "T", "overview": "O", "genres": [18], "runtime": 90} for number in (1, 2)
    ]
    (tmp_path / "films.json").write_text(json.dumps(films))
    (tmp_path / "posters").mkdir()
    mine = make_film(tmdb_id=1, title="Mine", overview="My overview.", poster=make_poster())
    my_poster = mine.poster_id

    for colour in ("#c81e3c", "#1e3cc8"):
        for number in (1, 2):
            (tmp_path / "posters" / f"{number}.svg").write_text(drawing.format(colour))
        load_starter(run=ImportRun.objects.create(source=ImportRun.Source.STARTER), folder=tmp_path)

    mine.refresh_from_db()
    assert (mine.title, mine.overview, mine.poster_id, mine.runtime) == (
        "Mine",
        "My overview.",
        my_poster,
        90,
    )
    drawn = Film.objects.get(tmdb_id=2).poster
    assert drawn is not None
    assert int(drawn.dominant_colour[5:], 16) > 180


# Serving ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_poster_is_served_for_good_under_its_hash(client: Client) -> None:
    poster = make_poster()
    response = client.get(poster.get_absolute_url())
    assert b"".join(response.streaming_content) == poster.file.read()
    assert response["Content-Type"] == "image/jpeg"
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["ETag"] == f'"{poster.sha256}"'
    assert "Set-Cookie" not in response


@pytest.mark.django_db
def test_a_poster_that_the_browser_has_is_not_sent_again(client: Client) -> None:
    poster = make_poster()
    response = client.get(poster.get_absolute_url(), headers={"if-none-match": f'"{poster.sha256}"'})
    assert response.status_code == 304
    assert not response.content


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        f"/media/posters/00/{'0' * 64}.jpg",
        "/media/posters/00/../../../settings.py",
        f"/media/posters/00/{'0' * 64}.svg",
        "/media/imports/films.csv",
    ],
)
def test_nothing_but_stored_posters_is_served(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.django_db
def test_posters_are_only_read(client: Client) -> None:
    assert client.post(make_poster().get_absolute_url()).status_code == 405
