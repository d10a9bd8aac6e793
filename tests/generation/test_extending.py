"""What docs/extending.md shows, word for word: each example is installed, named in the settings, chosen and run."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Conversation, Corpus, Judgement, Project, User
from generation.engine.dialog import Improvement
from generation.engine.library import briefs, dialog_maker
from generation.engine.modifiers import WithRetrieval
from generation.engine.protocols import Made, Speaker
from generation.models import Run
from generation.services.running import sinks
from generation.services.servers.endpoints import save_endpoint
from tests.datasets.ingesting import add, read
from tests.engine.parts import Model
from tests.factories import make_corpus
from tests.fixtures_model_server import RunningModelServer
from tests.generation.pulled import pulled
from tests.generation.runs import launched, recipe

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs/extending.md").read_text()
BLOCKS = re.findall(r"```python\n# (\S+)\n(.*?)```", DOCUMENT, re.DOTALL)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package that the document writes, installed and named as it says."""
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/__init__.py").touch()
    for name, code in BLOCKS:
        if name.startswith("acme/"):
            (tmp_path / name).write_text(code)
    said: dict[str, Any] = {}
    exec(dict(BLOCKS)["settings"], said)
    settings.AFTERIMAGE_EXTENSIONS = said["AFTERIMAGE_EXTENSIONS"]
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda module: importlib.import_module(f"acme.{module}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        del sys.modules[name]


@pytest.fixture
def corpus(project: Project) -> Corpus:
    corpus = make_corpus(project)
    for number in range(3):
        read(add(corpus, f"pump-{number}.txt", f"Pump number {number} is serviced every {number + 2} weeks.\n\n" * 3))
    return corpus


def test_every_kind_has_an_example() -> None:
    assert {name for name, _ in BLOCKS if name.startswith("acme/")} == {
        f"acme/{module}.py" for module in ("questions", "retrievers", "judges", "rules", "sinks", "hooks", "models")
    }


def test_the_script_of_the_document_is_the_one_of_the_examples() -> None:
    docstring, _, script = (ROOT / "examples/library.py").read_text().partition("\n\n")
    assert docstring.startswith('"""')
    assert dict(BLOCKS)["examples/library.py"] == script


def test_the_script_of_the_document_runs_in_an_empty_folder(model_server: RunningModelServer, tmp_path: Path) -> None:
    (tmp_path / "library.py").write_text(dict(BLOCKS)["examples/library.py"])
    command = [sys.executable, "library.py", model_server.base_url, "m", "out.jsonl"]
    told = {"PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "secret"}

    def ran() -> str:
        done = subprocess.run(command, cwd=tmp_path, env=told, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    model_server.control(keys=["other"])
    assert "The server does not accept this API key" in ran()
    model_server.control(keys=["secret"])
    assert ran() == "10 made, 0 failed"
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(rows) == 10
    assert {row["messages"][0]["content"] for row in rows} == {"You are a helpful support agent."}


def test_a_run_is_made_of_everything_that_is_added(acme: Any, project: Project, corpus: Corpus, tmp_path: Path) -> None:
    run = launched(
        project,
        corpus=corpus.pk,
        conversations=6,
        max_turns=1,
        questions={"writer": {"name": "riddles", "options": {"words": 2}}, "distinct": False},
        retrieval={"when": "answer", "retriever": {"kind": "custom", "name": "glossary"}, "with_context": False},
        judge={"weights": {}, "others": [{"name": "brevity", "options": {"words": 1}}]},
        hooks=[{"name": "count"}],
        sinks=[{"name": "folder", "options": {"path": str(tmp_path / "out")}}],
    )
    pulled(run)

    assert (run.state, run.slots_done) == (Run.State.DONE, 6)
    for conversation in Conversation.objects.filter(batch=run.batch_id).with_head():
        assert re.match(r"Riddle \d+: what is it that begins with “Pump number”", conversation.opening)
        (step,) = [step for step in conversation.head.dialog.trace.steps if step.operation == "answer"]
        assert [source.text for source in step.sources] == ["A pump moves water."]
        assert conversation.score == 0
    assert set(Judgement.objects.values_list("feedback", flat=True)) == {"Answer in fewer words."}
    assert acme("hooks").Count.answers == 6
    assert sinks.runs_waiting() == [run.pk]
    sinks.deliver(run_id=run.pk)
    assert len(list((tmp_path / "out").iterdir())) == 6
    assert sinks.runs_waiting() == []


def test_an_added_rule_stops_a_run_and_its_reason_is_shown(acme: Any, project: Project, corpus: Corpus) -> None:
    rule = {"kind": "any", "rules": [{"kind": "custom", "name": "enough-words", "options": {"number": 20}}]}
    questions = {"distinct": False}
    run = pulled(launched(project, corpus=corpus.pk, conversations=300, stopping=[rule], questions=questions))
    assert (run.state, run.reason) == (Run.State.STOPPED, "20 words are enough.")


def test_the_run_form_offers_what_is_added_and_makes_a_recipe_of_it(
    acme: Any, project: Project, corpus: Corpus, owner: User, client: Client
) -> None:
    client.force_login(owner)
    recipe(project)
    address = reverse("generation:run-new", args=[project.slug])
    form = client.get(address).context["form"].as_posted()
    chosen = {
        "writer": "riddles",
        "retriever": "custom:glossary",
        "judge": "on",
        "evaluators": ["brevity"],
        "stop_rules": ["enough-words"],
        "sinks": ["folder"],
        "hooks": ["count"],
    }
    assert client.post(address, form.data | chosen).status_code == 302
    spec = Run.objects.get().spec
    assert spec["questions"]["writer"]["name"] == "riddles"
    assert spec["retrieval"]["retriever"]["name"] == "glossary"
    assert [one["name"] for one in spec["judge"]["others"]] == ["brevity"]
    assert [one["name"] for one in spec["stopping"]] == ["enough-words"]
    assert [one["name"] for one in spec["sinks"]] == ["folder"]
    assert [one["name"] for one in spec["hooks"]] == ["count"]


def test_a_sink_that_refuses_is_told_and_gets_the_same_again(
    acme: Any, project: Project, corpus: Corpus, tmp_path: Path, client: Client, owner: User
) -> None:
    out = tmp_path / "out"
    out.write_text("a file where a folder should be")
    sink = {"name": "folder", "options": {"path": str(out)}}
    run = pulled(launched(project, corpus=corpus.pk, conversations=3, max_turns=1, sinks=[sink]))
    sinks.deliver(run_id=run.pk)
    assert sinks.runs_waiting() == [run.pk]
    client.force_login(owner)
    page = client.get(reverse("generation:run-detail", args=[project.slug, run.pk])).content.decode()
    assert "did not take 3 conversations" in page

    out.unlink()
    sinks.deliver(run_id=run.pk)
    assert len(list(out.iterdir())) == 3
    assert sinks.runs_waiting() == []


def test_what_is_no_longer_installed_fails_the_run_in_a_sentence(
    acme: Any, project: Project, corpus: Corpus, settings: Any
) -> None:
    run = launched(project, corpus=corpus.pk, hooks=[{"name": "count"}])
    settings.AFTERIMAGE_EXTENSIONS = {}
    pulled(run)
    assert (run.state, run.reason) == (Run.State.FAILED, "This installation has no hooks named “count” (it has: none).")


async def test_the_last_line_of_the_document_works_without_the_application(acme: Any) -> None:
    model = Model()
    maker = dialog_maker(
        Speaker(model),
        "You help.",
        instructions=acme("questions").Riddles(Speaker(model)),
        modifier=WithRetrieval(acme("retrievers").Glossary()),
        evaluator=acme("judges").Brevity(),
        improvement=Improvement(attempts=2),
        hooks=acme("hooks").Count(),
    )
    outcome = await maker.make(next(briefs(["The pump is serviced."], 1, max_turns=1)))
    assert isinstance(outcome, Made)
    assert outcome.verdict is not None
    assert outcome.verdict.overall == 1


def test_an_added_provider_is_a_kind_of_endpoint_whose_models_speak_in_runs(
    acme: Any, project: Project, corpus: Corpus, owner: User, teammate: User, client_of: Any
) -> None:
    new = reverse("generation:endpoint-new", args=[project.slug])
    assert "Echo" in client_of(owner).get(new).content.decode()
    fields = {"name": "Echoes", "chat_model": "echo-1", "timeout": "20", "key": "sk-secret-0001"}
    prices = {"price-TOTAL_FORMS": "0", "price-INITIAL_FORMS": "0"}
    assert client_of(teammate).post(f"{new}?preset=added:echo", fields | prices).status_code == 403
    assert client_of(owner).post(f"{new}?preset=added:echo", fields | prices).status_code == 302
    endpoint = project.endpoints.get(name="Echoes")

    run = pulled(launched(project, endpoint=endpoint, corpus=corpus.pk, conversations=3, max_turns=1))
    assert run.state == Run.State.DONE
    for conversation in Conversation.objects.filter(batch=run.batch_id).with_head():
        assert conversation.head.dialog.messages[1].content.startswith("Echo: ")


def test_a_provider_that_is_no_longer_installed_stops_its_runs_in_a_sentence(
    acme: Any, project: Project, corpus: Corpus, owner: User, client_of: Any, settings: Any
) -> None:
    values = {"name": "Echoes", "preset": "added:echo", "base_url": "", "chat_model": "echo-1", "timeout": 20}
    endpoint = save_endpoint(project=project, user=owner, values=values)
    settings.AFTERIMAGE_EXTENSIONS = {}
    run = pulled(launched(project, endpoint=endpoint, corpus=corpus.pk))
    assert (run.state, run.reason) == (
        Run.State.FAILED,
        "This installation has no models named “echo” (it has: none).",
    )
    page = client_of(owner).get(reverse("generation:endpoint-detail", args=[project.slug, endpoint.pk]))
    assert page.status_code == 200
