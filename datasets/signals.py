"""What follows wherever a row is deleted: by a service, with its project, or by hand."""

from __future__ import annotations

from django.db.models.signals import post_delete
from django.dispatch import receiver

from .models import AdoptedCollection, Corpus


@receiver(post_delete, sender=Corpus)
def forget_the_collection(instance: Corpus, **_: object) -> None:
    """Where a collection is, and the key to it, are kept for its corpus alone."""
    if instance.adopted_id is not None:
        AdoptedCollection.objects.filter(pk=instance.adopted_id).delete()
