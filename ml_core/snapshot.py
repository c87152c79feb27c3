"""A dataset snapshot: the films, labels, split and original posters that a training reads, as a folder of plain files.

``films.parquet``
    one row a film, in the order in which it was added.
``posters.bin`` and ``posters.parquet``
    the original JPEG, PNG or WebP bytes end to end, and where each of them lies (offset, length, SHA-256).
``dataset.json``
    format version, counts, the order of the labels, and the snapshot's hash.

The hash is taken over canonical rows sorted by film, never over file bytes: writing the same films twice, in any
order and with any version of Parquet, gives the same hash. This module is free of torch, because the site's workers
write snapshots too.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_core.labels import LABEL_IDS, is_label, multi_hot

FORMAT_VERSION = 1
Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")

# Rows held before they are written: about 2 MB of text, so that memory does not grow with the catalog.
_ROWS_IN_A_GROUP = 4096

_FILMS = pa.schema(
    [
        ("film_id", pa.int64()),
        ("tmdb_id", pa.int64()),
        ("title", pa.string()),
        ("tagline", pa.string()),
        ("overview", pa.string()),
        ("year", pa.int16()),
        ("language", pa.string()),
        ("label_ids", pa.list_(pa.int16())),
        ("part", pa.string()),
        ("group", pa.int64()),
        ("poster", pa.int32()),
    ]
)
_POSTERS = pa.schema([("offset", pa.int64()), ("length", pa.int64()), ("sha256", pa.binary(32))])


class SnapshotError(ValueError):
    """A snapshot that cannot be read, or a film that cannot go into one. The message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFilm:
    """A film as a training sees it. Texts are empty, never ``None`` and never "nan", where there is none.

    ``label_ids`` are TMDB genre ids; those outside the label space are left out when the film is written.
    ``group`` keeps films together that share an overview, or title and year: they never part between splits.
    """

    title: str
    overview: str
    label_ids: tuple[int, ...]
    part: Part
    group: int
    film_id: int | None = None
    tmdb_id: int | None = None
    tagline: str = ""
    year: int | None = None
    language: str = ""


class SnapshotWriter:
    """Writes a snapshot film by film in constant memory; the folder appears complete or not at all.

    Used as a context manager. Everything is written into a folder beside the target, synced, and renamed when the
    block ends without an error; an older snapshot of that name is replaced then.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._aside = self.folder.with_name(f".{self.folder.name}.writing-{os.getpid()}")
        self._rows: list[dict[str, Any]] = []
        self._posters: list[dict[str, Any]] = []
        self._digests: list[tuple[int, int, bytes]] = []
        self._counts: dict[str, int] = dict.fromkeys(("films", "posters", "with_overview", *PARTS), 0)
        self._offset = 0
        self.sha256 = ""

    def __enter__(self) -> Self:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._aside, ignore_errors=True)
        self._aside.mkdir()
        self._film_file = pq.ParquetWriter(self._aside / "films.parquet", _FILMS, compression="zstd")
        self._poster_file = pq.ParquetWriter(self._aside / "posters.parquet", _POSTERS, compression="zstd")
        self._pack = (self._aside / "posters.bin").open("wb")
        return self

    def add(self, film: SnapshotFilm, poster_bytes: bytes | None = None) -> None:
        """Add a film and, where there is one, its poster as it was downloaded.

        Raises :class:`SnapshotError` for a film without id, or with a part that is none of train, val and test.
        """
        if film.part not in PARTS:
            raise SnapshotError(
                f"film {film.tmdb_id or film.film_id}: part {film.part!r} is none of {', '.join(PARTS)}"
            )
        if film.film_id is None and film.tmdb_id is None:
            raise SnapshotError(f"film {film.title!r} has neither a film id nor a TMDB id")
        poster: int | None = None
        poster_digest = b""
        if poster_bytes:
            poster = self._counts["posters"]
            poster_digest = hashlib.sha256(poster_bytes).digest()
            self._pack.write(poster_bytes)
            self._posters.append(
                {
                    "offset": self._offset,
                    "length": len(poster_bytes),
                    "sha256": poster_digest,
                }
            )
            self._offset += len(poster_bytes)
            self._counts["posters"] += 1
        row: dict[str, Any] = {
            "film_id": film.film_id,
            "tmdb_id": film.tmdb_id,
            "title": film.title,
            "tagline": film.tagline,
            "overview": film.overview,
            "year": film.year,
            "language": film.language,
            "label_ids": sorted({genre for genre in film.label_ids if is_label(genre)}),
            "part": film.part,
            "group": film.group,
        }
        canonical = json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        digest = hashlib.sha256(canonical.encode() + b"\0" + poster_digest).digest()
        self._digests.append((film.tmdb_id or 0, film.film_id or 0, digest))
        self._rows.append({**row, "poster": poster})
        self._counts["films"] += 1
        self._counts["with_overview"] += bool(film.overview)
        self._counts[film.part] += 1
        if len(self._rows) >= _ROWS_IN_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._film_file.write_table(pa.Table.from_pylist(self._rows, schema=_FILMS))
            self._rows.clear()
        if self._posters:
            self._poster_file.write_table(pa.Table.from_pylist(self._posters, schema=_POSTERS))
            self._posters.clear()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flush_and_close(keep=kind is None)
        if kind is not None:
            shutil.rmtree(self._aside, ignore_errors=True)
            return
        rows = hashlib.sha256()
        for _, _, digest in sorted(self._digests):
            rows.update(digest)
        self.sha256 = rows.hexdigest()
        description = {
            "format_version": FORMAT_VERSION,
            "counts": self._counts,
            "label_ids": list(LABEL_IDS),
            "sha256": self.sha256,
        }
        (self._aside / "dataset.json").write_text(json.dumps(description, indent=2) + "\n")
        for name in ("films.parquet", "posters.parquet", "posters.bin", "dataset.json"):
            sync(self._aside / name)
        sync(self._aside)
        replace_folder(self._aside, self.folder)

    def _flush_and_close(self, *, keep: bool) -> None:
        if keep:
            self._flush()
        self._film_file.close()
        self._poster_file.close()
        self._pack.close()


class Snapshot:
    """An opened snapshot: the columns in memory, the posters mapped from disk.

    Made by :meth:`open`. Rows are numbered from 0 in the order of ``films.parquet``.
    """

    def __init__(
        self,
        folder: Path,
        films: pa.Table,
        posters: pa.Table,
        description: dict[str, Any],
    ) -> None:
        self.folder = folder
        self.films = films
        self.sha256 = str(description["sha256"])
        self.counts: dict[str, int] = description["counts"]
        self._offsets = cast(NDArray[np.int64], posters["offset"].to_numpy())
        self._lengths = cast(NDArray[np.int64], posters["length"].to_numpy())
        self._poster_rows = np.asarray(films["poster"].fill_null(-1).to_numpy(), dtype=np.int64)
        self._parts = np.asarray(films["part"].to_pylist(), dtype="U5")
        pack = folder / "posters.bin"
        self._pack: mmap.mmap | bytes = b""
        if pack.stat().st_size:
            with pack.open("rb") as file:
                self._pack = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @classmethod
    def open(cls, folder: Path | str) -> Snapshot:
        """Open a snapshot folder. Raises :class:`SnapshotError` when it is none, is torn, or is of another format."""
        folder = Path(folder)
        try:
            description = json.loads((folder / "dataset.json").read_text())
            version = description["format_version"]
            if version != FORMAT_VERSION:
                raise SnapshotError(
                    f"{folder}: snapshot format {version}, this Genresite reads {FORMAT_VERSION}"
                )
            if tuple(description["label_ids"]) != LABEL_IDS:
                raise SnapshotError(f"{folder}: the snapshot's label order is not that of ml_core.labels")
            films = pq.read_table(folder / "films.parquet", schema=_FILMS, memory_map=True)
            posters = pq.read_table(folder / "posters.parquet", schema=_POSTERS, memory_map=True)
            snapshot = cls(folder, films, posters, description)
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            if isinstance(error, SnapshotError):
                raise
            raise SnapshotError(f"{folder}: not a readable snapshot ({error})") from error
        if (
            len(snapshot) != description["counts"]["films"]
            or len(posters) != description["counts"]["posters"]
        ):
            raise SnapshotError(
                f"{folder}: the counts in dataset.json do not match the files; write it again"
            )
        if len(posters) and int((snapshot._offsets + snapshot._lengths).max()) > len(snapshot._pack):
            raise SnapshotError(f"{folder}: posters.bin is shorter than its index; write the snapshot again")
        return snapshot

    def __len__(self) -> int:
        return int(self.films.num_rows)

    def texts(self, column: Literal["title", "tagline", "overview", "language"]) -> list[str]:
        """A text column as a list, '' where there is none."""
        return cast(list[str], self.films[column].fill_null("").to_pylist())

    @property
    def tmdb_ids(self) -> NDArray[np.int64]:
        """TMDB id of each film, shape ``(films,)``; 0 where a film has none."""
        return np.asarray(self.films["tmdb_id"].fill_null(0).to_numpy(), dtype=np.int64)

    @property
    def labels(self) -> NDArray[np.float32]:
        """Multi-hot labels, shape ``(films, 18)``, in the order of :data:`ml_core.labels.LABELS`."""
        lists = self.films["label_ids"].to_pylist()
        return (
            np.stack([multi_hot(ids) for ids in lists])
            if lists
            else np.zeros((0, len(LABEL_IDS)), np.float32)
        )

    @property
    def groups(self) -> NDArray[np.int64]:
        """The group of each film, shape ``(films,)``."""
        return np.asarray(self.films["group"].to_numpy(), dtype=np.int64)

    @property
    def has_poster(self) -> NDArray[np.bool_]:
        """Whether each film has a poster, shape ``(films,)``."""
        return self._poster_rows >= 0

    @property
    def has_overview(self) -> NDArray[np.bool_]:
        """Whether each film has an overview, shape ``(films,)``."""
        return np.asarray([bool(text.strip()) for text in self.texts("overview")], dtype=np.bool_)

    def rows(self, part: Part) -> NDArray[np.int64]:
        """The rows of a part of the split, ascending."""
        return np.flatnonzero(self._parts == part).astype(np.int64)

    def poster_bytes(self, row: int) -> bytes | None:
        """The original poster of the film in that row, or ``None``."""
        poster = int(self._poster_rows[row])
        if poster < 0:
            return None
        offset = int(self._offsets[poster])
        return bytes(self._pack[offset : offset + int(self._lengths[poster])])


def replace_folder(aside: Path, folder: Path) -> None:
    """Put a finished folder in the place of another by renames, and sync the parent, so that neither is ever half."""
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync(path: Path) -> None:
    """Have the file's or folder's content on disk before anything is renamed on the strength of it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
