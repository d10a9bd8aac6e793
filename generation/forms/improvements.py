"""The form of an improvement: what is to be mended, from where on, and who speaks."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.models import Project
from generation.engine.mending import Mending
from generation.engine.protocols import ModelRole
from generation.engine.recipe import ModelChoice

ROLES: tuple[ModelRole, ...] = ("respondent", "correspondent", "judge")
LARGEST_ID = 2**63 - 1


class ImprovementForm(forms.Form):
    """Every choice is of the project. `wanted()` is what a valid form asks for."""

    instruction = forms.CharField(
        required=False,
        max_length=5_000,
        label="What is to be better",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Empty: what the judge said of each conversation last.",
    )
    start = forms.ChoiceField(
        choices=[
            ("first_bad", "The first answer that the judge found bad"),
            ("beginning", "The first answer"),
            ("turn", "The answer of a turn"),
        ],
        label="Make anew, from",
        help_text="What stands before is kept. Where the judge named no answer, it is from the first one.",
    )
    turn = forms.IntegerField(
        required=False, min_value=1, max_value=1_000, initial=1, help_text="Shorter conversations: their last."
    )
    endpoint = forms.ModelChoiceField(
        queryset=None,
        required=False,
        empty_label="As in the run that made them",
        help_text="The model server for every role.",
    )
    model = forms.CharField(max_length=150, required=False, help_text="Empty: the endpoint's own.")
    judge = forms.BooleanField(
        required=False,
        initial=True,
        label="Judge the proposals",
        help_text="And conversations that nobody has judged yet, so that scores can be compared.",
    )
    concurrency = forms.IntegerField(min_value=1, max_value=64, initial=4, help_text="Conversations at the same time.")
    up_to = forms.IntegerField(required=False, min_value=0, max_value=LARGEST_ID, widget=forms.HiddenInput)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.fields["endpoint"].queryset = project.endpoints.all()
        for role in ROLES:
            self.fields[f"{role}_endpoint"] = forms.ModelChoiceField(
                queryset=project.endpoints.all(), required=False, empty_label="Same for all", label="Endpoint"
            )
            self.fields[f"{role}_model"] = forms.CharField(max_length=150, required=False, label="Model")

    def as_posted(self) -> ImprovementForm:
        """The form as a browser would post it if nothing were changed."""
        values = {name: self.fields[name].prepare_value(self[name].initial) for name in self.fields}
        said = {name: value for name, value in values.items() if value not in (None, False, "")}
        return ImprovementForm({"start": "first_bad", **said}, project=self.project)

    @property
    def role_fields(self) -> list[tuple[ModelRole, list[forms.BoundField]]]:
        return [(role, [self[f"{role}_endpoint"], self[f"{role}_model"]]) for role in ROLES]

    @property
    def has_role_choices(self) -> bool:
        return any(one.value() or one.errors for _, fields in self.role_fields for one in fields)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("model") and not cleaned.get("endpoint"):
            self.add_error("endpoint", "Choose the endpoint that this model is at.")
        for role in ROLES:
            if cleaned.get(f"{role}_model") and not (cleaned.get(f"{role}_endpoint") or cleaned.get("endpoint")):
                self.add_error(f"{role}_endpoint", "Choose the endpoint that this model is at.")
        return cleaned

    def wanted(self) -> Mending:
        """Of a valid form."""
        cleaned = self.cleaned_data
        choices = {role: self._choice(role) for role in ROLES}
        return Mending(
            instruction=cleaned["instruction"],
            start=cleaned["start"],
            turn=cleaned["turn"] or 1,
            models={role: choice for role, choice in choices.items() if choice},
            judge=cleaned["judge"],
            concurrency=cleaned["concurrency"],
        )

    def _choice(self, role: ModelRole) -> ModelChoice | None:
        own, shared = self.cleaned_data[f"{role}_endpoint"], self.cleaned_data["endpoint"]
        model = self.cleaned_data[f"{role}_model"] or ("" if own else self.cleaned_data["model"])
        endpoint = own or shared
        return ModelChoice(endpoint=endpoint.pk, model=model) if endpoint else None
