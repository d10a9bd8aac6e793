"""Imports: conversations out of files that somebody brings along."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.shortcuts import get_object_or_404
from ninja import Field, File, Form, Query, Router, Schema, UploadedFile

from datasets import tasks
from datasets.access import project_for
from datasets.formats.incoming import SHAPES
from datasets.models import Import, Role
from datasets.services.curating import imports
from datasets.services.errors import Refused

from .shapes import PROJECT, ApiRequest, Body, Page, Place, enqueue, one_of, page_of

router = Router(tags=["Imports"])

IMPORTS = PROJECT + "/imports"


class LineLeftOut(Schema):
    line: int
    reason: str


class ImportIn(Body):
    again: bool = Field(default=False, description="Import it even if the very same file has been imported before.")


class ImportOut(Schema):
    id: int
    name: str
    size: int = Field(description="Bytes.")
    sha256: str
    shape: str = Field(description="How its rows are written.", json_schema_extra=one_of(SHAPES))
    state: str = Field(
        description="`done`: read to its end. `shown`: uploaded on a page, where nobody has confirmed it yet.",
        json_schema_extra=one_of(Import.State.values),
    )
    lines: int = Field(description="Lines that have been seen to.")
    rows: int = Field(description="Conversations that came of them.")
    problem_count: int = Field(description="Lines that were left out.")
    problems: list[LineLeftOut] = Field(description="The first of them.")
    batch: int | None = Field(alias="batch_id", description="Its conversations bear this batch.")
    error: str
    created: datetime

    @staticmethod
    def resolve_problems(row: Import) -> list[dict[str, Any]]:
        return [{"line": line, "reason": reason} for line, reason in row.problems]


@router.get(IMPORTS, response=Page[ImportOut])
def list_imports(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The imports of a project, newest first."""
    return page_of(project_for(request.auth, project).imports.all(), place, newest_first=True)


@router.post(IMPORTS, response={201: ImportOut})
def create_import(request: ApiRequest, project: str, file: File[UploadedFile], options: Form[ImportIn]) -> Import:
    """Have a worker read conversations from a JSONL file: rows or structured rows of AfterImage, messages, ShareGPT, or
    preference pairs (`prompt`, `chosen`, `rejected`), each of which becomes one conversation with both answers.

    What a row says that has no place here is kept, and the export format `raw` writes it again. A file that has been
    imported before is refused, unless `again` is true. Needs the role of curator.
    """
    row = imports.store_import(project=project_for(request.auth, project, Role.CURATOR), file=file, actor=request.auth)
    try:
        begun = imports.start_import(row=row, actor=request.auth, again=options.again)
    except Refused:
        imports.discard_import(row=row)
        raise
    enqueue(tasks.carry_on_import.delay, begun.pk)
    return begun


@router.get(IMPORTS + "/{int:number}", response=ImportOut)
def get_import(request: ApiRequest, project: str, number: int) -> Import:
    """One import: ask again until its state is `done` or `failed`."""
    return get_object_or_404(project_for(request.auth, project).imports, pk=number)
