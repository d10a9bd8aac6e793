"""What a run's calls leave in the ledger: why replies ended, and whose each call was."""

from __future__ import annotations

import pytest

from datasets.models import Project, User
from generation.models import Endpoint
from generation.services.servers.endpoints import save_endpoint
from tests.fixtures_model_server import RunningModelServer
from tests.generation.pulled import pulled
from tests.generation.runs import launched

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(project: Project, owner: User, model_server: RunningModelServer) -> Endpoint:
    fields = {"name": "Server", "preset": "custom", "base_url": model_server.base_url, "chat_model": "big"}
    return save_endpoint(project=project, user=owner, values=fields)


def test_calls_say_why_their_replies_ended(project: Project, server: Endpoint) -> None:
    run = pulled(launched(project, endpoint=server, conversations=2, max_turns=1))
    assert run.calls == run.ledger.count() == 4
    assert set(run.ledger.values_list("finish", "model")) == {("stop", "big")}


def test_a_call_whose_replies_were_all_of_no_use_says_so_with_its_model_and_tries(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    model_server.fail("length")
    run = pulled(launched(project, endpoint=server, conversations=1, max_turns=1))
    assert run.slots_failed == 1
    call = run.ledger.get()
    assert (call.operation, call.model, call.finish, call.tries) == ("instruction", "big", "length", 3)
    stats = model_server.stats()
    assert (stats["total"], stats["completion_tokens"]) == (3, call.completion_tokens)
