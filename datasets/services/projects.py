"""Projects and the people in them."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from datasets.models import Corpus, Membership, Project, PromptRole, Role, User

from .activity import record_activity
from .errors import Refused
from .prompts import save_prompt

STARTERS = {
    PromptRole.RESPONDENT: (
        "Helpful expert",
        "You are a knowledgeable, friendly assistant. Answer in plain words, correctly and to the point. When the "
        "material that you have does not answer the question, say what is missing instead of guessing.",
    ),
    PromptRole.CORRESPONDENT: (
        "Curious reader",
        "You are somebody with a practical problem who wants to understand the subject well enough to act on it. You "
        "ask short, natural questions, one at a time, and follow up on what you are told.",
    ),
}


@transaction.atomic
def create_project(*, name: str, owner: User | None, description: str = "") -> Project:
    """A project with its first owner, and a starter prompt for either side so that a first run needs no writing."""
    project = Project.objects.create(name=name, slug=_free_slug(name), description=description)
    if owner:
        Membership.objects.create(project=project, user=owner, role=Role.OWNER)
    for role, (title, text) in STARTERS.items():
        save_prompt(project=project, role=role, name=title, text=text, author=None)
    record_activity(project=project, actor=owner, text="created the project")
    return project


@transaction.atomic
def update_project(*, project: Project, actor: User, name: str, description: str) -> None:
    """The address (slug) stays, so that links to the project keep working."""
    project.name, project.description = name, description
    project.save(update_fields=["name", "description"])
    record_activity(project=project, actor=actor, text="changed the project's settings", path="settings/")


def delete_project(*, project: Project) -> None:
    """Refused while corpora exist, whose files and indexes are cleared by workers, or while conversations still land."""
    if Corpus.with_deleted.filter(project=project).exists():
        raise Refused("Delete the project's corpora first: their files and indexes take a moment to clear.")
    try:
        with transaction.atomic():
            project.delete()
    except IntegrityError as error:
        raise Refused("Something of this project is being made just now: cancel its runs and try again.") from error


def _free_slug(name: str) -> str:
    stem = slugify(name)[:50].strip("-") or "project"
    taken = set(Project.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    return next(slug for slug in (stem, *(f"{stem}-{n}" for n in range(2, 10_000))) if slug not in taken)


@transaction.atomic
def add_member(*, project: Project, username: str, role: str, actor: User) -> Membership:
    """`username` may be an e-mail address. Adding a member again changes the role."""
    user = User.objects.filter(username__iexact=username).first() or User.objects.filter(email__iexact=username).first()
    if user is None:
        raise Refused(
            "Nobody here has that name: an administrator can add people in the admin panel.", field="username"
        )
    membership = Membership.objects.filter(project=project, user=user).first()
    if membership is not None:
        return change_role(membership=membership, role=role, actor=actor)
    membership = Membership.objects.create(project=project, user=user, role=role)
    record_activity(project=project, actor=actor, text=f"added {user} as {role}", path="members/")
    return membership


@transaction.atomic
def change_role(*, membership: Membership, role: str, actor: User) -> Membership:
    if membership.role != role:
        _keep_an_owner(membership, role)
        membership.role = role
        membership.save(update_fields=["role"])
        text = f"made {membership.user} {role}"
        record_activity(project=membership.project, actor=actor, text=text, path="members/")
    return membership


@transaction.atomic
def remove_member(*, membership: Membership, actor: User) -> None:
    _keep_an_owner(membership, "")
    membership.delete()
    record_activity(project=membership.project, actor=actor, text=f"removed {membership.user}", path="members/")


def _keep_an_owner(membership: Membership, role: str) -> None:
    if membership.role != Role.OWNER or role == Role.OWNER:
        return
    owners = membership.project.memberships.select_for_update().filter(role=Role.OWNER)
    if not [owner for owner in owners if owner.pk != membership.pk]:
        raise Refused("A project needs an owner: make somebody else owner first.", field="role")
