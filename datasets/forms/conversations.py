"""What people type and choose on the conversation pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q
from pydantic import ValidationError

from datasets.filters import ConversationFilter
from datasets.models import Project, Status

CHOICES_SHOWN = 200
"""A menu lists so many runs, personas or labels, and the one that is chosen."""
LARGEST_ID = 2**63 - 1


class Menu(forms.Select):
    template_name = "datasets/conversation_menu.html"


class MenuField(forms.TypedChoiceField):
    """One of the project's rows, by its id."""

    def __init__(self, label: str) -> None:
        super().__init__(required=False, coerce=int, empty_value=None, label=label, widget=Menu)


class PickField(forms.TypedMultipleChoiceField):
    """Ids of conversations, one a value. Which of them exist is for the query to say."""

    def __init__(self) -> None:
        super().__init__(required=False, coerce=int, label="Picked", widget=forms.MultipleHiddenInput)

    def valid_value(self, value: str) -> bool:
        return value.isdecimal() and 0 < int(value) <= LARGEST_ID


class ConversationFilterForm(forms.Form):
    """The filter of a project's conversations. A valid form has it as `filter`."""

    q = forms.CharField(
        required=False,
        max_length=300,
        label="Search the text",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Search the text", "autocomplete": "off"}),
    )
    status = forms.ChoiceField(required=False, choices=[("", "Any"), *Status.choices], widget=forms.RadioSelect)
    batch = MenuField("Run")
    persona = MenuField("Persona")
    label = MenuField("Label")
    turns_min = forms.IntegerField(required=False, min_value=0, max_value=32_767, label="Turns, at least")
    turns_max = forms.IntegerField(required=False, min_value=0, max_value=32_767, label="Turns, at most")
    score_min = forms.FloatField(required=False, min_value=0, max_value=1, label="Judge's score, from")
    score_max = forms.FloatField(required=False, min_value=0, max_value=1, label="Judge's score, to")
    note = forms.BooleanField(required=False, label="Has a note")
    pick = PickField()

    def __init__(self, project: Project, data: Any) -> None:
        super().__init__(data)
        menus = {
            "batch": ("Any run", project.batches.order_by("-pk")),
            "persona": ("Any persona", project.personas.order_by("name")),
            "label": ("Any label", project.labels.order_by("name")),
        }
        for name, (anything, rows) in menus.items():
            self.fields[name].choices = [("", anything), *self._menu(name, rows.values_list("pk", "name"))]
        for name in ("score_min", "score_max"):
            self.fields[name].widget.attrs["step"] = "any"

    def _menu(self, name: str, rows: Any) -> list[tuple[int, str]]:
        shown = list(rows[:CHOICES_SHOWN])
        chosen = str(self.data.get(name, ""))
        if chosen.isdecimal() and int(chosen) <= LARGEST_ID and int(chosen) not in dict(shown):
            shown += rows.filter(Q(pk=int(chosen)))
        return shown

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                self.filter = ConversationFilter.read(values)
            except ValidationError as error:
                raise forms.ValidationError([_sentence(one) for one in error.errors()]) from error
        return values

    @property
    def chips(self) -> list[tuple[str, str]]:
        """What narrows beside the status and the words: (how it reads, the query without it)."""
        values, wide = self.cleaned_data, self.filter
        found = []
        for name in ("batch", "persona", "label"):
            if values.get(name):
                text = dict(self.fields[name].choices).get(values[name], values[name])
                found.append((f"{str(self.fields[name].label).lower()}: {text}", wide.without(name).query))
        for low, high, noun in (("turns_min", "turns_max", "turns"), ("score_min", "score_max", "score")):
            if values.get(low) is not None or values.get(high) is not None:
                found.append((_range(noun, values[low], values[high]), wide.without(low, high).query))
        if values.get("note"):
            found.append(("has a note", wide.without("note").query))
        if wide.pick:
            found.append((f"picked: {len(wide.pick)}", wide.unpicked.query))
        return found


def _range(noun: str, low: float | None, high: float | None) -> str:
    if low == high:
        return f"{noun}: {low:g}"
    if low is None or high is None:
        return f"{noun}: {high:g} or less" if low is None else f"{noun}: {low:g} or more"
    return f"{noun}: {low:g} to {high:g}"


def _sentence(error: Any) -> str:
    return str(error["msg"]).removeprefix("Value error, ")


class PlaceForm(forms.Form):
    """Where in a list: after (further down) or before (further up) a conversation's id. Nonsense is the beginning."""

    after = forms.IntegerField(required=False, min_value=0, max_value=LARGEST_ID)
    before = forms.IntegerField(required=False, min_value=0, max_value=LARGEST_ID)

    def values(self) -> dict[str, int | None]:
        self.full_clean()
        return {name: self.cleaned_data.get(name) for name in self.fields}


class VerdictForm(forms.Form):
    decision = forms.ChoiceField(choices=Status.choices)
    version = forms.IntegerField(min_value=1, max_value=LARGEST_ID)
    seen = forms.ChoiceField(required=False, choices=Status.choices)
    """The status that the reviewer saw."""


class BulkForm(forms.Form):
    """What to do to everything that a filter matches: a decision, or a label by its name (`label` is the filter's own)."""

    decision = forms.ChoiceField(required=False, choices=[("", ""), *Status.choices])
    label_name = forms.CharField(
        required=False,
        max_length=40,
        label="Label",
        help_text="An existing one, or a new one.",
        widget=forms.TextInput(attrs={"list": "all-labels", "autocomplete": "off", "autofocus": True}),
    )
    up_to = forms.IntegerField(required=False, min_value=0, max_value=LARGEST_ID, widget=forms.HiddenInput)
