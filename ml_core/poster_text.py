"""What is written on a poster: lines of text are found and read, the largest of them kept, which are the title most of the time.

Detector and recogniser are PaddleOCR's PP-OCRv4 (Li et al. 2022, "PP-OCRv3", and its successor), run by RapidOCR on the CPU out of
its package. With reading, and the several views of :mod:`ml_core.poster_views`, a prediction takes eight to twelve times as long
(`benchmarks.poster_reading`), so a poster is read only where a film comes with nothing else: the title is what it would tell.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.posters import Pixels, PosterError, decode_poster

_PACKAGE = "rapidocr-onnxruntime"
# Height and width at which a poster is read: twice those of TMDB's small posters, multiples of 32 as the detector wants them.
_SIZE = (416, 288)
# Of the lines found the highest are read, and only those that come near the height of the first: a title is written large,
# what else there is (names, reviews, dates) small.
_MOST_LINES, _SMALLEST_LINE = 5, 0.4
# Less sure readings are mostly ornaments taken for letters.
_LEAST_SURE = 0.8
# Each has an engine of its own, of 100 MB.
_THREADS = min(4, os.cpu_count() or 1)
# Posters of train films that a training reads: two cores read 8 a second (`benchmarks.poster_reading`).
MOST_READ = 8000
# Letters in a row that may be several words: the recogniser reads Chinese, too, and often leaves the spaces out.
_MAY_BE_SEVERAL = re.compile(r"[A-Za-z']{6,}")


class PosterReader:
    """Reads posters, in any thread. What was read is remembered where there is a ``cache`` file, which :meth:`keep` writes.

    Loading takes a second and happens with the first poster.
    """

    def __init__(self, cache: Path | None = None) -> None:
        # An engine keeps state while it reads, so each is with one thread at a time.
        self._idle: list[Any] = []
        self._cache = cache
        self._known: dict[str, str] = _known(cache)

    def read(self, poster: bytes) -> str:
        """The text on a poster in reading order, '' where there is none or the image cannot be used."""
        key = hashlib.sha256(poster).hexdigest()
        text = self._known.get(key)
        if text is None:
            try:
                text = self._read(decode_poster(poster, _SIZE))
            except PosterError:
                text = ""
            if self._cache is not None:
                self._known[key] = text
        return text

    def read_all(self, posters: Sequence[bytes]) -> list[str]:
        """The texts of many, in their order, read in several threads."""
        if len(posters) == 1:
            return [self.read(posters[0])]
        with ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="read") as pool:
            return list(pool.map(self.read, posters))

    def keep(self) -> None:
        """Write what was read to the cache file."""
        if self._cache is not None:
            aside = self._cache.with_name(f".{self._cache.name}.{os.getpid()}")
            aside.write_text(json.dumps({"reader": identity(), "texts": self._known}))
            aside.replace(self._cache)

    def _read(self, pixels: Pixels) -> str:
        try:
            engine = self._idle.pop()
        except IndexError:
            engine = _engine()
        try:
            return _text(engine, np.ascontiguousarray(pixels[::-1].transpose(1, 2, 0)))
        finally:
            self._idle.append(engine)


def _text(engine: Any, image: NDArray[np.uint8]) -> str:
    """The text on an image ``(height, width, 3)``, BGR."""
    found, _ = engine.text_det(image)
    boxes = _largest(np.asarray([] if found is None else found, dtype=np.float32).reshape(-1, 4, 2))
    if not len(boxes):
        return ""
    boxes = np.array(engine.sorted_boxes(boxes))
    lines, _ = engine.text_rec(engine.get_crop_img_list(image, boxes))
    return " ".join(spaced(text) for text, sure, *_ in lines if float(sure) >= _LEAST_SURE and len(text) > 1)


@lru_cache(maxsize=1)
def shared_reader() -> PosterReader:
    """The one reader of all models in this process: its engines are large, and none of them belongs to a model."""
    return PosterReader()


def identity() -> dict[str, str]:
    """Package and version of what reads."""
    return {"package": _PACKAGE, "version": importlib.metadata.version(_PACKAGE)}


def spaced(line: str) -> str:
    """A line with the spaces put back between English words that were read as one: MIAMIVICE to MIAMI VICE.

    Only stretches of six letters and more are looked at. They are parted where Norvig's word frequencies say it is likeliest, so
    a rare word may come apart.
    """
    import wordninja

    return _MAY_BE_SEVERAL.sub(lambda match: " ".join(wordninja.split(match[0])), line)


def _largest(boxes: NDArray[Any]) -> NDArray[Any]:
    """Of boxes ``(n, 4, 2)``, corners from the top left clockwise, those that are to be read."""
    heights = np.linalg.norm(boxes[:, 0] - boxes[:, 3], axis=1)
    order = np.argsort(-heights, kind="stable")[:_MOST_LINES]
    largest: NDArray[Any] = boxes[order[heights[order] >= _SMALLEST_LINE * heights.max(initial=0)]]
    return largest


def _engine() -> Any:
    # Imported where it is first needed: it loads OpenCV and ONNX Runtime.
    from rapidocr_onnxruntime import RapidOCR

    return RapidOCR(
        intra_op_num_threads=1, inter_op_num_threads=1, det_limit_type="min", det_limit_side_len=_SIZE[1]
    )


def _known(cache: Path | None) -> dict[str, str]:
    """What an earlier reader of the same version has read."""
    try:
        kept = json.loads(cache.read_text()) if cache is not None else {}
    except (OSError, ValueError):
        return {}
    texts = kept.get("texts") if kept.get("reader") == identity() else None
    return dict(texts) if isinstance(texts, dict) else {}
