"""Metrics that live, and the bell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from datasets.models import Project, User
from generation.services.monitoring import metrics
from generation.tasks import look_for_alerts
from tests.generation.watched import called, watched

pytestmark = pytest.mark.django_db(transaction=True)
PageOf = Callable[[User], Page]


def test_numbers_that_are_open_stay_open_while_the_page_follows_the_run(
    project: Project, owner: User, page_of: PageOf
) -> None:
    run = watched(project, done=3)
    page = page_of(owner)
    page.goto(reverse("generation:run-metrics", args=[project.slug, run.pk]))
    chart = page.locator("figure", has_text="Tokens a call, on average")
    chart.get_by_text("Numbers").click()
    expect(chart.get_by_role("table")).to_be_visible()
    called(run, model="a-new-model")
    expect(page.get_by_text("a-new-model").first).to_be_visible()
    expect(chart.get_by_role("table")).to_be_visible()


def test_a_page_of_very_many_calls_brings_its_numbers_by_itself(
    project: Project, owner: User, page_of: PageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MANY", 2)
    watched(project, done=3)
    page = page_of(owner)
    page.goto(reverse("generation:monitoring", args=[project.slug]) + "?span=hour")
    expect(page.get_by_role("figure", name="Success and error rate")).to_be_visible()


def test_the_bell_leads_to_the_alerts_and_is_gone_once_they_are_acknowledged(
    project: Project, owner: User, page_of: PageOf
) -> None:
    watched(project, failed=6)
    look_for_alerts()
    page = page_of(owner)
    page.goto(reverse("generation:run-list", args=[project.slug]))
    page.get_by_role("link", name="2 alerts").click()
    expect(page.get_by_role("heading", name="Alerts")).to_be_visible()
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    expect(page.get_by_role("link", name="2 alerts")).to_have_count(0)
