"""Alerts through real workers: whoever is killed, each is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import current_app
from django.conf import settings

from datasets.models import Project, User
from generation.models import AlertDelivery, AlertWebhook
from generation.services.monitoring import channels as alert_channels
from generation.tasks import look_for_alerts
from tests.faults.stage import wait_for
from tests.generation.hook_server import HookServer, hooks
from tests.generation.watched import watched
from tests.workers import working

__all__ = ["hooks"]


@pytest.fixture
def private_webhooks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ALLOW_PRIVATE_WEBHOOKS", "1")
        yield


def test_what_beat_calls_for_is_there() -> None:
    current_app.loader.import_default_modules()
    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= set(current_app.tasks)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("private_webhooks")
def test_an_alert_that_a_killed_worker_was_about_to_tell_is_told_by_the_next(
    project: Project, owner: User, hooks: HookServer
) -> None:
    alert_channels.save_webhook(webhook=AlertWebhook(project=project, url=hooks.url()), user=owner)
    watched(project, failed=6)
    look_for_alerts()
    hooks.waits = 60
    with working(queues="default", beat=True, name="first") as first:
        wait_for(lambda: len(hooks.posted) == 1, within=30, what="that the worker posts")
        first.kill()
    hooks.waits = 0
    AlertDelivery.objects.filter(state="waiting").update(not_before="2000-01-01T00:00:00Z")
    with working(queues="default", beat=True, name="second"):
        wait_for(lambda: not AlertDelivery.objects.exclude(state="done").exists(), within=30, what="that all are told")
    ids = [posted.headers["webhook-id"] for posted in hooks.posted]
    assert len(set(ids)) == 2
    assert len(ids) == 3
