"""What thumbnails spare a visitor, what one costs to make, and how long a page waits on which none was made yet.

    python -m benchmarks.thumbnails FILMS [--posters 24]

FILMS is a folder with posters/, in which those of 140 x 210 pixels are taken. Posters as TMDB sends them are larger, so
they are made larger here, in two ways between which real ones lie: enlarged, with film grain laid over them (too little
detail for their size), and set together, nine and more to a poster (too much). The drawings of the starter catalog
are taken as they are. No database and no server: bytes are those of the files, which lie in a temporary folder.

A page's bytes are those of as many posters as the browse page shows, in the size that the page needs: the smallest offered
that has as many pixels as the screen, and the largest where none has. "Before" is the poster itself. The last table asks for all thumbnails of a page at once, on
six threads, as a browser does. Exit status 1 where one of these waits so long for its turn that the visitor would be sent to
the poster.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from catalog.models import Poster

PROJECT = Path(__file__).resolve().parent.parent
# Width of a card in CSS pixels at 1,440 and at 390, and the pixels of the screen to each: what is looked at most.
SCREENS = (("1440 px, plain", 197, 1), ("1440 px, dense", 197, 2), ("390 px, dense", 171, 3))
REAL = (140, 210)
SIZES = {"w342": (342, 513), "w500": (500, 750), "w780": (780, 1170)}
# As TMDB's own files look; theirs of 342 pixels have 20 to 40 kB.
QUALITY = 85
CONNECTIONS = 6


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, metavar="FILMS")
    parser.add_argument("--posters", type=int, default=24, help="posters on a page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as media:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "genresite.settings",
            "GENRESITE_NO_SECRETS": "1",
            "MEDIA_STORAGE": "folder",
            "MEDIA_ROOT": media,
        }
        import django

        django.setup()
        return _report(_kinds(options.folder, options.posters))


def _report(kinds: dict[str, list[bytes]]) -> int:
    from catalog.thumbnails import WIDTHS, make_thumbnail

    print(f"{os.cpu_count()} cores\n")
    print(f"{'one poster':<32}{'kB':>7}" + "".join(f"{f'at {w}: kB':>12}{'cpu ms':>8}" for w in WIDTHS))
    sizes: dict[str, dict[int, float]] = {}
    for kind, posters in kinds.items():
        own = _width(posters[0])
        sizes[kind] = {own: mean(map(len, posters)) / 1000}
        line = f"{kind:<32}{sizes[kind][own]:>7.1f}"
        for width in WIDTHS:
            if width <= own:
                start = time.thread_time()
                made = [make_thumbnail(poster, width) for poster in posters]
                cost = 1000 * (time.thread_time() - start) / len(posters)
                sizes[kind][width] = mean(map(len, made)) / 1000
                line += f"{sizes[kind][width]:>12.1f}{cost:>8.1f}"
        print(line, flush=True)
    count = len(next(iter(kinds.values())))
    print(f"\n{f'a page of {count} posters, kB':<32}" + "".join(f"{screen:>24}" for screen, *_ in SCREENS))
    for kind, posters in kinds.items():
        before, line = mean(map(len, posters)) / 1000, ""
        for _, css_pixels, density in SCREENS:
            offered = sorted(sizes[kind])
            after = sizes[kind][next((w for w in offered if w >= css_pixels * density), offered[-1])]
            line += f"{count * before:>10.0f} -> {count * after:>5.0f} ({after / before:>4.0%})"
        print(f"{kind:<32}{line}")
    print(f"\n{'a page without any thumbnail':<32}{'seconds':>9}{'again':>9}{'sent to the poster':>20}")
    impatient = 0
    for kind, posters in kinds.items():
        rows = _stored(posters)
        (first, busy), (again, _) = _page(rows), _page(rows)
        impatient += busy
        print(f"{kind:<32}{first:>9.2f}{again:>9.3f}{busy:>20}", flush=True)
    print("\nwanted: every visitor of such a page gets thumbnails, none the poster itself for want of time")
    return int(impatient > 0)


def _stored(posters: list[bytes]) -> list[Poster]:
    """The posters in the storage, with rows that are in no database."""
    from catalog.models import Poster
    from catalog.posters import save_file, verify_poster

    rows = []
    for content in posters:
        facts = verify_poster(content)
        save_file(facts, content)
        rows.append(Poster(sha256=facts.sha256, file=facts.name, width=facts.width, height=facts.height))
    return rows


def _page(posters: list[Poster]) -> tuple[float, int]:
    """Seconds until a browser has the largest thumbnail of each, and for how many it waited in vain."""
    from catalog.thumbnails import BusyError, store_thumbnail, thumbnail_widths

    def waited_in_vain(poster: Poster) -> bool:
        try:
            store_thumbnail(poster, thumbnail_widths(poster)[-1])
        except BusyError:
            return True
        return False

    start = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        busy = sum(pool.map(waited_in_vain, posters))
    return time.perf_counter() - start, busy


def _width(content: bytes) -> int:
    with Image.open(io.BytesIO(content)) as image:
        return image.width


def _kinds(folder: Path, count: int) -> dict[str, list[bytes]]:
    """Encoded posters of every kind, as many as a page shows."""
    kinds = {}
    for name, size in SIZES.items():
        a_side = -(-size[0] // REAL[0])
        real = list(islice(_real(folder), count * a_side**2))
        if len(real) < count * a_side**2:
            raise SystemExit(f"{folder} has too few posters of {REAL[0]} x {REAL[1]} pixels")
        kinds[f"{name}, enlarged, with grain"] = [_jpeg(_enlarged(image, size)) for image in real[:count]]
        kinds[f"{name}, {a_side**2} set together"] = [
            _jpeg(_together(real[start::count], a_side, size)) for start in range(count)
        ]
    kinds["starter catalog's drawings"] = list(islice(_drawings(), count))
    return kinds


def _real(folder: Path) -> Iterator[Image.Image]:
    # In an order that has nothing to do with when a film was made, and is the same each time.
    paths = sorted(
        folder.glob("posters/*/*.jpg"), key=lambda path: hashlib.sha256(path.name.encode()).digest()
    )
    for path in paths:
        with Image.open(path) as image:
            if image.size == REAL:
                yield image.convert("RGB")


def _enlarged(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    large = np.asarray(image.resize(size, Image.Resampling.LANCZOS), dtype=np.float32)
    grain = np.random.default_rng(0).normal(0, 2.5, (*large.shape[:2], 1))
    return Image.fromarray((large + grain).clip(0, 255).astype(np.uint8))


def _together(images: list[Image.Image], a_side: int, size: tuple[int, int]) -> Image.Image:
    sheet = Image.new("RGB", (a_side * REAL[0], a_side * REAL[1]))
    for number, image in enumerate(images[: a_side**2]):
        sheet.paste(image, (number % a_side * REAL[0], number // a_side * REAL[1]))
    return sheet.resize(size, Image.Resampling.LANCZOS)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _drawings() -> Iterator[bytes]:
    import vl_convert

    for path in sorted((PROJECT / "catalog" / "starter" / "posters").glob("*.svg")):
        yield bytes(vl_convert.svg_to_jpeg(path.read_text(encoding="utf-8"), scale=1.0, quality=88))


if __name__ == "__main__":
    sys.exit(main())
