"""What a team's server is set up with says the same as the code that reads it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "afterimage-web"}


def read_by_settings() -> set[str]:
    """Names of the environment that settings.py and the choice of servers read."""
    sources = [ROOT / "afterimage_web/settings.py", ROOT / "afterimage_web/embedded/addresses.py"]
    text = "".join(source.read_text() for source in sources)
    called = re.findall(r'(?:environ\.get|env_[a-z_]+)\("([A-Z_]+)"', text)
    return {*called, *re.findall(r'"((?:DATABASE|REDIS|QDRANT)_URL)"', text)}


def explained() -> dict[str, str]:
    """The names of .env.example with their values, those that are commented out included."""
    return dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", EXAMPLE, flags=re.MULTILINE))


def asked_by_compose() -> set[str]:
    return set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE))


def test_every_variable_that_is_read_is_explained_and_every_explained_one_is_read() -> None:
    assert "ENCRYPTION_KEYS" in read_by_settings()
    assert explained().keys() == read_by_settings() | asked_by_compose()


def test_the_example_works_as_it_stands(tmp_path: Path) -> None:
    active = dict(re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, flags=re.MULTILINE))
    environment = {"PATH": os.environ["PATH"], "AFTERIMAGE_DATA": str(tmp_path), **active}
    environment |= {f"{name}_URL": os.environ[f"{name}_URL"] for name in ("DATABASE", "REDIS", "QDRANT")}
    program = "from afterimage_web import settings; print(settings.UPLOAD_MAX_BYTES, settings.TIME_ZONE)"
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == [str(200 * 2**20), "UTC"]


def test_every_container_of_ours_shares_the_files_and_waits_for_the_tables() -> None:
    assert set(OURS) == {"web", "worker", "press", "beat", "migrate"}
    for name, service in OURS.items():
        assert service["volumes"] == ["files:/data"]
        if name != "migrate":
            assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_the_workers_listen_to_every_queue_that_the_settings_name() -> None:
    from django.conf import settings

    heard = {queue for service in OURS.values() for queue in re.findall(r"--queues (\S+)", service.get("command", ""))}
    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    assert heard == routed | {settings.CELERY_TASK_DEFAULT_QUEUE}


def test_everything_that_stays_up_is_watched_and_every_server_has_a_pinned_version() -> None:
    for name, service in SERVICES.items():
        if name == "migrate":
            continue
        assert service["restart"] == "unless-stopped"
        assert "healthcheck" in service or name == "web", name  # the image checks the web server
        assert name in OURS or re.search(r":v?\d", service["image"]), name
    assert "/health/live" in (ROOT / "Dockerfile").read_text()


def test_no_log_grows_for_ever_and_no_container_of_ours_may_become_root() -> None:
    for name, service in SERVICES.items():
        assert service["logging"]["options"]["max-size"], name
    for name, service in OURS.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert re.search(r"^USER afterimage$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)


def test_no_database_logs_what_people_write() -> None:
    from afterimage_web.embedded.postgres import SETTINGS

    for name in ("log_min_error_statement", "log_error_verbosity"):
        assert f"-c {name}={SETTINGS[name]}" in SERVICES["postgres"]["command"]


def test_servers_are_reached_by_our_containers_alone() -> None:
    assert yaml.safe_load(COMPOSE)["networks"]["services"] == {"internal": True}
    for name in ("postgres", "redis", "qdrant"):
        assert SERVICES[name]["networks"] == ["services"]
        assert "ports" not in SERVICES[name]


@pytest.mark.parametrize("needed", ["afterimage_web", "datasets", "generation", "static", "templates", "manage.py"])
def test_the_image_holds_what_runs(needed: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert f"!{needed}" in ignored
    assert (ROOT / needed).exists()
