"""What a command such as `generate` gets: the services of a running `up`, or its own for as long as it runs."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from afterimage_web.embedded import EmbeddedError, running, stack, urls, urls_from, valkey
from afterimage_web.embedded.addresses import socket_folder
from afterimage_web.embedded.migrations import migrate
from afterimage_web.embedded.ownership import owned
from afterimage_web.embedded.supervisor import Supervisor
from tests.services import remove


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """A data folder for which only Valkey is ours to run; the environment names the test session's other servers."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    yield tmp_path
    remove(tmp_path)


def answers(data_dir) -> bool:
    return valkey.answers(socket_folder(data_dir) / "valkey.sock")


def test_a_command_has_what_it_needs_for_as_long_as_it_runs(data_dir):
    with running(data_dir, workers=False) as ours:
        assert answers(data_dir)
        ours.check()
    assert not answers(data_dir)


def test_a_command_uses_what_runs_already_and_leaves_it_running(data_dir):
    with owned(data_dir) as note, Supervisor(data_dir / "logs", note) as other:
        other.start(valkey.child(data_dir))
        with running(data_dir, workers=False) as borrowed:
            assert borrowed.supervisor is None
            borrowed.check()
        assert answers(data_dir)


def test_a_command_says_so_when_what_runs_already_does_not_answer(data_dir, monkeypatch):
    monkeypatch.setattr(stack, "PATIENCE", 0.3)
    refusal = pytest.raises(EmbeddedError, match=r"already runs on .* \(process \d+\).*Its services do not answer\.")
    with owned(data_dir), refusal, running(data_dir, workers=False):
        pytest.fail("nothing answers")


def test_servers_that_the_environment_names_are_used_instead_of_our_own(data_dir):
    named = {"DATABASE_URL": "postgresql://d/a", "REDIS_URL": "redis://r/0"}
    assert urls_from(named, data_dir).database == "postgresql://d/a"
    assert urls_from(named, data_dir).qdrant == urls(data_dir).qdrant
    nowhere = data_dir / "nowhere"
    assert urls_from(named | {"QDRANT_URL": "http://q:6333"}, nowhere).qdrant == "http://q:6333"
    assert not nowhere.exists()


@pytest.mark.django_db
def test_a_database_that_a_later_version_has_changed_is_refused():
    MigrationRecorder(connection).record_applied("datasets", "9999_from_the_future")
    with pytest.raises(EmbeddedError, match=r"later version of AfterImage \(it knows datasets\.9999_from_the_future\)"):
        migrate()
