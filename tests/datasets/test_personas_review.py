"""Reviewing proposed personas: one by one among the people of their document, or all at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Document, Persona, Project, User
from datasets.services.personas.adding import Draft, add_personas
from datasets.services.personas.saving import save_persona
from datasets.services.personas.tree import review_of, tree_of
from tests.factories import make_conversation
from tests.generation.growing import documents

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def gauge(project: Project) -> Document:
    return documents(project, "Gauge", "Mast").documents.get(title="Gauge")


@pytest.fixture
def mast(gauge: Document) -> Document:
    return Document.objects.get(title="Mast")


def propose(
    project: Project, *names: str, document: Document | None = None, parent: Persona | None = None
) -> list[Persona]:
    drafts = [
        Draft(
            name,
            f"About {name}.",
            document=document.pk if document else None,
            parent=parent.pk if parent else None,
            depth=parent.depth + 1 if parent else 0,
            proposed=True,
            model="big",
        )
        for name in names
    ]
    return add_personas(project=project, drafts=drafts, author=None)


def at(project: Project, name: str, *more: int) -> str:
    return reverse(f"datasets:persona-{name}", args=[project.slug, *more])


def decide(client: Client, persona: Persona, decision: str) -> str:
    answer = client.post(at(persona.project, "decide", persona.pk), {"decision": decision}, headers=HTMX)
    assert answer.status_code == 200
    return answer.content.decode()


def standing(persona: Persona) -> str:
    persona.refresh_from_db()
    if persona.archived:
        return "rejected" if persona.proposed else "archived"
    return "waiting" if persona.proposed else "accepted"


# -- the way through ----------------------------------------------------------------------------------------------------


def test_each_decision_leads_to_the_next_that_waits_document_by_document(
    project: Project, gauge: Document, mast: Document, teammate: User, client_of: ClientOf
) -> None:
    a, b = propose(project, "A", "B", document=gauge)
    (below,) = propose(project, "Below A", document=gauge, parent=a)
    (c,) = propose(project, "C", document=mast)
    (d,) = propose(project, "D")
    client = client_of(teammate)
    assert "About A." in client.get(at(project, "review")).content.decode()
    for persona, decision, following in ((a, "accepted", below), (below, "rejected", b), (b, "accepted", c)):
        assert f"About {following.name}." in decide(client, persona, decision)
    assert "About D." in decide(client, c, "accepted")
    assert "That was the last one." in decide(client, d, "accepted")
    assert [standing(persona) for persona in (a, below, b, c, d)] == [
        "accepted", "rejected", "accepted", "accepted", "accepted",
    ]  # fmt: skip
    assert "No persona waits for review." in client.get(at(project, "review")).content.decode()


def test_a_decision_can_be_taken_back(project: Project, gauge: Document, owner: User, client_of: ClientOf) -> None:
    first, _ = propose(project, "A", "B", document=gauge)
    client = client_of(owner)
    assert "Undo" in decide(client, first, "rejected")
    assert "About A." in decide(client, first, "waiting")
    assert standing(first) == "waiting"


def test_people_stand_below_those_they_were_grown_from(project: Project, gauge: Document) -> None:
    a, b = propose(project, "A", "B", document=gauge)
    propose(project, "A1", "A2", document=gauge, parent=a)
    propose(project, "B1", document=gauge, parent=b)
    review = review_of(project=project)
    assert [(twig.persona.name, twig.level) for twig in review.twigs] == [
        ("A", 0), ("A1", 1), ("A2", 1), ("B", 0), ("B1", 1),
    ]  # fmt: skip
    assert [twig.level for twig in tree_of([*Persona.objects.exclude(pk=a.pk).order_by("depth", "pk")])] == [0, 1, 0, 0]


def test_a_large_tree_is_shown_around_the_one_that_is_looked_at(project: Project, gauge: Document) -> None:
    people = propose(project, *(f"P{number}" for number in range(900)), document=gauge)
    review = review_of(project=project, persona=people[600])
    assert (len(review.twigs), review.hidden) == (400, 500)
    assert people[600] in [twig.persona for twig in review.twigs]
    assert (review.previous, review.next) == (people[599], people[601])


def test_looking_at_a_review_takes_few_queries_whatever_its_size(
    project: Project, gauge: Document, owner: User, client_of: ClientOf, django_assert_max_num_queries: Callable
) -> None:
    propose(project, *(f"P{number}" for number in range(300)), document=gauge)
    client = client_of(owner)
    with django_assert_max_num_queries(25):
        assert client.get(at(project, "review")).status_code == 200


# -- editing, accepting all, deleting -----------------------------------------------------------------------------------


def test_an_edited_proposal_keeps_its_first_version_and_still_waits(
    project: Project, gauge: Document, owner: User, client_of: ClientOf
) -> None:
    (persona,) = propose(project, "A", document=gauge)
    said = {"name": "A.", "description": "Better.", "features": "tone: dry", "system_prompt": "Be dry."}
    answer = client_of(owner).post(at(project, "detail", persona.pk) + "?review", said)
    assert answer["Location"] == f"{at(project, 'review')}?persona={persona.pk}"
    assert standing(persona) == "waiting"
    assert (persona.name, persona.current.number, persona.current.system_prompt) == ("A.", 2, "Be dry.")
    assert [version.model for version in persona.versions.all()] == ["", "big"]


def test_all_of_a_document_are_accepted_and_then_all_of_the_project(
    project: Project, gauge: Document, mast: Document, owner: User, client_of: ClientOf
) -> None:
    propose(project, "A", "B", document=gauge)
    propose(project, "C", document=mast)
    propose(project, "D")
    (no,) = propose(project, "No", document=gauge)
    client = client_of(owner)
    decide(client, no, "rejected")
    client.post(at(project, "accept-all"), {"document": gauge.pk})
    assert set(project.personas.usable().values_list("name", flat=True)) == {"A", "B"}
    client.post(at(project, "accept-all"), {"document": 0})
    assert set(project.personas.usable().values_list("name", flat=True)) == {"A", "B", "D"}
    client.post(at(project, "accept-all"))
    assert set(project.personas.usable().values_list("name", flat=True)) == {"A", "B", "C", "D"}
    assert standing(no) == "rejected"


def test_a_persona_that_plays_in_conversations_is_not_deleted(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    persona = save_persona(project=project, name="Nurse", description="x", features={}, author=owner)
    make_conversation(project, persona=persona)
    answer = client_of(owner).post(at(project, "delete", persona.pk), follow=True)
    assert "plays in conversations" in answer.content.decode()
    assert project.personas.exists()


def test_deleting_one_leaves_those_that_were_grown_from_it(
    project: Project, gauge: Document, owner: User, client_of: ClientOf
) -> None:
    (parent,) = propose(project, "A", document=gauge)
    (child,) = propose(project, "A1", document=gauge, parent=parent)
    client_of(owner).post(at(project, "delete", parent.pk) + "?review")
    child.refresh_from_db()
    assert (child.parent, child.depth, child.document) == (None, 1, gauge)
    assert project.personas.count() == 1


def test_rejected_ones_are_cleared_away_together(
    project: Project, gauge: Document, owner: User, client_of: ClientOf
) -> None:
    a, b, _ = propose(project, "A", "B", "C", document=gauge)
    client = client_of(owner)
    decide(client, a, "rejected")
    decide(client, b, "rejected")
    make_conversation(project, persona=b)
    save_persona(project=project, name="Old", description="x", features={}, author=owner)
    project.personas.filter(name="Old").update(archived=True)
    page = client.get(at(project, "list") + "?archived").content.decode()
    assert "Delete all rejected ones" in page
    client.post(at(project, "clear-rejected"))
    assert set(project.personas.values_list("name", flat=True)) == {"B", "C", "Old"}


# -- who may, and what is shown -----------------------------------------------------------------------------------------


def test_members_read_the_review_and_only_curators_decide(
    project: Project, gauge: Document, teammate: User, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    (persona,) = propose(project, "A", document=gauge)
    page = client_of(annotator).get(at(project, "review")).content.decode()
    assert "About A." in page
    assert "Reject" not in page
    posts = [at(project, "decide", persona.pk), at(project, "delete", persona.pk), at(project, "accept-all")]
    for address in [*posts, at(project, "clear-rejected")]:
        assert client_of(annotator).post(address, {"decision": "accepted"}).status_code == 403
        assert client_of(stranger).post(address, {"decision": "accepted"}).status_code == 404
        assert client_of(teammate).get(address).status_code == 405
    assert client_of(stranger).get(at(project, "review")).status_code == 404
    assert standing(persona) == "waiting"


def test_a_persona_of_another_project_is_not_reached_through_mine(
    project: Project, gauge: Document, stranger: User, client_of: ClientOf
) -> None:
    (persona,) = propose(project, "A", document=gauge)
    theirs = stranger.projects.get()
    client = client_of(stranger)
    for address in (
        at(theirs, "decide", persona.pk),
        at(theirs, "delete", persona.pk),
        at(theirs, "detail", persona.pk),
    ):
        assert client.post(address, {"decision": "accepted", "name": "X", "description": "Y"}).status_code == 404
    assert client.get(f"{at(theirs, 'review')}?persona={persona.pk}").status_code == 404
    client.post(at(theirs, "accept-all"), {"document": gauge.pk})
    assert standing(persona) == "waiting"


def test_markup_of_a_model_is_only_text(project: Project, gauge: Document, owner: User, client_of: ClientOf) -> None:
    (persona,) = propose(project, "<script>alert(1)</script>", document=gauge)
    for address in (at(project, "review"), at(project, "detail", persona.pk), at(project, "list") + "?archived"):
        assert "<script>alert" not in client_of(owner).get(address).content.decode()


def test_the_list_finds_by_words_and_by_document_and_is_paged_by_name(
    project: Project, gauge: Document, owner: User, client_of: ClientOf
) -> None:
    propose(project, *(f"P{number:03}" for number in range(130)), document=gauge)
    project.personas.update(proposed=False)
    save_persona(project=project, name="Zoe", description="Keeps bees.", features={}, author=owner)
    client = client_of(owner)
    page = client.get(at(project, "list")).content.decode()
    assert "P059" in page
    assert "P060" not in page
    assert "P060" in client.get(at(project, "list") + "?after=P059").content.decode()
    found = client.get(at(project, "list") + "?q=keeps+BEES", headers=HTMX).content.decode()
    assert "Zoe" in found
    assert "P000" not in found
    of_document = client.get(f"{at(project, 'list')}?document={gauge.pk}").content.decode()
    assert "document: Gauge" in of_document
    assert "Zoe" not in of_document
    assert client.get(at(project, "list") + "?after=%00&document=x").status_code == 200


def test_nonsense_in_the_address_or_the_form_is_no_error(
    project: Project, gauge: Document, owner: User, client_of: ClientOf
) -> None:
    (persona,) = propose(project, "A", document=gauge)
    client = client_of(owner)
    assert client.get(at(project, "review") + "?persona=x&document=-3").status_code == 200
    assert client.get(at(project, "review") + "?document=99999").status_code == 200
    assert client.get(at(project, "review") + "?persona=99999").status_code == 404
    assert (
        "That is no decision"
        in client.post(at(project, "decide", persona.pk), {"decision": "maybe"}, follow=True).content.decode()
    )
    assert standing(persona) == "waiting"
