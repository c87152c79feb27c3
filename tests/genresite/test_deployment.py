"""docker-compose.yml, Dockerfile, the demo and README.md name only what exists, and agree with each other.

No container engine is needed: the files are read and held against the code.
"""

from __future__ import annotations

import importlib
import itertools
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands, load_command_class

from genresite import demo
from ledger.handlers import handler_of, kinds

PROJECT = Path(settings.BASE_DIR)
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "genresite"}
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
# Read by libraries or by the container itself, not by settings.
ELSEWHERE = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"} | {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
}


def variables_read() -> set[str]:
    """Every environment variable that the settings and the private servers read."""
    names: set[str] = set()
    for path in [PROJECT / "genresite" / "settings.py", *(PROJECT / "genresite" / "embedded").glob("*.py")]:
        names |= set(re.findall(r"""env(?:\.\w+)?\(\s*"([A-Z0-9_]+)\"""", path.read_text()))
        names |= set(re.findall(r"""environ(?:\.get\(|\[)"([A-Z0-9_]+)\"""", path.read_text()))
    return names


def options_of(command: list[str]) -> dict[str, str]:
    """``--name value`` pairs of a worker's command line that decide what it does."""
    pairs = dict(itertools.pairwise(command))
    return {name: pairs[name] for name in ("--queues", "--pool", "--concurrency") if name in pairs}


def test_every_process_of_the_house_is_there() -> None:
    assert {"web", "worker-io", "worker-train", "worker-predict", "beat", "postgres", "redis"} <= set(
        SERVICES
    )
    assert SERVICES["worker-predict-gpu"]["profiles"] == ["gpu"]
    devices = SERVICES["worker-predict-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]


@pytest.mark.parametrize("name", ["worker-io", "worker-train", "worker-predict"])
def test_demo_and_compose_start_the_same_workers(name: str) -> None:
    command = demo.commands(8000)[name.removeprefix("worker-")]
    assert options_of(command) == options_of(SERVICES[name]["command"])


def test_every_queue_has_a_worker() -> None:
    served = {options_of(s["command"])["--queues"] for n, s in SERVICES.items() if n.startswith("worker-")}
    used = {handler_of(kind).queue for kind in kinds()}
    assert used >= {"io", "predict"}
    assert {settings.CELERY_TASK_DEFAULT_QUEUE} | used <= served


def test_every_beat_task_exists() -> None:
    from genresite.celery import app

    app.loader.import_default_modules()
    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= set(app.tasks)


@pytest.mark.parametrize("name", sorted(OURS))
def test_command_of_each_service_exists(name: str) -> None:
    command = OURS[name].get("command") or []
    words = shlex.split(command[-1]) if command[:2] == ["sh", "-c"] else command
    if "gunicorn" in words:
        assert importlib.import_module("genresite.wsgi").application
    if words[:1] == ["celery"]:
        assert words[words.index("-A") + 1] == "genresite"
    for index, word in enumerate(words):
        if word == "manage.py":
            assert words[index + 1] in get_commands()


@pytest.mark.parametrize("name", sorted(OURS))
def test_health_check_of_each_service_runs_something_that_exists(name: str) -> None:
    test = OURS[name].get("healthcheck", {}).get("test", [])
    if "manage.py" in test:
        command = test[test.index("manage.py") + 1]
        load_command_class(get_commands()[command], command)
    elif name == "web":
        assert "/healthz" in test[-1]


@pytest.mark.parametrize("name", sorted(OURS))
def test_variables_of_each_service_are_read_by_the_settings(name: str) -> None:
    assert set(OURS[name]["environment"]) <= variables_read() | ELSEWHERE


def test_services_wait_for_healthy_servers_and_finished_migrations() -> None:
    assert SERVICES["prepare"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    for name in set(OURS) - {"prepare"}:
        assert OURS[name]["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}
    for name in ("postgres", "redis"):
        assert SERVICES[name]["healthcheck"]["test"]


def test_volumes_are_declared_and_only_loopback_is_published() -> None:
    used = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_dockerfile_copies_what_exists_and_runs_unprivileged() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    for source in " ".join(copied).split():
        assert (PROJECT / source).exists(), source
    assert re.search(r"^USER genresite$", DOCKERFILE, re.MULTILINE)
    for package in ("genresite", "ledger", "catalog", "predictor", "ml_core"):
        assert f"COPY {package} {package}" in DOCKERFILE
    block = re.search(r"^ENV (.+(?:\n {4}.+)*)", DOCKERFILE, re.MULTILINE)
    assert block is not None
    assert set(re.findall(r"([A-Z0-9_]+)=", block[1])) <= variables_read() | ELSEWHERE
    for corpus in ("stopwords", "wordnet"):
        assert corpus in DOCKERFILE


def test_readme_has_a_row_for_every_variable_and_no_other() -> None:
    readme = (PROJECT / "README.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", readme, re.MULTILINE))
    assert documented == variables_read()


def test_readme_names_only_make_targets_and_commands_that_exist() -> None:
    readme = (PROJECT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", readme)) <= targets
    assert set(re.findall(r"manage\.py ([a-z_]+)", readme)) <= set(get_commands())
    for link in re.findall(r"\]\(((?!http|#)[^)]+)\)", readme):
        assert (PROJECT / link.partition("#")[0]).exists(), link
