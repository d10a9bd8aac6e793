"""What the press adds when the archive makes something."""

from __future__ import annotations

from django.db.models.signals import post_save
from django.dispatch import receiver

from datasets.models import Project

from .models import Endpoint
from .models.endpoints import OFFLINE


@receiver(post_save, sender=Project)
def give_every_project_the_offline_model(instance: Project, created: bool, raw: bool = False, **_: object) -> None:
    """A new project can run at once, without a key and without a network."""
    if created and not raw:
        Endpoint.objects.create(project=instance, name="Offline model", preset=OFFLINE, chat_model="offline")
