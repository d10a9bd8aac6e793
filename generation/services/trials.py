"""Tests, previews and drafts: asked for by a page, carried out by a worker."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone

from datasets.models import Corpus, Project, User
from datasets.services.errors import Refused
from datasets.text import clean, clean_json
from generation.adapters.briefs import briefs_for
from generation.adapters.embedding import embedder_for
from generation.adapters.making import open_press
from generation.adapters.metering import write_down
from generation.adapters.retrieving import check_model
from generation.adapters.speaking import Switchboard
from generation.adapters.threads import closing, in_a_thread
from generation.engine.calls import Calls
from generation.engine.errors import EngineError
from generation.engine.protocols import Brief, ChatRequest, Failed, Turn
from generation.engine.providers import ClientPool, RetryPolicy
from generation.engine.recipe import ModelChoice, Recipe
from generation.engine.simulators import write_correspondent_prompt
from generation.models import Endpoint, Run, Slot, Trial
from generation.secrets import Undecryptable
from generation.services.running import document_casting, persona_pool
from generation.services.running.freezing import freeze
from generation.services.running.landing import judgement_columns
from generation.services.running.runs import passages_of, plan_of
from generation.services.servers.embeddings import choose_embedding, model_named

log = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=3)
"""After this a trial that nobody has taken up has failed."""
LONGEST = timedelta(minutes=15)
"""After this one that was taken up has failed: a slow model writes a long preview in less."""
FORGOTTEN = timedelta(days=1)
"""After this nobody waits for a question's vector any more."""
LOOK_EVERY = 0.1
ONCE = RetryPolicy(tries=2, patience=10)
"""Somebody waits: a server that is down is said to be down at once."""


def ask_for(*, project: Project, kind: str, request: dict[str, Any], user: User) -> Trial:
    return Trial.objects.create(project=project, kind=kind, request=request, created_by=user)


def ask_for_choice(*, corpus: Corpus, endpoint: Endpoint, model: str, user: User) -> Trial:
    """Of a model for an adopted corpus, the endpoint's own unless named. Refused when neither is."""
    request = {"corpus": corpus.pk, "endpoint": endpoint.pk, "model": model_named(endpoint, model)}
    return ask_for(project=corpus.project, kind=Trial.Kind.EMBEDDING, request=request, user=user)


def wait_for(*, trial: Trial, seconds: float) -> None:
    """Until a worker has ended it, or for so many seconds."""
    ends = time.monotonic() + seconds
    while trial.is_open and time.monotonic() < ends:
        time.sleep(LOOK_EVERY)
        trial.refresh_from_db()


def carry_out(*, trial_id: int) -> None:
    """Do what was asked, once; whatever goes wrong is a sentence in the row."""
    waiting = Trial.objects.filter(pk=trial_id, state=Trial.State.WAITING)
    if not waiting.update(state=Trial.State.RUNNING, started=timezone.now()):
        return
    trial = Trial.objects.select_related("project", "created_by").get(pk=trial_id)
    try:
        result = asyncio.run(closing(KINDS[Trial.Kind(trial.kind)](trial)))
    except (EngineError, Refused, Undecryptable) as error:
        _end(trial, Trial.State.FAILED, error=str(error))
    except Exception as error:
        log.exception("Trial %s broke off.", trial_id)
        _end(trial, Trial.State.FAILED, error=f"It broke off ({type(error).__name__}: {error}).")
    else:
        _end(trial, Trial.State.DONE, result=result)


def _end(trial: Trial, state: str, *, result: dict[str, Any] | None = None, error: str = "") -> None:
    Trial.objects.filter(pk=trial.pk, state=Trial.State.RUNNING).update(
        state=state, result=clean_json(result or {}), error=clean(error), finished=timezone.now()
    )


def fail_forgotten_trials() -> None:
    """What no worker carried out in time has failed, so that the page that waits for it says so."""
    now = timezone.now()
    ended: dict[str, Any] = {"state": Trial.State.FAILED, "finished": now}
    Trial.objects.filter(state=Trial.State.WAITING, created__lt=now - PATIENCE).update(
        error="No worker took it up in time. Try again.", **ended
    )
    Trial.objects.filter(state=Trial.State.RUNNING, started__lt=now - LONGEST).update(
        error="The worker that was at it did not come to an end. Try again.", **ended
    )


def forget_questions() -> None:
    Trial.objects.filter(kind=Trial.Kind.QUESTION, created__lt=timezone.now() - FORGOTTEN).delete()


async def _test_endpoint(trial: Trial) -> dict[str, Any]:
    """One short chat call, and one embedding where the endpoint has an embedding model."""
    endpoint = await _endpoint(trial)
    result: dict[str, Any] = {}
    async with ClientPool() as pool:
        switchboard = await sync_to_async(Switchboard)([endpoint], pool)
        if endpoint.chat_model:
            speaker = switchboard.speaker(ModelChoice(endpoint=endpoint.pk), ONCE)
            result["chat"] = await _say_hello(speaker.model)
        if endpoint.embedding_model:
            result["embedding"] = await _embed(switchboard, endpoint)
    if not result:
        raise Refused("Name a chat or an embedding model first.")
    return result


async def _endpoint(trial: Trial) -> Endpoint:
    rows = trial.project.endpoints.prefetch_related("keys")
    if (endpoint := await rows.filter(pk=trial.request["endpoint"]).afirst()) is None:
        raise Refused("That endpoint has been deleted: choose another.")
    return endpoint


async def _say_hello(model: Any) -> dict[str, Any]:
    request = ChatRequest("test", (Turn("user", "Say hello in one short sentence."),), max_tokens=200)
    reply = await model.complete(request)
    return {
        "reply": reply.text or reply.reasoning,
        "model": reply.model,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "latency_ms": round(reply.latency * 1000),
    }


async def _embed(switchboard: Switchboard, endpoint: Endpoint) -> dict[str, Any]:
    embedder = switchboard.embedder(endpoint.pk, endpoint.embedding_model, ONCE)
    begun = time.perf_counter()
    (vector,) = await embedder.embed(["hello"])
    return {
        "model": endpoint.embedding_model,
        "size": len(vector),
        "latency_ms": round((time.perf_counter() - begun) * 1000),
    }


async def _preview(trial: Trial) -> dict[str, Any]:
    """One conversation as the recipe would make it, with its whole trace."""
    spec = Recipe.model_validate(trial.request["recipe"])
    frozen = await sync_to_async(freeze)(project=trial.project, spec=spec)
    brief = await sync_to_async(_first_brief)(trial.project, spec, frozen)
    async with open_press(spec, frozen) as press:
        outcome = await press.maker.make(brief)
    if isinstance(outcome, Failed):
        raise Refused(outcome.error)
    attempts = [
        {
            "dialog": attempt.dialog.model_dump(mode="json"),
            "origin": attempt.origin,
            "label": attempt.label,
            "verdict": judgement_columns(attempt.verdict) if attempt.verdict else None,
        }
        for attempt in outcome.attempts
    ]
    return {"attempts": attempts, "best": outcome.best, "offline": frozen.offline}


def _first_brief(project: Project, spec: Recipe, frozen: Any) -> Brief:
    """The brief of the slot that a run of this recipe would begin with, at its full length."""
    dealt = persona_pool.versions_dealt(project=project, spec=spec)
    (plan,) = plan_of(spec, passages_of(spec), 1, tuple(dealt))
    version = (document_casting.versions_of(spec) | dealt).get(plan.persona or 0)
    slot = Slot(index=0, seed=plan.seed, turns=spec.max_turns, context=list(plan.contexts), persona_version_id=version)
    (brief,) = briefs_for(Run(corpus_id=spec.corpus), spec, frozen, [slot])
    return replace(brief, questions=1)


async def _draft_correspondent(trial: Trial) -> dict[str, Any]:
    endpoint = await _endpoint(trial)
    prompt = await trial.project.prompts.select_related("current").filter(pk=trial.request["prompt"]).afirst()
    if prompt is None:
        raise Refused("That prompt has been deleted: choose another.")
    async with ClientPool() as pool:
        switchboard = await sync_to_async(Switchboard)([endpoint], pool)
        speaker = switchboard.speaker(ModelChoice(endpoint=endpoint.pk), ONCE)
        text = await write_correspondent_prompt(speaker, prompt.current.text, Calls())
    return {"text": text, "offline": endpoint.is_offline}


async def _make_vector(trial: Trial) -> dict[str, Any]:
    """The vector of a question is kept where all vectors are."""
    async with embedder_for(trial.request["corpus"], ONCE) as embedder:
        if embedder is None:
            raise Refused("The corpus is searched by words alone now.")
        await embedder.embed([trial.request["text"]])
    return {}


async def _choose_embedding(trial: Trial) -> dict[str, Any]:
    """Has an adopted corpus searched by a model, if that makes vectors as long as the collection's."""
    endpoint, model = await _endpoint(trial), trial.request["model"]
    corpora = trial.project.corpora.select_related("project", "adopted")
    corpus = await corpora.filter(pk=trial.request["corpus"]).afirst()
    if corpus is None or corpus.adopted is None:
        raise Refused("That corpus has been deleted: choose another.")
    async with ClientPool() as pool:
        switchboard = await sync_to_async(Switchboard)([endpoint], pool)
        try:
            await check_model(corpus.adopted, switchboard.embedder(endpoint.pk, model, ONCE), model)
        finally:
            await in_a_thread(write_down, switchboard.meter, project=trial.project_id)
    await in_a_thread(_choose, trial, corpus, endpoint)
    return {"name": corpus.name, "model": model, "size": corpus.adopted.size}


def _choose(trial: Trial, corpus: Corpus, endpoint: Endpoint) -> None:
    """Unless somebody has asked for another in the meantime."""
    later = trial.project.trials.filter(kind=trial.kind, request__corpus=corpus.pk, pk__gt=trial.pk)
    if later.exists():
        raise Refused("Another model was asked for meanwhile.")
    choose_embedding(corpus=corpus, endpoint=endpoint, model=trial.request["model"], user=trial.created_by)


KINDS: dict[Trial.Kind, Callable[[Trial], Awaitable[dict[str, Any]]]] = {
    Trial.Kind.ENDPOINT: _test_endpoint,
    Trial.Kind.PREVIEW: _preview,
    Trial.Kind.CORRESPONDENT: _draft_correspondent,
    Trial.Kind.EMBEDDING: _choose_embedding,
    Trial.Kind.QUESTION: _make_vector,
}
