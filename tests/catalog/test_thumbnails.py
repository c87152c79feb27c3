from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.template import Context, Template
from PIL import Image

from catalog import thumbnails
from catalog.posters import PosterError, store_poster
from catalog.thumbnails import (
    WIDTHS,
    BusyError,
    make_thumbnail,
    source_set,
    store_thumbnail,
    thumbnail_name,
    thumbnail_widths,
)
from tests.catalog.images import REFUSED, encoded
from tests.factories import jpeg, make_film, make_poster


def decoded(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_poster_of_any_format_becomes_a_webp_of_that_width_and_its_own_shape(
    format_: str, mode: str
) -> None:
    content = encoded(format_, size=(500, 735), mode=mode)
    image = decoded(make_thumbnail(content, 240))
    assert (image.format, image.size) == ("WEBP", (240, 353))
    assert len(make_thumbnail(content, 240)) < len(make_thumbnail(content, 500))


def test_a_thumbnail_shows_what_the_poster_shows() -> None:
    content = encoded("JPEG", size=(500, 750))
    small = decoded(make_thumbnail(content, 240)).convert("L")
    wanted = decoded(content).convert("L").resize(small.size, Image.Resampling.BOX)
    pairs = zip(small.get_flattened_data(), wanted.get_flattened_data(), strict=True)
    assert max(abs(one - other) for one, other in pairs) <= 12


@pytest.mark.parametrize("mode", ["CMYK", "P", "LA"])
def test_colours_of_other_kinds_are_understood(mode: str) -> None:
    plain = Image.new("RGB", (300, 450), (200, 30, 60))
    image = plain.quantize(4) if mode == "P" else plain.convert("L" if mode == "LA" else "RGB").convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    red, *_ = decoded(make_thumbnail(buffer.getvalue(), 240)).convert("RGB").getpixel((120, 180))
    assert abs(red - image.convert("RGB").getpixel((150, 225))[0]) <= 4


def test_what_a_png_lets_through_stays_so() -> None:
    image = Image.new("RGBA", (300, 450), (200, 30, 60, 0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    assert decoded(make_thumbnail(buffer.getvalue(), 240)).getpixel((100, 100))[3] == 0


def test_a_picture_that_a_camera_turned_is_turned_and_not_enlarged() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image = decoded(make_thumbnail(encoded("JPEG", size=(600, 400), exif=exif), 500))
    assert image.size == (400, 600)
    assert 0x0112 not in image.getexif()


@pytest.mark.parametrize(
    "what", ["a PNG of 900 megapixels in 100 bytes", "a JPEG of 60 megapixels", "a web page", "nothing"]
)
def test_what_no_poster_may_be_is_not_decoded_either(what: str) -> None:
    with pytest.raises(PosterError):
        make_thumbnail(REFUSED[what][0], 240)


@pytest.mark.parametrize(
    ("width", "widths"),
    [
        (140, []),
        (239, []),
        (240, [240]),
        (342, [240, 342]),
        (499, [240, 342]),
        (779, [240, 342, 500]),
        (1000, [240, 342, 500, 780]),
    ],
)
def test_nothing_is_enlarged(db: None, width: int, widths: list[int]) -> None:
    poster = make_poster(jpeg(width=width, height=width * 3 // 2))
    assert thumbnail_widths(poster) == widths
    sources = source_set(poster).split(", ")
    if not widths:
        assert sources == [""]
        return
    thumbnails = [
        f"/media/thumbnails/{one}/{poster.sha256[:2]}/{poster.sha256}.webp {one}w" for one in widths
    ]
    # The poster itself is offered where it has more than the largest of them.
    assert sources == thumbnails + ([] if width in widths else [f"{poster.get_absolute_url()} {width}w"])


def test_a_thumbnail_is_made_once_and_named_by_its_posters_content(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    poster = make_poster(jpeg(width=500, height=750))
    content = store_thumbnail(poster, 500)
    name = f"thumbnails/500/{poster.sha256[:2]}/{poster.sha256}.webp"
    assert thumbnail_name(poster.sha256, 500) == name
    with default_storage.open(name) as file:
        assert file.read() == content
    # Nothing lies beside it that was only on the way.
    assert default_storage.listdir(str(Path(name).parent)) == ([], [Path(name).name])
    monkeypatch.setattr(thumbnails, "make_thumbnail", never)
    assert store_thumbnail(poster, 500) == content


def never(*_: Any) -> bytes:
    raise AssertionError("made a second time")


@pytest.mark.django_db(transaction=True)
def test_many_who_ask_at_once_have_it_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    poster = make_poster(jpeg(width=500, height=750))
    made: list[int] = []

    def counting(content: bytes, width: int) -> bytes:
        made.append(width)
        return make_thumbnail(content, width)

    monkeypatch.setattr(thumbnails, "make_thumbnail", counting)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: store_thumbnail(poster, 240), range(16)))
    assert made == [240]
    assert len(set(answers)) == 1


@pytest.fixture
def somebody_at_work(monkeypatch: pytest.MonkeyPatch, db: None) -> Any:
    """Another request has the turn, and keeps it until the test ends."""
    begun, done = Event(), Event()
    other = make_poster(jpeg(width=500, height=750, seed=77))
    monkeypatch.setattr(thumbnails, "_PATIENCE_SECONDS", 0.05)

    def slow(content: bytes, width: int) -> bytes:
        begun.set()
        done.wait(20)
        return make_thumbnail(content, width)

    monkeypatch.setattr(thumbnails, "make_thumbnail", slow)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(store_thumbnail, other, 240)
        assert begun.wait(20)
        yield
        done.set()


@pytest.mark.usefixtures("somebody_at_work")
def test_one_is_made_at_a_time_and_nobody_waits_for_long() -> None:
    with pytest.raises(BusyError):
        store_thumbnail(make_poster(jpeg(width=500, height=750)), 240)


@pytest.mark.usefixtures("somebody_at_work")
def test_who_would_wait_too_long_is_sent_to_the_poster_this_once(client: Any) -> None:
    poster = make_poster(jpeg(width=500, height=750))
    response = client.get(f"/media/{thumbnail_name(poster.sha256, 240)}")
    assert (response.status_code, response["Location"]) == (302, poster.get_absolute_url())
    assert "no-store" in response["Cache-Control"]


def shown(place: str, width: int) -> str:
    film = make_film(poster=make_poster(jpeg(width=width, height=width * 3 // 2)))
    source = '{% load films %}{% film_art film place %}{% image_source film.poster "explanation" %}'
    return Template(source).render(Context({"film": film, "place": place}))


@pytest.mark.parametrize("place", ["card", "film", "shelf", "row"])
def test_pages_name_the_thumbnails_and_keep_the_shape_free(db: None, place: str) -> None:
    html = shown(place, 1000)
    for width in WIDTHS:
        assert html.count(f".webp {width}w") == 2
    assert html.count("1000w") == html.count(' width="1000" height="1500"') == html.count(" sizes=") == 2


def test_pages_show_a_small_poster_as_it_is(db: None) -> None:
    html = shown("card", 140)
    assert "srcset" not in html
    assert "sizes" not in html
    assert html.count(' width="140" height="210"') == 2


def test_storing_a_poster_makes_no_thumbnail(db: None) -> None:
    poster = store_poster(jpeg(width=500, height=750))
    assert not any(default_storage.exists(thumbnail_name(poster.sha256, width)) for width in WIDTHS)


def test_a_file_is_in_its_folder_whole_or_not_at_all(
    settings: Any, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    """What a full disk, or a kill, breaks off does not lie under the name."""
    poster = make_poster(jpeg(width=500, height=750))
    name = thumbnail_name(poster.sha256, 240)
    replace: Callable[..., Any] = Path.replace

    def looking(self: Path, target: Any) -> Path:
        assert not default_storage.exists(name)
        assert decoded(self.read_bytes()).size == (240, 360)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", looking)
    store_thumbnail(poster, 240)
    assert default_storage.exists(name)
