"""Runs of preference pairs: made, counted, shown and exported."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from django.test import Client
from django.urls import reverse

from datasets.filters import ConversationFilter
from datasets.formats import Options
from datasets.models import Conversation, Project, User, Version
from datasets.schema import Step
from datasets.services.publishing import exports
from generation.engine.protocols import Attempt, Made, Verdict
from generation.engine.recipe import ModelChoice, Pairs
from generation.models import Call, Endpoint, Price, Run
from generation.services.running import pairs
from generation.services.servers.endpoints import save_endpoint
from tests.api_program import Program, refusal
from tests.factories import make_dialog
from tests.fixtures_model_server import RunningModelServer, start_model_server
from tests.generation.pulled import pulled
from tests.generation.runs import ROLES, landed, launched, made

ClientOf = Callable[[User], Client]


@pytest.fixture
def server(project: Project, owner: User, model_server: RunningModelServer) -> Endpoint:
    fields = {"name": "Server", "preset": "custom", "base_url": model_server.base_url, "chat_model": "big"}
    return save_endpoint(project=project, user=owner, values=fields)


def paired(project: Project, endpoint: Endpoint | None = None, **changes: Any) -> Run:
    """A launched run of pairs, by temperature unless told otherwise."""
    chosen = ModelChoice(endpoint=(endpoint or project.endpoints.get(preset="offline")).pk)
    product = {"kind": "pairs", **changes.pop("product", {})}
    models = dict.fromkeys((*ROLES, "judge"), chosen)
    return launched(project, endpoint=endpoint, product=product, models=models, judge=True, **changes)


def answers(*scores: float | None, question: str = "Why?") -> Made:
    """A dialog of one question and an answer for each score; None is an answer whose judge failed."""
    attempts = [
        Attempt(
            make_dialog(question, f"Answer {number} of {question}"),
            Verdict("judge", "m", (), score, error="" if score is not None else "No JSON."),
            "alternative",
            label=f"way {number}",
        )
        for number, score in enumerate(scores, 1)
    ]
    return Made(tuple(attempts))


def report_of(run: Run) -> pairs.Report:
    product = pairs.product_of(run)
    assert product is not None
    return pairs.report_of(run, product)


# -- making -------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_run_of_pairs_keeps_every_answer_as_a_judged_version_and_the_best_one_counts(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    run = pulled(paired(project, server, conversations=6, max_turns=3, product={"answers": 3, "gap": 0.0}))
    assert (run.state, run.slots_done) == ("done", 6)
    for conversation in Conversation.objects.filter(batch=run.batch_id).prefetch_related("versions__judgements"):
        versions = list(conversation.versions.all())
        assert [version.label for version in versions] == ["temperature_0.10", "temperature_0.50", "temperature_0.90"]
        assert {version.origin for version in versions} == {"alternative"}
        assert len({json.dumps(version.messages[:-1]) for version in versions}) == 1
        scores = {version.pk: version.judgements.get().overall for version in versions}
        assert scores[conversation.head_id] == max(scores.values()) == conversation.score
    assert run.calls == Call.objects.filter(run=run).count()
    sent = {request["body"].get("temperature") for request in model_server.requests()}
    assert {0.1, 0.5, 0.9} <= sent


@pytest.mark.django_db(transaction=True)
def test_answers_of_two_models_are_paid_at_the_price_of_each(
    project: Project, server: Endpoint, owner: User, model_server: RunningModelServer
) -> None:
    fields = {"name": "Other", "preset": "custom", "base_url": model_server.base_url, "chat_model": "small"}
    other = save_endpoint(project=project, user=owner, values=fields)
    Price.objects.create(endpoint=other, model="", prompt=1000, completion=1000)
    product = {"strategy": "model", "second": {"endpoint": other.pk}}
    run = pulled(paired(project, server, conversations=2, max_turns=1, product=product))
    assert run.slots_done == 2
    paid = Call.objects.filter(run=run, endpoint=other)
    assert set(paid.values_list("operation", "model")) == {("answer", "small")}
    assert paid.count() == 2
    assert run.cost == sum(paid.values_list("cost", flat=True), Decimal(0)) > 0


@pytest.fixture
def elsewhere(project: Project, owner: User) -> Iterator[tuple[Endpoint, RunningModelServer]]:
    """A second server, dear, whose model has the name of the first one's."""
    running, process = start_model_server()
    fields = {"name": "Elsewhere", "preset": "custom", "base_url": running.base_url, "chat_model": "big"}
    endpoint = save_endpoint(project=project, user=owner, values=fields)
    Price.objects.create(endpoint=endpoint, model="", prompt=1000, completion=3000)
    yield endpoint, running
    process.terminate()
    process.wait(5)


@pytest.mark.django_db(transaction=True)
def test_models_of_one_name_are_paid_at_the_price_of_their_own_server(
    project: Project, server: Endpoint, model_server: RunningModelServer, elsewhere: tuple[Endpoint, RunningModelServer]
) -> None:
    other, running = elsewhere
    Price.objects.create(endpoint=server, model="", prompt=1, completion=2)
    product = {"strategy": "model", "second": {"endpoint": other.pk}}
    run = pulled(paired(project, server, conversations=3, max_turns=2, product=product))
    assert run.slots_done == 3
    for endpoint, seen in ((server, model_server.stats()), (other, running.stats())):
        calls = Call.objects.filter(run=run, endpoint=endpoint, model="big")
        assert calls.count() == seen["total"]
        tokens = calls.aggregate(prompt=Sum("prompt_tokens"), completion=Sum("completion_tokens"))
        assert (tokens["prompt"], tokens["completion"]) == (seen["prompt_tokens"], seen["completion_tokens"])
        prompt, completion = endpoint.price_of("big")
        due = (prompt * seen["prompt_tokens"] + completion * seen["completion_tokens"]) / 1_000_000
        assert calls.aggregate(paid=Sum("cost"))["paid"] == due > 0
    assert Call.objects.filter(run=run, endpoint=other).count() == 3
    assert set(Call.objects.filter(run=run, endpoint=other).values_list("operation", flat=True)) == {"answer"}


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_the_second_model_could_not_give_is_paid_at_its_price(
    project: Project, server: Endpoint, elsewhere: tuple[Endpoint, RunningModelServer]
) -> None:
    other, running = elsewhere
    running.fail("length")
    product = {"strategy": "model", "answers": 4, "second": {"endpoint": other.pk}}
    run = pulled(paired(project, server, conversations=1, max_turns=1, product=product))
    assert run.slots_done == 1
    lost = Call.objects.filter(run=run, endpoint=other)
    assert list(lost.values_list("model", "finish", "tries")) == [("big", "length", 3)] * 2
    stats = running.stats()
    due = Decimal(1000 * stats["prompt_tokens"] + 3000 * stats["completion_tokens"]) / 1_000_000
    assert run.cost == sum(lost.values_list("cost", flat=True), Decimal(0)) == due > 0


@pytest.mark.django_db
def test_calls_are_paid_by_whom_they_spoke_as_whatever_name_the_model_gives_itself(
    project: Project, server: Endpoint, owner: User
) -> None:
    other = save_endpoint(project=project, user=owner, values={"name": "Other", "preset": "custom",
                          "base_url": "http://127.0.0.1:1/v1", "chat_model": "small"})  # fmt: skip
    run = paired(project, server, conversations=1, product={"strategy": "model", "second": {"endpoint": other.pk}})
    said = [("second", "small-2026-01"), ("respondent", "small"), ("", "small"), ("", "big"), ("", "somebody")]
    steps = [
        Step(operation="answer", speaker=speaker, model=name, request=(), reply=0, prompt_tokens=number)
        for number, (speaker, name) in enumerate(said)
    ]
    landed(run, Made(answers(0.9, 0.5).attempts, tuple(steps)))
    rows = run.ledger.order_by("prompt_tokens").values_list("model", "endpoint__name")
    assert list(rows) == [
        ("small-2026-01", "Other"),
        ("small", "Server"),
        ("small", "Other"),
        ("big", "Server"),
        ("somebody", "Server"),
    ]


# -- how they turned out ------------------------------------------------------------------------------------------------


@pytest.fixture
def run(project: Project) -> Run:
    """Three pairs, one too close, one unjudged; the gap is 0.1."""
    run = paired(project, conversations=5)
    outcomes = [
        answers(0.9, 0.5, question="One?"),
        answers(0.8, 0.4, 0.6, question="Two?"),
        answers(0.3, 0.7, question="Three?"),
        answers(0.55, 0.5, question="Four?"),
        answers(0.5, None, question="Five?"),
    ]
    return landed(run, *outcomes)


@pytest.mark.django_db
def test_pairs_are_counted_with_their_means_and_what_was_chosen(run: Run) -> None:
    report = report_of(run)
    assert (report.attempted, report.valid, report.discarded, report.discard_rate) == (5, 3, 2, 0.4)
    assert (round(report.chosen or 0, 3), round(report.rejected or 0, 3)) == (0.8, 0.4)
    assert round(report.mean_gap or 0, 3) == 0.4
    assert report.labels == {"way 1": 2, "way 2": 1}
    assert report.warnings == []


@pytest.mark.django_db
def test_answers_that_were_given_in_the_same_way_count_as_one_kind(project: Project) -> None:
    run = landed(paired(project, conversations=2), answers(0.9, 0.5), answers(0.5, 0.9, question="Two?"))
    for label, kind in {"first": "first", "first_2": "first", "temperature_0.90": "temperature_0.90"}.items():
        Version.objects.filter(origin="alternative").update(label=label)
        assert report_of(run).labels == {kind: 2}
    Version.objects.filter(origin="alternative", number=1).update(label="first")
    Version.objects.filter(origin="alternative", number=2).update(label="first_2")
    report = report_of(run)
    assert report.labels == {"first": 2}
    assert "“first” is the better answer in 100%" in report.warnings[0]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("outcomes", "warning"),
    [
        ([answers(0.5, 0.5), answers(0.5, 0.45)], "No conversation makes a pair"),
        (
            [answers(0.9, 0.5), answers(0.9, 0.5), answers(0.9, 0.5), answers(0.5, 0.9)],
            "“way 1” is the better answer in 75%",
        ),
        ([answers(0.9, 0.5), answers(0.5, 0.9), *[answers(0.5, 0.5)] * 2], "50% of the conversations make no pair"),
    ],
)
def test_what_is_wrong_with_a_strategy_is_said(project: Project, outcomes: list[Made], warning: str) -> None:
    run = landed(paired(project, conversations=len(outcomes)), *outcomes)
    assert [said for said in report_of(run).warnings if warning in said]


@pytest.mark.django_db
def test_a_gap_that_is_just_reached_makes_a_pair(project: Project) -> None:
    run = landed(paired(project, conversations=1), answers(0.9, 0.8))
    assert report_of(run).valid == 1


@pytest.mark.django_db
def test_the_page_shows_chosen_and_rejected_beside_each_other(
    run: Run, project: Project, annotator: User, client_of: ClientOf
) -> None:
    client, here = client_of(annotator), reverse("generation:run-pairs", args=[project.slug, run.pk])
    page = client.get(here)
    shown = {pair.question: pair for pair in page.context["pairs"]}
    assert [answer.label for answer in shown["Two?"].beside] == ["way 1", "way 2"]
    assert [answer.label for answer in shown["Two?"].others] == ["way 3"]
    assert [shown[name].valid for name in ("One?", "Two?", "Three?", "Four?", "Five?")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    text = page.content.decode()
    assert "no pair: gap 0.05" in text
    assert "fewer than two scores" in text
    assert "No JSON." in text
    assert [pair.question for pair in client.get(here + "?only=discarded").context["pairs"]] == ["Five?", "Four?"]
    assert [pair.question for pair in client.get(here + "?only=valid").context["pairs"]] == ["Three?", "Two?", "One?"]


@pytest.mark.django_db
def test_the_list_goes_on_by_keys(run: Run, project: Project, annotator: User, client_of: ClientOf) -> None:
    newest = Conversation.objects.filter(batch=run.batch_id).order_by("-pk")[0].pk
    page = client_of(annotator).get(
        reverse("generation:run-pairs", args=[project.slug, run.pk]) + f"?after={newest - 2}"
    )
    assert [pair.question for pair in page.context["pairs"]] == ["Two?", "One?"]


@pytest.mark.django_db
def test_only_runs_of_pairs_have_the_page_and_only_members_see_it(
    run: Run, project: Project, stranger: User, teammate: User, client_of: ClientOf
) -> None:
    here = reverse("generation:run-pairs", args=[project.slug, run.pk])
    assert client_of(stranger).get(here).status_code == 404
    plain = landed(launched(project), made())
    client = client_of(teammate)
    assert client.get(reverse("generation:run-pairs", args=[project.slug, plain.pk])).status_code == 404
    detail = client.get(reverse("generation:run-detail", args=[project.slug, run.pk])).content.decode()
    assert here in detail
    assert "Export pairs" in client.get(here).content.decode()


@pytest.mark.django_db
def test_the_export_of_a_run_has_the_pairs_that_its_page_counts(run: Run, project: Project) -> None:
    chosen = {"project": project, "filter": ConversationFilter(batch=run.batch_id), "format": "chat_dpo"}
    assert exports.count_rows(**chosen, options=Options(min_gap=Pairs().gap)) == report_of(run).valid


@pytest.mark.django_db
def test_markup_in_answers_is_shown_as_text(project: Project, annotator: User, client_of: ClientOf) -> None:
    run = landed(paired(project, conversations=1), answers(0.9, 0.1, question="<script>alert(1)</script>?"))
    page = client_of(annotator).get(reverse("generation:run-pairs", args=[project.slug, run.pk])).content.decode()
    assert "<script>alert" not in page


# -- by programs --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("member", ["owner", "teammate"])
def test_members_programs_read_what_the_page_says(
    run: Run, project: Project, member: str, request: pytest.FixtureRequest
) -> None:
    program = Program.of(request.getfixturevalue(member))
    said = program.get(f"/projects/{project.slug}/runs/{run.pk}/pairs/report")
    assert {name: said[name] for name in ("gap", "attempted", "valid", "discarded", "discard_rate", "labels")} == {
        "gap": 0.1,
        "attempted": 5,
        "valid": 3,
        "discarded": 2,
        "discard_rate": 0.4,
        "labels": {"way 1": 2, "way 2": 1},
    }
    assert [round(said[name], 3) for name in ("chosen", "rejected", "mean_gap")] == [0.8, 0.4, 0.4]
    assert said["warnings"] == []


@pytest.mark.django_db
def test_programs_read_the_pairs_page_by_page_and_by_kind(run: Run, project: Project, teammate: User) -> None:
    program, path = Program.of(teammate), f"/projects/{project.slug}/runs/{run.pk}/pairs"
    pages = list(program.pages(path, limit=2))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one["question"] for page in pages for one in page] == ["Five?", "Four?", "Three?", "Two?", "One?"]
    two = next(one for page in pages for one in page if one["question"] == "Two?")
    assert [(one["label"], one["score"]) for one in two["answers"]] == [("way 1", 0.8), ("way 3", 0.6), ("way 2", 0.4)]
    assert (two["valid"], round(two["gap"], 3)) == (True, 0.4)
    five, _ = program.get(path, only="discarded")["items"]
    assert (five["valid"], five["gap"], five["answers"][-1]["error"]) == (False, None, "No JSON.")
    assert len(program.get(path, only="valid")["items"]) == 3
    assert "only" in refusal(program.call("GET", path, only="odd"), 422)


@pytest.mark.django_db
def test_strangers_programs_find_nothing_and_other_runs_have_no_pairs(
    run: Run, project: Project, owner: User, stranger: User
) -> None:
    plain = landed(launched(project), made())
    for end in ("pairs", "pairs/report"):
        assert refusal(Program.of(stranger).call("GET", f"/projects/{project.slug}/runs/{run.pk}/{end}"), 404)
        answer = Program.of(owner).call("GET", f"/projects/{project.slug}/runs/{plain.pk}/{end}")
        assert "makes no preference pairs" in refusal(answer, 422)
