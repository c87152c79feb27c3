"""Pretrained weights out of installed packages, never downloaded here: where they are, and which they are.

Each is pinned by the SHA-256 of its weights, so that an artifact can refuse to run on others.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


class EncoderError(RuntimeError):
    """Pretrained weights that are absent, or not those that were asked for. The message says which and what to do."""


@dataclass(frozen=True, slots=True)
class EncoderIdentity:
    """Which pretrained weights an encoder stands on: package, its version, and the SHA-256 of its weights file."""

    package: str
    version: str
    sha256: str

    def as_json(self) -> dict[str, str]:
        """As a JSON object."""
        return {"package": self.package, "version": self.version, "sha256": self.sha256}


@lru_cache(maxsize=8)
def weights_sha256(path: Path) -> str:
    """SHA-256 of a file of weights, in hexadecimal; remembered, since they do not change while they are installed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def package_folder(module: str, package: str) -> Path:
    """Where an installed package lies, found without importing it (importing MiniLM's would load transformers)."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise EncoderError(f"the package {package} is not installed; install the requirements again")
    return Path(spec.origin).parent
