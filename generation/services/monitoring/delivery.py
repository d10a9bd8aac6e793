"""Who is told of an alert: an outbox that is written with the alert and sent at least once, whoever is killed meanwhile."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

from datasets.models import Project
from datasets.services.accounts import can_mail
from generation.adapters import webhooks
from generation.adapters.webhooks import RefusedAddress, Undelivered
from generation.models import Alert, AlertDelivery, AlertMail, AlertWebhook
from generation.secrets import Undecryptable

log = logging.getLogger(__name__)

MOST = 6
"""Attempts at a delivery."""
AGAIN = timedelta(seconds=30)
"""After the first attempt that failed; four times as long after each further one."""
HELD = timedelta(seconds=60)
"""A delivery that somebody is at is left alone for so long."""
SLICE = 20
"""Deliveries of one go; other work has its turn in between."""

Channel = AlertDelivery.Channel
State = AlertDelivery.State


def announce(alerts: Iterable[Alert], now: datetime) -> None:
    """Write down who is to be told of alerts that have just been opened, in the transaction that opens them."""
    alerts = list(alerts)
    projects = {alert.project_id for alert in alerts}
    hooks = set(AlertWebhook.objects.filter(project__in=projects, active=True).values_list("project", flat=True))
    mails = AlertMail.objects.filter(membership__project__in=projects).exclude(membership__user__email="")
    readers = list(mails.values_list("membership__project", "membership")) if can_mail() else []
    AlertDelivery.objects.bulk_create(
        AlertDelivery(project_id=alert.project_id, alert=alert, not_before=now, channel=channel, membership_id=member)
        for alert in alerts
        for project, channel, member in [
            *((hook, Channel.WEBHOOK, None) for hook in hooks),
            *((project, Channel.EMAIL, member) for project, member in readers),
        ]
        if project == alert.project_id
    )


def try_webhook(*, project: Project) -> None:
    """Send a message that is no alert, so that people see whether it arrives."""
    AlertDelivery.objects.create(project=project, channel=Channel.WEBHOOK, not_before=timezone.now())


def is_due() -> bool:
    return AlertDelivery.objects.filter(state=State.WAITING, not_before__lte=timezone.now()).exists()


def deliver() -> None:
    """Send what is due, one after another. Safe side by side: each takes deliveries that nobody else holds."""
    for _ in range(SLICE):
        delivery = _take()
        if delivery is None:
            return
        _attempt(delivery)


@transaction.atomic
def _take() -> AlertDelivery | None:
    """The next delivery, held. One that has killed its workers so far is given up."""
    due = AlertDelivery.objects.filter(state=State.WAITING, not_before__lte=timezone.now()).order_by("not_before")
    row = due.select_for_update(skip_locked=True).first()
    if row is not None:
        row.attempts, row.not_before = row.attempts + 1, timezone.now() + HELD
        if row.attempts > MOST:
            row.state, row.ended = State.FAILED, timezone.now()
        row.save()
    return row


def _attempt(row: AlertDelivery) -> None:
    if row.state != State.WAITING:
        return
    send = {Channel.EMAIL: _mail, Channel.WEBHOOK: _post}[Channel(row.channel)]
    try:
        row.status = send(row)
        row.state, row.error = State.DONE, ""
    except (RefusedAddress, Undecryptable) as error:
        row.state, row.error = State.FAILED, str(error)
    except Undelivered as error:
        row.status, row.error = error.status, str(error).replace("\x00", "")
        row.not_before = timezone.now() + AGAIN * 4 ** (row.attempts - 1)
        row.state = State.WAITING if row.attempts < MOST else State.FAILED
    row.ended = timezone.now() if row.state != State.WAITING else None
    row.save()
    if row.error:
        log.warning("Delivery %s (%s) of an alert failed: %s", row.pk, row.channel, row.error)


# -- what is said -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """An alert in the words of a message."""

    alert: Alert
    project: Project

    @property
    def url(self) -> str:
        """Where it can be looked into."""
        place = f"runs/{self.alert.run_id}/metrics/" if self.alert.run_id else "monitoring/"
        return f"{settings.SITE_URL}/p/{self.project.slug}/{place}"

    @property
    def subject(self) -> str:
        return " ".join(f"[{self.project.name}] {self.alert.rule}: {self.alert.run or 'whole project'}".split())[:200]

    @property
    def text(self) -> str:
        about = f"Run: {self.alert.run}\n" if self.alert.run else ""
        return (
            f"{self.alert.sentence}\n\n{about}Project: {self.project.name}\nSince: "
            f"{timezone.localtime(self.alert.began):%d %b %Y, %H:%M:%S %Z}\n\n{self.url}\n\n"
            f"You asked for these messages. Switch them off at {settings.SITE_URL}/p/{self.project.slug}/alerts/\n"
        )

    def data(self) -> dict[str, Any]:
        alert = self.alert
        run = alert.run and {"id": alert.run.pk, "name": alert.run.name}
        return {
            "id": alert.pk, "kind": alert.rule.kind, "severity": alert.severity, "sentence": alert.sentence,
            "value": alert.value, "threshold": alert.rule.threshold, "began": alert.began.isoformat(),
            "project": {"slug": self.project.slug, "name": self.project.name}, "run": run, "url": self.url,
        }  # fmt: skip


def _mail(row: AlertDelivery) -> None:
    assert row.alert is not None
    assert row.membership is not None
    told, reader = Told(row.alert, row.project), row.membership.user.email
    # The same name for each attempt, so that a reader who was sent two of them sees one.
    name = f"<alert-{row.alert.pk}-{row.membership.pk}@{urlsplit(settings.SITE_URL).hostname}>"
    message = EmailMessage(told.subject, told.text, to=[reader], headers={"Message-ID": name})
    try:
        message.send()
    except (SMTPException, OSError, ValueError) as error:
        raise Undelivered(f"{type(error).__name__}: {error}"[:500]) from error


def _post(row: AlertDelivery) -> int:
    hook = AlertWebhook.objects.filter(project=row.project_id, active=True).first()
    if hook is None:
        raise RefusedAddress("The webhook was removed or switched off.")
    data = Told(row.alert, row.project).data() if row.alert else {"project": {"slug": row.project.slug}}
    said = {"type": "alert.opened" if row.alert else "test", "timestamp": row.created.isoformat(), "data": data}
    body = json.dumps(said, ensure_ascii=False).encode()
    now = int(timezone.now().timestamp())
    return webhooks.post(hook.url, body, webhooks.headers(hook.reveal(), f"alert_delivery_{row.pk}", now, body))
