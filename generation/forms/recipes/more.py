"""What no field says, as YAML: nested stopping rules, retrievers of several parts, hooks, options of extensions."""

from __future__ import annotations

from typing import Any

import yaml
from django import forms

from generation import extensions
from generation.engine.recipe import Extension, Recipe
from generation.yamls import NotRead, parse

from .many import rules_without_field
from .retrieving import initial_retriever

ADDED: tuple[extensions.Kind, ...] = ("hooks", "sinks")


class MoreFields(forms.Form):
    hooks = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, label="Turn hooks of this installation"
    )
    sinks = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, label="Send finished conversations to"
    )
    more = forms.CharField(
        max_length=100_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "mono"}),
        label="More of the recipe, as YAML",
        help_text="Parts of a recipe that have no field here. Lists are added to those above; the rest takes their place.",
    )

    def set_up_more(self) -> None:
        for kind in ADDED:
            self.fields[kind].choices = [(name, name) for name in extensions.names(kind)]

    def added(self, said: dict[str, Any]) -> dict[str, Any]:
        """The part of the recipe that the boxes say."""
        return {kind: [{"name": name} for name in said[kind]] for kind in ADDED}

    def clean_more(self) -> dict[str, Any]:
        try:
            said = parse(self.cleaned_data["more"]) or {}
        except NotRead as error:
            raise forms.ValidationError(str(error)) from error
        if not isinstance(said, dict):
            raise forms.ValidationError("Write parts of a recipe, such as “hooks:” and a list below it.")
        return said


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """`base` with what `more` says besides: objects are merged, lists joined, all else replaced."""
    made = dict(base)
    for key, value in more.items():
        held = made.get(key)
        if isinstance(held, dict) and isinstance(value, dict):
            made[key] = merged(held, value)
        elif isinstance(held, list) and isinstance(value, list):
            made[key] = [*held, *value]
        else:
            made[key] = value
    return made


def initial_more(recipe: Recipe) -> dict[str, Any]:
    """What the other fields cannot say of a recipe."""
    whole = recipe.model_dump(mode="json", exclude_defaults=True)
    more: dict[str, Any] = {}
    initial: dict[str, Any] = {}
    for kind in ADDED:
        chosen: tuple[Extension, ...] = getattr(recipe, kind)
        initial[kind] = [one.name for one in chosen if not one.options]
        if rest := [one.model_dump(mode="json") for one in chosen if one.options]:
            more[kind] = rest
    if initial_retriever(recipe.retrieval.retriever) is None:
        more["retrieval"] = {"retriever": whole["retrieval"]["retriever"]}
    if left := rules_without_field(recipe):
        more["stopping"] = [rule.model_dump(mode="json", exclude_defaults=True) for rule in left]
    if recipe.questions.writer and recipe.questions.writer.options:
        more["questions"] = {"writer": {"options": recipe.questions.writer.options}}
    return initial | {"more": yaml.safe_dump(more, sort_keys=False, allow_unicode=True) if more else ""}
