"""Where posters, thumbnails and uploads are kept when that is a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage


class FolderStorage(FileSystemStorage):
    """Django's folder, but a name holds a whole file or none: browsers would keep half of one for a year.

    Saving under a name that is taken replaces what it held, as in a bucket. Names are made from contents, or at random,
    so that nothing is ever replaced by something else.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_overwrite=True, **options)

    def _save(self, name: str, content: File[Any]) -> str:
        aside = super()._save(f"{name}.{uuid4().hex}.part", content)  # type: ignore[misc]
        Path(self.path(aside)).replace(self.path(name))
        return name
