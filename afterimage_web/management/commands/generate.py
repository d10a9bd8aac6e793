"""The main job without a browser: a folder of documents in, training conversations out."""

from __future__ import annotations

import threading
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from pydantic import ValidationError
from tqdm import tqdm

from afterimage_web import embedded
from afterimage_web.management.configs import ConfigJob
from afterimage_web.management.delivering import write_rows
from afterimage_web.management.folders import corpus_named, read_folder
from datasets.formats import FORMATS, Options
from datasets.models import Corpus, Project, PromptRole, User
from datasets.services.errors import Refused
from datasets.services.projects import create_project
from generation.engine.recipe import ModelChoice, Recipe
from generation.models import Endpoint, Run
from generation.services.running import runs
from generation.services.running.pulling import RUNS

PROJECT = "Command line"
OFFLINE = "Offline model"


class Command(BaseCommand):
    help = "Turn a folder of documents, or what a config file of AfterImage says, into training conversations."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", nargs="?", type=Path, help="folder of documents; folders below it are read too")
        parser.add_argument(
            "--config", type=Path, metavar="FILE", help="a config file of the AfterImage library instead"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="with --config: say what would be done, and do nothing"
        )
        parser.add_argument(
            "--out", type=Path, metavar="FILE.jsonl", help="where the rows are written; a config says it too"
        )
        parser.add_argument(
            "--preference",
            action="store_true",
            help="with --config: make preference pairs, as its section of that name says",
        )
        parser.add_argument("--dialogs", type=int, metavar="N", help="conversations to make (20)")
        parser.add_argument("--turns", type=int, metavar="M", help="most turns of a conversation (3)")
        parser.add_argument("--endpoint", metavar="NAME", help="endpoint of the project (Offline model)")
        parser.add_argument("--model", default="", help="model to ask for, if not the endpoint's own")
        parser.add_argument("--concurrency", type=int, metavar="C", help="conversations in flight (8)")
        parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same plan (0)")
        parser.add_argument(
            "--format", choices=sorted(FORMATS), help="of the rows (messages; raw, as the library's, with --config)"
        )
        parser.add_argument("--project", metavar="SLUG", help=f"project to work in; else one named “{PROJECT}”")

    def handle(self, **options: Any) -> None:
        try:
            job = job_of(options)
            if options["dry_run"]:
                self.stdout.write("\n".join(job.plan()))
                return
            if not job.out.parent.is_dir():
                raise CommandError(f"{job.out.parent} does not exist: make the folder first.")
            job.check()
            with embedded.running(settings.DATA_DIR, workers=False, say=self.say):
                self.generate(job, options)
        except (embedded.EmbeddedError, Refused) as error:
            raise CommandError(str(error)) from error

    def say(self, sentence: str) -> None:
        with tqdm.external_write_mode(file=self.stderr):
            self.stderr.write(sentence)

    def generate(self, job: FolderJob | ConfigJob, options: dict[str, Any]) -> None:
        project = project_named(options["project"])
        endpoint = endpoint_named(project, options["endpoint"]) if options["endpoint"] else None
        run = runs.start_run(project=project, spec=job.spec(project, endpoint, self.say), user=None)
        self.follow(run)
        if run.slots_done:
            written = write_rows(run, job.out, job.format, job.options_of(job.format), self.say)
            self.say(f"{written} conversations in {job.out}{' (by the offline model)' if run.offline else ''}")
            job.deliver(run, self.say)
        if run.state != Run.State.DONE:
            raise CommandError(f"The run is {run.get_state_display().lower()}: {run.reason}")

    def follow(self, run: Run) -> None:
        """Make the conversations in this process, with a bar."""
        worker = threading.Thread(target=pull_all, args=[run.pk], daemon=True)
        worker.start()
        with tqdm(total=run.slots_total, desc="Generating", unit="conversation") as bar:
            while worker.is_alive():
                worker.join(0.3)
                run.refresh_from_db()
                bar.update(run.slots_done - bar.n)
                bar.set_postfix(failed=run.slots_failed, tokens=run.tokens)


def pull_all(run_id: int) -> None:
    """Until the run ends: slots that failed for a passing reason are open again only after a while."""
    waited = threading.Event()
    try:
        while Run.objects.filter(pk=run_id, state=Run.State.RUNNING).exists():
            RUNS.pull(run_id)
            waited.wait(0.2)
    finally:
        connection.close()


def project_named(slug: str | None) -> Project:
    if slug:
        project = Project.objects.filter(slug=slug).first()
        if project is None:
            known = ", ".join(Project.objects.values_list("slug", flat=True)[:20]) or "none yet"
            raise CommandError(f"There is no project “{slug}”. The projects are: {known}.")
        return project
    owner = User.objects.filter(is_superuser=True).order_by("pk").first()
    return Project.objects.filter(name=PROJECT).first() or create_project(name=PROJECT, owner=owner)


def endpoint_named(project: Project, name: str) -> Endpoint:
    endpoint = project.endpoints.filter(name__iexact=name).first()
    if endpoint is None:
        known = ", ".join(f"“{other}”" for other in project.endpoints.all())
        raise CommandError(f"The project “{project}” has no endpoint “{name}”. It has: {known}.")
    return endpoint


@dataclass(frozen=True)
class FolderJob:
    """What the command line asks for, of a folder."""

    folder: Path
    options: dict[str, Any]

    @property
    def out(self) -> Path:
        return Path(self.options["out"])

    @property
    def format(self) -> str:
        return self.options["format"] or "messages"

    def options_of(self, format: str) -> Options:
        return Options()

    def check(self) -> None:
        """Nothing that can be known before the services run."""

    def plan(self) -> Iterator[str]:
        raise CommandError("Only a config has a plan to show: add --config FILE, or leave --dry-run out.")

    def deliver(self, run: Run, say: Callable[[str], None]) -> None:
        """Nothing besides the rows."""

    def spec(self, project: Project, endpoint: Endpoint | None, say: Callable[[str], None]) -> Recipe:
        """The folder's documents are read first. A corpus of the same name is brought up to date, not read again."""
        server = endpoint or endpoint_named(project, OFFLINE)
        corpus = corpus_named(project, self.folder.resolve().name[:100])
        read_folder(self.folder, corpus, say)
        return recipe(project, corpus, server, self.options)


def job_of(options: dict[str, Any]) -> FolderJob | ConfigJob:
    """Raises CommandError, or Refused, when there is nothing that could be done."""
    folder: Path | None = options["folder"]
    if options["config"]:
        if folder:
            raise CommandError("Name a folder or a config, not both: a config says where its documents are.")
        return ConfigJob.read(options["config"], options)
    if folder is None:
        raise CommandError("Name a folder of documents, or a config file with --config FILE.")
    if not folder.is_dir():
        raise CommandError(f"{folder} is not a folder: name the folder that holds your documents.")
    if options["preference"]:
        raise CommandError("Only a config says how pairs are made: add --config FILE, or leave --preference out.")
    if not options["out"]:
        raise CommandError("Say with --out FILE.jsonl where the rows are to be written.")
    return FolderJob(folder, options)


def recipe(project: Project, corpus: Corpus, endpoint: Endpoint, options: dict[str, Any]) -> Recipe:
    choice = ModelChoice(endpoint=endpoint.pk, model=options["model"])
    prompts = {
        role: project.prompts.filter(role=role, archived=False).order_by("pk").values_list("pk", flat=True).first()
        for role in (PromptRole.RESPONDENT, PromptRole.CORRESPONDENT)
    }
    try:
        return Recipe(
            corpus=corpus.pk,
            respondent_prompt=prompts[PromptRole.RESPONDENT],
            correspondent_prompt=prompts[PromptRole.CORRESPONDENT],
            models=dict.fromkeys(("instruction", "correspondent", "respondent"), choice),
            conversations=given(options["dialogs"], 20),
            max_turns=given(options["turns"], 3),
            concurrency=given(options["concurrency"], 8),
            seed=options["seed"],
        )
    except ValidationError as error:
        problems = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
        raise CommandError(f"The run cannot be made so: {problems}") from error


def given(number: int | None, usual: int) -> int:
    return usual if number is None else number
