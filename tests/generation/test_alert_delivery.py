"""Who is told of an alert: by e-mail and by webhook, once an alert, at least once whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from datasets.models import Project, User
from generation.adapters import webhooks
from generation.adapters.webhooks import RefusedAddress, Undelivered, new_secret
from generation.models import AlertDelivery, AlertRule, AlertWebhook
from generation.services.monitoring import alerts
from generation.services.monitoring import channels as alert_channels
from generation.services.monitoring import delivery as alert_delivery
from generation.tasks import deliver_alerts, look_for_alerts
from tests.generation.hook_server import HookServer, hooks
from tests.generation.watched import later, rule, watched
from tests.workers import ROOT, addresses

__all__ = ["hooks"]
ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db
Mailbox = list[EmailMessage]


@pytest.fixture(autouse=True)
def a_mail_server_and_private_webhooks(settings: object) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    settings.ALLOW_PRIVATE_WEBHOOKS = True


@pytest.fixture
def only_success(project: Project) -> None:
    """One alert for one trouble."""
    AlertRule.objects.exclude(pk=rule(project, "low_success_rate").pk).update(active=False)


def at(project: Project, name: str, *more: object) -> str:
    return reverse(f"generation:{name}", args=[project.slug, *more])


def asks_for_mail(project: Project, user: User, address: str) -> None:
    user.email = address
    user.save()
    alert_channels.switch_mail(project=project, user=user, on=True)


def hooked(project: Project, url: str) -> str:
    """A project with a webhook, and its secret."""
    return alert_channels.save_webhook(webhook=AlertWebhook(project=project, url=url), user=project.members.first())


def trouble(project: Project) -> None:
    watched(project, failed=6, name="Night run")
    look_for_alerts()


def is_signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As any library for Standard Webhooks checks it."""
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    made = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), said, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(made).decode()}" in headers["webhook-signature"].split(" ")


# -- e-mail -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("only_success")
def test_members_who_asked_for_it_are_mailed_once_an_alert(
    project: Project, owner: User, teammate: User, mailoutbox: Mailbox
) -> None:
    asks_for_mail(project, owner, "olivia@example.org")
    trouble(project)
    for minute in range(3):
        alerts.look(now=later(minute))
        deliver_alerts()
    (mail,) = mailoutbox
    assert mail.to == ["olivia@example.org"]
    assert mail.subject == "[Handbook] Few conversations succeed: Night run"
    assert "Only 0 % of 6 conversations succeeded" in mail.body
    assert f"/p/{project.slug}/runs/" in mail.body


@pytest.mark.usefixtures("only_success")
def test_who_left_the_project_or_wants_no_more_is_not_mailed(
    project: Project, owner: User, teammate: User, client_of: ClientOf, mailoutbox: Mailbox
) -> None:
    asks_for_mail(project, owner, "olivia@example.org")
    asks_for_mail(project, teammate, "tomas@example.org")
    client_of(owner).post(at(project, "alert-mail"), {"off": "1"})
    trouble(project)
    project.memberships.get(user=teammate).delete()
    deliver_alerts()
    assert mailoutbox == []
    assert not alert_delivery.is_due()


def test_everybody_switches_their_own_mail(
    project: Project, annotator: User, stranger: User, client_of: ClientOf, settings: object
) -> None:
    client = client_of(annotator)
    assert "no e-mail address" in client.post(at(project, "alert-mail"), {"on": "1"}, follow=True).content.decode()
    assert not alert_channels.is_mailed(project=project, user=annotator)
    annotator.email = "anna@example.org"
    annotator.save()
    assert (
        "sent to anna@example.org" in client.post(at(project, "alert-mail"), {"on": "1"}, follow=True).content.decode()
    )
    assert alert_channels.is_mailed(project=project, user=annotator)
    assert client_of(stranger).post(at(project, "alert-mail"), {"on": "1"}).status_code == 404
    settings.EMAIL_HOST = ""
    assert "no mail server" in client.get(at(project, "alert-channels")).content.decode()


@pytest.mark.usefixtures("only_success")
def test_a_mail_server_that_is_away_is_tried_again_later(
    project: Project, owner: User, settings: object, mailoutbox: Mailbox
) -> None:
    asks_for_mail(project, owner, "olivia@example.org")
    trouble(project)
    with socket.socket() as unused:  # bound, and nobody listens
        unused.bind(("127.0.0.1", 0))
        settings.EMAIL_HOST, settings.EMAIL_PORT = unused.getsockname()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        deliver_alerts()
    row = AlertDelivery.objects.get()
    assert (row.state, row.attempts) == ("waiting", 1)
    assert "refused" in row.error
    assert timedelta(seconds=20) < row.not_before - timezone.now() < timedelta(seconds=40)
    deliver_alerts()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    AlertDelivery.objects.update(not_before=timezone.now())
    deliver_alerts()
    row.refresh_from_db()
    assert (row.state, row.attempts, len(mailoutbox)) == ("done", 2, 1)


@pytest.mark.usefixtures("only_success")
def test_a_project_whose_name_has_a_line_break_sends_one_subject(
    project: Project, owner: User, mailoutbox: Mailbox
) -> None:
    Project.objects.filter(pk=project.pk).update(name="Hand\r\nBcc: all@example.org")
    asks_for_mail(project, owner, "olivia@example.org")
    trouble(project)
    deliver_alerts()
    assert "\n" not in mailoutbox[0].subject
    assert mailoutbox[0].recipients() == ["olivia@example.org"]


# -- webhook ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("only_success")
def test_an_alert_is_posted_once_and_signed(project: Project, hooks: HookServer) -> None:
    secret = hooked(project, hooks.url())
    trouble(project)
    for _ in range(3):
        look_for_alerts()
        deliver_alerts()
    (posted,) = hooks.posted
    said = json.loads(posted.body)
    assert said["type"] == "alert.opened"
    assert (said["data"]["kind"], said["data"]["run"]["name"]) == ("low_success_rate", "Night run")
    assert is_signed(secret, posted.headers, posted.body)
    assert not is_signed(new_secret(), posted.headers, posted.body)
    assert abs(int(posted.headers["webhook-timestamp"]) - time.time()) < 60
    row = AlertDelivery.objects.get()
    assert (row.state, row.status, row.error) == ("done", 204, "")


@pytest.mark.usefixtures("only_success")
def test_what_is_not_taken_is_sent_again_under_the_same_id_and_given_up_in_the_end(
    project: Project, hooks: HookServer
) -> None:
    hooked(project, hooks.url())
    hooks.answers, hooks.says = [500] * 9, b"<b>out of order</b>"
    trouble(project)
    waits = []
    for _ in range(8):
        deliver_alerts()
        row = AlertDelivery.objects.get()
        waits.append((row.not_before - timezone.now()).total_seconds())
        AlertDelivery.objects.update(not_before=timezone.now())
    assert len(hooks.posted) == alert_delivery.MOST
    assert len({posted.headers["webhook-id"] for posted in hooks.posted}) == 1
    assert [round(wait, -1) for wait in waits[:4]] == [30, 120, 480, 1920]
    assert (row.state, row.status) == ("failed", 500)
    assert "answered 500: <b>out of order</b>" in row.error


def test_the_log_says_what_became_of_each_message_as_text(
    project: Project, owner: User, annotator: User, client_of: ClientOf, hooks: HookServer
) -> None:
    hooked(project, hooks.url())
    hooks.answers, hooks.says = [410], b"<script>gone</script>"
    client_of(owner).post(at(project, "alert-webhook-action", "test"))
    deliver_alerts()
    assert json.loads(hooks.posted[0].body)["type"] == "test"
    shown = client_of(annotator).get(at(project, "alert-channels")).content.decode()
    assert "answered 410: &lt;script&gt;gone" in shown
    assert hooks.url() not in shown


def test_a_redirect_is_not_followed_and_a_long_answer_not_read(project: Project, hooks: HookServer) -> None:
    hooks.answers, hooks.says = [302], b"x" * 5_000_000
    with pytest.raises(Undelivered, match="answered 302") as refused:
        webhooks.post(hooks.url(), b"{}", {})
    assert len(str(refused.value)) < 500
    assert [posted.path for posted in hooks.posted] == ["/hook"]


def test_a_server_that_does_not_answer_is_left_after_a_while(
    hooks: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT", 0.5)
    hooks.waits = 2
    begun = time.monotonic()
    with pytest.raises(Undelivered, match="No answer"):
        webhooks.post(hooks.url(), b"{}", {})
    assert time.monotonic() - begun < 1.5


PRIVATE = [
    "http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/", "http://0.0.0.0/",
    "http://10.1.2.3/", "http://172.16.0.1/", "http://192.168.1.1/", "http://169.254.169.254/latest/", "http://[fe80::1]/",
    "http://[fd00::1]/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
    "http://224.0.0.1/", "http://100.64.0.1/", "ftp://example.org/", "file:///etc/passwd", "gopher://x/",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
def test_addresses_of_this_server_and_its_network_are_refused(url: str, settings: object) -> None:
    settings.ALLOW_PRIVATE_WEBHOOKS = False
    with pytest.raises(RefusedAddress):
        webhooks.post(url, b"{}", {})


@pytest.mark.parametrize(
    "url", ["https://1.1.1.1/", "https://[2606:4700::1111]/", "https://hooks.example.org:8443/x?y=1"]
)
def test_addresses_of_the_internet_are_let_through(url: str, settings: object) -> None:
    settings.ALLOW_PRIVATE_WEBHOOKS = False
    webhooks.check_address(url)


def test_the_form_refuses_private_numbers_and_wrong_schemes(
    project: Project, owner: User, client_of: ClientOf, settings: object
) -> None:
    settings.ALLOW_PRIVATE_WEBHOOKS = False
    for url in (*PRIVATE, "https://user:pw@example.org/", "nonsense", ""):
        answer = client_of(owner).post(at(project, "alert-webhook"), {"url": url, "active": "on"})
        assert answer.status_code == 422, url
    assert not AlertWebhook.objects.exists()


def test_a_name_is_judged_by_what_it_stands_for_when_it_is_connected_to(
    project: Project, owner: User, client_of: ClientOf, hooks: HookServer, settings: object
) -> None:
    """A name may change its address after the form has seen it: `localhost` is one that always stands for this machine."""
    settings.ALLOW_PRIVATE_WEBHOOKS = False
    data = {"url": hooks.url("localhost"), "active": "on"}
    assert client_of(owner).post(at(project, "alert-webhook"), data).status_code == 200
    alert_delivery.try_webhook(project=project)
    deliver_alerts()
    row = AlertDelivery.objects.get()
    assert (row.state, row.attempts, hooks.posted) == ("failed", 1, [])
    assert "private network" in row.error


def test_what_was_checked_is_what_is_connected_to(
    hooks: HookServer, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that says something else at each question is asked once, and one private address spoils all."""
    settings.ALLOW_PRIVATE_WEBHOOKS = False
    asked = []

    async def lies(loop: object, host: str, port: int, **_: object) -> list:
        asked.append(host)
        numbers = ["1.1.1.1", "127.0.0.1"] if len(asked) == 1 else ["127.0.0.1"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in numbers]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", lies)
    with pytest.raises(RefusedAddress):
        webhooks.post(hooks.url("rebound.example.org"), b"{}", {})
    assert (asked, hooks.posted) == (["rebound.example.org"], [])
    settings.ALLOW_PRIVATE_WEBHOOKS = True
    assert webhooks.post(hooks.url("rebound.example.org"), b"{}", {}) == 204
    assert len(asked) == 2


def test_the_secret_is_shown_once_and_kept_encrypted(
    project: Project, owner: User, client_of: ClientOf, hooks: HookServer
) -> None:
    client = client_of(owner)
    answer = client.post(at(project, "alert-webhook"), {"url": hooks.url(), "active": "on"})
    assert answer["Cache-Control"] == "no-store"
    stored = AlertWebhook.objects.get()
    secret = stored.reveal()
    assert secret in answer.content.decode()
    assert secret.encode() not in bytes(stored.ciphertext)
    assert secret not in client.get(at(project, "alert-channels")).content.decode()
    again = client.post(at(project, "alert-webhook"), {"url": hooks.url() + "/2", "active": "on"})
    assert again.status_code == 302
    renewed = client.post(at(project, "alert-webhook-action", "renew")).content.decode()
    stored.refresh_from_db()
    assert stored.reveal() in renewed
    assert stored.reveal() != secret


@pytest.mark.usefixtures("only_success")
def test_a_webhook_that_was_removed_meanwhile_is_sent_nothing(project: Project, owner: User, hooks: HookServer) -> None:
    hooked(project, hooks.url())
    trouble(project)
    alert_channels.remove_webhook(webhook=project.alert_webhook, user=owner)
    deliver_alerts()
    assert hooks.posted == []
    assert AlertDelivery.objects.get().state == "failed"


# -- at least once ------------------------------------------------------------------------------------------------------

DELIVER = """
import django; django.setup()
from django.conf import settings
settings.ALLOW_PRIVATE_WEBHOOKS = True
from generation.services.monitoring import delivery; delivery.deliver()
"""


@pytest.mark.django_db(transaction=True)
def test_a_message_is_delivered_although_its_worker_was_killed_in_the_midst_of_it(
    project: Project, hooks: HookServer
) -> None:
    AlertRule.objects.exclude(pk=rule(project, "low_success_rate").pk).update(active=False)
    hooked(project, hooks.url())
    trouble(project)
    environment = os.environ | addresses()
    worker = subprocess.Popen([sys.executable, "-c", DELIVER], cwd=ROOT, env=environment)
    hooks.before_answering = lambda: worker.send_signal(signal.SIGKILL)
    assert worker.wait(60) == -signal.SIGKILL
    assert (len(hooks.posted), AlertDelivery.objects.get().state) == (1, "waiting")
    deliver_alerts()
    assert len(hooks.posted) == 1  # somebody else may still be at it
    AlertDelivery.objects.update(not_before=timezone.now())
    hooks.before_answering = lambda: None
    deliver_alerts()
    first, second = hooks.posted
    assert (AlertDelivery.objects.get().state, first.body) == ("done", second.body)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_a_message_that_kills_its_workers_is_given_up(project: Project, hooks: HookServer) -> None:
    hooked(project, hooks.url())
    alert_delivery.try_webhook(project=project)
    AlertDelivery.objects.update(attempts=alert_delivery.MOST)
    deliver_alerts()
    assert (AlertDelivery.objects.get().state, hooks.posted) == ("failed", [])
