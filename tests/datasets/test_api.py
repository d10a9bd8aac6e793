"""The archive through its API: JSON in, JSON and rows out."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from datasets.models import (
    Activity,
    ApiToken,
    Conversation,
    Corpus,
    Export,
    Persona,
    Project,
    Prompt,
    Review,
    SourceFile,
    Status,
    User,
)
from datasets.services.collecting.ingest import ingest
from datasets.services.publishing.exports import write_export
from tests.api_program import Program, refusal
from tests.datasets.ingesting import CAT, DOG
from tests.factories import make_conversation, make_corpus, make_dialog, make_source, make_trace

pytestmark = pytest.mark.django_db
HOME = "/projects/handbook"


@pytest.fixture(autouse=True)
def _searched_by_words(settings: Settings) -> None:
    settings.EMBEDDER = "tests.datasets.ingesting.words_alone"


@pytest.fixture
def program(teammate: User) -> Program:
    """Acts for a curator."""
    return Program.of(teammate)


@pytest.fixture
def corpus(project: Project) -> Corpus:
    return make_corpus(project, name="Animals", chunk_size=200, chunk_overlap=20)


def text_file(name: str, text: str) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode())


# -- tokens -------------------------------------------------------------------------------------------------------------


def test_a_token_acts_as_its_owner_and_remembers_when(project: Project, teammate: User) -> None:
    row, token = ApiToken.issue(teammate, "nightly")
    assert Program(token).get(HOME)["role"] == "curator"
    row.refresh_from_db()
    assert row.last_used is not None


def test_a_revoked_token_opens_nothing(project: Project, teammate: User) -> None:
    row, token = ApiToken.issue(teammate, "old")
    row.delete()
    assert "valid token" in refusal(Program(token).call("GET", HOME), 401)


def test_the_token_of_somebody_who_was_deactivated_opens_nothing(project: Project, teammate: User) -> None:
    program = Program.of(teammate)
    User.objects.filter(pk=teammate.pk).update(is_active=False)
    refusal(program.call("GET", HOME), 401)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dTpw", "Bearer aiw_\u00e9\u0000", "aiw_x"])
def test_what_is_no_token_is_answered_with_401(project: Project, header: str) -> None:
    nobody = Program()
    answer = nobody.client.get(f"/api/v1{HOME}", headers={"Authorization": header})
    refusal(answer, 401)
    assert answer["WWW-Authenticate"] == "Bearer"


def test_a_session_is_no_token_so_that_no_other_site_can_use_it(project: Project, teammate: User) -> None:
    nobody = Program()
    nobody.client.force_login(teammate)
    refusal(nobody.call("GET", HOME), 401)
    refusal(nobody.call("POST", f"{HOME}/corpora", {"name": "Forged"}), 401)


# -- projects -----------------------------------------------------------------------------------------------------------


def test_only_my_projects_are_listed_with_my_role(project: Project, annotator: User, stranger: User) -> None:
    (only,) = Program.of(annotator).get("/projects")["items"]
    assert (only["slug"], only["role"]) == ("handbook", "annotator")
    assert project.slug not in {row["slug"] for row in Program.of(stranger).get("/projects")["items"]}


def test_a_project_says_how_much_it_holds(project: Project, program: Program) -> None:
    make_conversation(project, status=Status.APPROVED)
    make_conversation(project)
    counts = program.get(HOME)["counts"]
    assert (counts["conversations"], counts["approved"], counts["waiting"]) == (2, 1, 1)


# -- corpora and files --------------------------------------------------------------------------------------------------


def test_a_corpus_is_made_with_its_cutting(project: Project, program: Program, teammate: User) -> None:
    made = program.post(f"{HOME}/corpora", {"name": " Manuals ", "chunk_size": 400, "chunk_overlap": 40})
    row = Corpus.objects.get(pk=made["id"])
    assert (row.project, row.name, row.chunk_size, row.chunk_overlap) == (project, "Manuals", 400, 40)
    assert Activity.objects.get(project=project).actor == teammate


def test_a_taken_name_is_refused_and_names_its_field(corpus: Corpus, program: Program) -> None:
    answer = program.call("POST", f"{HOME}/corpora", {"name": "Animals"})
    assert "choose a different one" in refusal(answer, 422)
    assert answer.json()["field"] == "name"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "A", "chunk_size": 10}, "chunk_size"),
        ({"name": "A", "chunk_size": 400, "chunk_overlap": 300}, "chunk_overlap"),
        ({"name": "A", "chunksize": 400}, "chunksize"),
        ({"name": "A", "\ud800": 400}, ""),
        ({"name": "\ud800" + "x" * 100}, "name"),
    ],
)
def test_a_bad_corpus_is_refused_with_the_field_that_is_wrong(
    project: Project, program: Program, body: dict[str, Any], field: str
) -> None:
    answer = program.call("POST", f"{HOME}/corpora", body)
    assert refusal(answer, 422)
    assert answer.json()["field"] == field
    assert not Corpus.objects.exists()


def test_what_postgresql_cannot_hold_is_left_out_of_texts(project: Project, program: Program) -> None:
    made = program.post(f"{HOME}/corpora", {"name": "A\x00nimals", "description": "half \ud800 pair"})
    assert (made["name"], made["description"]) == ("Animals", "half \ufffd pair")


def test_texts_of_every_script_are_sent_as_they_are(project: Project, program: Program) -> None:
    program.post(f"{HOME}/corpora", {"name": "取扱説明書"})
    assert "取扱説明書".encode() in program.call("GET", f"{HOME}/corpora").content


def test_an_address_that_does_not_exist_is_answered_as_any_refusal(project: Project, program: Program) -> None:
    for path in ("/nothing", "/projects/", f"{HOME}/corpora/1/", f"{HOME}/corpora/one"):
        refusal(program.call("GET", path), 404)
        refusal(program.call("POST", path, {}), 404)
    refusal(Program().call("GET", "/nothing"), 401)


def test_a_body_that_is_no_json_is_answered_with_400(project: Project, program: Program) -> None:
    answer = program.client.post(f"/api/v1{HOME}/corpora", "{", content_type="application/json")
    assert "JSON object" in refusal(answer, 400)


def test_many_files_are_uploaded_at_once_and_each_says_what_became_of_it(
    corpus: Corpus, program: Program, settings: Settings
) -> None:
    settings.UPLOAD_MAX_BYTES = 1000
    files = [text_file("cat.txt", CAT), text_file("dog.txt", DOG), text_file("novel.txt", "x" * 1001)]
    answer = program.upload(f"{HOME}/corpora/{corpus.pk}/files", files=files)
    assert answer.status_code == 200, answer.content
    outcomes = {row["name"]: row["outcome"] for row in answer.json()}
    assert outcomes == {"cat.txt": "reading", "dog.txt": "reading", "novel.txt": "refused"}
    assert "larger than" in answer.json()[2]["reason"]
    assert corpus.files.count() == 2


def test_a_file_that_is_uploaded_again_unchanged_is_left_alone(corpus: Corpus, program: Program) -> None:
    path = f"{HOME}/corpora/{corpus.pk}/files"
    (first,) = program.upload(path, files=[text_file("cat.txt", CAT)]).json()
    (again,) = program.upload(path, files=[text_file("cat.txt", CAT)]).json()
    assert (again["outcome"], again["file"]["id"]) == ("unchanged", first["file"]["id"])
    (changed,) = program.upload(path, files=[text_file("cat.txt", DOG)]).json()
    assert (changed["outcome"], changed["file"]["id"]) == ("reading", first["file"]["id"])


def test_an_upload_of_which_nothing_can_be_kept_is_refused(
    corpus: Corpus, program: Program, settings: Settings
) -> None:
    settings.UPLOAD_MAX_BYTES = 10
    answer = program.upload(f"{HOME}/corpora/{corpus.pk}/files", files=[text_file("cat.txt", CAT)])
    assert refusal(answer, 422).startswith("cat.txt: It is larger than")
    refusal(program.upload(f"{HOME}/corpora/{corpus.pk}/files"), 422)
    assert not corpus.files.exists()


def test_an_upload_calls_a_worker_when_it_is_committed(
    corpus: Corpus, program: Program, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks() as hints:
        program.upload(f"{HOME}/corpora/{corpus.pk}/files", files=[text_file("a.txt", CAT), text_file("b.txt", DOG)])
    assert len(hints) == 2


def test_the_column_of_a_table_can_be_chosen(corpus: Corpus, program: Program) -> None:
    table = text_file("animals.csv", f"name,story\ncat,{CAT.strip()}\ndog,{DOG.strip()}\n")
    (row,) = program.upload(f"{HOME}/corpora/{corpus.pk}/files", files=[table], column="story").json()
    assert row["file"]["options"] == {"column": "story"}
    ingest(row["file"]["id"])
    documents = program.get(f"{HOME}/corpora/{corpus.pk}/documents")["items"]
    texts = [program.get(f"{HOME}/corpora/{corpus.pk}/documents/{document['id']}")["text"] for document in documents]
    assert [CAT.strip() in text for text in texts] == [True, False]


def test_what_was_read_is_shown_and_found(corpus: Corpus, program: Program) -> None:
    path = f"{HOME}/corpora/{corpus.pk}"
    files = [text_file("cat.txt", CAT * 8), text_file("dog.txt", DOG * 8), text_file("scan.pdf", "not a pdf")]
    uploaded = program.upload(f"{path}/files", files=files).json()
    for row in uploaded:
        ingest(row["file"]["id"])
    cat, _, scan = (program.get(f"{path}/files/{row['file']['id']}") for row in uploaded)
    assert (cat["state"], cat["documents"]) == ("ready", 1)
    assert cat["passages"] > 1
    assert scan["state"] == "failed"
    assert scan["error"]
    assert [row["name"] for row in program.get(f"{path}/files", state="failed")["items"]] == ["scan.pdf"]
    totals = program.get(path)
    assert (totals["files"], totals["documents"], totals["open_files"], totals["failed_files"]) == (3, 2, 0, 1)
    (document,) = program.get(f"{path}/documents", file=cat["id"])["items"]
    passages = program.get(f"{path}/documents/{document['id']}/passages")["items"]
    text = program.get(f"{path}/documents/{document['id']}")["text"]
    assert [text[passage["start"] : passage["end"]] for passage in passages] == [row["text"] for row in passages]
    best = program.get(f"{path}/search", q="cat windowsill", limit=3)[0]
    assert best["document"] == document["id"]
    assert best["score"] > 0


def test_a_search_without_words_is_refused(corpus: Corpus, program: Program) -> None:
    answer = program.call("GET", f"{HOME}/corpora/{corpus.pk}/search", q=" ")
    assert refusal(answer, 422) == "“q” should have at least 1 character."


def test_a_deleted_file_and_a_deleted_corpus_go(corpus: Corpus, program: Program) -> None:
    path = f"{HOME}/corpora/{corpus.pk}"
    (row,) = program.upload(f"{path}/files", files=[text_file("cat.txt", CAT)]).json()
    program.delete(f"{path}/files/{row['file']['id']}")
    ingest(row["file"]["id"])
    assert not SourceFile.objects.filter(corpus=corpus).exists()
    program.delete(path)
    refusal(program.call("GET", path), 404)


# -- personas and prompts -----------------------------------------------------------------------------------------------


def test_a_persona_keeps_every_version(project: Project, program: Program) -> None:
    nurse = {"name": "Nurse", "description": "Works at night.", "features": {"tone": "impatient"}}
    made = program.post(f"{HOME}/personas", nurse)
    text = {"description": "Works at night, alone.", "features": {"tone": "calm"}}
    changed = program.post(f"{HOME}/personas/{made['id']}/versions", text)
    again = program.post(f"{HOME}/personas/{made['id']}/versions", text)
    assert (changed["current"]["number"], again["current"]["number"]) == (2, 2)
    versions = program.get(f"{HOME}/personas/{made['id']}")["versions"]
    assert [version["features"]["tone"] for version in versions] == ["calm", "impatient"]
    assert Persona.objects.get().name == "Nurse"


def test_a_prompt_keeps_every_version(project: Project, program: Program) -> None:
    made = program.post(f"{HOME}/prompts", {"name": "Expert", "role": "respondent", "text": "Be right."})
    program.post(f"{HOME}/prompts/{made['id']}/versions", {"text": "Be right and brief.", "note": "shorter"})
    versions = program.get(f"{HOME}/prompts/{made['id']}")["versions"]
    assert [(version["number"], version["note"]) for version in versions] == [(2, "shorter"), (1, "")]
    assert [row["name"] for row in program.get(f"{HOME}/prompts", role="respondent")["items"]] == ["Expert"]
    assert program.get(f"{HOME}/prompts", role="correspondent")["items"] == []
    assert Prompt.objects.get().role == "respondent"


# -- conversations ------------------------------------------------------------------------------------------------------


def test_the_filter_of_the_pages_narrows_the_list(project: Project, program: Program) -> None:
    reset = make_conversation(project, status=Status.APPROVED, labels=("good",))
    make_conversation(project, "Where is the fuse?", "Below the lid.")
    label = program.get(f"{HOME}/labels")["items"][0]["id"]
    queries: list[dict[str, Any]] = [
        {"status": "approved"},
        {"q": "reset"},
        {"label": label},
        {"q": '"hold the button"'},
    ]
    for query in queries:
        (found,) = program.get(f"{HOME}/conversations", **query)["items"]
        assert (found["id"], found["labels"][0]["name"]) == (reset.pk, "good")


def test_a_filter_that_makes_no_sense_is_refused(project: Project, program: Program) -> None:
    answer = program.call("GET", f"{HOME}/conversations", turns_min=3, turns_max=1)
    assert "swap them" in refusal(answer, 422)
    refusal(program.call("GET", f"{HOME}/conversations", status="fine"), 422)
    refusal(program.call("GET", f"{HOME}/conversations", cursor=10**30), 422)


def test_the_pages_of_a_list_hold_each_conversation_once_newest_first(
    project: Project, program: Program, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    made = [make_conversation(project).pk for _ in range(5)]
    pages = list(program.pages(f"{HOME}/conversations", limit=2))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [row["id"] for page in pages for row in page] == made[::-1]
    with django_assert_max_num_queries(6):
        program.get(f"{HOME}/conversations")


def test_a_conversation_is_read_with_its_sources_and_calls(project: Project, program: Program) -> None:
    dialog = make_dialog(trace=make_trace(make_source()))
    row = make_conversation(project, dialog=dialog, score=0.75)
    shown = program.get(f"{HOME}/conversations/{row.pk}")
    assert [message["role"] for message in shown["messages"]] == ["user", "assistant"]
    assert shown["system_prompt"] == "You are a helpful expert."
    step = shown["trace"]["steps"][1]
    assert (step["message"], step["prompt_tokens"], step["sources"][0]["score"]) == (1, 1204, 0.8125)
    assert (shown["version"], shown["number"], shown["score"]) == (row.head_id, 1, 0.75)


def test_a_decision_is_recorded_for_the_version_that_was_read(
    project: Project, program: Program, teammate: User
) -> None:
    row = make_conversation(project)
    verdict = {"decision": "approved", "version": row.head_id}
    shown = program.post(f"{HOME}/conversations/{row.pk}/review", verdict)
    program.post(f"{HOME}/conversations/{row.pk}/review", verdict)
    assert (shown["status"], shown["reviews"][0]["reviewer"]) == ("approved", teammate.username)
    assert Review.objects.get().version_id == row.head_id


def test_a_decision_on_an_older_version_is_answered_with_409(project: Project, program: Program) -> None:
    row = make_conversation(project)
    answer = program.call(
        "POST", f"{HOME}/conversations/{row.pk}/review", {"decision": "approved", "version": row.head_id + 1}
    )
    assert "read the new version" in refusal(answer, 409)
    assert Conversation.objects.get().status == Status.GENERATED


def test_labels_and_notes_are_put_on_a_conversation(project: Project, program: Program) -> None:
    path = f"{HOME}/conversations/{make_conversation(project).pk}"
    (label,) = program.post(f"{path}/labels", {"name": "Good follow-up"})
    assert program.post(f"{path}/labels", {"name": "good follow-up"}) == [label]
    program.post(f"{path}/notes", {"text": "Check the\x00 torque."})
    shown = program.get(path)
    assert (shown["labels"], shown["notes"][0]["text"]) == ([label], "Check the torque.")
    program.delete(f"{path}/labels/{label['id']}")
    assert program.get(path)["labels"] == []
    assert "empty" in refusal(program.call("POST", f"{path}/notes", {"text": " "}), 422)


# -- exports ------------------------------------------------------------------------------------------------------------


def test_an_export_is_made_of_what_the_filter_matches_and_downloaded(project: Project, program: Program) -> None:
    make_conversation(project, status=Status.APPROVED)
    make_conversation(project)
    wanted = {"format": "messages", "filter": {"status": "approved"}, "options": {"system_prompt": True}}
    made = program.post(f"{HOME}/exports", wanted)
    assert (made["state"], made["rows"]) == ("waiting", 1)
    path = f"{HOME}/exports/{made['id']}"
    assert "yet" in refusal(program.call("GET", f"{path}/file"), 422)
    write_export(export_id=made["id"])
    assert program.get(path)["rows_written"] == 1
    answer = program.call("GET", f"{path}/file")
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith('{"messages":')
    assert "attachment" in answer["Content-Disposition"]
    program.delete(path)
    assert not Export.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"format": "parquet"}, "format"),
        ({"filter": {"statsu": "approved"}}, "filter.statsu"),
        ({"options": {"system": True}}, "options.system"),
    ],
)
def test_a_misspelt_export_is_refused_rather_than_made_of_everything(
    project: Project, program: Program, body: dict[str, Any], field: str
) -> None:
    make_conversation(project)
    answer = program.call("POST", f"{HOME}/exports", body)
    assert refusal(answer, 422)
    assert answer.json()["field"] == field
    assert not Export.objects.exists()
