"""Artifacts in Django's storage, for workers on other machines: kept there file by file, fetched and verified where missing.

::

    models/<SHA-256 of artifact.json>/<file>
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import structlog
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage

from ml_core.artifact import ArtifactDescription, ArtifactError, is_artifact_file
from ml_core.snapshot import sync
from predictor.models import ModelVersion

log = structlog.get_logger(__name__)

_MANIFEST = "artifact.json"


def folder_name(sha256: str) -> str:
    """The name of a version's folder below MODEL_ROOT."""
    return sha256[:16]


def keep(description: ArtifactDescription) -> None:
    """Copy an artifact into MODEL_ROOT and into the storage.

    Raises:
        ml_core.artifact.ArtifactError: it was changed meanwhile.
        OSError: there is no room.
    """
    home = _root() / folder_name(description.sha256)
    if home.exists():
        ArtifactDescription.read(home)
    else:
        _place(description.folder, home, description.sha256)
    _store(home, description)


def local(version: ModelVersion) -> Path:
    """The folder of a version's artifact on this machine, fetched from the storage where it is missing.

    Raises:
        ml_core.artifact.ArtifactError: the storage does not have it, or not as it was registered.
    """
    home = _root() / version.folder
    if not (home / _MANIFEST).is_file():
        _fetch(version, home)
    return home


def is_at_hand(version: ModelVersion) -> bool:
    """Whether the artifact is on this machine or can be fetched."""
    return (_root() / version.folder / _MANIFEST).is_file() or default_storage.exists(
        _stored(version.sha256, _MANIFEST)
    )


def delete(*, folder: str, sha256: str) -> None:
    """Remove an artifact from the storage and from its folder on this machine; other machines' copies stay."""
    stored = f"models/{sha256}"
    try:
        names = default_storage.listdir(stored)[1]
    except FileNotFoundError:
        names = []
    # The list of files last: an artifact without it is none.
    for name in sorted(names, key=lambda name: name == _MANIFEST):
        default_storage.delete(f"{stored}/{name}")
    if default_storage.exists(stored):  # a folder, where the storage has such
        default_storage.delete(stored)
    shutil.rmtree(_root() / folder, ignore_errors=True)


def _store(home: Path, description: ArtifactDescription) -> None:
    if default_storage.exists(_stored(description.sha256, _MANIFEST)):
        return
    for name in (*description.files, _MANIFEST):  # the list of files last: the copy is whole when it is there
        place = _stored(description.sha256, name)
        if default_storage.exists(place):
            default_storage.delete(place)  # of an attempt that was cut off
        with (home / name).open("rb") as file:
            default_storage.save(place, File(file))


def _fetch(version: ModelVersion, home: Path) -> None:
    aside = Path(tempfile.mkdtemp(prefix=".fetching-", dir=_root()))
    try:
        copy = aside / "artifact"
        copy.mkdir()
        try:
            _download(version, _MANIFEST, copy)
            names = json.loads((copy / _MANIFEST).read_bytes())["files"]
            for name in names:
                if not is_artifact_file(name):
                    raise ArtifactError(f"{name!r} is not a kind of file that an artifact may hold")
                _download(version, name, copy)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"version {version.pk} is neither in MODEL_ROOT nor in the storage ({error})"
            ) from error
        _place(copy, home, version.sha256)
        log.info("artifact fetched", version=version.pk, sha256=version.sha256)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _download(version: ModelVersion, name: str, folder: Path) -> None:
    with default_storage.open(_stored(version.sha256, name)) as stored, (folder / name).open("wb") as file:
        shutil.copyfileobj(stored, file)


def _place(source: Path, home: Path, sha256: str) -> None:
    """Copy an artifact to where it belongs: aside, synced, verified, renamed."""
    root = _root()
    aside = Path(tempfile.mkdtemp(prefix=".registering-", dir=root))
    try:
        copy = aside / "artifact"
        shutil.copytree(source, copy)
        for file in copy.iterdir():
            sync(file)
        if ArtifactDescription.read(copy).sha256 != sha256:
            raise ArtifactError(f"{source} is not the artifact that was registered, or was changed meanwhile")
        try:
            copy.rename(home)
        except OSError:
            if not home.exists():  # somebody else placed it in between
                raise
        sync(root)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _stored(sha256: str, name: str) -> str:
    return f"models/{sha256}/{name}"


def _root() -> Path:
    root = Path(settings.MODEL_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    return root
