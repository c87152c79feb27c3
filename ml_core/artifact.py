"""A model artifact: a folder of plain files that holds all of a trained model but the pretrained encoders.

``model.safetensors`` (weights), ``config.json`` (network, label order, thresholds and calibration by set of inputs,
the encoders it stands on), ``metrics.json``, ``films.json.gz`` (TMDB ids of its train, val and test films), ``test_probabilities.safetensors`` (what it
says of its test films, so that two versions can be compared film by film; older artifacts have none),
``MODEL_CARD.md``, networks' own JSON such as a vocabulary, and ``artifact.json`` with the SHA-256 of each of them.

Reading one checks every hash first and accepts only these kinds of file, none of which can run code. This module is
free of torch: the web process describes models, and only the workers run them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.inputs import INPUT_SETS, InputSet
from ml_core.labels import LABEL_IDS
from ml_core.snapshot import PARTS, replace_folder, sync

FORMAT_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
PROBABILITIES_FILE = "test_probabilities.safetensors"
_NEEDED = {WEIGHTS_FILE, "config.json", "metrics.json", "films.json.gz", "MODEL_CARD.md"}
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.safetensors|\.json|\.json\.gz|\.md)")
# Far above any artifact of ours (JSON of a vocabulary: 2 MB) and far below what would exhaust a worker.
_MOST_JSON_BYTES = 64 * 2**20


class ArtifactError(ValueError):
    """An artifact that is incomplete, was tampered with, or is not for this Genresite. The message says which file."""


@dataclass(frozen=True, slots=True)
class ArtifactDescription:
    """What an artifact says of itself, checked against its hashes.

    ``thresholds`` has one vector of 18 for each set of inputs (:data:`ml_core.inputs.INPUT_SETS`), in the order of
    ``label_ids``. ``sha256`` is that of ``artifact.json``, which has the hashes of all other files: it names the model.
    ``films`` maps train, val and test to TMDB ids. ``created`` is ISO 8601 in UTC, ``size_bytes`` the folder's size.
    """

    folder: Path
    name: str
    network: str
    label_ids: tuple[int, ...]
    thresholds: Mapping[InputSet, tuple[float, ...]]
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]
    files: Mapping[str, str]
    films: Mapping[str, Sequence[int]]
    sha256: str
    created: str
    size_bytes: int

    @classmethod
    def read(cls, folder: Path | str) -> ArtifactDescription:
        """Read and verify an artifact. Raises :class:`ArtifactError`."""
        folder = Path(folder)
        manifest_bytes = _bounded(folder / "artifact.json")
        manifest = _object(manifest_bytes, folder / "artifact.json")
        if manifest.get("format_version") != FORMAT_VERSION:
            raise ArtifactError(
                f"{folder}: artifact format {manifest.get('format_version')!r}, this Genresite reads {FORMAT_VERSION}"
            )
        files = manifest.get("files")
        if not isinstance(files, dict):
            raise ArtifactError(f"{folder / 'artifact.json'}: 'files' is missing")
        _verify_files(folder, files)
        config = read_json(folder, "config.json")
        metrics = read_json(folder, "metrics.json")
        films = _films(folder)
        try:
            label_ids = tuple(int(number) for number in config["label_ids"])
            thresholds = {name: tuple(float(x) for x in config["thresholds"][name]) for name in INPUT_SETS}
            description = cls(
                folder=folder,
                name=str(config["name"]),
                network=str(config["network"]),
                label_ids=label_ids,
                thresholds=thresholds,
                metrics=metrics,
                config=config,
                files=files,
                films=films,
                sha256=hashlib.sha256(manifest_bytes).hexdigest(),
                created=str(config["created"]),
                size_bytes=len(manifest_bytes) + sum((folder / name).stat().st_size for name in files),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"{folder / 'config.json'}: missing or malformed entry ({error!r})"
            ) from error
        if config.get("format_version") != FORMAT_VERSION:
            raise ArtifactError(
                f"{folder / 'config.json'}: format {config.get('format_version')!r} is not readable here"
            )
        if sorted(label_ids) != sorted(LABEL_IDS):
            raise ArtifactError(
                f"{folder / 'config.json'}: its labels are not the 18 genres of this Genresite"
            )
        for name, vector in thresholds.items():
            if len(vector) != len(label_ids) or not all(math.isfinite(value) for value in vector):
                raise ArtifactError(
                    f"{folder / 'config.json'}: thresholds for {name} are not 18 finite numbers"
                )
        return description


@dataclass(frozen=True, slots=True)
class FilmProbabilities:
    """Probabilities of films ``(n, 18)``, columns in the order of the artifact's labels, and the films' TMDB ids ``(n,)``."""

    tmdb_ids: NDArray[np.int64]
    probabilities: NDArray[Any]


def read_test_probabilities(folder: Path) -> FilmProbabilities | None:
    """What an artifact said of its test films when it was trained, None where it does not tell.

    The caller has verified the artifact. Raises :class:`ArtifactError` where the file is not what it should be.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / PROBABILITIES_FILE
    if not path.exists():
        return None
    try:
        arrays = load_file(path)
        found = FilmProbabilities(arrays["tmdb_ids"], arrays["probabilities"].astype(np.float32))
    except (SafetensorError, OSError, KeyError) as error:
        raise ArtifactError(f"{path} cannot be read ({error})") from error
    if found.probabilities.shape != (len(found.tmdb_ids), len(LABEL_IDS)):
        raise ArtifactError(
            f"{path}: {found.probabilities.shape} probabilities of {len(found.tmdb_ids)} films"
        )
    return found


def write_artifact(
    folder: Path,
    *,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    films: Mapping[str, Sequence[int]],
    weights: Mapping[str, NDArray[Any]],
    model_card: str,
    extra: Mapping[str, Any] | None = None,
    test_probabilities: FilmProbabilities | None = None,
) -> str:
    """Write an artifact aside, sync it and rename it into place; returns the SHA-256 of its ``artifact.json``.

    ``config`` lacks only ``format_version``, which is set here. ``extra`` are further JSON files by name (a
    vocabulary). The same content gives the same bytes, so the same hashes.
    """
    from safetensors.numpy import save_file

    folder = Path(folder)
    aside = folder.with_name(f".{folder.name}.writing-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_file({name: np.ascontiguousarray(value) for name, value in weights.items()}, aside / WEIGHTS_FILE)
    contents: dict[str, bytes] = {
        "config.json": _as_json({"format_version": FORMAT_VERSION, **config}),
        # Curves and slices make for many numbers: on lines of their own they would take three times the room.
        "metrics.json": _as_json(metrics, None),
        "films.json.gz": gzip.compress(
            _as_json({part: sorted(films[part]) for part in PARTS}, None), mtime=0
        ),
        "MODEL_CARD.md": model_card.encode(),
        **{name: _as_json(value, None) for name, value in (extra or {}).items()},
    }
    for name, content in contents.items():
        (aside / name).write_bytes(content)
    arrays = {WEIGHTS_FILE}
    if test_probabilities is not None:
        arrays.add(PROBABILITIES_FILE)
        save_file(
            {
                "tmdb_ids": np.asarray(test_probabilities.tmdb_ids, dtype=np.int64),
                "probabilities": np.asarray(test_probabilities.probabilities, dtype=np.float16),
            },
            aside / PROBABILITIES_FILE,
        )
    files = {name: file_sha256(aside / name) for name in sorted({*arrays, *contents})}
    manifest = _as_json({"format_version": FORMAT_VERSION, "files": files})
    (aside / "artifact.json").write_bytes(manifest)
    for name in ("artifact.json", *files):
        # Written by one user, read by others: the weights come out of safetensors readable by their writer alone.
        (aside / name).chmod(0o644)
        sync(aside / name)
    sync(aside)
    replace_folder(aside, folder)
    return hashlib.sha256(manifest).hexdigest()


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object out of an artifact. Raises :class:`ArtifactError`."""
    return _object(_bounded(folder / name), folder / name)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_artifact_file(name: object) -> bool:
    """Whether a file of that name may be part of an artifact: safetensors, JSON and Markdown, no folders."""
    return isinstance(name, str) and _FILE_NAME.fullmatch(name) is not None


def _verify_files(folder: Path, files: Mapping[str, Any]) -> None:
    """Check that the folder holds exactly the files of its manifest, of accepted kinds, unchanged."""
    for name in files:
        if not is_artifact_file(name):
            raise ArtifactError(f"{folder}: {name!r} is not a kind of file that an artifact may hold")
    present = {path.name for path in folder.iterdir()} - {"artifact.json"}
    for name in sorted(_NEEDED - set(files) | set(files) - present):
        raise ArtifactError(f"{folder}: {name} is missing")
    for name in sorted(present - set(files)):
        raise ArtifactError(
            f"{folder}: {name} is not in artifact.json; remove it or write the artifact again"
        )
    for name, expected in files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise ArtifactError(f"{path} is not a plain file")
        if file_sha256(path) != expected:
            raise ArtifactError(f"{path} was changed after the artifact was written: its SHA-256 differs")


def _films(folder: Path) -> dict[str, list[int]]:
    """TMDB ids by part."""
    path = folder / "films.json.gz"
    try:
        with gzip.open(path) as file:
            content = file.read(_MOST_JSON_BYTES + 1)
    except (OSError, EOFError) as error:
        raise ArtifactError(f"{path}: cannot be unpacked ({error})") from error
    if len(content) > _MOST_JSON_BYTES:
        raise ArtifactError(f"{path} unpacks to more than {_MOST_JSON_BYTES // 2**20} MB")
    films = _object(content, path)
    if set(films) != set(PARTS) or not all(isinstance(films[part], list) for part in PARTS):
        raise ArtifactError(f"{path}: expected lists of ids for {', '.join(PARTS)}")
    return films


def _bounded(path: Path) -> bytes:
    """A file's bytes, unless it is absent or absurdly large."""
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            raise ArtifactError(f"{path} is larger than {_MOST_JSON_BYTES // 2**20} MB")
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error.strerror}); is this an artifact?") from error


def _object(content: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} is not a JSON object")
    return value


def _as_json(value: Any, indent: int | None = 1) -> bytes:
    separators = (",", ":") if indent is None else None
    return (
        json.dumps(value, indent=indent, separators=separators, sort_keys=True, allow_nan=False) + "\n"
    ).encode()
