"""The keys of an endpoint: how they come, change and go, and what workers have made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from django.db import transaction

from datasets.models import User
from datasets.services.activity import record_activity
from datasets.services.errors import Refused
from generation.adapters import keyring
from generation.adapters.keyring import KeyUse
from generation.models import Endpoint, EndpointKey, Improvement, PersonaGrowth, Run
from generation.secrets import Undecryptable
from generation.services.work import pullers

MOST = 50
"""Keys an endpoint: each is looked at before every call."""


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """A key with what workers have made of it; `use` is None when that cannot be read."""

    key: EndpointKey
    use: KeyUse | None

    @property
    def state(self) -> Literal["off", "refused", "resting", "spent", "ready"]:
        if not self.key.active:
            return "off"
        if self.key.refused or (self.use and self.use.aside):
            return "refused"
        if self.use and self.use.rests_until:
            return "resting"
        return "spent" if self._is_spent else "ready"

    @property
    def _is_spent(self) -> bool:
        if self.use is None:
            return False
        counts = (self.use.calls_hour, self.key.hourly_limit), (self.use.calls_day, self.key.daily_limit)
        return any(limit is not None and made >= limit for made, limit in counts)


def standings(keys: Iterable[EndpointKey]) -> list[KeyStanding]:
    rows = list(keys)
    uses = keyring.uses_of(rows)
    return [KeyStanding(row, uses.get(row.pk)) for row in rows]


@transaction.atomic
def add_key(*, endpoint: Endpoint, secret: str, values: dict[str, Any], user: User) -> EndpointKey:
    """`values` are its name and limits."""
    Endpoint.objects.select_for_update().get(pk=endpoint.pk)
    stored = list(endpoint.keys.all())
    if len(stored) >= MOST:
        raise Refused(f"An endpoint has {MOST} keys at most: remove one first.", field="key")
    if same := next((row for row in stored if _secret_of(row) == secret.strip()), None):
        raise Refused(f"This key is stored already: it is {same}.", field="key")
    key = EndpointKey.seal(endpoint, secret.strip())
    for name, value in values.items():
        setattr(key, name, value)
    key.save()
    _changed(endpoint, user, f"added a key to “{endpoint.name}”")
    return key


def _secret_of(key: EndpointKey) -> str | None:
    try:
        return key.reveal()
    except Undecryptable:
        return None


@transaction.atomic
def change_key(*, key: EndpointKey, user: User) -> None:
    """Keep the name and the limits that `key` now has."""
    key.save(update_fields=["name", "hourly_limit", "daily_limit"])
    _changed(key.endpoint, user, f"changed a key of “{key.endpoint.name}”")


@transaction.atomic
def switch_key(*, key: EndpointKey, on: bool, user: User) -> None:
    """One that is switched on is tried at once, whatever was held against it."""
    key.active = on
    if on:
        key.refused, key.refusal = None, ""
        transaction.on_commit(partial(keyring.wake, key), robust=True)
    key.save(update_fields=["active", "refused", "refusal"])
    _changed(key.endpoint, user, f"switched a key of “{key.endpoint.name}” {'on' if on else 'off'}")


@transaction.atomic
def remove_key(*, key: EndpointKey, user: User) -> None:
    key.delete()
    _changed(key.endpoint, user, f"removed a key of “{key.endpoint.name}”")


@transaction.atomic
def replace_keys(*, endpoint: Endpoint, secret: str) -> None:
    """One key in place of those that there are; name and limits of an only one stay."""
    stored = list(endpoint.keys.all())
    key = EndpointKey.seal(endpoint, secret.strip())
    if len(stored) == 1:
        key.name, key.hourly_limit, key.daily_limit = stored[0].name, stored[0].hourly_limit, stored[0].daily_limit
    endpoint.keys.all().delete()
    key.save()
    _announce(endpoint)


def _changed(endpoint: Endpoint, user: User, text: str) -> None:
    _announce(endpoint)
    record_activity(project=endpoint.project, actor=user, text=text, path=f"endpoints/{endpoint.pk}/")


def _announce(endpoint: Endpoint) -> None:
    """Workers take the keys up at once, and what rests because others had made their calls tries again."""
    keyring.announce_change(endpoint.pk)
    for orders in (Run.objects, Improvement.objects, PersonaGrowth.objects):
        for order in orders.filter(project=endpoint.project_id, state="running").only("pk"):
            transaction.on_commit(partial(pullers.wake, order), robust=True)
