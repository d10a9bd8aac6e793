"""What a bench stands on: throw-away services, a migrated database, a project with a corpus, and a model server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets.models import Corpus, Project
    from generation.models import Endpoint, Run
    from tests.fixtures_model_server import RunningModelServer


def provide() -> None:
    """Services and Django, in a script."""
    import django
    from django.core.management import call_command

    from tests import services

    services.provide()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "afterimage_web.settings")
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    django.setup()
    call_command("migrate", verbosity=0)


class Stage:
    def __init__(self, server: RunningModelServer) -> None:
        self.server = server
        self.project = _project()
        self.corpus = _corpus(self.project)
        self.endpoint = _endpoint(self.project, server)

    def run(self, *, pullers: int = 1, **changes: Any) -> Run:
        """Launch, send one hint a worker process, and wait for the end."""
        run = self.launch(pullers=pullers, **changes)
        while run.state == run.State.RUNNING:
            time.sleep(0.2)
            run.refresh_from_db()
        return run

    def launch(self, *, pullers: int = 1, **changes: Any) -> Run:
        from generation.services.running import runs
        from generation.tasks import pull_run

        run = runs.start_run(project=self.project, spec=self.recipe(**changes), user=None)
        for _ in range(pullers):
            pull_run.delay(run.pk)
        return run

    def warm_up(self, processes: int) -> None:
        """So that each worker process has imported and connected what it needs before anything is measured."""
        self.run(conversations=128 * processes, concurrency=128 * processes, pullers=processes)

    def recipe(self, **changes: Any) -> Any:
        """One model in every role; with retrieval before every answer, unless `changes` say otherwise."""
        from generation.engine.recipe import Recipe

        roles = ("instruction", "correspondent", "respondent", "judge")
        usual: dict[str, Any] = {
            "corpus": self.corpus.pk,
            "respondent_prompt": self.project.prompts.get(role="respondent").pk,
            "models": {role: {"endpoint": self.endpoint.pk} for role in roles},
        }
        return Recipe.model_validate(usual | changes)


@contextmanager
def staged(*options: str) -> Iterator[Stage]:
    """A stage with a model server of its own, started with the given command line options."""
    provide()
    from tests.fixtures_model_server import start_model_server

    server, process = start_model_server(*options)
    try:
        yield Stage(server)
    finally:
        process.terminate()
        process.wait(5)


def _project() -> Project:
    from datasets.services.projects import create_project

    return create_project(name="Bench", owner=None)


def _corpus(project: Project) -> Corpus:
    """The product's own sample handbook."""
    from django.core.files import File

    from datasets.sample import HANDBOOK
    from datasets.services.collecting import corpora, ingest

    corpus = corpora.create_corpus(project=project, name="Handbook", user=None)
    for path in sorted(HANDBOOK.iterdir()):
        with path.open("rb") as opened:
            source, _ = corpora.store_file(corpus=corpus, name=path.name, file=File(opened), user=None)
        ingest.ingest(source.pk)
    return corpus


def _endpoint(project: Project, server: RunningModelServer) -> Endpoint:
    from generation.models import Endpoint

    return Endpoint.objects.create(
        project=project, name="Bench server", preset="custom", base_url=server.base_url, chat_model="bench-model"
    )
