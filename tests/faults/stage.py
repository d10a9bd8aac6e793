"""What the tests of faults stand on: a project whose endpoint is the tests' model server, and runs of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db.models import Count
from django.test import Client
from django.urls import reverse

from datasets.models import Conversation, Corpus, Project, User, Version
from datasets.services.projects import create_project
from generation.engine.recipe import ModelChoice, Recipe
from generation.models import Call, Endpoint, Run, Slot
from generation.services.running import runs
from generation.services.servers.endpoints import save_endpoint
from generation.tasks import call_for_workers
from tests.datasets.ingesting import add, read
from tests.factories import make_corpus, make_user
from tests.fixtures_model_server import RunningModelServer

ROLES = ("instruction", "correspondent", "respondent")
KEY = "sk-the-good-key-0001"


class Stage:
    """A project with an endpoint at `server`. Runs are launched as the page does: rows, then a hint for workers."""

    def __init__(self, server: RunningModelServer, name: str = "Faults") -> None:
        self.server = server
        self.user: User = make_user()
        self.browser = Client()
        self.browser.force_login(self.user)
        self.project: Project = create_project(name=name, owner=self.user)
        self.endpoint = self.add_endpoint("Server", server)

    def add_endpoint(self, name: str, server: RunningModelServer, **values: Any) -> Endpoint:
        fields = {"name": name, "preset": "custom", "base_url": server.base_url, "chat_model": "test-model", **values}
        return save_endpoint(project=self.project, user=self.user, values=fields, key=KEY)

    def add_corpus(self) -> Corpus:
        """Six small documents, read and indexed."""
        corpus = make_corpus(self.project)
        for number in range(6):
            read(
                add(corpus, f"pump-{number}.txt", f"Pump number {number} is serviced every {number + 2} weeks.\n\n" * 3)
            )
        return corpus

    def recipe(self, **changes: Any) -> Recipe:
        fields: dict[str, Any] = {
            "corpus": None,
            "respondent_prompt": self.project.prompts.get(role="respondent").pk,
            "models": dict.fromkeys(ROLES, ModelChoice(endpoint=self.endpoint.pk)),
            "retrieval": {"when": "never"},
            "conversations": 12,
            "max_turns": 2,
            "concurrency": 4,
        }
        return Recipe.model_validate(fields | changes)

    def act(self, run: Run, action: str) -> None:
        """What a button of the run's page does."""
        address = reverse("generation:run-action", args=[self.project.slug, run.pk, action])
        assert self.browser.post(address).status_code == 302

    def launch(self, **changes: Any) -> Run:
        spec = self.recipe(**changes)
        run = runs.start_run(project=self.project, spec=spec, user=self.user)
        call_for_workers(run)
        return run


def wait_for(condition: Callable[[], Any], *, within: float, what: str = "it") -> float:
    """Waits until `condition` holds, and returns how many seconds that took."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > within:
            raise AssertionError(f"{what} did not happen within {within} s")
        time.sleep(0.05)
    return time.monotonic() - begun


def state_of(run: Run) -> str:
    run.refresh_from_db()
    return run.state


def wait_for_state(run: Run, state: str, *, within: float = 30.0) -> float:
    """Fails at once when the run ends in another state."""

    def reached() -> bool:
        now = state_of(run)
        if now != state and now not in (Run.State.RUNNING, Run.State.PAUSED):
            raise AssertionError(f"the run is {now}: {run.reason}")
        return now == state

    return wait_for(reached, within=within, what=f"the run's state {state}")


def landed(run: Run) -> set[int]:
    """The conversations that are committed."""
    return set(Conversation.objects.filter(batch=run.batch_id).values_list("pk", flat=True))


def slot_states(run: Run) -> dict[str, int]:
    return dict(run.slots.values_list("state").annotate(n=Count("pk")).order_by())


def nothing_in_flight(run: Run) -> bool:
    return not run.slots.filter(state=Slot.State.RUNNING).exists()


def assert_whole(run: Run) -> None:
    """N asked, N slots, N results, each of its own; and the counters say what the rows say."""
    run.refresh_from_db()
    assert (run.state, run.reason) == (Run.State.DONE, "")
    assert slot_states(run) == {Slot.State.DONE: run.slots_total}
    assert sorted(run.slots.values_list("index", flat=True)) == list(range(run.slots_total))
    assert set(run.slots.values_list("conversation", flat=True)) == landed(run)
    assert len(landed(run)) == run.slots_total == run.slots_done
    assert Version.objects.filter(conversation__batch=run.batch_id).count() == run.slots_total
    calls = Call.objects.filter(run=run)
    assert run.calls == calls.count()
    assert run.prompt_tokens == sum(calls.values_list("prompt_tokens", flat=True))
    assert not run.slots.exclude(lease_token=None).exists()
