"""What a structured row holds: named field by field, or as a JSON schema that is pasted."""

from __future__ import annotations

import json
from typing import Any

from django import forms

FIELDS = 8
"""So many can be named; a row of more has its schema pasted."""
SHOWN = 3
"""So many are shown at first."""
LONGEST_NAME, LONGEST_ABOUT = 64, 500
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("Text", {"type": "string"}),
    "choice": ("One of several words", {"type": "string"}),
    "integer": ("Whole number", {"type": "integer"}),
    "number": ("Number", {"type": "number"}),
    "boolean": ("Yes or no", {"type": "boolean"}),
    "texts": ("List of texts", {"type": "array", "items": {"type": "string"}}),
}


class RowFields(forms.Form):
    row_schema = forms.CharField(
        max_length=100_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "class": "mono"}),
        label="Schema of a row",
        help_text="A JSON schema of an object; each reply is held to it.",
    )

    def set_up_rows(self) -> None:
        kinds = [(key, label) for key, (label, _) in KINDS.items()]
        for number in range(FIELDS):
            self.fields[f"row_name_{number}"] = forms.CharField(max_length=LONGEST_NAME, required=False, label="Field")
            self.fields[f"row_kind_{number}"] = forms.ChoiceField(
                choices=kinds, initial="text", required=False, label="Holds"
            )
            self.fields[f"row_about_{number}"] = forms.CharField(
                max_length=LONGEST_ABOUT, required=False, label="Meaning"
            )

    @property
    def row_fields(self) -> list[tuple[forms.BoundField, ...]]:
        """Name, kind and description of each."""
        parts = ("name", "kind", "about")
        return [tuple(self[f"row_{part}_{number}"] for part in parts) for number in range(FIELDS)]

    @property
    def names_many(self) -> bool:
        """Whether the fold of the later fields has anything that must be seen."""
        return any(part.value() or part.errors for name, _, about in self.row_fields[SHOWN:] for part in (name, about))

    @property
    def pastes_schema(self) -> bool:
        return bool(self["row_schema"].value() or self["row_schema"].errors)

    def clean_row_schema(self) -> dict[str, Any] | None:
        text = self.cleaned_data["row_schema"].strip()
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError as error:
            raise forms.ValidationError(f"This is not JSON: {error}.") from error

    def clean(self) -> dict[str, Any]:
        super().clean()
        if self.cleaned_data.get("product") == "rows":
            self._check_fields(self.cleaned_data)
        return self.cleaned_data

    def _check_fields(self, said: dict[str, Any]) -> None:
        names: set[str] = set()
        for number in range(FIELDS):
            name, about = said.get(f"row_name_{number}", ""), said.get(f"row_about_{number}", "")
            if about and not name:
                self.add_error(f"row_name_{number}", "Give this field a name.")
            elif name in names:
                self.add_error(f"row_name_{number}", "Another field has this name.")
            if name and said.get(f"row_kind_{number}") == "choice" and len(_words(about)) < 2:
                self.add_error(f"row_about_{number}", "Say which words, with commas between them: two or more.")
            names |= {name} - {""}
        if not names and said.get("row_schema") is None and not any(name.startswith("row_") for name in self.errors):
            self.add_error("row_name_0", "Name at least one field, or paste a schema.")
        if names and said.get("row_schema"):
            self.add_error("row_schema", "Name the fields above or paste a schema: not both.")

    def row_form(self, said: dict[str, Any]) -> dict[str, Any]:
        """The schema that is pasted, or that of the fields in their order; empty where there is neither."""
        if said["row_schema"]:
            return said["row_schema"]
        places = [number for number in range(FIELDS) if said[f"row_name_{number}"]]
        properties = {
            said[f"row_name_{number}"]: _property(said[f"row_kind_{number}"] or "text", said[f"row_about_{number}"])
            for number in places
        }
        return _object(properties) if properties else {}


def initial_rows(form: dict[str, Any]) -> dict[str, Any]:
    """The fields, if they can say all of the schema; else its text."""
    said = [(name, *_said(part)) for name, part in form.get("properties", {}).items()]
    rebuilt = {name: _property(kind, about) for name, kind, about in said}
    if len(said) > FIELDS or form != _object(rebuilt) or not all(map(_can_be_typed, said)):
        return {"row_schema": json.dumps(form, indent=2, ensure_ascii=False)}
    return {
        f"row_{part}_{number}": value
        for number, field in enumerate(said)
        for part, value in zip(("name", "kind", "about"), field, strict=True)
    }


def _can_be_typed(field: tuple[str, str, str]) -> bool:
    """Whether a browser would post the field as it is."""
    name, _, about = field
    plain = all(text == " ".join(text.splitlines()).strip() for text in (name, about))
    return plain and 0 < len(name) <= LONGEST_NAME and len(about) <= LONGEST_ABOUT


def _property(kind: str, about: str) -> dict[str, Any]:
    schema = KINDS[kind][1]
    if kind == "choice":
        return schema | {"enum": _words(about)}
    return schema | ({"description": about} if about else {})


def _said(part: Any) -> tuple[str, str]:
    """The kind and description that come nearest to a property."""
    if not isinstance(part, dict):
        return "text", ""
    if isinstance(words := part.get("enum"), list):
        return "choice", ", ".join(map(str, words))
    kind = next((key for key, (_, schema) in KINDS.items() if schema.items() <= part.items()), "text")
    return kind, str(part.get("description", ""))


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word for said in text.split(",") if (word := said.strip())))


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
