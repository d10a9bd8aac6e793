"""The list of conversations: who sees it, what each filter finds, and that paging neither loses nor doubles a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from datasets import text_search
from datasets.filters import ConversationFilter
from datasets.models import Conversation, Origin, Persona, Project, User
from datasets.services.curating.conversations import add_note, add_version
from tests.factories import make_batch, make_conversation, make_dialog, make_project

pytestmark = pytest.mark.django_db
Clients = Callable[[User], Client]


def url(project: Project, name: str = "conversation-list", *args: Any) -> str:
    return reverse(f"datasets:{name}", args=[project.slug, *args])


def found(client: Client, project: Project, **query: Any) -> list[int]:
    """Ids on the page, in its order."""
    response = client.get(url(project), query)
    assert response.status_code == 200, response.content.decode()
    return [row.pk for row in response.context["page"].rows]


@pytest.fixture
def reader(owner: User, client_of: Clients) -> Client:
    return client_of(owner)


def test_a_visitor_is_asked_to_log_in(project: Project, client: Client) -> None:
    response = client.get(url(project))
    assert response.status_code == 302
    assert response["Location"].startswith("/login/")


def test_every_member_reads_the_list_and_a_stranger_gets_a_404(
    project: Project, annotator: User, teammate: User, stranger: User, client_of: Clients
) -> None:
    row = make_conversation(project, "Where is the fuse?", "Behind the flap.")
    for member in (annotator, teammate):
        assert "Where is the fuse?" in client_of(member).get(url(project)).content.decode()
    for name, args in (
        ("conversation-list", ()),
        ("conversation-detail", (row.pk,)),
        ("conversation-trace", (row.pk,)),
    ):
        assert client_of(stranger).get(url(project, name, *args)).status_code == 404


def test_an_empty_project_offers_a_run(project: Project, reader: Client) -> None:
    page = reader.get(url(project)).content.decode()
    assert "No conversations yet" in page
    assert reverse("generation:run-new", args=[project.slug]) in page


def test_conversations_of_other_projects_never_show(project: Project, reader: Client) -> None:
    other = make_project()
    strange = make_conversation(other, "Their secret?", "Hidden.", labels=("theirs",))
    assert found(reader, project) == []
    assert found(reader, project, q="secret") == []
    assert reader.get(url(project), {"batch": strange.batch_id}).status_code == 422
    assert reader.get(url(project, "conversation-detail", strange.pk)).status_code == 404


def test_each_filter_finds_just_its_own(project: Project, owner: User, reader: Client) -> None:
    persona = Persona.objects.create(project=project, name="Hurried clerk")
    late = make_batch(project, name="Second run")
    plain = make_conversation(project, batch=make_batch(project), score=0.5)
    other = make_conversation(project, "A?", "B.", "C?", "D.", batch=late, persona=persona, score=0.9, labels=("odd",))
    approved = make_conversation(project, batch=plain.batch, status="approved")
    add_note(conversation=plain, text="Look again.", author=owner)
    label = project.labels.get(name="odd").pk
    assert found(reader, project) == [approved.pk, other.pk, plain.pk]
    assert found(reader, project, status="approved") == [approved.pk]
    assert found(reader, project, batch=late.pk) == [other.pk]
    assert found(reader, project, persona=persona.pk) == [other.pk]
    assert found(reader, project, label=label) == [other.pk]
    assert found(reader, project, turns_min=2) == [other.pk]
    assert found(reader, project, turns_max=1) == [approved.pk, plain.pk]
    assert found(reader, project, score_min=0.5, score_max=0.6) == [plain.pk]
    assert found(reader, project, note="on") == [plain.pk]
    assert found(reader, project, label=label, turns_min=2, batch=late.pk) == [other.pk]
    assert found(reader, project, label=label, status="approved") == []


@pytest.mark.parametrize(
    ("words", "finds"),
    [
        ("fuse", True),
        ("FUS", True),
        ("fuse blown", True),
        ("use", False),
        ("fuse zebra", False),
        ('"is the fuse"', True),
        ('"the is fuse"', False),
        ('"is the fu"', False),
        ('flap "behind the"', True),
        ("support@example.com", True),
        ("co-op", True),
        ("naïve", True),
        ("can't", True),
        ("'; DROP TABLE x --", False),
        ("fuse & !flap | (", True),
        ("\\", False),
        ("a:*b", True),
        ("!!! ???", False),
        ('"', False),
        ("|", False),
    ],
)
def test_words_are_found_by_their_beginnings_and_phrases_as_they_stand(
    words: str, finds: bool, project: Project, reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_conversation(
        project, "Where is the fuse, is it blown? I can't see.", "Behind the flap of the co-operative; naïve."
        " Ask support@example.com, and a & b.",
    )  # fmt: skip
    make_conversation(project, "Something else?", "Nothing.")
    for common in (0, 2):  # by walking the list, and by way of the index
        monkeypatch.setattr(text_search, "COMMON", common)
        monkeypatch.setattr(text_search, "EVERYWHERE", common)
        assert found(reader, project, q=words) == ([row.pk] if finds else [])
        assert ConversationFilter(q=words).bounded_count(project.conversations.all()) == finds


def test_nul_in_a_search_is_refused_in_words(project: Project, reader: Client) -> None:
    response = reader.get(url(project), {"q": "fu\x00se"})
    assert response.status_code == 422
    assert "Null characters are not allowed." in response.content.decode()


def test_only_the_version_that_counts_is_searched(project: Project, owner: User, reader: Client) -> None:
    row = make_conversation(project, "Where is the fuse?", "Here.")
    add_version(
        conversation=row, dialog=make_dialog("Where is the valve?", "Here."), origin=Origin.EDITED, author=owner
    )
    assert found(reader, project, q="valve") == [row.pk]
    assert found(reader, project, q="fuse") == []


@pytest.mark.parametrize("query", [{}, {"status": "approved"}, {"q": "question"}])
def test_paging_shows_every_row_once_in_both_directions(
    query: dict[str, str], project: Project, reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.views.conversations.ROWS", 3)
    rows = [make_conversation(project, f"Question {n}?", "Yes.", status="approved") for n in range(8)]
    expected = [row.pk for row in reversed(rows)]
    seen, place = [], {}
    while place is not None:
        page = reader.get(url(project), {**query, **place}).context["page"]
        seen += [row.pk for row in page.rows]
        place = {"after": page.after} if page.after else None
    assert seen == expected
    back = reader.get(url(project), {**query, "before": expected[6]}).context["page"]
    assert [row.pk for row in back.rows] == expected[3:6]


def test_the_address_of_a_page_keeps_the_filter(
    project: Project, reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.views.conversations.ROWS", 1)
    first = make_conversation(project, status="approved")
    second = make_conversation(project, status="approved")
    page = reader.get(url(project), {"status": "approved"}).content.decode()
    assert f"?status=approved&amp;after={second.pk}" in page
    assert f"{url(project, 'conversation-detail', second.pk)}?status=approved" in page
    assert url(project, "conversation-detail", first.pk) not in page


def test_counts_are_exact_up_to_a_bound_and_say_more_beyond(
    project: Project, reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        make_conversation(project)
    assert "3 conversations" in reader.get(url(project)).content.decode()
    monkeypatch.setattr("datasets.filters.COUNTED", 2)
    monkeypatch.setattr("datasets.views.conversations.COUNTED", 2)
    assert "2+ conversations" in reader.get(url(project)).content.decode()
    assert "2+ conversations" in reader.get(url(project), {"q": "reset"}).content.decode()
    assert ConversationFilter(q="reset").count(project.conversations.all()) == 3


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"turns_min": "many"}, "Enter a whole number."),
        ({"turns_min": "3", "turns_max": "1"}, "swap them"),
        ({"score_min": "0.9", "score_max": "0.1"}, "swap them"),
        ({"score_min": "nan"}, "Enter a number."),
        ({"status": "lovely"}, "is not one of the available choices"),
        ({"batch": "99999999999999999999"}, "is not one of the available choices"),
        ({"q": "x" * 301}, "at most 300 characters"),
    ],
)
def test_a_filter_that_cannot_be_read_says_why_and_shows_nothing(
    query: dict[str, str], says: str, project: Project, reader: Client
) -> None:
    make_conversation(project)
    response = reader.get(url(project), query)
    assert response.status_code == 422
    assert says in response.content.decode()
    assert response.context["page"].rows == []


def test_nonsense_for_a_place_in_the_list_is_its_beginning(project: Project, reader: Client) -> None:
    row = make_conversation(project)
    assert found(reader, project, after="x") == [row.pk]
    assert found(reader, project, before="9" * 30) == [row.pk]


def test_htmx_gets_the_list_alone_and_going_back_gets_the_whole_page(project: Project, reader: Client) -> None:
    make_conversation(project)
    part = reader.get(url(project), headers={"HX-Request": "true"})
    assert part.content.decode().strip().startswith('<div id="list"')
    assert "HX-Request" in part["Vary"]
    again = reader.get(url(project), headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert "<html" in again.content.decode()


def test_what_people_wrote_is_escaped(project: Project, reader: Client) -> None:
    make_conversation(project, "<script>alert(1)</script>", "x", labels=("<b>bold</b>",))
    page = reader.get(url(project)).content.decode()
    assert "<script>alert" not in page
    assert "<b>bold" not in page


def test_rows_made_by_the_offline_model_say_so(project: Project, reader: Client) -> None:
    make_conversation(project)
    assert "offline model" not in reader.get(url(project)).content.decode()
    make_conversation(project, offline=True)
    assert "offline model" in reader.get(url(project)).content.decode()


@pytest.mark.parametrize("query", [{}, {"q": "reset", "status": "generated", "note": ""}])
def test_a_longer_list_takes_no_more_queries(
    query: dict[str, str], project: Project, reader: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    def add(name: str) -> None:
        persona = Persona.objects.create(project=project, name=name)
        make_conversation(project, labels=("one", f"two {name}"), persona=persona, batch=make_batch(project))

    add("first")
    with CaptureQueriesContext(connection) as few:
        found(reader, project, **query)
    for n in range(12):
        add(str(n))
    with django_assert_max_num_queries(len(few)):
        assert len(found(reader, project, **query)) == 13
    assert len(few) < 20


def test_the_bulk_and_export_links_show_to_those_who_may_use_them(
    project: Project, owner: User, annotator: User, client_of: Clients
) -> None:
    make_conversation(project)
    page = client_of(annotator).get(url(project)).content.decode()
    assert url(project, "bulk-new") in page
    assert url(project, "export-new") not in page
    project.memberships.filter(user=annotator).update(role="viewer")
    assert url(project, "bulk-new") not in client_of(annotator).get(url(project)).content.decode()
    assert url(project, "export-new") in client_of(owner).get(url(project)).content.decode()


def test_a_filter_survives_the_way_through_an_address_and_back() -> None:
    given = ConversationFilter(q='a "b c" &x=1', status="approved", turns_min=0, score_max=0.0, note=True)
    assert ConversationFilter.read(given.parameters) == given
    assert ConversationFilter.read(QueryDict(given.query).dict()) == given


def test_a_conversation_carries_what_lists_show_of_its_head(project: Project, owner: User) -> None:
    row = make_conversation(project, "  A \n question " + "x" * 400, "B.", "C?", "D.", score=0.4)
    row.refresh_from_db()
    assert (row.turns, len(row.opening), row.opening[:10]) == (2, 300, "A question")
    version = add_version(conversation=row, dialog=make_dialog("New?", "Yes."), origin=Origin.EDITED, author=owner)
    fresh = Conversation.objects.get(pk=row.pk)
    assert (fresh.head, fresh.turns, fresh.opening, fresh.score, fresh.status) == (
        version,
        1,
        "New?",
        None,
        "generated",
    )
    assert (version.number, version.parent) == (2, row.head)


def test_nul_surrogates_and_very_long_texts_are_stored(project: Project) -> None:
    words = " ".join(f"word{n}" for n in range(200_000))
    row = make_conversation(project, "Nul \x00 and \ud800?", words, offline=True)
    row.refresh_from_db()
    assert row.opening == "Nul and \ufffd?"
    assert row.head.dialog.messages[0].content == "Nul  and \ufffd?"
    assert row.head.dialog.messages[1].content == words
    assert ConversationFilter(q="word77").count(project.conversations.all()) == 1
