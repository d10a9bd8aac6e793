"""Who speaks: personas of the simulated user, and prompts of both sides, with every version kept."""

from __future__ import annotations

from typing import Self

from django.db import models

from .corpora import Document
from .people import Project, User


class PersonaQuerySet(models.QuerySet["Persona"]):
    def usable(self) -> Self:
        """Those that a run may use: neither archived nor waiting for review."""
        return self.filter(archived=False, proposed=False)

    def waiting(self) -> Self:
        """Those that a model wrote and nobody has accepted yet."""
        return self.filter(archived=False, proposed=True)

    def matching(self, words: str) -> Self:
        """Those with all of these words in their name or in what is said of them."""
        narrowed = self
        for word in words.split():
            said = models.Q(name__icontains=word) | models.Q(current__description__icontains=word)
            narrowed = narrowed.filter(said)
        return narrowed

    def by_hand(self) -> Self:
        """Those that were not written from a document that is still here: what a person picks one by one."""
        return self.filter(document=None)


class Persona(models.Model):
    """A person whom the correspondent plays. The text lives in its versions; `current` is the one in use.

    One that was written from a document knows it; one that was written from another persona knows that as `parent`, and
    how many steps it is away from the document as `depth`.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="personas")
    name = models.CharField(max_length=100)
    document = models.ForeignKey(Document, models.SET_NULL, null=True, blank=True, related_name="personas")
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")
    depth = models.PositiveSmallIntegerField(default=0)
    proposed = models.BooleanField(default=False, help_text="Waits for review: no run may use it yet.")
    # Null only while its first version is being written, so readers need not ask.
    current: models.OneToOneField[PersonaVersion, PersonaVersion] = models.OneToOneField(  # type: ignore[misc]
        "PersonaVersion", models.RESTRICT, null=True, related_name="+"
    )
    archived = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    objects = PersonaQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_persona_a_name")]
        indexes = [
            models.Index(
                fields=["project", "id"],
                name="persona_waiting",
                condition=models.Q(proposed=True, archived=False),
            )
        ]

    def __str__(self) -> str:
        return self.name


class PersonaVersion(models.Model):
    persona = models.ForeignKey(Persona, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    description = models.TextField(help_text="Who this person is, what they know and what they want. A few sentences.")
    features = models.JSONField(default=dict, blank=True, help_text="Named traits, for example role or tone.")
    system_prompt = models.TextField(blank=True, help_text="How whoever plays this person is to behave.")
    model = models.CharField(max_length=150, blank=True, help_text="Which model wrote it; empty where a person did.")
    author = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["persona", "number"], name="one_persona_version_a_number")]

    def __str__(self) -> str:
        return f"{self.persona} v{self.number}"

    @property
    def in_words(self) -> str:
        """As a model is told of it: the description, the named traits, and how to play them."""
        traits = [f"- {name.replace('_', ' ')}: {value}" for name, value in self.features.items()]
        said = "\n".join([self.description.strip(), *traits])
        return f"{said}\n\n{self.system_prompt}" if self.system_prompt else said


class PersonaImport(models.Model):
    """A text of personas on its way into a project, read by a task.

    Brought in slice by slice, each in one transaction with `position`, so that it can be killed and carried on without
    anything coming in twice. The text itself is gone once it has been read to its end.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    project = models.ForeignKey(Project, models.CASCADE, related_name="persona_imports")
    text = models.TextField(blank=True)
    is_yaml = models.BooleanField(null=True, help_text="Null: to be told from the text itself.")
    review = models.BooleanField(default=False, help_text="Whether each new one waits to be accepted.")
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    total = models.PositiveIntegerField(default=0, help_text="Personas in it; 0 until it has been looked through.")
    position = models.PositiveIntegerField(default=0, help_text="Personas that have been seen to.")
    added = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    orphans = models.JSONField(default=list, help_text="Until the end: [id, parent's name, depth, place] of new ones.")
    problems = models.JSONField(default=list, help_text="[place, sentence], the first ones.")
    problem_count = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="Why nothing came of it.")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["id"], name="persona_import_open", condition=models.Q(state="running"))]

    def __str__(self) -> str:
        return f"Personas, import {self.pk}"

    @property
    def is_active(self) -> bool:
        return self.state == self.State.RUNNING

    @property
    def left(self) -> int:
        return max(0, self.total - self.position)


class PromptRole(models.TextChoices):
    RESPONDENT = "respondent", "Respondent: the assistant"
    CORRESPONDENT = "correspondent", "Correspondent: the simulated user"
    INSTRUCTION = "instruction", "Instruction writer: the first question"


class Prompt(models.Model):
    """A named prompt for one role. The text lives in its versions; `current` is the one in use."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="prompts")
    name = models.CharField(max_length=100)
    role = models.CharField(max_length=15, choices=PromptRole)
    # Null only while its first version is being written, so readers need not ask.
    current: models.OneToOneField[PromptVersion, PromptVersion] = models.OneToOneField(  # type: ignore[misc]
        "PromptVersion", models.RESTRICT, null=True, related_name="+"
    )
    archived = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["role", "name"]
        constraints = [models.UniqueConstraint(fields=["project", "role", "name"], name="one_prompt_a_name")]

    def __str__(self) -> str:
        return self.name


class PromptVersion(models.Model):
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    text = models.TextField()
    note = models.CharField(max_length=200, blank=True, help_text="What changed, in a few words.")
    author = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["prompt", "number"], name="one_prompt_version_a_number")]

    def __str__(self) -> str:
        return f"{self.prompt} v{self.number}"
