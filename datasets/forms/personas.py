"""The forms of personas and prompts."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.formats.personas import LONGEST_DESCRIPTION, LONGEST_PROMPT
from datasets.models import PromptRole, PromptVersion
from datasets.text import clean

from .corpora import PlaceForm

LARGEST_FILE = 20_000_000
NOT_UTF8 = "This file is not UTF-8 text: save it as UTF-8 and try again."


class FeaturesField(forms.CharField):
    """Named traits as lines of `name: value`."""

    widget = forms.Textarea(attrs={"rows": 4, "placeholder": "role: engineer\ntone: impatient"})

    def clean(self, value: str) -> dict[str, str]:
        features = {}
        for line in super().clean(value).splitlines():
            name, colon, trait = (part.strip() for part in line.partition(":"))
            if line.strip() and not (name and colon and trait):
                raise forms.ValidationError(f"Write each trait as “name: value”; this line is not: {line.strip()}")
            if name:
                features[name] = trait
        return features

    def prepare_value(self, value: object) -> object:
        return "\n".join(f"{name}: {trait}" for name, trait in value.items()) if isinstance(value, dict) else value


class PersonaForm(forms.Form):
    name = forms.CharField(max_length=100)
    description = forms.CharField(
        max_length=LONGEST_DESCRIPTION,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Who this person is, what they know and what they want. A few sentences.",
    )
    features = FeaturesField(required=False, label="Traits", help_text="One a line, as name: value.")
    system_prompt = forms.CharField(
        required=False,
        max_length=LONGEST_PROMPT,
        label="How to play them",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Told to the model that plays this person, besides the prompt of the simulated user.",
    )


class PersonasForm(PlaceForm):
    """Which personas a page lists, and where in them it stands: by name."""

    q = forms.CharField(required=False, max_length=100)
    document = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    after = forms.CharField(required=False)
    before = forms.CharField(required=False)


class ReviewPlaceForm(PlaceForm):
    """Which proposed persona is looked at, and those of which document. A document of 0 is none."""

    persona = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    document = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)
    decided = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)


class DecisionForm(forms.Form):
    decision = forms.ChoiceField(choices=[(name, name) for name in ("accepted", "rejected", "waiting")])


class PersonaImportForm(forms.Form):
    """A file or a pasted text. `text` and `is_yaml` of a valid form are what was given, whichever it was."""

    file = forms.FileField(
        required=False,
        widget=forms.FileInput(attrs={"accept": ".jsonl,.ndjson,.json,.yaml,.yml"}),
        help_text="JSONL or YAML, up to 20 MB. Document rows of the AfterImage library are read as well.",
    )
    pasted = forms.CharField(
        required=False,
        strip=False,
        max_length=2_000_000,
        label="Or paste them",
        widget=forms.Textarea(attrs={"rows": 8, "class": "mono", "placeholder": "- name: …\n  description: …"}),
    )
    review = forms.BooleanField(
        required=False, label="Let me review them first", help_text="Runs cannot use them before somebody accepts them."
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = self.cleaned_data
        file = cleaned.get("file")
        if file and file.size > LARGEST_FILE:
            raise forms.ValidationError({"file": "This file is larger than 20 MB: bring it in several."})
        try:
            self.text = clean(file.read().decode("utf-8-sig") if file else cleaned.get("pasted") or "")
        except UnicodeDecodeError as error:
            raise forms.ValidationError({"file": NOT_UTF8}) from error
        if not self.errors and not self.text.strip():
            raise forms.ValidationError("Choose a file or paste some personas: there is nothing here.")
        return cleaned

    @property
    def is_yaml(self) -> bool | None:
        """None where it has to be told from the text itself."""
        file = self.cleaned_data.get("file")
        return file.name.lower().endswith((".yaml", ".yml")) if file else None


class PromptForm(forms.Form):
    name = forms.CharField(max_length=100)
    role = forms.ChoiceField(choices=PromptRole.choices)
    text = forms.CharField(
        max_length=50_000,
        widget=forms.Textarea(attrs={"rows": 16, "class": "mono"}),
        help_text="As you would brief a person. What a run retrieves is added to it: there are no placeholders to fill.",
    )
    note = forms.CharField(
        max_length=200,
        required=False,
        label="What changed",
        help_text="A few words for the list of versions.",
    )
    base = forms.IntegerField(required=False, widget=forms.HiddenInput)
    """The number of the version that was being written on."""
    newest: PromptVersion | None = None

    def clean(self) -> dict[str, Any]:
        """Once a newer version has been told of, what is sent again is meant to stand on top of it."""
        said = self.cleaned_data
        base = said.pop("base", None)
        if self.newest and base and base < self.newest.number:
            who = self.newest.author or "somebody"
            told = (
                f"Version {self.newest.number} was saved by {who} while you were writing: see what changed beside this."
            )
            self.add_error("text", f"{told} Save again to put yours on top.")
            self.data = {**self.data, "base": self.newest.number}
        return said
