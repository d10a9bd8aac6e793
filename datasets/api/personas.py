"""Personas of the simulated user: each with its versions, brought in and taken out, and decided on when proposed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets import tasks
from datasets.access import project_for
from datasets.formats.personas import write_jsonl, write_yaml
from datasets.models import Persona, PersonaImport, Role
from datasets.services.personas.files import rows_of
from datasets.services.personas.importing import start_import
from datasets.services.personas.reviewing import Decision, accept_all, decide, delete_persona
from datasets.services.personas.saving import save_persona
from datasets.services.personas.tree import people_of

from .shapes import PROJECT, ApiRequest, Archiving, Body, Id, Line, Page, Place, Storable, StorableJson, one_of, page_of

router = Router(tags=["Personas"])

PERSONAS = PROJECT + "/personas"
PERSONA = PERSONAS + "/{int:persona}"

FORMATS = {"jsonl": (write_jsonl, "application/jsonl"), "yaml": (write_yaml, "application/yaml")}


class PersonaText(Body):
    description: Annotated[str, Storable] = Field(
        min_length=1,
        max_length=5_000,
        description="Who this person is, what they know and what they want.",
        examples=["A night-shift nurse who sets up the pump for the first time and has no patience for jargon."],
    )
    features: Annotated[dict[str, str], StorableJson] = Field(
        {}, description="Named traits.", examples=[{"role": "nurse", "tone": "impatient"}]
    )
    system_prompt: Annotated[str, Storable] | None = Field(
        None, max_length=20_000, description="How whoever plays this person is to behave; left out: as it is."
    )


class PersonaIn(PersonaText):
    name: Line = Field(examples=["Night-shift nurse"])


class PersonaVersionOut(Schema):
    number: int
    description: str
    features: dict[str, Any]
    system_prompt: str
    model: str = Field(description="Which model wrote it; empty where a person did.")
    created: datetime


class PersonaOut(Schema):
    id: int
    name: str
    document: int | None = Field(alias="document_id", description="The document that it was written from.")
    parent: int | None = Field(alias="parent_id", description="The persona that it was written from.")
    depth: int = Field(description="Its layer: 0 is nearest to the document.")
    proposed: bool = Field(description="Whether it waits for review, so that no run uses it yet.")
    archived: bool
    created: datetime
    current: PersonaVersionOut


class PersonaDetail(PersonaOut):
    versions: list[PersonaVersionOut] = Field(description="Newest first.")


@router.get(PERSONAS, response=Page[PersonaOut])
def list_personas(
    request: ApiRequest,
    project: str,
    place: Query[Place],
    archived: bool = False,
    proposed: bool = False,
    document: Id | None = None,
) -> dict[str, Any]:
    """The personas of a project, oldest first: those in use, or those that are archived or wait for review."""
    rows = project_for(request.auth, project).personas.filter(archived=archived)
    rows = rows if archived else rows.filter(proposed=proposed)
    rows = rows if document is None else rows.filter(document=document)
    return page_of(rows.select_related("current"), place)


@router.post(PERSONAS, response={201: PersonaOut})
def create_persona(request: ApiRequest, project: str, body: PersonaIn) -> Persona:
    """A persona with its first version. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    return save_persona(project=row, author=request.auth, **body.dict())


@router.get(PERSONA, response=PersonaDetail)
def get_persona(request: ApiRequest, project: str, persona: int) -> Persona:
    """One persona with every version of it."""
    rows = project_for(request.auth, project).personas.select_related("current")
    return get_object_or_404(rows.prefetch_related("versions"), pk=persona)


@router.post(PERSONA + "/versions", response={201: PersonaOut})
def add_persona_version(request: ApiRequest, project: str, persona: int, body: PersonaText) -> Persona:
    """A new version, which runs use from now on; the same text again makes none. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    old = get_object_or_404(row.personas, pk=persona)
    return save_persona(project=row, persona=old, name=old.name, author=request.auth, **body.dict())


@router.patch(PERSONA, response=PersonaOut)
def archive_persona(request: ApiRequest, project: str, persona: int, body: Archiving) -> Persona:
    """Put a persona away, or take it out again. Needs the role of curator."""
    rows = project_for(request.auth, project, Role.CURATOR).personas.select_related("current")
    row = get_object_or_404(rows, pk=persona)
    row.archived = body.archived
    row.save(update_fields=["archived"])
    return row


# -- many at once --------------------------------------------------------------------------------------------------------


class PersonasIn(Body):
    text: Annotated[str, Storable] = Field(
        min_length=1,
        max_length=20_000_000,
        description="JSONL or YAML: whatever the export wrote, or document rows of the AfterImage library.",
        examples=["- name: Night-shift nurse\n  description: New to the ward.\n"],
    )
    format: Literal["jsonl", "yaml"] | None = Field(None, description="Left out: told from the text.")
    review: bool = Field(False, description="Whether each new one waits to be accepted before runs can use it.")


class RowLeftOut(Schema):
    where: str = Field(examples=["line 12"])
    sentence: str


class PersonaImportOut(Schema):
    id: int
    state: str = Field(
        description="`running`: ask again until it is `done`, or `failed` as `error` says.",
        json_schema_extra=one_of(PersonaImport.State.values),
    )
    total: int = Field(description="Personas in it; 0 until a long text has been looked through.")
    seen: int = Field(alias="position", description="Those that have been seen to.")
    added: int
    changed: int = Field(description="Those of a known name that got a new version.")
    unchanged: int
    problem_count: int
    problems: list[RowLeftOut] = Field(
        description="The first of them: rows that were left out, or came without something."
    )
    error: str
    created: datetime

    @staticmethod
    def resolve_problems(row: PersonaImport) -> list[dict[str, str]]:
        return [{"where": where, "sentence": sentence} for where, sentence in row.problems]


class DecisionIn(Body):
    decision: Decision


class PersonasAcceptIn(Body):
    document: Id | None = Field(None, description="Only those of this document; left out: all of the project.")


class PersonasAcceptOut(Schema):
    accepted: int


@router.post(PERSONAS + "/import", response={201: PersonaImportOut})
def import_from_text(request: ApiRequest, project: str, body: PersonasIn) -> PersonaImport:
    """Bring in personas. A row of no use is named in a sentence and does not keep the others out. Needs the role of curator.

    A persona of a name that the project has gets a new version if it says something else. A short text is brought in when
    the answer comes, a longer one by a worker.
    """
    row = project_for(request.auth, project, Role.CURATOR)
    is_yaml = None if body.format is None else body.format == "yaml"
    begun = start_import(project=row, text=body.text, author=request.auth, is_yaml=is_yaml, review=body.review)
    tasks.bring_in_personas(begun)
    begun.refresh_from_db()
    return begun


@router.get(PERSONAS + "/import/{int:persona_import}", response=PersonaImportOut)
def get_persona_import(request: ApiRequest, project: str, persona_import: int) -> PersonaImport:
    """How far an import is, and what came of it."""
    return get_object_or_404(project_for(request.auth, project).persona_imports.defer("text"), pk=persona_import)


@router.get(PERSONAS + "/export", response={200: None})
def export_personas(
    request: ApiRequest, project: str, format: Literal["jsonl", "yaml"] = "jsonl", all: bool = False
) -> Any:
    """Personas with features, prompts, layers, parents and documents, as a file that can be imported anywhere.

    Those that runs can use, or with `all` also those that wait for review and those that are archived.
    """
    personas = project_for(request.auth, project).personas
    write, kind = FORMATS[format]
    rows = rows_of(personas.all() if all else personas.usable())
    return StreamingHttpResponse(write(rows), content_type=f"{kind}; charset=utf-8")


@router.post(PERSONAS + "/accept", response=PersonasAcceptOut)
def accept_personas(request: ApiRequest, project: str, body: PersonasAcceptIn) -> dict[str, int]:
    """Accept everybody who waits for review. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    everybody = people_of(row, body.document) if body.document else row.personas.all()
    return {"accepted": accept_all(project=row, personas=everybody, actor=request.auth)}


@router.post(PERSONA + "/decision", response=PersonaOut)
def decide_persona(request: ApiRequest, project: str, persona: int, body: DecisionIn) -> Persona:
    """`accepted`: runs can use it, `rejected`: out of the lists, `waiting`: undecided again. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    found = get_object_or_404(row.personas.select_related("current"), pk=persona)
    decide(persona=found, decision=body.decision)
    return found


@router.delete(PERSONA, response={204: None})
def delete_one_persona(request: ApiRequest, project: str, persona: int) -> None:
    """Refused once a conversation speaks of it. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    delete_persona(persona=get_object_or_404(row.personas, pk=persona), actor=request.auth)
