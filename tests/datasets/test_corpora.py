"""The corpora room in a browser: HTTP in, pages and rows out."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from datasets import pulse
from datasets.models import Activity, Corpus, Document, Passage, Project, SourceFile, User
from datasets.services.collecting.ingest import ingest
from tests.datasets.ingesting import CAT, DOG, add, assert_consistent, read
from tests.factories import make_corpus
from tests.queued import taken

pytestmark = pytest.mark.django_db
Login = Callable[[User], Client]
State = SourceFile.State


@pytest.fixture(autouse=True)
def _searched_by_words(settings: Settings) -> None:
    settings.EMBEDDER = "tests.datasets.ingesting.words_alone"


@pytest.fixture
def corpus(project: Project) -> Corpus:
    return make_corpus(project, name="Animals", chunk_size=200, chunk_overlap=20)


@pytest.fixture
def http(client_of: Login, teammate: User) -> Client:
    return client_of(teammate)


def at(name: str, corpus: Corpus, *more: int) -> str:
    return reverse(f"datasets:{name}", args=[corpus.project.slug, corpus.pk, *more])


def upload(http: Client, corpus: Corpus, *files: tuple[str, bytes], **fields: str) -> str:
    """Uploads through the form, and returns the page that follows."""
    uploads = [SimpleUploadedFile(name, content) for name, content in files]
    response = http.post(at("corpus-upload", corpus), {"files": uploads, **fields}, follow=True)
    assert response.redirect_chain
    return response.content.decode()


def read_all(corpus: Corpus) -> None:
    for source in corpus.files.all():
        ingest(source.pk)


# -- who may ----------------------------------------------------------------------------------------------------------


def pages_of(corpus: Corpus) -> list[str]:
    source = read(add(corpus, "pets.txt", CAT))
    document = source.documents.get()
    return [
        reverse("datasets:corpus-list", args=[corpus.project.slug]),
        at("corpus-detail", corpus),
        at("corpus-file", corpus, source.pk),
        at("corpus-file-original", corpus, source.pk),
        at("corpus-search", corpus) + "?q=cat",
        at("document-list", corpus),
        at("document-detail", corpus, document.pk),
    ]


def forms_of(corpus: Corpus) -> list[str]:
    names = ["corpus-edit", "corpus-delete", "corpus-reread", "corpus-upload", "corpus-paste"]
    file = corpus.files.first()
    return [
        reverse("datasets:corpus-new", args=[corpus.project.slug]),
        *(at(name, corpus) for name in names),
        at("corpus-file-reread", corpus, file.pk),
        at("corpus-file-delete", corpus, file.pk),
    ]


def test_everybody_in_the_project_reads_and_a_stranger_finds_nothing(
    corpus: Corpus, annotator: User, stranger: User, client_of: Login
) -> None:
    pages = pages_of(corpus)
    for page in pages:
        assert client_of(annotator).get(page).status_code == 200
        assert client_of(stranger).get(page).status_code == 404
        assert Client().get(page).status_code == 302


def test_an_annotator_changes_nothing_and_a_stranger_finds_no_form(
    corpus: Corpus, annotator: User, stranger: User, client_of: Login
) -> None:
    pages_of(corpus)
    before = list(SourceFile.objects.values_list("pk", "revision", "state"))
    for form in forms_of(corpus):
        assert client_of(annotator).post(form, {"name": "mine"}).status_code == 403
        assert client_of(stranger).post(form, {"name": "mine"}).status_code == 404
    assert list(SourceFile.objects.values_list("pk", "revision", "state")) == before
    assert Corpus.objects.count() == 1


def test_an_annotator_is_offered_no_buttons_that_are_not_theirs(
    corpus: Corpus, annotator: User, client_of: Login
) -> None:
    for page in pages_of(corpus)[:3]:
        html = client_of(annotator).get(page).content.decode()
        assert not any(form in html for form in forms_of(corpus))


def test_another_projects_corpus_is_not_found_below_this_one(
    corpus: Corpus, owner: User, stranger: User, client_of: Login
) -> None:
    source = read(add(corpus, "pets.txt", CAT))
    theirs = stranger.projects.get()
    own = make_corpus(theirs)
    http = client_of(stranger)
    detours = [
        reverse("datasets:corpus-detail", args=[theirs.slug, corpus.pk]),
        reverse("datasets:corpus-file", args=[theirs.slug, corpus.pk, source.pk]),
        reverse("datasets:corpus-file", args=[theirs.slug, own.pk, source.pk]),
        reverse("datasets:document-detail", args=[theirs.slug, own.pk, source.documents.get().pk]),
    ]
    for detour in detours:
        assert http.get(detour).status_code == 404
    assert http.post(reverse("datasets:corpus-file-delete", args=[theirs.slug, own.pk, source.pk])).status_code == 404


# -- corpora ----------------------------------------------------------------------------------------------------------


def test_a_curator_makes_a_corpus_and_it_is_in_the_diary(project: Project, http: Client, teammate: User) -> None:
    form = {"name": "Law", "description": "Opinions", "chunk_size": 900, "chunk_overlap": 100}
    response = http.post(reverse("datasets:corpus-new", args=[project.slug]), form)
    corpus = project.corpora.get()
    assert response["Location"] == at("corpus-detail", corpus)
    assert (corpus.name, corpus.chunk_size, corpus.chunk_overlap) == ("Law", 900, 100)
    line = Activity.objects.first()
    assert (line.actor, line.path) == (teammate, at("corpus-detail", corpus))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "Animals"}, "Another corpus has that name"),
        ({"name": ""}, "This field is required"),
        ({"chunk_size": 100}, "greater than or equal to 200"),
        ({"chunk_overlap": 601}, "lower the overlap"),
        ({"chunk_size": "many"}, "whole number"),
    ],
)
def test_a_corpus_that_cannot_be_is_refused_beside_the_field(
    corpus: Corpus, http: Client, changes: dict[str, object], sentence: str
) -> None:
    form = {"name": "Other", "description": "", "chunk_size": 1200, "chunk_overlap": 150, **changes}
    response = http.post(reverse("datasets:corpus-new", args=[corpus.project.slug]), form)
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert Corpus.objects.count() == 1


def test_a_new_cutting_opens_every_file_again(corpus: Corpus, http: Client) -> None:
    source = read(add(corpus, "pets.txt", CAT * 20))
    form = {"name": corpus.name, "description": "", "chunk_size": 2000, "chunk_overlap": 0}
    assert http.post(at("corpus-edit", corpus), form).status_code == 302
    again = SourceFile.objects.get()
    assert (again.state, again.revision) == (State.WAITING, source.revision + 1)
    assert_consistent(read(again))


def test_a_deleted_corpus_is_gone_from_every_page_at_once(corpus: Corpus, http: Client) -> None:
    pages = pages_of(corpus)
    assert "Animals" in http.get(at("corpus-delete", corpus)).content.decode()
    assert http.post(at("corpus-delete", corpus)).status_code == 302
    assert "Animals</a>" not in http.get(pages[0]).content.decode()
    for page in pages[1:]:
        assert http.get(page).status_code == 404


# -- uploads ----------------------------------------------------------------------------------------------------------


def test_many_files_are_uploaded_at_once_and_handed_to_the_workers(
    corpus: Corpus, http: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    taken()
    with django_capture_on_commit_callbacks(execute=True):
        page = upload(http, corpus, ("cat.txt", CAT.encode()), ("dog.txt", DOG.encode()))
    assert "Added cat.txt, dog.txt." in page
    assert taken() == ["datasets.tasks.ingest_file"] * 2
    assert set(corpus.files.values_list("name", "state")) == {("cat.txt", "waiting"), ("dog.txt", "waiting")}
    read_all(corpus)
    assert {"Ready"} == {source.get_state_display() for source in corpus.files.all()}


def test_a_bad_file_says_what_is_wrong_on_the_page_and_the_others_are_read(corpus: Corpus, http: Client) -> None:
    upload(
        http, corpus, ("empty.pdf", b""), ("cat.txt", CAT.encode()), ("old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    )
    read_all(corpus)
    page = http.get(at("corpus-detail", corpus)).content.decode()
    assert "The file is empty" in page
    assert "old Word document" in page
    assert corpus.files.get(name="cat.txt").state == State.READY
    failed = http.get(at("corpus-detail", corpus) + "?state=failed").content.decode()
    assert "empty.pdf" in failed
    assert "cat.txt" not in failed


def test_a_file_over_the_limit_is_refused_by_name_and_the_others_are_kept(
    corpus: Corpus, http: Client, settings: Settings
) -> None:
    settings.UPLOAD_MAX_BYTES = 2**20
    page = upload(http, corpus, ("huge.txt", b"x" * (2**20 + 1)), ("cat.txt", CAT.encode()))
    assert "huge.txt: It is larger than 1 MB" in page
    assert list(corpus.files.values_list("name", flat=True)) == ["cat.txt"]


def test_uploading_an_unchanged_file_does_nothing_and_says_so(corpus: Corpus, http: Client) -> None:
    upload(http, corpus, ("cat.txt", CAT.encode()))
    read_all(corpus)
    before = SourceFile.objects.get()
    page = upload(http, corpus, ("cat.txt", CAT.encode()))
    after = SourceFile.objects.get()
    assert "the content has not changed" in page
    assert (after.revision, after.state, after.file.name) == (before.revision, State.READY, before.file.name)


def test_a_changed_file_is_read_anew_and_its_old_content_is_removed(
    corpus: Corpus, http: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    upload(http, corpus, ("cat.txt", CAT.encode()))
    read_all(corpus)
    before = SourceFile.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        upload(http, corpus, ("cat.txt", DOG.encode()))
    assert not before.file.storage.exists(before.file.name)
    read_all(corpus)
    assert_consistent(SourceFile.objects.get())
    assert [passage.text for passage in Passage.objects.all()] == [DOG.strip()]


def test_an_unchanged_file_with_another_column_is_read_again(corpus: Corpus, http: Client) -> None:
    table = b"text,notes\nIt sleeps.,very quiet\n"
    upload(http, corpus, ("pets.csv", table))
    read_all(corpus)
    assert Document.objects.get().text == "It sleeps."
    upload(http, corpus, ("pets.csv", table), column="notes")
    read_all(corpus)
    assert Document.objects.get().text == "very quiet"
    upload(http, corpus, ("pets.csv", table))
    assert SourceFile.objects.get().options == {"column": "notes"}


def test_the_column_is_changed_on_the_files_page(corpus: Corpus, http: Client) -> None:
    source = read(add(corpus, "pets.csv", "text,notes\nIt sleeps.,very quiet\n"))
    page = http.get(at("corpus-file", corpus, source.pk)).content.decode()
    assert '<option value="notes">notes</option>' in page
    http.post(at("corpus-file-reread", corpus, source.pk), {"column": "notes"})
    read_all(corpus)
    assert Document.objects.get().text == "very quiet"
    response = http.post(at("corpus-file-reread", corpus, source.pk), {"column": "x" * 201})
    assert response.status_code == 422


def test_an_upload_without_a_file_says_what_to_do_beside_the_field(corpus: Corpus, http: Client) -> None:
    add(corpus, "waits.txt", "It waits.")
    answer = http.post(at("corpus-upload", corpus), {})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert re.search(r'id="id_files_error"><p class="error">.*?Choose at least one file\.', page)
    assert f'hx-get="{at("corpus-detail", corpus)}' in page


@pytest.mark.parametrize("name", ["../../etc/passwd.txt", "a\\b\\passwd.txt", "pass\nwd\x00.txt", "n" * 400 + ".txt"])
def test_a_hostile_file_name_is_only_a_name(corpus: Corpus, http: Client, name: str) -> None:
    source = add(corpus, name, CAT)
    assert source.file.name == f"corpora/{corpus.pk}/{source.sha256}"
    assert "/" not in source.name
    assert "\\" not in source.name
    assert source.name.isprintable()
    assert len(source.name) <= 255
    assert source.name.endswith(".txt")
    assert read(source).state == State.READY


def test_pasted_text_is_kept_as_a_file(corpus: Corpus, http: Client) -> None:
    response = http.post(at("corpus-paste", corpus), {"title": "House rules", "text": CAT})
    assert response.status_code == 302
    source = read(corpus.files.get())
    assert source.name == "House rules.txt"
    assert source.documents.get().text == CAT.strip()


@pytest.mark.parametrize(("title", "text"), [("Rules", "  \n "), ("", "text"), ("Rules", "")])
def test_nothing_pasted_is_refused_beside_the_field(corpus: Corpus, http: Client, title: str, text: str) -> None:
    response = http.post(at("corpus-paste", corpus), {"title": title, "text": text})
    assert response.status_code == 422
    assert not corpus.files.exists()


def test_the_original_is_given_back_to_be_saved_and_never_to_be_shown(corpus: Corpus, http: Client) -> None:
    page = b"<html><script>alert(1)</script><p>The cat sleeps.</p></html>"
    source = add(corpus, "cät.html", page)
    response = http.get(at("corpus-file-original", corpus, source.pk))
    assert b"".join(response.streaming_content) == page
    assert response["Content-Disposition"].startswith("attachment")
    assert response["Content-Type"] == "application/octet-stream"
    source.file.storage.delete(source.file.name)
    assert http.get(at("corpus-file-original", corpus, source.pk)).status_code == 404


def test_a_deleted_file_shows_as_deleting_until_a_worker_has_cleared_it(corpus: Corpus, http: Client) -> None:
    source = read(add(corpus, "pets.txt", CAT))
    http.post(at("corpus-file-delete", corpus, source.pk))
    assert "Deleting" in http.get(at("corpus-detail", corpus)).content.decode()
    read_all(corpus)
    assert "pets.txt" not in http.get(at("corpus-detail", corpus)).content.decode()


# -- the live part ----------------------------------------------------------------------------------------------------


def test_the_page_polls_only_while_a_file_is_open(corpus: Corpus, http: Client) -> None:
    source = add(corpus, "pets.txt", CAT)
    headers = {"HX-Request": "true"}
    fragment = http.get(at("corpus-detail", corpus), headers=headers).content.decode()
    assert 'hx-trigger="every 2s"' in fragment
    assert "<html" not in fragment
    read(source)
    fragment = http.get(at("corpus-detail", corpus), headers=headers).content.decode()
    assert "hx-trigger" not in fragment
    assert "Ready" in fragment


def test_the_page_says_so_when_no_worker_listens(corpus: Corpus, http: Client) -> None:
    page = at("corpus-detail", corpus)
    pulse.board().delete("pulse:default")
    assert "No worker listens" not in http.get(page).content.decode()
    add(corpus, "pets.txt", CAT)
    assert "No worker listens" in http.get(page).content.decode()
    pulse.beat(["default"])
    assert "No worker listens" not in http.get(page).content.decode()
    pulse.board().delete("pulse:default")


def test_left_out_rows_are_counted_on_the_list_and_explained_on_the_files_page(corpus: Corpus, http: Client) -> None:
    source = read(add(corpus, "rows.jsonl", '{"text": "good"}\n{bad\n'))
    assert "1 part left out" in http.get(at("corpus-detail", corpus)).content.decode()
    page = http.get(at("corpus-file", corpus, source.pk)).content.decode()
    assert "line 2" in page
    assert "It is not JSON" in page


# -- lists ------------------------------------------------------------------------------------------------------------


def fill(corpus: Corpus, count: int) -> None:
    files = [
        SourceFile(corpus=corpus, name=f"file {number:04}.txt", size=1, sha256="0", state=State.READY, document_count=1)
        for number in range(count)
    ]
    files = SourceFile.objects.bulk_create(files)
    Document.objects.bulk_create(
        Document(corpus=corpus, source=file, title=f"Title {file.name}", text="x", characters=1, revision=1)
        for file in files
    )


@pytest.mark.parametrize("name", ["corpus-detail", "document-list"])
def test_a_long_list_is_paged_forth_and_back_by_key(corpus: Corpus, http: Client, name: str) -> None:
    fill(corpus, 230)
    seen: list[str] = []
    page = http.get(at(name, corpus)).context["page"]
    while True:
        seen += [getattr(row, "name", None) or row.title for row in page.rows]
        if page.after is None:
            break
        page = http.get(at(name, corpus), {"after": page.after}).context["page"]
    assert len(seen) == len(set(seen)) == 230
    back = http.get(at(name, corpus), {"before": page.before}).context["page"]
    assert back.after is not None
    last = [getattr(row, "name", None) or row.title for row in (back.rows[-1], page.rows[0])]
    assert seen.index(last[1]) == seen.index(last[0]) + 1


@pytest.mark.parametrize("name", ["corpus-detail", "document-list"])
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(
    corpus: Corpus, http: Client, name: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill(corpus, 2)
    with django_assert_num_queries(6):  # session, user, membership, corpus, rows, projects of the switcher
        http.get(at(name, corpus))
    SourceFile.objects.all().delete()
    fill(corpus, 60)
    with django_assert_num_queries(6):
        http.get(at(name, corpus))


def test_documents_are_narrowed_to_words_of_the_title_and_to_a_file(corpus: Corpus, http: Client) -> None:
    fill(corpus, 30)
    found = http.get(at("document-list", corpus), {"q": "0012 TITLE"}).context["page"].rows
    assert [document.title for document in found] == ["Title file 0012.txt"]
    file = corpus.files.get(name="file 0007.txt")
    page = http.get(at("document-list", corpus), {"file": file.pk})
    assert [document.source_id for document in page.context["page"].rows] == [file.pk]


@pytest.mark.parametrize(
    "query", ["after=abc", "after=99999999999999999999", "q=%00", "file=0x", "state=gone", "before="]
)
def test_an_address_that_makes_no_sense_shows_a_page_all_the_same(corpus: Corpus, http: Client, query: str) -> None:
    fill(corpus, 2)
    for name in ("corpus-detail", "document-list", "corpus-search"):
        assert http.get(f"{at(name, corpus)}?{query}").status_code == 200


# -- search -----------------------------------------------------------------------------------------------------------


def test_a_search_shows_passages_with_scores_and_leads_to_the_place(corpus: Corpus, http: Client) -> None:
    read(add(corpus, "cat.txt", CAT * 8))
    read(add(corpus, "dog.txt", DOG))
    response = http.get(at("corpus-search", corpus), {"q": "who waits for the postman?"})
    hit = response.context["hits"][0]
    page = response.content.decode()
    assert "garden gate" in hit.passage.text
    assert hit.score > 0
    assert f"{hit.score:.3f}" in page
    link = f"{at('document-detail', corpus, hit.passage.document)}?passage={hit.passage.id}#passage-{hit.passage.id}"
    assert link in page
    assert "garden gate" in http.get(link).content.decode()


def test_a_search_by_htmx_answers_with_the_results_alone(corpus: Corpus, http: Client) -> None:
    read(add(corpus, "cat.txt", CAT))
    fragment = http.get(at("corpus-search", corpus), {"q": "cat"}, headers={"HX-Request": "true"}).content.decode()
    assert "windowsill" in fragment
    assert "<html" not in fragment


def test_a_search_in_an_empty_corpus_finds_nothing(corpus: Corpus, http: Client) -> None:
    assert "Nothing matches" in http.get(at("corpus-search", corpus), {"q": "cat"}).content.decode()


def test_a_search_says_so_when_the_index_does_not_answer(corpus: Corpus, http: Client, settings: Settings) -> None:
    settings.QDRANT_URL = "unix:///nowhere/at/all.sock"
    page = http.get(at("corpus-search", corpus), {"q": "cat"}).content.decode()
    assert "The search index does not answer: try again in a minute." in page


def test_what_people_and_files_say_is_escaped_everywhere(corpus: Corpus, http: Client) -> None:
    evil = "<script>alert(1)</script>"
    corpus.name = corpus.description = evil
    corpus.save()
    row = f'{{"id": "{evil}", "title": "{evil}", "text": "{evil} and the cat", "{evil}": "{evil}"}}'
    source = read(add(corpus, f"x{evil.replace('/', '')}.jsonl", row + f'\n{{"{evil}": 1}}\n'))
    document = source.documents.get()
    passage = document.passages.get()
    pages = [
        reverse("datasets:corpus-list", args=[corpus.project.slug]),
        at("corpus-detail", corpus),
        at("corpus-delete", corpus),
        at("corpus-file", corpus, source.pk),
        at("document-list", corpus) + f"?q=<script>&file={source.pk}",
        at("document-detail", corpus, document.pk) + f"?start={passage.start}&end={passage.end}",
        at("corpus-search", corpus) + "?q=<script>alert(1)</script>+cat",
    ]
    for page in pages:
        html = http.get(page).content.decode()
        assert "alert(1)" in html or page.endswith(f"file={source.pk}")
        assert "<script>alert" not in html
