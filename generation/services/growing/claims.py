"""Which worker holds which branch of a growth: claims are leases on rows (`generation.models.work`)."""

from __future__ import annotations

from generation.models import PersonaBranch, PersonaGrowth


def claim_branches(*, growth_id: int, limit: int) -> list[PersonaBranch]:
    """Up to `limit` branches, the nearest layer first, with what personas are written from."""
    if not PersonaGrowth.objects.filter(pk=growth_id, state=PersonaGrowth.State.RUNNING).exists():
        return []
    free = PersonaBranch.objects.filter(growth=growth_id).select_related("document", "persona__current")
    long = ("document__text", "document__pages", "document__metadata")
    return free.defer(*long).order_by("depth", "pk").claim(limit)


def reopen_lost_branches() -> None:
    """Open what dead workers held. What has taken too many of them with it has failed."""
    PersonaBranch.objects.all().reopen_lost()
