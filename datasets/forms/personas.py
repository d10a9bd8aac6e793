"""The forms of personas and prompts."""

from __future__ import annotations

from django import forms

from datasets.models import PromptRole


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
        max_length=5_000,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Who this person is, what they know and what they want. A few sentences.",
    )
    features = FeaturesField(required=False, label="Traits", help_text="One a line, as name: value. Optional.")


class PromptForm(forms.Form):
    name = forms.CharField(max_length=100)
    role = forms.ChoiceField(choices=PromptRole.choices)
    text = forms.CharField(max_length=50_000, widget=forms.Textarea(attrs={"rows": 16, "class": "mono"}))
    note = forms.CharField(
        max_length=200,
        required=False,
        label="What changed",
        help_text="A few words for the list of versions. Optional.",
    )
