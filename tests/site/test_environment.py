"""A wrong setting is named in one sentence that says how to write it, and never repeats what may be a secret."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from afterimage_web import environment
from afterimage_web.embedded import EmbeddedError
from afterimage_web.embedded.others import check_others
from afterimage_web.environment import WrongSetting
from tests.site.outside import Outside

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda name: environment.env_flag(name), "maybe"),
        (lambda name: environment.env_number(name, 30), "soon"),
        (lambda name: environment.env_number(name, 30), "-1"),
        (lambda name: environment.env_number(name, 30), "0"),
        (lambda name: environment.env_time_zone(name), "Europe/Nowhere"),
        (lambda name: environment.env_time_zone(name), "../etc/passwd"),
        (lambda name: environment.env_log_level(name), "verbose"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_name_of_the_variable(read, value, monkeypatch):
    monkeypatch.setenv("OURS", value)
    with pytest.raises(WrongSetting, match=r"^OURS is n(o|either)"):
        read("OURS")


def test_values_are_read_as_they_are_meant(monkeypatch):
    monkeypatch.setenv("OURS", " Yes ")
    assert environment.env_flag("OURS") is True
    monkeypatch.setenv("OURS", "")
    assert environment.env_flag("OURS", default=True) is False
    assert environment.env_number("OURS", 30) == 30
    assert environment.env_time_zone("OURS") == "UTC"
    monkeypatch.setenv("OURS", "warning")
    assert environment.env_log_level("OURS") == "WARNING"


@pytest.mark.parametrize(
    ("name", "address"),
    [("REDIS_URL", "localhost:6379"), ("QDRANT_URL", "qdrant"), ("SITE_URL", "example.org"), ("SITE_URL", "https://")],
)
def test_an_address_without_its_scheme_or_its_host_is_refused(name, address):
    with pytest.raises(WrongSetting, match=f"^{name} is no address"):
        environment.checked_address(name, address)


@pytest.mark.parametrize("address", ["mysql://user:hush@host/name", "nonsense", "user hush"])
def test_an_address_of_no_database_is_refused_without_its_password(address):
    with pytest.raises(WrongSetting, match=r"^DATABASE_URL is no address") as refused:
        environment.checked_database(address)
    assert "hush" not in str(refused.value)


def test_a_key_of_another_length_is_refused_without_being_shown():
    with pytest.raises(WrongSetting, match=r"^ENCRYPTION_KEYS") as refused:
        environment.checked_keys(["c2hvcnQ="])
    assert "c2hvcnQ" not in str(refused.value)
    assert environment.checked_keys([key := "A" * 43 + "="]) == [key]


def test_a_command_ends_with_the_sentence_alone(tmp_path):
    program = [sys.executable, "manage.py", "check"]
    told = subprocess.run(
        program,
        cwd=ROOT,
        env={"AFTERIMAGE_DATA": str(tmp_path), "EMAIL_USE_SSL": "1", "EMAIL_USE_TLS": "1"},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1
    assert told.stderr == "EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other: set one of them to 0.\n"


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", "postgresql://user:hush@127.0.0.1:1/name"),
        ("REDIS_URL", "redis://:hush@127.0.0.1:1/0"),
        ("QDRANT_URL", "http://127.0.0.1:1"),
    ],
)
def test_a_server_that_does_not_answer_is_named_without_its_password(name, address):
    with pytest.raises(
        EmbeddedError, match=rf"^The server that {name} names cannot be used: .*unset {name}"
    ) as refused:
        check_others({name: address})
    assert "hush" not in str(refused.value)


def test_servers_that_are_not_named_are_not_asked_for():
    check_others({"DATABASE_URL": "", "OTHER_URL": "http://127.0.0.1:1"})


def test_up_ends_with_that_sentence_before_anything_starts(tmp_path):
    program = Outside("manage.py", "up", AFTERIMAGE_DATA=str(tmp_path), REDIS_URL="redis://127.0.0.1:1/0")
    assert program.ends() == 1
    assert program.output.startswith("CommandError: The server that REDIS_URL names cannot be used: ")
    assert program.output.count("\n") == 1
