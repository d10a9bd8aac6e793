"""The caselaw walkthrough from end to end: indexed by a script of its own, adopted, generated, judged, improved, exported."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from datasets.filters import ConversationFilter
from datasets.models import Corpus, Judgement, Project, User, Version
from datasets.services.publishing.exports import Options, start_export, write_export
from generation.models import Endpoint, Run
from generation.services.afterimage.recipe import read_config
from generation.services.servers.endpoints import save_endpoint
from tests.datasets.adopting import adopt, choose
from tests.datasets.test_adopted_search import index_corpus
from tests.fixtures_foreign_qdrant import ForeignQdrant
from tests.fixtures_model_server import RunningModelServer
from tests.generation.pulled import pulled
from tests.generation.runs import launched

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "caselaw"
WALKTHROUGH = (EXAMPLE / "README.md").read_text()

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


def pasted(project: Project, client: Client, text: str) -> Run:
    """The run of a recipe that is pasted, as its form offers it to be launched."""
    answer = client.post(reverse("generation:recipe-list", args=[project.slug]), {"text": text})
    assert answer.status_code == 200
    form = answer.context["form"].as_posted()
    assert client.post(reverse("generation:run-new", args=[project.slug]), form.data).status_code == 302
    return Run.objects.get(project=project)


def test_the_recipe_of_the_walkthrough_fits_what_its_text_has_made(
    project: Project,
    owner: User,
    foreign: ForeignQdrant,
    model_server: RunningModelServer,
    client_of: Callable[[User], Client],
    tmp_path: Path,
) -> None:
    index_corpus(opinions(tmp_path), foreign, model_server.base_url)
    values = {"preset": "ollama", "name": "Ollama", "base_url": model_server.base_url}
    ollama = save_endpoint(
        project=project, user=owner, values=values | {"chat_model": "qwen3:8b", "embedding_model": "nomic-embed-text"}
    )
    corpus = adopt(project, foreign, "caselaw", id_key="id", title_key="title")
    Corpus.objects.filter(pk=corpus.pk).update(name="Case law")
    choose(corpus, ollama, "nomic-embed-text")
    for (name, text), role in zip(prompts_of(WALKTHROUGH), ("respondent", "correspondent"), strict=True):
        fields = {"role": role, "name": name, "text": text}
        assert client_of(owner).post(reverse("datasets:prompt-new", args=[project.slug]), fields).status_code == 302

    run = pulled(pasted(project, client_of(owner), (EXAMPLE / "recipe.yaml").read_text()))
    assert run.state in (Run.State.DONE, Run.State.STOPPED), run.reason
    assert (run.spec["max_turns"], run.spec["retrieval"]["when"], run.spec["improve"]["below"]) == (3, "dialog", 0.72)
    made = list(project.conversations.filter(batch=run.batch_id).with_head())
    assert len(made) == run.slots_done >= 6  # half of the passages, at least
    for conversation in made:
        assert conversation.score is not None
        assert conversation.head.dialog.system_prompt.startswith("You are a careful senior legal research assistant.")


def test_the_config_of_the_walkthrough_is_one() -> None:
    (text,) = re.findall(r"<<END\n(.*?)^END$", WALKTHROUGH, re.DOTALL | re.MULTILINE)
    config = read_config(text, None)
    assert config.documents is not None
    assert (config.documents.collection, config.generation.num_dialogs, config.quality.auto_improve) == (
        "caselaw",
        20,
        True,
    )


def prompts_of(text: str) -> list[tuple[str, str]]:
    """What the walkthrough calls its prompts, and what stands quoted below each."""
    found = re.findall(r"called `([^`]+)`:\n\n((?:> .*\n)+)", text)
    return [(name, " ".join(line.removeprefix("> ") for line in quoted.splitlines())) for name, quoted in found]


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
