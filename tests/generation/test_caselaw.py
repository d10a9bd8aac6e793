"""The caselaw walkthrough from end to end: indexed by a script of its own, adopted, generated, judged, improved, exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.filters import ConversationFilter
from datasets.models import Judgement, Project, User, Version
from datasets.services.exports import Options, start_export, write_export
from generation.models import Endpoint, Run
from generation.services.endpoints import save_endpoint
from tests.datasets.adopting import adopt, choose
from tests.datasets.test_adopted_search import index_corpus
from tests.fixtures_foreign_qdrant import ForeignQdrant
from tests.fixtures_model_server import RunningModelServer
from tests.generation.pulled import pulled
from tests.generation.runs import launched

pytestmark = pytest.mark.django_db(transaction=True)

ROLES = ("instruction", "correspondent", "respondent", "judge")
HELD = (
    "The court held that a State may not exercise jurisdiction over a railroad merely because its tracks cross the State.",
    "The patent act does not know a defense of laches within the six years that it allows for damages.",
    "A city is an aggrieved person under the act where predatory lending lowered its tax revenue.",
)


def opinions(folder: Path) -> Path:
    file = folder / "opinions.jsonl"
    rows = [
        {"id": str(n), "title": f"Case {n}", "date_filed": "2017-05-30", "text": f"{text}\n\nOpinion number {n} ends."}
        for n, text in enumerate(HELD * 4)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.fixture
def endpoint(project: Project, owner: User, model_server: RunningModelServer) -> Endpoint:
    values = {
        "name": "Server",
        "preset": "custom",
        "base_url": model_server.base_url,
        "chat_model": "big",
        "embedding_model": "embed-1",
    }
    return save_endpoint(project=project, user=owner, values=values)


def test_opinions_become_judged_and_improved_conversations_in_a_file(
    project: Project,
    owner: User,
    endpoint: Endpoint,
    foreign: ForeignQdrant,
    model_server: RunningModelServer,
    tmp_path: Path,
) -> None:
    indexed = index_corpus(opinions(tmp_path), foreign, model_server.base_url)
    assert indexed.returncode == 0, indexed.stderr
    corpus = adopt(project, foreign, "caselaw", id_key="id", title_key="title")
    choose(corpus, endpoint)
    assert corpus.passages.count() == 12

    judging = {
        "weights": {"factuality": 1, "helpfulness": 1, "grounding": 2, "relevance": 1},
        "aggregation": "weighted",
        "embedding": {"endpoint": endpoint.pk},
    }
    run = pulled(
        launched(
            project,
            models={role: {"endpoint": endpoint.pk} for role in ROLES},
            corpus=corpus.pk,
            conversations=100,
            max_turns=2,
            retrieval={"when": "answer", "depth": 2},
            questions={"batch": 2},
            stopping=[{"kind": "coverage"}],
            judge=judging,
            improve={"attempts": 1, "below": 0.9},
        )
    )
    assert run.state in (Run.State.DONE, Run.State.STOPPED), run.reason
    made = list(project.conversations.filter(batch=run.batch_id).with_head())
    assert len(made) == run.slots_total == 12

    versions = Version.objects.filter(conversation__batch=run.batch_id)
    assert {version.origin for version in versions} == {"generated", "improved"}
    assert Judgement.objects.filter(version__in=versions, overall__isnull=False).count() == versions.count()
    for conversation in made:
        judged = {one.pk: one.judgements.get().overall for one in conversation.versions.all()}
        assert conversation.score == judged[conversation.head_id] == max(judged.values())
        sources = [source for step in conversation.head.dialog.trace.steps for source in step.sources]
        assert {source.title.partition(" ")[0] for source in sources} == {"Case"}

    export = start_export(
        project=project,
        actor=owner,
        filter=ConversationFilter(batch=run.batch_id),
        format="messages",
        options=Options(system_prompt=True),
    )
    write_export(export_id=export.pk)
    export.refresh_from_db()
    with export.file.open() as file:
        rows = [json.loads(line) for line in file]
    assert len(rows) == 12
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        assert roles[0] == "system"
        assert roles[1:] == ["user", "assistant"] * (len(roles) // 2)
