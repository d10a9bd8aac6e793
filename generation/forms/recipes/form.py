"""The whole form: its sections, and the recipe that they make together."""

from __future__ import annotations

import random
from typing import Any

from django import forms
from django.db.models import QuerySet
from pydantic import ValidationError

from datasets.models import Corpus, Project, PromptRole
from generation.engine.recipe import PersonaGroup, Recipe
from generation.models.endpoints import OFFLINE

from .good import GoodFields, initial_good
from .many import ManyFields, initial_many
from .more import MoreFields, initial_more, merged
from .people import PeopleFields, first_people, initial_people
from .what import WhatFields, initial_what
from .who import WhoFields, initial_who

FIELD_OF = {
    "form": "row_schema", "tools": "tools", "second": "second_endpoint", "grades": "grade_perfect", "corpus": "corpus",
    "judge": "judge", "embedding": "embedding_endpoint", "improve": "improve",
}  # fmt: skip
"""Where the trouble with a part of the recipe is shown, if not above the form."""


class RecipeForm(WhatFields, PeopleFields, WhoFields, ManyFields, GoodFields, MoreFields):
    """Every choice is of the project. `recipe()` is the validated recipe of a valid form."""

    save_as = forms.CharField(
        max_length=100,
        required=False,
        label="Keep as a recipe",
        help_text="Its name, by which it is found again under Recipes.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.misfits: list[str] = []
        """What keeps a form whose fields are all well from being a recipe."""
        self.set_up_what(project)
        self.set_up_people(project)
        self.set_up_who(project)
        self.set_up_many()
        self.set_up_good(project)
        self.set_up_more()

    def clean(self) -> dict[str, Any]:
        super().clean()
        if not self.errors:
            self._recipe = self._build(self.cleaned_data)
        return self.cleaned_data

    @property
    def speaks_offline(self) -> bool:
        """Whether a valid form has the offline model speak."""
        used = {choice.endpoint for choice in self.recipe().models.values()}
        return self.project.endpoints.filter(pk__in=used, preset=OFFLINE).exists()

    def as_posted(self) -> RecipeForm:
        """The form as a browser would post it if nothing were changed."""
        values = {name: self[name].initial for name in self.fields}
        for name in ("endpoint", "respondent_prompt"):  # a choice without an empty one shows its first
            values[name] = values[name] or self.fields[name].queryset.values_list("pk", flat=True).first()
        said = {name: value for name, value in values.items() if not (value is None or value is False or value == "")}
        return RecipeForm(said, project=self.project)

    def recipe(self) -> Recipe:
        """Of a valid form."""
        assert self._recipe is not None
        return self._recipe

    def _build(self, said: dict[str, Any]) -> Recipe | None:
        base = (
            self.what(said) | self.people(said) | self.who(said) | self.many(said) | self.good(said) | self.added(said)
        )
        if "retriever" in base["retrieval"] and _says_a_retriever(said["more"]):
            self._show(("retrieval",), "", "What is retrieved from is chosen above as well: say it in one place.")
            return None
        try:
            recipe = Recipe.model_validate(merged(base, said["more"]))
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                # What does not fit together is said of the whole recipe; its type names the part that is to change.
                self._show(problem["loc"], problem["type"], problem["msg"].removeprefix("Value error, "))
            return None
        if recipe.idle:
            self._show(("improve",), "", recipe.idle)
        return recipe

    def _show(self, place: tuple[int | str, ...], part: str, trouble: str) -> None:
        """Beside the field where the part of the recipe is said; above the form where none is."""
        self.misfits.append(trouble)
        named = [FIELD_OF[str(step)] for step in (*place, part) if str(step) in FIELD_OF]
        if place and place[0] in (self.cleaned_data.get("more") or {}):
            self.add_error("more", f"{'.'.join(map(str, place))}: {trouble}")
        else:
            self.add_error(named[-1] if named else None, trouble)


def _says_a_retriever(more: dict[str, Any]) -> bool:
    retrieval = more.get("retrieval")
    return isinstance(retrieval, dict) and "retriever" in retrieval


def first_choices(
    project: Project, personas: PersonaGroup | None = None, corpus: Corpus | None = None
) -> dict[str, Any]:
    """What a first run needs no change of: whatever came last to the project, and everybody in it, or what is named."""
    chosen: dict[str, Any] = {"corpus": corpus.pk if corpus else _newest(project.corpora.all())}
    for role in (PromptRole.RESPONDENT, PromptRole.CORRESPONDENT):
        chosen[f"{role}_prompt"] = _newest(project.prompts.filter(archived=False, role=role))
    speakers = project.endpoints.exclude(chat_model="")
    chosen["endpoint"] = _newest(speakers.exclude(preset=OFFLINE)) or _newest(speakers)
    # A fresh seed for a fresh run: launched twice as it stands, the form should not ask the same questions twice.
    return chosen | first_people(project, personas) | {"seed": random.randrange(2**31)}  # noqa: S311


def _newest(rows: QuerySet[Any]) -> int | None:
    return rows.order_by("-pk").values_list("pk", flat=True).first()


def initial_from(recipe: Recipe) -> dict[str, Any]:
    """The form's fields for an existing recipe, so that it can be launched again or changed."""
    parts = (initial_what, initial_people, initial_who, initial_many, initial_good, initial_more)
    return {name: value for part in parts for name, value in part(recipe).items()}
