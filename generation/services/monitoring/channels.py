"""Where the alerts of a project go: to the members who ask for them, and to one webhook."""

from __future__ import annotations

from django.db import transaction

from datasets.models import Project, User
from datasets.services.accounts import can_mail
from datasets.services.activity import record_activity
from datasets.services.errors import Refused
from generation.adapters.webhooks import new_secret
from generation.models import AlertMail, AlertWebhook

PATH = "alerts/channels/"


def is_mailed(*, project: Project, user: User) -> bool:
    return AlertMail.objects.filter(membership__project=project, membership__user=user).exists()


@transaction.atomic
def switch_mail(*, project: Project, user: User, on: bool) -> None:
    """Whether `user` is sent the project's alerts by e-mail."""
    membership = project.memberships.get(user=user)
    if not on:
        AlertMail.objects.filter(membership=membership).delete()
        return
    if not can_mail():
        raise Refused("This installation has no mail server: whoever runs it sets EMAIL_HOST.")
    if not user.email:
        raise Refused("Your account has no e-mail address: enter it on your account page.")
    AlertMail.objects.get_or_create(membership=membership)


@transaction.atomic
def save_webhook(*, webhook: AlertWebhook, user: User) -> str:
    """Keep the address. The secret of a new webhook, which nobody can read again; "" for one that has its secret."""
    secret = "" if webhook.pk else new_secret()
    if secret:
        webhook.seal(secret)
    webhook.save()
    record_activity(project=webhook.project, actor=user, text="changed where alerts are posted", path=PATH)
    return secret


@transaction.atomic
def renew_secret(*, webhook: AlertWebhook, user: User) -> str:
    """What is sent from now on is signed with the new secret alone."""
    secret = new_secret()
    webhook.seal(secret)
    webhook.save()
    record_activity(project=webhook.project, actor=user, text="renewed the secret of the webhook", path=PATH)
    return secret


@transaction.atomic
def remove_webhook(*, webhook: AlertWebhook, user: User) -> None:
    webhook.delete()
    record_activity(project=webhook.project, actor=user, text="removed the webhook of alerts", path=PATH)
