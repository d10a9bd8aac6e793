"""Exports: training files of what a filter matches."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import FileResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema
from pydantic import ConfigDict

from datasets import tasks
from datasets.access import project_for
from datasets.filters import ConversationFilter
from datasets.formats import FORMATS, Options
from datasets.formats.splitting import Split, Together
from datasets.models import Export, Role
from datasets.services.errors import Refused
from datasets.services.publishing import exports

from .shapes import PROJECT, ApiRequest, Body, Page, Place, enqueue, one_of, page_of

router = Router(tags=["Exports"])

EXPORTS = PROJECT + "/exports"
EXPORT = EXPORTS + "/{int:export}"


class StrictFilter(ConversationFilter):
    """The same filter as that of the list; without a field it does not narrow."""

    model_config = ConfigDict(extra="forbid")


class ExportOptions(Body):
    system_prompt: bool = Field(default=False, description="Write the system prompt as the first message.")
    reasoning: bool = Field(
        default=False,
        description="Write what the assistant thought, in `messages` and `raw`; `sharegpt` cannot hold it.",
    )
    metadata: bool = Field(default=False, description="Write ids, status, labels, scores and models beside each row.")
    min_gap: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Of preference pairs: by how much the better answer must score higher. Imported pairs are pairs "
        "whatever it is.",
    )


class SplitIn(Body):
    """An archive of `train.jsonl` and `validation.jsonl` instead of one file. The same seed divides alike."""

    validation: float = Field(gt=0, lt=1, description="Share of the rows that are for validation.")
    together: Together = Field("documents", description="Rows that have these in common are all on one side.")
    shuffle: bool = Field(default=True, description="False: validation has the first rows, and all keep their order.")
    seed: int = Field(42, ge=-(2**63), lt=2**63)


class ExportIn(Body):
    format: str = Field("messages", json_schema_extra=one_of(FORMATS))
    filter: StrictFilter = Field(StrictFilter(), examples=[{"status": "approved"}])
    options: ExportOptions = ExportOptions()
    split: SplitIn | None = None


class ExportOut(Schema):
    id: int
    format: str
    filter: dict[str, Any]
    options: dict[str, Any]
    split: dict[str, Any] | None = Field(description="Null: one file of rows.")
    state: str = Field(description="`ready`: it can be downloaded.", json_schema_extra=one_of(Export.State.values))
    rows: int = Field(description="Conversations to write, counted when it was asked for.")
    rows_written: int
    rows_held: int = Field(description="Those of them that are for validation.")
    skipped: int = Field(description="Conversations that the format cannot hold.")
    skips: dict[str, int] = Field(description="Why they were left out.")
    offline: bool = Field(description="Whether the offline model wrote any row.")
    size: int = Field(description="Bytes.")
    sha256: str
    error: str
    created: datetime
    finished: datetime | None


@router.get(EXPORTS, response=Page[ExportOut])
def list_exports(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The exports of a project, newest first."""
    return page_of(project_for(request.auth, project).exports.all(), place, newest_first=True)


@router.post(EXPORTS, response={201: ExportOut})
def create_export(request: ApiRequest, project: str, body: ExportIn) -> Export:
    """Have a worker write a file of what the filter matches now. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    export = exports.start_export(
        project=row,
        actor=request.auth,
        filter=body.filter,
        format=body.format,
        options=Options(**body.options.dict()),
        split=Split(**body.split.dict()) if body.split else None,
    )
    enqueue(tasks.write_export.delay, export.pk)
    return export


@router.get(EXPORT, response=ExportOut)
def get_export(request: ApiRequest, project: str, export: int) -> Export:
    """One export: ask again until its state is `ready` or `failed`."""
    return get_object_or_404(project_for(request.auth, project).exports, pk=export)


@router.get(
    EXPORT + "/file",
    openapi_extra={
        "responses": {200: {"description": "The file", "content": {"application/jsonl": {}, "application/zip": {}}}}
    },
)
def download_export(request: ApiRequest, project: str, export: int) -> FileResponse:
    """The file itself, streamed: one JSON object a line; of a split, an archive of both sides and a dataset card."""
    row = get_object_or_404(project_for(request.auth, project).exports.select_related("project"), pk=export)
    if row.state != Export.State.READY:
        raise Refused("There is no file to download yet: ask for the export until its state is “ready”.")
    try:
        file = row.file.open("rb")
    except FileNotFoundError as error:
        raise Refused("The file is gone from the server: export again.") from error
    return FileResponse(file, as_attachment=True, filename=row.file_name, content_type=row.content_type)


@router.delete(EXPORT, response={204: None})
def delete_export(request: ApiRequest, project: str, export: int) -> None:
    """The export and its file. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    exports.delete_export(
        export=get_object_or_404(row.exports.select_related("project"), pk=export), actor=request.auth
    )
