"""Who speaks: the prompts, and the models of each role."""

from __future__ import annotations

from typing import Any, get_args

from django import forms

from datasets.models import Project, PromptRole
from generation.engine.protocols import ModelRole
from generation.engine.recipe import Recipe

from .good import is_judged

ROLES: tuple[ModelRole, ...] = get_args(ModelRole)


class WhoFields(forms.Form):
    respondent_prompt = forms.ModelChoiceField(queryset=None, empty_label=None, label="Assistant (respondent)")
    correspondent_prompt = forms.ModelChoiceField(
        queryset=None, required=False, empty_label="Built-in user", label="User (correspondent)"
    )
    endpoint = forms.ModelChoiceField(queryset=None, empty_label=None, help_text="The model server for every role.")
    model = forms.CharField(max_length=150, required=False, help_text="Empty: the endpoint's own.")

    def set_up_who(self, project: Project) -> None:
        prompts = project.prompts.filter(archived=False)
        self.fields["endpoint"].queryset = project.endpoints.all()
        for side in PromptRole:
            self.fields[f"{side}_prompt"].queryset = prompts.filter(role=side)
        for role in ROLES:
            self._add_role_fields(project, role)

    def _add_role_fields(self, project: Project, role: ModelRole) -> None:
        """A role's own choice, where it differs from the one for all."""
        self.fields[f"{role}_endpoint"] = forms.ModelChoiceField(
            queryset=project.endpoints.all(), required=False, empty_label="Same for all", label="Endpoint"
        )
        self.fields[f"{role}_model"] = forms.CharField(max_length=150, required=False, label="Model")
        self.fields[f"{role}_temperature"] = forms.FloatField(
            min_value=0, max_value=2, required=False, label="Temperature"
        )
        self.fields[f"{role}_max_tokens"] = forms.IntegerField(
            min_value=1, max_value=200_000, required=False, label="Longest reply, tokens"
        )

    @property
    def role_fields(self) -> list[tuple[ModelRole, list[forms.BoundField]]]:
        names = ("endpoint", "model", "temperature", "max_tokens")
        return [(role, [self[f"{role}_{name}"] for name in names]) for role in ROLES]

    @property
    def has_role_choices(self) -> bool:
        """Whether the fold of the roles has anything that must be seen."""
        return any(one.value() or one.errors for _, fields in self.role_fields for one in fields)

    def who(self, said: dict[str, Any]) -> dict[str, Any]:
        """The part of the recipe that these fields say."""
        correspondent = said["correspondent_prompt"]
        roles = [role for role in ROLES if role != "judge" or is_judged(said)]
        return {
            "respondent_prompt": said["respondent_prompt"].pk,
            "correspondent_prompt": correspondent.pk if correspondent else None,
            "models": {role: self._choice(role, said) for role in roles},
        }

    def _choice(self, role: ModelRole, said: dict[str, Any]) -> dict[str, Any]:
        own = said[f"{role}_endpoint"]
        return {
            "endpoint": (own or said["endpoint"]).pk,
            "model": said[f"{role}_model"] or ("" if own else said["model"]),
            "temperature": said[f"{role}_temperature"],
            "max_tokens": said[f"{role}_max_tokens"],
        }


def initial_who(recipe: Recipe) -> dict[str, Any]:
    main = recipe.models["respondent"]
    initial: dict[str, Any] = {
        "respondent_prompt": recipe.respondent_prompt,
        "correspondent_prompt": recipe.correspondent_prompt,
        "endpoint": main.endpoint,
        "model": main.model,
    }
    for role, choice in recipe.models.items():
        same = (choice.endpoint, choice.model) == (main.endpoint, main.model)
        initial[f"{role}_endpoint"] = None if same else choice.endpoint
        initial[f"{role}_model"] = "" if same else choice.model
        initial[f"{role}_temperature"] = choice.temperature
        initial[f"{role}_max_tokens"] = choice.max_tokens
    return initial
