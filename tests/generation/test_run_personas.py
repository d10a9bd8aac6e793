"""Who asks in a run: a few personas ticked on the form, or some and whole groups out of thousands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Persona, Project, User
from datasets.services.errors import Refused
from datasets.services.personas.adding import Draft, add_personas
from datasets.services.personas.saving import save_persona
from generation.adapters.briefs import briefs_for
from generation.engine.recipe import Recipe
from generation.frozen import Frozen, FrozenText
from generation.models import Recipe as KeptRecipe
from generation.models import Run, Trial
from generation.services import trials
from generation.services.recipe_yaml import read_yaml, write_yaml
from generation.services.running.freezing import freeze
from generation.services.running.persona_pool import versions_dealt
from tests.api_program import Program
from tests.factories import make_project
from tests.generation.growing import documents
from tests.generation.runs import expert, launched, recipe

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


def people(project: Project, count: int, job: str = "Nurse", **more: Any) -> list[Persona]:
    drafts = [Draft(f"{job} {n:05}", f"Works as a {job.lower()} in ward {n}.", **more) for n in range(count)]
    return add_personas(project=project, drafts=drafts, author=None)


def address(project: Project, name: str = "run-new") -> str:
    return reverse(f"generation:{name}", args=[project.slug])


def shown(client: Client, project: Project, query: str = "") -> dict[str, Any]:
    """What a browser would post if the form were sent as it first stands."""
    return dict(client.get(address(project) + query).context["form"].as_posted().data)


def search(client: Client, project: Project, headers: dict[str, str] | None = None, **said: Any) -> Any:
    return client.post(address(project, "run-personas"), shown(client, project) | said, headers=headers or HTMX)


def found(answer: Any) -> set[str]:
    return {persona.name for persona in answer.context["picker"].found}


def asking(run: Run) -> set[int | None]:
    return set(run.slots.values_list("persona", flat=True))


# -- the page ---------------------------------------------------------------------------------------------------------


def test_a_few_personas_are_boxes_and_all_ticked(project: Project, teammate: User, client_of: ClientOf) -> None:
    few = people(project, 30)
    page = client_of(teammate).get(address(project))
    assert page.context["picker"] is None
    assert set(page.context["form"].initial["personas"]) == {persona.pk for persona in few}
    assert page.content.decode().count('name="personas"') == 30


def test_thousands_make_the_page_no_longer_and_ask_no_more_of_the_database(
    project: Project, teammate: User, client_of: ClientOf, django_assert_max_num_queries: Any
) -> None:
    people(project, 5_000)
    expert(project)
    client = client_of(teammate)
    client.get(address(project))
    with django_assert_max_num_queries(80):
        page = client.get(address(project))
    assert len(page.content) < 100_000
    assert "All usable personas <b>5" in page.content.decode()
    said = shown(client, project)
    with django_assert_max_num_queries(50):
        assert client.post(address(project, "run-estimate"), said).context["estimate"]
    with django_assert_max_num_queries(25):
        assert len(client.post(address(project, "run-personas"), said, headers=HTMX).content) < 20_000


def test_a_recipe_that_names_thousands_comes_back_whole_from_a_short_page(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    pks = tuple(sorted(persona.pk for persona in people(project, 3_000)))
    kept = KeptRecipe.objects.create(
        project=project, name="All", spec=recipe(project, personas=pks).model_dump(mode="json")
    )
    client = client_of(teammate)
    page = client.get(f"{address(project)}?recipe={kept.pk}")
    assert len(page.content) < 150_000
    picker = page.context["picker"]
    boxes = [*(str(persona.pk) for persona in picker.chosen), picker.rest]
    assert (
        client.post(address(project), shown(client, project, f"?recipe={kept.pk}") | {"personas": boxes}).status_code
        == 302
    )
    assert tuple(Run.objects.get().spec["personas"]) == pks


def test_a_search_shows_who_matches_and_keeps_who_is_chosen(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    nurses, doctors = people(project, 40), people(project, 3, "Doctor")
    client = client_of(teammate)
    answer = search(client, project, persona_q="doctor ward", personas=[nurses[0].pk, doctors[0].pk], persona_groups=[])
    assert found(answer) == {"Doctor 00001", "Doctor 00002"}
    picker = answer.context["picker"]
    assert {persona.pk for persona in picker.chosen} == {nurses[0].pk, doctors[0].pk}
    assert (picker.searched.count, picker.more, picker.offered) == (3, 0, True)
    assert b"<html" not in answer.content


def test_without_a_script_a_search_brings_the_form_back_as_it_was_filled_in(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    people(project, 40)
    (doctor,) = people(project, 1, "Doctor")
    client = client_of(teammate)
    said = shown(client, project) | {"name": "My own run", "persona_q": "doctor"}
    answer = client.post(address(project, "run-personas"), said)
    page = answer.content.decode()
    assert (answer.status_code, found(answer)) == (200, {doctor.name})
    assert 'value="My own run"' in page
    assert f'name="personas" value="{doctor.pk}"' in page
    assert not Run.objects.exists()


def test_those_that_were_looked_for_in_the_list_take_part(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    people(project, 3)
    (doctor,) = people(project, 1, "Doctor")
    expert(project)
    client = client_of(teammate)
    listed = client.get(reverse("datasets:persona-list", args=[project.slug]), {"q": "doctor"})
    query = f"?{listed.context['in_a_run']}"
    assert f'href="{address(project)}{query}"'.replace("&", "&amp;") in listed.content.decode()
    assert client.post(address(project), shown(client, project, query)).status_code == 302
    assert asking(Run.objects.get()) == {doctor.pk}


def test_words_are_shown_as_text(project: Project, teammate: User, client_of: ClientOf) -> None:
    people(project, 1, "<b>Nurse</b>")
    page = search(client_of(teammate), project, persona_q="<b>nurse").content.decode()
    assert "&lt;b&gt;Nurse&lt;/b&gt;" in page
    assert "<b>nurse" not in page.lower().replace("&lt;b&gt;", "")


# -- who may, and whom ------------------------------------------------------------------------------------------------


def test_only_those_who_launch_runs_search(
    project: Project, owner: User, teammate: User, stranger: User, client_of: ClientOf
) -> None:
    people(project, 1)
    for user, status in ((owner, 200), (teammate, 200), (stranger, 404)):
        assert (
            client_of(user).post(address(project, "run-personas"), {"persona_q": "nurse"}, headers=HTMX).status_code
            == status
        )
    project.memberships.filter(user=teammate).update(role="viewer")
    assert client_of(teammate).post(address(project, "run-personas"), {}, headers=HTMX).status_code == 403


def test_personas_and_documents_of_another_project_are_neither_found_nor_taken(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    people(project, 2)
    other = make_project()
    document = documents(other, "Secret").documents.get()
    (theirs,) = people(other, 1, "Spy", document=document.pk)
    client = client_of(teammate)
    answer = search(client, project, persona_q="spy", persona_document=document.pk, personas=[theirs.pk])
    assert (found(answer), answer.context["picker"].chosen) == (set(), [])
    assert b"Secret" not in answer.content
    for foreign in ({"personas": [theirs.pk]}, {"persona_groups": [f'{{"document": {document.pk}}}']}):
        refused = client.post(address(project), shown(client, project) | foreign)
        assert (refused.status_code, list(refused.context["form"].errors)) == (422, ["personas"])
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "group", ["{", "[]", '{"words": "\\u0000"}', '{"sql": "1"}', '{"words": 3}', f'{{"words": "{"x" * 101}"}}']
)
def test_a_group_that_makes_no_sense_is_refused(
    project: Project, teammate: User, client_of: ClientOf, group: str
) -> None:
    expert(project)
    client = client_of(teammate)
    answer = client.post(address(project), shown(client, project) | {"persona_groups": [group]})
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["persona_groups"])
    assert b"search for it again" in answer.content


def test_a_group_in_which_nobody_is_is_refused(project: Project) -> None:
    with pytest.raises(Refused, match="No usable persona matches “dragon”"):
        launched(project, persona_groups=[{"words": "dragon"}])


# -- the run ----------------------------------------------------------------------------------------------------------


def test_a_group_is_whoever_matches_at_the_launch(project: Project) -> None:
    doctors = people(project, 2, "Doctor")
    people(project, 2)
    people(project, 2, "Old doctor", archived=True)
    people(project, 2, "New doctor", proposed=True)
    spec: dict[str, Any] = {"persona_groups": [{"words": "doctor"}], "conversations": 10}
    assert asking(launched(project, **spec)) == {persona.pk for persona in doctors}
    doctors += people(project, 1, "Head doctor")
    assert asking(launched(project, **spec)) == {persona.pk for persona in doctors}


def test_all_usable_personas_are_dealt_evenly_with_those_that_are_named(project: Project) -> None:
    everybody = people(project, 10)
    run = launched(project, personas=[everybody[3].pk], persona_groups=[{}], conversations=20)
    dealt = list(run.slots.values_list("persona", flat=True))
    assert sorted(dealt) == sorted([persona.pk for persona in everybody] * 2)
    assert run.frozen["cast"]["total"] == 10


def test_personas_of_the_runs_own_documents_ask_about_those_and_are_not_dealt_besides(project: Project) -> None:
    corpus = documents(project, "Gauge")
    people(project, 2, "Grown", document=corpus.documents.get().pk)
    guests = people(project, 3)
    said: dict[str, Any] = {"corpus": corpus.pk, "grown_personas": True, "persona_groups": [{}]}
    dealt = versions_dealt(project=project, spec=recipe(project, **said))
    assert set(dealt) == {persona.pk for persona in guests}
    alone = versions_dealt(project=project, spec=recipe(project, **said | {"grown_personas": False}))
    assert len(alone) == 5


def test_a_document_names_a_group(project: Project) -> None:
    corpus = documents(project, "Gauge", "Mast")
    of_gauge = people(project, 2, "Gauger", document=corpus.documents.get(title="Gauge").pk)
    people(project, 2, "Sailor", document=corpus.documents.get(title="Mast").pk)
    run = launched(project, persona_groups=[{"document": corpus.documents.get(title="Gauge").pk}], conversations=6)
    assert asking(run) == {persona.pk for persona in of_gauge}


def test_a_run_of_ten_thousand_personas_stays_small_and_each_slot_knows_what_its_persona_said(project: Project) -> None:
    everybody = people(project, 10_000, features={"tone": "dry"})
    run = launched(project, persona_groups=[{"words": "nurse"}], conversations=10_000)
    assert len(str(run.frozen)) < 10_000
    assert len(str(run.spec)) < 10_000
    assert run.slots.exclude(persona_version=None).values("persona").distinct().count() == 10_000
    first = run.slots.order_by("index").select_related("persona")[0]
    assert first.persona in everybody
    save_persona(project=project, persona=first.persona, name="Another", description="New.", features={}, author=None)
    (brief,) = briefs_for(run, Recipe.model_validate(run.spec), Frozen.model_validate(run.frozen), [first])
    assert brief.persona
    assert brief.persona.description.endswith("- tone: dry")


def test_a_run_of_old_whose_frozen_recipe_holds_the_texts_goes_on(project: Project) -> None:
    (nurse,) = people(project, 1)
    run = launched(project, personas=[nurse.pk], conversations=2)
    copied = FrozenText(id=nurse.pk, name="Nurse of old", version=1, text="As she was.")
    old = Frozen.model_validate(run.frozen).model_dump(mode="json", exclude={"cast"})
    Run.objects.filter(pk=run.pk).update(frozen=old | {"personas": {nurse.pk: copied.model_dump()}})
    run.slots.update(persona_version=None)
    run.refresh_from_db()
    slots = list(run.slots.all())
    briefs = briefs_for(run, Recipe.model_validate(run.spec), Frozen.model_validate(run.frozen), slots)
    assert {brief.persona.description for brief in briefs if brief.persona} == {"As she was."}


def test_the_page_of_a_run_names_the_first_and_counts_the_rest(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    people(project, 300)
    run = launched(project, persona_groups=[{}])
    page = client_of(teammate).get(reverse("generation:run-detail", args=[project.slug, run.pk])).content.decode()
    assert "Nurse 00019, and 280 more" in page
    assert "Nurse 00020" not in page


@pytest.mark.django_db(transaction=True)
def test_a_preview_is_asked_by_somebody_of_the_group(project: Project, owner: User) -> None:
    people(project, 5)
    spec = recipe(project, persona_groups=[{}], max_turns=1)
    wanted = {"recipe": spec.model_dump(mode="json")}
    trial = trials.ask_for(project=project, kind=Trial.Kind.PREVIEW, request=wanted, user=owner)
    trials.carry_out(trial_id=trial.pk)
    trial.refresh_from_db()
    assert "in ward" in trial.result["attempts"][0]["dialog"]["persona"]


# -- as text ----------------------------------------------------------------------------------------------------------


def test_groups_go_to_yaml_and_back_by_the_titles_of_documents(project: Project) -> None:
    corpus = documents(project, "Gauge", "Mast")
    document = corpus.documents.get(title="Gauge")
    people(project, 2, document=document.pk)
    groups = [{}, {"words": "nurse"}, {"words": "ward", "document": document.pk}]
    spec = recipe(project, persona_groups=groups)
    text = write_yaml(spec, freeze(project=project, spec=spec))
    assert "document: Gauge" in text
    assert read_yaml(project=project, text=text) == spec


def test_a_document_that_yaml_names_is_one_of_the_project(project: Project) -> None:
    people(project, 1)
    spec = recipe(project, persona_groups=[{}])
    text = write_yaml(spec, freeze(project=project, spec=spec)).replace("- {}", "- document: Gauge")
    with pytest.raises(Refused, match="There is no document titled “Gauge”"):
        read_yaml(project=project, text=text)
    documents(project, "Gauge"), documents(project, "Gauge")
    with pytest.raises(Refused, match="Several documents are titled “Gauge”"):
        read_yaml(project=project, text=text)


def test_thousands_of_names_are_read_from_yaml_by_a_few_queries(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    spec = recipe(project, personas=tuple(persona.pk for persona in people(project, 2_000)))
    text = write_yaml(spec, freeze(project=project, spec=spec))
    with django_assert_max_num_queries(20):
        assert read_yaml(project=project, text=text) == spec


def test_a_program_launches_a_run_with_a_group(project: Project, teammate: User, stranger: User) -> None:
    doctors = people(project, 2, "Doctor")
    people(project, 2)
    said = recipe(project, persona_groups=[{"words": "doctor"}], conversations=4).model_dump(mode="json")
    path = f"/projects/{project.slug}/runs"
    assert Program.of(stranger).call("POST", path, {"recipe": said}).status_code == 404
    answer = Program.of(teammate).call("POST", path, {"recipe": said})
    assert answer.status_code == 201
    assert asking(Run.objects.get()) == {persona.pk for persona in doctors}
