"""What a first start does beyond starting: an administrator, and a sample project whose first run is watched."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from django.core.files import File
from django.db import transaction

from datasets.filters import ConversationFilter
from datasets.formats import Options
from datasets.models import Corpus, Export, Project, PromptRole, SourceFile, User
from datasets.sample import HANDBOOK, load_personas, load_prompts
from datasets.services.collecting import corpora, ingest
from datasets.services.personas.saving import save_persona
from datasets.services.projects import create_project
from datasets.services.prompts import save_prompt
from datasets.services.publishing import exports
from generation.engine.recipe import ModelChoice, Recipe
from generation.models import Run
from generation.services.running import runs
from generation.tasks import call_for_workers

CONVERSATIONS = 20
TURNS = 3

Say = Callable[[str], None]


def welcome(data_dir: Path, url: str, say: Say = print) -> None:
    """Greet at the terminal once everything runs: who may log in and a first run on a first start, and the address."""
    if password := make_administrator():
        say(f"Log in as admin with the password {password} (shown only now; change it on your account page).")
    if nothing_is_here():
        say(f"AfterImage is at {url}; a sample project is being made there.")
        show_sample(User.objects.get(), say)
    say(f"AfterImage is at {url} (Ctrl-C stops it).")


def make_administrator() -> str:
    """Make the user admin and return the password, or "" if somebody can log in already."""
    if User.objects.exists():
        return ""
    password = secrets.token_urlsafe(12)
    User.objects.create_superuser(username="admin", password=password)
    return password


def nothing_is_here() -> bool:
    """Nobody has begun yet: also after a first start that was stopped before it came to the sample."""
    return User.objects.count() == 1 and not Project.objects.exists()


def show_sample(owner: User, say: Say) -> None:
    """From a handbook to a training file, told line by line."""
    project = make_sample_project(owner)
    corpus = read_handbook(project, owner, say)
    run = launch(project, corpus, owner)
    follow(run, say)
    if run.state == Run.State.DONE:
        say(f"Exported as {export_of(run, owner)}")
    else:
        say(f"The sample run is {run.get_state_display().lower()}: {run.reason}")


@transaction.atomic
def make_sample_project(owner: User) -> Project:
    project = create_project(
        name="Sample: support handbook",
        owner=owner,
        description="A made-up product's support handbook, turned into conversations by the offline model.",
    )
    for prompt in load_prompts():
        save_prompt(project=project, name=prompt["name"], role=prompt["role"], text=prompt["text"], author=owner)
    for persona in load_personas():
        save_persona(
            project=project,
            name=persona["name"],
            description=persona["description"],
            features=persona["features"],
            author=owner,
        )
    return project


def read_handbook(project: Project, owner: User, say: Say) -> Corpus:
    corpus = corpora.create_corpus(
        project=project,
        name="Support handbook",
        description="The documents of a weather station's support, in several file types.",
        user=owner,
    )
    paths = sorted(path for path in HANDBOOK.iterdir() if path.is_file())
    for number, path in enumerate(paths, 1):
        say(f"Reading {number} of {len(paths)}: {path.name}")
        with path.open("rb") as opened:
            source, _ = corpora.store_file(corpus=corpus, name=path.name, file=File(opened), user=owner)
        ingest.ingest(source.pk)
        source.refresh_from_db()
        if source.state == SourceFile.State.FAILED:
            say(f"  {source.error}")
    return corpus


def launch(project: Project, corpus: Corpus, owner: User) -> Run:
    prompts = {
        role: project.prompts.filter(role=role).order_by("-pk").values_list("pk", flat=True).first()
        for role in (PromptRole.RESPONDENT, PromptRole.CORRESPONDENT)
    }
    offline = ModelChoice(endpoint=project.endpoints.get(preset="offline").pk)
    spec = Recipe(
        corpus=corpus.pk,
        respondent_prompt=prompts[PromptRole.RESPONDENT],
        correspondent_prompt=prompts[PromptRole.CORRESPONDENT],
        personas=tuple(project.personas.order_by("pk").values_list("pk", flat=True)),
        models=dict.fromkeys(("instruction", "correspondent", "respondent"), offline),
        conversations=CONVERSATIONS,
        max_turns=TURNS,
    )
    with transaction.atomic():
        run = runs.start_run(project=project, spec=spec, user=owner, name="First run, by the offline model")
        transaction.on_commit(partial(call_for_workers, run))
    return run


def follow(run: Run, say: Say) -> None:
    """A line whenever more conversations have landed."""
    said = -1
    while run.state == Run.State.RUNNING:
        if run.slots_done != said:
            said = run.slots_done
            say(f"Generating: {said} of {run.slots_total} conversations")
        time.sleep(0.5)
        run.refresh_from_db()
    say(f"Generating: {run.slots_done} of {run.slots_total} conversations, {run.calls} calls, {run.tokens} tokens")


def export_of(run: Run, owner: User) -> Path:
    export = exports.start_export(
        project=run.project,
        actor=owner,
        filter=ConversationFilter(batch=run.batch_id),
        format="messages",
        options=Options(),
    )
    exports.write_export(export_id=export.pk)
    return Path(Export.objects.get(pk=export.pk).file.path)
