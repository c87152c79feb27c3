"""What every test may use: the real database and broker, and real workers on them."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import hypothesis
import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection

from tests.tmdb_stand_in import StandIn

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

PROJECT = Path(__file__).resolve().parent.parent
WORKER_START_SECONDS = 60


@pytest.fixture(autouse=True)
def _own_folders(settings: Any, tmp_path: Path) -> None:
    """Each test keeps its media, models and trainings in a folder of its own."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MODEL_ROOT = tmp_path / "models"
    settings.TRAINING_ROOT = tmp_path / "training"


@pytest.fixture(autouse=True)
def _genres(request: pytest.FixtureRequest) -> Iterator[None]:
    """TMDB's genres are there whenever the database is: the flush of a transactional test empties them.

    That flush also empties each table of predictions that a version was given, and its seven indexes; so that they do not
    add up over the tests, those of this test are dropped before.
    """
    if not ("db" in request.fixturenames or request.node.get_closest_marker("django_db")):
        yield
        return
    transactional = "transactional_db" in request.fixturenames
    request.getfixturevalue("transactional_db" if transactional else "_django_db_helper")
    from tests.factories import ensure_genres

    ensure_genres()
    yield
    if not connection.in_atomic_block:
        _drop_partitions()


def _drop_partitions() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'predictor_prediction'::regclass"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    """The tests' own broker database, empty before and after."""
    client = redis.Redis.from_url(django_settings.REDIS_URL)
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


@pytest.fixture
def tmdb(settings: Any) -> Iterator[StandIn]:
    """TMDB's stand-in on a free port, with a key that occurs nowhere else; settings name it instead of TMDB."""
    with StandIn(key=secrets.token_hex(16)) as stand_in:
        for name, value in stand_in.settings().items():
            setattr(settings, name, value)
        yield stand_in


BUCKET = "films"
# Of no account: the stand-in takes any, and nothing may ask another machine for some.
_KEYS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="session")
def s3_service() -> Iterator[str]:
    """The address of a stand-in for S3, a real HTTP server on loopback."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_service: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket, as boto3's resource, that this process keeps its media in."""
    import boto3

    for name, value in _KEYS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    bucket = boto3.resource("s3", endpoint_url=s3_service).create_bucket(Bucket=BUCKET)
    keep_media_in_bucket(settings, s3_service)
    yield bucket
    bucket.object_versions.all().delete()
    bucket.delete()


def keep_media_in_bucket(settings: Any, service: str) -> None:
    """What `MEDIA_STORAGE=s3` makes of the settings."""
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "genresite.bucket_storage.BucketStorage",
            "OPTIONS": {"bucket_name": BUCKET, "endpoint_url": service},
        }
    }


@pytest.fixture
def bucket_environment(s3_service: str) -> dict[str, str]:
    """What an operator sets, for processes of their own."""
    return _KEYS | {
        "MEDIA_STORAGE": "s3",
        "AWS_STORAGE_BUCKET_NAME": BUCKET,
        "AWS_S3_ENDPOINT_URL": s3_service,
    }


def process_environment(settings: Any, **extra: str) -> dict[str, str]:
    """The variables that point a child process at the database, broker and folders of the running test."""
    database = connection.settings_dict
    conninfo = {
        "dbname": database["NAME"],
        "user": database["USER"],
        "password": database["PASSWORD"],
        "host": database["HOST"],
        "port": database["PORT"],
    }
    return {
        **os.environ,
        "DATABASE_URL": " ".join(f"{k}='{v}'" for k, v in conninfo.items() if v),
        "REDIS_URL": settings.REDIS_URL,
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "MODEL_ROOT": str(settings.MODEL_ROOT),
        "TRAINING_ROOT": str(settings.TRAINING_ROOT),
        "SECRET_KEY": settings.SECRET_KEY,
        "TMDB_API_KEY": settings.TMDB_API_KEY,
        "TMDB_API_BASE": settings.TMDB_API_BASE,
        "TMDB_IMAGE_BASE": settings.TMDB_IMAGE_BASE,
        "TMDB_EXPORT_BASE": settings.TMDB_EXPORT_BASE,
        "HTTPS": "0",
        "GENRESITE_NO_POOL": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        **extra,
    }


class Worker:
    """A Celery worker in a process of its own, with its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until_ready(self) -> None:
        """Returns when the worker takes messages; raises with its log when it died or is late."""
        deadline = time.monotonic() + WORKER_START_SECONDS
        while " ready." not in self.output():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the worker did not start:\n{self.output()[-4000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """As an out-of-memory kill would end it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """A warm shutdown; a worker that ignores it for 20 s is killed."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


@pytest.fixture
def start_worker(
    transactional_db: None, settings: Any, broker: redis.Redis, tmp_path: Path
) -> Iterator[Callable[..., Worker]]:
    """``start_worker("predict", LEASE_SECONDS="2")``: a real worker on the test's database, ready for work.

    All are stopped before the database is emptied.
    """
    workers: list[Worker] = []
    logs: list[IO[bytes]] = []

    def start(queue: str, *, ready: bool = True, options: tuple[str, ...] = (), **environment: str) -> Worker:
        log = tmp_path / f"worker-{queue}-{len(workers)}.log"
        output = log.open("wb")
        logs.append(output)
        command = [
            *(sys.executable, "-m", "celery", "-A", "genresite", "worker", "--pool", "solo"),
            *("--queues", queue, "--hostname", f"{queue}{len(workers)}@%h", "--loglevel", "INFO"),
            *("--without-gossip", "--without-mingle", *options),
        ]
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=process_environment(settings, GENRESITE_CELERY="1", **environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        worker = Worker(process, log)
        workers.append(worker)
        if ready:
            worker.wait_until_ready()
        return worker

    yield start
    for worker in workers:
        worker.stop()
    for output in logs:
        output.close()


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """``eventually(lambda: condition, seconds=30)``: waits until it is true, and fails saying it never was."""

    def wait(condition: Callable[[], Any], *, seconds: float = 30, message: str = "") -> Any:
        deadline = time.monotonic() + seconds
        while True:
            if value := condition():
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {message or condition}")
            time.sleep(0.05)

    return wait
