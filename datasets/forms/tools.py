"""What people type to add tools."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from datasets.formats.functions import LONGEST_DESCRIPTION, LONGEST_SCHEMA, LONGEST_TEXT, check_parameters
from datasets.formats.openapi import Wrong
from datasets.text import clean

from .corpora import PlaceForm

EXAMPLE = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where to look"}},
    "required": ["city"],
}


class SchemaField(forms.CharField):
    """A JSON schema of an object, as text; cleans to the schema."""

    widget = forms.Textarea(attrs={"rows": 14, "class": "mono", "spellcheck": "false"})

    def clean(self, value: str) -> dict[str, Any]:
        text = super().clean(value)
        try:
            return check_parameters(json.loads(text))
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, character {error.colno}"
            raise forms.ValidationError(f"This is not JSON ({error.msg.rstrip('.')} in {where}).") from error
        except RecursionError as error:
            raise forms.ValidationError("This is nested too deeply: flatten it.") from error
        except (Wrong, ValueError) as error:
            raise forms.ValidationError(str(error)) from error

    def prepare_value(self, value: object) -> object:
        return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict) else value


class ToolForm(forms.Form):
    name = forms.CharField(
        max_length=64,
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false", "placeholder": "look_up_weather"}),
        help_text="Letters, digits, _ and -.",
    )
    description = forms.CharField(
        required=False,
        max_length=LONGEST_DESCRIPTION,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What it does and when to use it: models choose by this.",
    )
    parameters = SchemaField(
        max_length=2 * LONGEST_SCHEMA, initial=EXAMPLE, help_text="The JSON schema of its arguments, an object's."
    )


class ToolsForm(PlaceForm):
    """Where the list of tools stands, by name."""

    after = forms.CharField(required=False)
    before = forms.CharField(required=False)

    def values(self) -> dict[str, Any]:
        return {name: value or None for name, value in super().values().items()}


class ToolPasteForm(forms.Form):
    """A file or a pasted text; `text` of a valid form is what was given, whichever it was."""

    pasted = forms.CharField(
        required=False,
        strip=False,
        max_length=LONGEST_TEXT,
        label="Functions",
        widget=forms.Textarea(attrs={"rows": 14, "class": "mono", "spellcheck": "false"}),
        help_text="JSON: one function or a list of them, as OpenAI, Anthropic or MCP write them. Or an OpenAPI 3 "
        "document, in JSON or YAML.",
    )
    file = forms.FileField(
        required=False, label="Or a file", widget=forms.FileInput(attrs={"accept": ".json,.yaml,.yml"})
    )
    replace = forms.BooleanField(required=False, label="Replace tools of the same name")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = self.cleaned_data
        file = cleaned.get("file")
        if file and file.size > 4 * LONGEST_TEXT:
            raise forms.ValidationError({"file": "This file is larger than 20 MB: bring it in several."})
        try:
            self.text = clean(file.read().decode("utf-8-sig") if file else cleaned.get("pasted") or "")
        except UnicodeDecodeError as error:
            raise forms.ValidationError({"file": "This file is not UTF-8 text: save it as UTF-8."}) from error
        if not self.errors and not self.text.strip():
            raise forms.ValidationError("Paste some functions or choose a file: there is nothing here.")
        return cleaned
