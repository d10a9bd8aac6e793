"""From a config of the AfterImage library to rows of a project: its prompt, its model server, its documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from datasets.models import Corpus, Persona, Project, Prompt, PromptRole, User
from datasets.services.errors import Refused
from datasets.services.prompts import save_prompt
from generation.engine.recipe import ModelChoice, PersonaGroup, Recipe
from generation.models import Endpoint
from generation.models.endpoints import check_web_address
from generation.secrets import Undecryptable
from generation.services.afterimage import recipe as afterimage
from generation.services.afterimage.config import Config
from generation.services.afterimage.recipe import Wrong
from generation.services.servers.endpoints import save_endpoint

PROMPT = "From an AfterImage config"


@dataclass(frozen=True, slots=True)
class Pasted:
    """A recipe that a pasted config describes, and what it leaves aside, a sentence each."""

    spec: Recipe
    notes: list[str] = field(default_factory=list)


@transaction.atomic
def pasted_recipe(
    *, project: Project, text: str, corpus: Corpus | None, endpoint: Endpoint | None, actor: User | None
) -> Pasted:
    """The recipe of a config that was pasted into a page, where its documents and its key cannot be reached.

    `corpus` and `endpoint` are those that somebody chose for it; None is whatever fits. Raises Refused with the field.
    """
    config = afterimage.read_config(text, None)
    server = endpoint or endpoint_for(project, config)
    if server is None:
        raise Refused(
            f"No endpoint of this project is at {afterimage.base_url_of(config)}: add it under Endpoints, or choose "
            "another one here.",
            field="endpoint",
        )
    spec = afterimage.recipe_of(
        config,
        corpus=_pasted_corpus(project, config, corpus),
        prompt=prompt_for(project=project, text=config.respondent.system_prompt or "", author=actor).pk,
        choice=choice_of(config, server),
        persona_groups=_pasted_personas(project, config),
    )
    return Pasted(spec, afterimage.left_to_pages(config))


def _pasted_corpus(project: Project, config: Config, chosen: Corpus | None) -> int | None:
    documents = config.documents
    if documents is None:
        return None
    found = chosen or corpus_for(project, config)
    if found:
        return found.pk
    if documents.provider == "qdrant":
        where = f"“{documents.collection}” at {documents.url or afterimage.QDRANT}"
        read = f", read by “{documents.content_key}”" if "content_key" in documents.model_fields_set else ""
        sentence = (
            f"No corpus of this project is the collection {where}{read}: adopt it under Corpora, or choose another."
        )
    else:
        sentence = (
            f"documents.path ({documents.path}) is on your computer, which cannot be reached from here: upload the "
            "documents to a corpus and choose it."
        )
    raise Refused(sentence, field="corpus")


def _pasted_personas(project: Project, config: Config) -> Sequence[PersonaGroup]:
    """Everybody, where the config asks for personas."""
    if not config.personas.enabled:
        return ()
    if not project.personas.usable().exists():
        raise Wrong("The config asks for personas and this project has none: grow some from a corpus first.")
    return (PersonaGroup(),)


def choice_of(config: Config, endpoint: Endpoint) -> ModelChoice:
    """The config's model, unless somebody chose to have it made by the offline model."""
    return ModelChoice(endpoint=endpoint.pk, model="" if endpoint.is_offline else config.model.model_name)


def prompt_for(*, project: Project, text: str, author: User | None) -> Prompt:
    """The assistant's prompt of that very text, made if the project has none."""
    rows = project.prompts.filter(role=PromptRole.RESPONDENT)
    found = rows.filter(archived=False, current__text=text).order_by("pk").first()
    if found:
        return found
    taken = set(rows.values_list("name", flat=True))
    name = next(name for n in count(1) if (name := PROMPT if n == 1 else f"{PROMPT} {n}") not in taken)
    return save_prompt(project=project, name=name, role=PromptRole.RESPONDENT, text=text, author=author)


def corpus_for(project: Project, config: Config) -> Corpus | None:
    """The corpus that is the very Qdrant collection that the config names, read by the key that it names, if any."""
    documents = config.documents
    if documents is None or documents.provider != "qdrant":
        return None
    url = (documents.url or afterimage.QDRANT).rstrip("/")
    rows = project.corpora.filter(adopted__collection=documents.collection).select_related("adopted")
    if "content_key" in documents.model_fields_set:
        rows = rows.filter(adopted__content_key=documents.content_key)
    return next((row for row in rows if row.adopted and row.adopted.url.rstrip("/") == url), None)


def endpoint_for(project: Project, config: Config) -> Endpoint | None:
    """The endpoint at the server that the config names."""
    url = afterimage.base_url_of(config)
    return next((row for row in project.endpoints.order_by("pk") if row.base_url.rstrip("/") == url), None)


def make_endpoint(*, project: Project, config: Config, key: str) -> Endpoint:
    """That endpoint, made if there is none, and with this key."""
    row = endpoint_for(project, config)
    if row and (not key or key in _keys_of(row)):
        return row
    url = afterimage.base_url_of(config)
    try:
        check_web_address(url)
    except ValidationError as error:
        raise Wrong(f"“model.base_url”: {error.message}") from error
    values: dict[str, Any] = {}
    if row is None:
        preset = afterimage.preset_of(config)
        name = f"AfterImage {config.model.provider}"
        if project.endpoints.filter(name=name).exists():
            name = f"{name} at {url}"[:100]
        values = {"name": name, "preset": preset, "base_url": url, "chat_model": config.model.model_name}
    return save_endpoint(project=project, user=None, values=values, key=key, endpoint=row)


def _keys_of(endpoint: Endpoint) -> Iterator[str]:
    """Those that can be read."""
    for stored in endpoint.keys.all():
        with suppress(Undecryptable):
            yield stored.reveal()


def personas_of(corpus: Corpus) -> Sequence[int]:
    """Those that came from a corpus's documents and may be used."""
    rows = Persona.objects.filter(project=corpus.project_id, document__corpus=corpus)
    return list(rows.filter(archived=False, proposed=False).order_by("pk").values_list("pk", flat=True))
