"""Who asks: personas one by one, whole groups of them, and those that were grown from documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from pydantic import ValidationError

from datasets.forms.corpora import PlaceForm
from datasets.models import Project
from datasets.models.personas import PersonaQuerySet
from generation.engine.recipe import PersonaGroup, Recipe

LISTED = 36
"""So many are listed to be ticked, and chosen beforehand; where there are more, they are searched."""
BIGGEST = 2**63


class PersonaSearchForm(PlaceForm):
    """What is searched for in the run form, and the document that it is narrowed to."""

    persona_q = forms.CharField(required=False, max_length=100)
    persona_document = forms.IntegerField(required=False, min_value=1, max_value=BIGGEST - 1)

    def group(self) -> PersonaGroup:
        """Everybody who matches."""
        place = self.values()
        return PersonaGroup(words=place["persona_q"] or "", document=place["persona_document"])


def ids_in(values: Iterable[Any]) -> list[int]:
    """The numbers of persons that a browser posts: one a box, or many in one box with commas. All else is passed over."""
    said = (part.strip() for value in values for part in str(value).split(","))
    numbers = (int(part) for part in said if part.isascii() and part.isdecimal() and len(part) < 20)
    return [number for number in dict.fromkeys(numbers) if number < BIGGEST]


class PersonasField(forms.MultipleChoiceField):
    """Cleans to primary keys, all of `usable`, by one query however many they are."""

    widget = forms.CheckboxSelectMultiple
    usable: PersonaQuerySet

    def clean(self, value: Any) -> list[int]:
        said = [str(one) for one in value or ()]
        wanted = ids_in(said)
        found = set(self.usable.filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else set()
        if len(found) != len({part for one in said for part in one.split(",")}):
            raise forms.ValidationError("One of these personas is not in this project or not in use: choose again.")
        return sorted(found)


class PersonaGroupsField(forms.MultipleChoiceField):
    """Cleans to groups from the JSON of each."""

    def clean(self, value: Any) -> list[PersonaGroup]:
        try:
            return list(dict.fromkeys(PersonaGroup.model_validate_json(one) for one in value or ()))
        except ValidationError as error:
            raise forms.ValidationError("This group of personas cannot be read: search for it again.") from error


class PeopleFields(forms.Form):
    project: Project

    personas = PersonasField(required=False, help_text="Each conversation's user plays one of them, dealt evenly.")
    persona_groups = PersonaGroupsField(required=False, label="Groups of personas")
    grown_personas = forms.BooleanField(
        required=False,
        label="Personas that were grown from documents ask about those",
        help_text="The others ask about documents that have none.",
    )

    def set_up_people(self, project: Project) -> None:
        field = self.fields["personas"]
        field.usable = project.personas.usable()
        field.choices = list(field.usable.by_hand().order_by("name").values_list("pk", "name")[: LISTED + 1])

    @property
    def grown_help(self) -> str:
        """Empty where there are none that could take part."""
        number = self.project.personas.usable().exclude(document=None).count()
        who = f"{number:,} of them take" if number > 1 else "One of them takes"
        return f"{who} part. The others ask about documents that have none." if number else ""

    @property
    def chosen_personas(self) -> list[int]:
        """Those that are ticked, whether they can be or not."""
        return ids_in(self["personas"].value() or ())

    @property
    def chosen_groups(self) -> list[PersonaGroup]:
        """Those that are ticked; none where they cannot be read."""
        try:
            return self.fields["persona_groups"].clean(self["persona_groups"].value())
        except forms.ValidationError:
            return []

    @property
    def lists_personas(self) -> bool:
        """Whether boxes can say all that is chosen, and are few enough."""
        listed = {pk for pk, _ in self.fields["personas"].choices}
        others = set(self.chosen_personas) - listed
        few = len(listed) <= LISTED and not self["persona_groups"].value()
        return few and not (others and self.fields["personas"].usable.filter(pk__in=others).exists())

    def people(self, said: dict[str, Any]) -> dict[str, Any]:
        """The part of the recipe that these fields say."""
        return {name: said[name] for name in PeopleFields.base_fields}


def initial_people(recipe: Recipe) -> dict[str, Any]:
    return {
        "personas": list(recipe.personas),
        "persona_groups": [as_said(group) for group in recipe.persona_groups],
        "grown_personas": recipe.grown_personas,
    }


def as_said(group: PersonaGroup) -> str:
    """A group as a box of the form says it."""
    return group.model_dump_json(exclude_defaults=True)


def first_people(project: Project, searched: PersonaGroup | None) -> dict[str, Any]:
    """Who takes part in a first run: whom somebody looked for on another page; otherwise everybody."""
    usable = project.personas.usable()
    by_hand = list(usable.by_hand().values_list("pk", flat=True)[: LISTED + 1])
    group = searched or (PersonaGroup() if len(by_hand) > LISTED else None)
    return {
        "grown_personas": usable.exclude(document=None).exists(),
        "personas": [] if group else by_hand,
        "persona_groups": [as_said(group)] if group else [],
    }
