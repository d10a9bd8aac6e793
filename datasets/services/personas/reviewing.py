"""What people decide of personas that a model wrote, one by one or all at once."""

from __future__ import annotations

from typing import Literal

from django.db import transaction

from datasets.models import Persona, Project, User
from datasets.models.personas import PersonaQuerySet
from datasets.services.activity import record_activity
from datasets.services.errors import Refused

Decision = Literal["accepted", "rejected", "waiting"]
STANDING: dict[Decision, dict[str, bool]] = {
    "accepted": {"proposed": False, "archived": False},
    "rejected": {"proposed": True, "archived": True},
    "waiting": {"proposed": True, "archived": False},
}


def decide(*, persona: Persona, decision: Decision) -> None:
    """Accepted: runs may use it. Rejected: out of the lists, from where it can be taken back. Waiting: undecided again."""
    for name, value in STANDING[decision].items():
        setattr(persona, name, value)
    persona.save(update_fields=["proposed", "archived"])


@transaction.atomic
def accept_all(*, project: Project, personas: PersonaQuerySet, actor: User | None) -> int:
    """Accept those of `personas` that wait. Returns how many there were."""
    accepted = personas.waiting().update(proposed=False)
    if accepted:
        text = f"accepted {accepted} proposed persona{'' if accepted == 1 else 's'}"
        record_activity(project=project, actor=actor, text=text, path="personas/")
    return accepted


@transaction.atomic
def delete_persona(*, persona: Persona, actor: User) -> None:
    """Gone with all its versions. Those that were written from it stay. Refused once a conversation speaks of it."""
    if persona.conversations.exists():
        raise Refused(f"“{persona.name}” plays in conversations: archive it instead, so that they keep it.")
    name, project = persona.name, persona.project
    # Each points to the other, and neither may go first.
    Persona.objects.filter(pk=persona.pk).update(current=None)
    persona.delete()
    record_activity(project=project, actor=actor, text=f"deleted the persona “{name}”", path="personas/")


@transaction.atomic
def delete_rejected(*, project: Project, actor: User) -> int:
    """Clear away every rejected persona that no conversation speaks of. Returns how many there were."""
    rejected = project.personas.filter(proposed=True, archived=True, conversations=None)
    gone = list(rejected.values_list("pk", flat=True))
    Persona.objects.filter(pk__in=gone).update(current=None)
    Persona.objects.filter(pk__in=gone).delete()
    if gone:
        record_activity(
            project=project, actor=actor, text=f"deleted {len(gone)} rejected personas", path="personas/?archived"
        )
    return len(gone)
