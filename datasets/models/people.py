"""Projects, the people in them, and what they did."""

from __future__ import annotations

import hashlib
import secrets
from typing import Self

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person who logs in."""

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Role(models.TextChoices):
    """What a member may do; each role includes the ones before it."""

    VIEWER = "viewer", "Viewer: reads everything"
    ANNOTATOR = "annotator", "Annotator: reviews, labels and notes"
    CURATOR = "curator", "Curator: also edits corpora, personas, prompts, runs and exports"
    OWNER = "owner", "Owner: also manages endpoints, members and the project"

    def includes(self, other: str) -> bool:
        order = list(type(self))
        return order.index(self) >= order.index(type(self)(other))


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(memberships__user=user)


class Project(models.Model):
    """The walls of the house: everything belongs to one project, and only its members see it."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    description = models.TextField(blank=True)
    members = models.ManyToManyField(User, through="Membership", related_name="projects")
    created = models.DateTimeField(auto_now_add=True)

    my_role: Role | None = None
    """The role of whoever asks, set by `datasets.access`."""

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def i_can(self, role: str) -> bool:
        return self.my_role is not None and self.my_role.includes(role)

    @property
    def i_can_review(self) -> bool:
        return self.i_can(Role.ANNOTATOR)

    @property
    def i_can_curate(self) -> bool:
        return self.i_can(Role.CURATOR)

    @property
    def i_can_own(self) -> bool:
        return self.i_can(Role.OWNER)

    def role_of(self, user: User) -> Role | None:
        role = self.memberships.filter(user_id=user.pk).values_list("role", flat=True).first()
        return Role(role) if role else None


class Membership(models.Model):
    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.ANNOTATOR)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="one_membership_a_project")]

    def __str__(self) -> str:
        return f"{self.user} · {self.get_role_display()}"


class ApiToken(models.Model):
    """A key to the API that acts as its user. Only its SHA-256 is kept; the token itself is shown once."""

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False)
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @staticmethod
    def digest_of(token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()

    @classmethod
    def issue(cls, user: User, name: str) -> tuple[ApiToken, str]:
        """The stored row, and the token that nobody can read again."""
        token = "aiw_" + secrets.token_urlsafe(32)
        row = cls.objects.create(user=user, name=name, digest=cls.digest_of(token), hint=token[:8])
        return row, token


class Activity(models.Model):
    """One line of a project's history, written by services: who did what to which thing."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="activities")
    actor = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    text = models.CharField(max_length=300)
    path = models.CharField(max_length=300, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "activities"
        indexes = [models.Index(fields=["project", "-id"], name="activity_newest")]

    def __str__(self) -> str:
        return self.text
