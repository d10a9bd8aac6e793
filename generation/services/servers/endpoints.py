"""Endpoints: their settings, and keys that come in and never go out."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from datasets.models import Project, User
from datasets.services.activity import record_activity
from datasets.services.errors import Refused
from generation.frozen import Frozen
from generation.models import Endpoint, Run
from generation.models.endpoints import OFFLINE
from generation.services.servers import keys as endpoint_keys


@transaction.atomic
def save_endpoint(
    *, project: Project, user: User | None, values: dict[str, Any], key: str = "", endpoint: Endpoint | None = None
) -> Endpoint:
    """Make or change an endpoint. `values` are its fields; a non-empty `key` replaces the only one that it has, or all
    of them with a new address."""
    row = endpoint or Endpoint(project=project)
    moved = bool(row.pk) and values.get("base_url", row.base_url) != row.base_url
    stored = row.keys.count() if row.pk else 0
    if moved and stored and not key:
        # A key belongs to the server that it was entered for: it is never sent to another address.
        raise Refused("The address has changed: enter the key again, for the new address.", field="key")
    if key and stored > 1 and not moved:
        raise Refused(f"There are {stored} keys for this address: add another one below.", field="key")
    for name, value in values.items():
        setattr(row, name, value)
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Refused("Another endpoint has that name: choose a different one.", field="name") from error
    if key:
        endpoint_keys.replace_keys(endpoint=row, secret=key)
    text = f"{'changed' if endpoint else 'added'} the endpoint “{row.name}”"
    record_activity(project=project, actor=user, text=text, path=f"endpoints/{row.pk}/")
    return row


@transaction.atomic
def forget_keys(*, endpoint: Endpoint, user: User) -> None:
    endpoint.keys.all().delete()
    text = f"removed what keys “{endpoint.name}” had"
    record_activity(project=endpoint.project, actor=user, text=text, path=f"endpoints/{endpoint.pk}/")


@transaction.atomic
def delete_endpoint(*, endpoint: Endpoint, user: User) -> None:
    """Refused while something still speaks through it."""
    if endpoint.preset == OFFLINE:
        raise Refused("The offline model stays: it needs no key and costs nothing.")
    if endpoint.embeddings.exists():
        raise Refused("A corpus is indexed with this endpoint's embeddings: change the corpus first.")
    if uses(endpoint):
        raise Refused("A run that has not ended speaks through this endpoint: cancel it or wait.")
    name, project = endpoint.name, endpoint.project
    endpoint.delete()
    record_activity(project=project, actor=user, text=f"deleted the endpoint “{name}”", path="endpoints/")


def uses(endpoint: Endpoint) -> list[Run]:
    """Runs that may still call it."""
    unfinished = Run.objects.filter(project=endpoint.project).exclude(state__in=[Run.State.DONE, Run.State.CANCELLED])
    return [
        run for run in unfinished.only("frozen", "name") if endpoint.pk in Frozen.model_validate(run.frozen).endpoints
    ]


@transaction.atomic
def save_prices(*, endpoint: Endpoint, prices: dict[str, tuple[Any, Any]]) -> None:
    """Replace the price list: model name (empty for any other) → price of a million prompt and completion tokens."""
    endpoint.prices.all().delete()
    for model, (prompt, completion) in prices.items():
        endpoint.prices.create(model=model, prompt=prompt, completion=completion)
