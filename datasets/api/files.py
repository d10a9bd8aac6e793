"""The files of a corpus, and what was read from them."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePath
from typing import Annotated, Any, Literal

from django.http import FileResponse
from django.shortcuts import get_object_or_404
from ninja import Field, File, Form, Query, Router, Schema, UploadedFile

from datasets import tasks
from datasets.access import project_for
from datasets.models import Document, Role, SourceFile
from datasets.services.collecting import corpora
from datasets.services.collecting.corpora import Stored
from datasets.services.errors import Refused

from .corpora import CORPUS, find_corpus
from .shapes import ApiRequest, Body, Id, Page, Place, Storable, enqueue, one_of, page_of

router = Router(tags=["Files"])

FILES = CORPUS + "/files"
FILE = FILES + "/{int:file}"
DOCUMENTS = CORPUS + "/documents"
DOCUMENT = DOCUMENTS + "/{int:document}"


class LeftOut(Schema):
    """A row or part of a file that was left out."""

    where: str = Field(examples=["row 12"])
    reason: str


class FileOut(Schema):
    id: int
    name: str
    size: int = Field(description="Bytes.")
    sha256: str
    state: str = Field(
        description="`ready` when its passages can be searched; `failed` with an `error`.",
        json_schema_extra=one_of(SourceFile.State.values),
    )
    progress: float = Field(description="Share that has been read, 0 to 1.")
    error: str = Field(description="What is wrong with the file and what to do; empty if nothing.")
    problem_count: int = Field(description="Rows that were left out.")
    problems: list[LeftOut] = Field(description="The first of them.")
    documents: int = Field(alias="document_count")
    passages: int = Field(alias="passage_count")
    options: dict[str, str]
    created: datetime
    updated: datetime

    @staticmethod
    def resolve_problems(row: SourceFile) -> list[dict[str, str]]:
        return [{"where": where, "reason": reason} for where, reason in row.problems]


class UploadOut(Schema):
    """What became of one uploaded file."""

    name: str
    outcome: Literal["reading", "unchanged", "refused"] = Field(
        description="`reading`: a worker reads it now. `unchanged`: that very content is there already. "
        "`refused`: `reason` says why."
    )
    reason: str = ""
    file: FileOut | None


class ReadingIn(Body):
    """Which part of a row is the text. Left out, the reader picks it, or keeps what was chosen before."""

    column: Annotated[str, Storable] = Field("", max_length=200, description="CSV and TSV: the column with the text.")
    content_key: Annotated[str, Storable] = Field("", max_length=200, description="JSONL: the key with the text.")
    title_key: Annotated[str, Storable] = Field("", max_length=200, description="The column or key with the title.")
    id_key: Annotated[str, Storable] = Field("", max_length=200, description="The column or key with its id.")
    drop_others: bool = Field(False, description="Leave out the other columns or keys; else they become metadata.")


class DocumentOut(Schema):
    id: int
    file: int = Field(alias="source_id")
    key: str = Field(description="Tells the rows of one file apart; empty for a whole file.")
    external_id: str = Field(description="What it is called where it comes from; empty if it says nothing.")
    title: str
    characters: int
    passages: int = Field(alias="passage_count")
    created: datetime


class DocumentDetail(DocumentOut):
    text: str
    pages: list[int] = Field(description="Character offset at which each page begins.")
    metadata: dict[str, Any]


class PassageOut(Schema):
    id: int
    index: int
    text: str
    start: int = Field(description="Character offset into the document's text.")
    end: int
    page: int | None
    heading: str


# -- files --------------------------------------------------------------------------------------------------------------


@router.get(FILES, response=Page[FileOut])
def list_files(
    request: ApiRequest, project: str, corpus: int, place: Query[Place], state: SourceFile.State | None = None
) -> dict[str, Any]:
    """The files of a corpus with how far reading has come, oldest first."""
    files = find_corpus(project_for(request.auth, project), corpus).files
    return page_of(files.narrowed(state or ""), place)


@router.post(FILES, response=list[UploadOut])
def upload_files(
    request: ApiRequest, project: str, corpus: int, files: File[list[UploadedFile]], reading: Form[ReadingIn]
) -> list[dict[str, Any]]:
    """Add files, many at once: PDF, DOCX, HTML, Markdown, text, RTF, CSV, TSV or JSONL. Needs the role of curator.

    A file replaces the one of the same name; the same content again changes nothing. One that is refused does not keep
    the others out; if all are refused, the answer is a 422.
    """
    row = find_corpus(project_for(request.auth, project, Role.CURATOR), corpus)
    stored = corpora.store_files(corpus=row, files=files, user=request.auth, options=_options(reading) or None)
    if all(result.refusal for result in stored):
        raise Refused(" ".join(f"{result.name}: {result.refusal}" for result in stored), field="files")
    for result in stored:
        if result.source and result.changed:
            enqueue(tasks.ingest_file.delay, result.source.pk)
    return [_upload(result) for result in stored]


def _options(reading: ReadingIn) -> dict[str, str]:
    return {name: "yes" if value is True else value for name, value in reading.dict().items() if value}


def _upload(result: Stored) -> dict[str, Any]:
    outcome = "refused" if result.refusal else "reading" if result.changed else "unchanged"
    return {"name": result.name, "outcome": outcome, "reason": result.refusal, "file": result.source}


@router.get(FILE, response=FileOut)
def get_file(request: ApiRequest, project: str, corpus: int, file: int) -> SourceFile:
    """One file: ask again until its state is `ready` or `failed`."""
    return get_object_or_404(find_corpus(project_for(request.auth, project), corpus).files, pk=file)


@router.post(FILE + "/reread", response=FileOut)
def reread_file(request: ApiRequest, project: str, corpus: int, file: int, body: ReadingIn | None = None) -> SourceFile:
    """Have a worker read it again, otherwise if a body says how. Needs the role of curator."""
    row = find_corpus(project_for(request.auth, project, Role.CURATOR), corpus)
    source = get_object_or_404(row.files, pk=file)
    corpora.reread_file(source=source, options=_options(body) if body else None, user=request.auth)
    enqueue(tasks.ingest_file.delay, source.pk)
    return row.files.get(pk=file)


@router.get(
    FILE + "/original",
    openapi_extra={"responses": {200: {"description": "The file", "content": {"application/octet-stream": {}}}}},
)
def download_original(request: ApiRequest, project: str, corpus: int, file: int) -> FileResponse:
    """The file as it was uploaded."""
    source = get_object_or_404(find_corpus(project_for(request.auth, project), corpus).files, pk=file)
    try:
        content = source.file.open()
    except (FileNotFoundError, ValueError) as error:  # a collection has none
        raise Refused("There is no stored content of this file: upload it again.") from error
    name = PurePath(source.name).name
    return FileResponse(content, as_attachment=True, filename=name, content_type="application/octet-stream")


@router.delete(FILE, response={204: None})
def delete_file(request: ApiRequest, project: str, corpus: int, file: int) -> None:
    """A worker clears away the file with its documents and passages. Needs the role of curator."""
    row = find_corpus(project_for(request.auth, project, Role.CURATOR), corpus)
    source = get_object_or_404(row.files, pk=file)
    corpora.delete_file(source=source, user=request.auth)
    enqueue(tasks.ingest_file.delay, source.pk)


# -- documents ----------------------------------------------------------------------------------------------------------


@router.get(DOCUMENTS, response=Page[DocumentOut])
def list_documents(
    request: ApiRequest,
    project: str,
    corpus: int,
    place: Query[Place],
    title: Annotated[str, Storable, Field(max_length=200, description="Words of the title.")] = "",
    file: Id | None = None,
) -> dict[str, Any]:
    """What was read from the files, one document a file or a row, without the texts."""
    documents = find_corpus(project_for(request.auth, project), corpus).documents
    return page_of(documents.matching(title=title, file=file).without_text(), place)


@router.get(DOCUMENT, response=DocumentDetail)
def get_document(request: ApiRequest, project: str, corpus: int, document: int) -> Document:
    """One document with its whole text."""
    return get_object_or_404(find_corpus(project_for(request.auth, project), corpus).documents, pk=document)


@router.get(DOCUMENT + "/passages", response=Page[PassageOut])
def list_passages(request: ApiRequest, project: str, corpus: int, document: int, place: Query[Place]) -> dict[str, Any]:
    """The passages that a document was cut into."""
    documents = find_corpus(project_for(request.auth, project), corpus).documents.without_text()
    return page_of(get_object_or_404(documents, pk=document).passages.all(), place)
