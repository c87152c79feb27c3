"""Where posters, thumbnails and uploads are kept when that is a bucket: Amazon's S3 or a service that speaks like it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from storages.backends.s3 import S3Storage

# Above this a file that is read lies on disk: an upload may have gigabytes, a poster has 10 MB at most.
_MOST_IN_MEMORY = 16 * 2**20


class BucketStorage(S3Storage):
    """django-storages' bucket, but reading takes one request, not three, and errors are Python's, as those of a folder are.

    `FileNotFoundError` is raised for what is not there, `ConnectionError` when the bucket cannot be used at all. The objects have no ACL and get no address: the site reads the bucket and serves what it read.
    """

    def get_default_settings(self) -> dict[str, Any]:
        """What the environment does not decide."""
        return super().get_default_settings() | {
            "default_acl": None,
            "file_overwrite": True,
            "max_memory_size": _MOST_IN_MEMORY,
            # Botocore would wait for a minute, five times, and a visitor with it.
            "client_config": Config(
                connect_timeout=3, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 3}
            ),
            # Whoever stores many files has threads of their own, and a poster is one request.
            "transfer_config": TransferConfig(use_threads=False),
        }

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        if mode != "rb":
            return super()._open(name, mode)
        content = tempfile.SpooledTemporaryFile(max_size=_MOST_IN_MEMORY)  # noqa: SIM115 - closed with what is returned
        try:
            with _os_errors(name):
                found = self.connection.meta.client.get_object(
                    Bucket=self.bucket_name, Key=self._normalize_name(name)
                )
                with contextlib.closing(found["Body"]) as body:
                    shutil.copyfileobj(body, content)
        except BaseException:
            content.close()
            raise
        content.seek(0)
        return File(content, name=name)

    def _save(self, name: str, content: File[Any]) -> str:
        with _os_errors(name):
            return super()._save(name, content)

    def exists(self, name: str) -> bool:
        with _os_errors(name):
            return super().exists(name)

    def size(self, name: str) -> int:
        with _os_errors(name):
            return super().size(name)

    def delete(self, name: str) -> None:
        with _os_errors(name):
            super().delete(name)


@contextlib.contextmanager
def _os_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            raise FileNotFoundError(f"{name} is not in the bucket") from error
        raise ConnectionError(f"the bucket gives no access to {name} ({error})") from error
    except BotoCoreError as error:
        raise ConnectionError(f"the bucket that holds {name} cannot be reached ({error})") from error
