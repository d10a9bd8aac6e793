"""What the press adds when the archive makes something, and what follows wherever a key is deleted."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from datasets.models import Project

from .adapters import keyring
from .models import Endpoint, EndpointKey
from .models.endpoints import OFFLINE


@receiver(post_save, sender=Project)
def give_every_project_the_offline_model(instance: Project, created: bool, raw: bool = False, **_: object) -> None:
    """A new project can run at once, without a key and without a network."""
    if created and not raw:
        Endpoint.objects.create(project=instance, name="Offline model", preset=OFFLINE, chat_model="offline")


@receiver(post_delete, sender=EndpointKey)
def withdraw_the_key(instance: EndpointKey, **_: object) -> None:
    """Workers that are at work use it no more, whoever deleted it."""
    transaction.on_commit(partial(keyring.forget, instance.pk), robust=True)
    keyring.announce_change(instance.endpoint_id)
