"""The run form: from a page's fields to a recipe, and back."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any, get_args

from django import forms
from django.db.models import QuerySet
from pydantic import ValidationError

from datasets.models import Project, PromptRole
from generation.engine.judging import Judging
from generation.engine.protocols import ModelRole
from generation.engine.recipe import Budget, ModelChoice, Recipe, Retrieval
from generation.models.endpoints import OFFLINE

ROLES: tuple[ModelRole, ...] = get_args(ModelRole)
EVERYBODY = 24
"""So many personas are chosen beforehand."""


class RecipeForm(forms.Form):
    """Every choice is of the project. `recipe()` is the validated recipe of a valid form."""

    save_as = forms.CharField(max_length=100, required=False, label="Keep as a recipe")
    name = forms.CharField(max_length=120, required=False, help_text="Empty: named after the corpus and the time.")
    corpus = forms.ModelChoiceField(
        queryset=None,
        required=False,
        empty_label="No corpus: ungrounded conversations",
        help_text="Questions are written from its passages, and answers are given from what is retrieved from it.",
    )
    instruction_prompt = forms.ModelChoiceField(
        queryset=None, required=False, empty_label="Built-in question writer", label="Question writer"
    )
    personas = forms.ModelMultipleChoiceField(
        queryset=None,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Each conversation's user plays one of them, dealt evenly.",
    )
    respondent_prompt = forms.ModelChoiceField(queryset=None, empty_label=None, label="Assistant (respondent)")
    correspondent_prompt = forms.ModelChoiceField(
        queryset=None, required=False, empty_label="Built-in user", label="Simulated user (correspondent)"
    )
    endpoint = forms.ModelChoiceField(queryset=None, empty_label=None, help_text="The model server for every role.")
    model = forms.CharField(max_length=150, required=False, help_text="Empty: the endpoint's own.")

    conversations = forms.IntegerField(min_value=1, max_value=100_000, initial=20)
    max_turns = forms.IntegerField(
        min_value=1, max_value=50, initial=3, label="Turns, at most", help_text="Each conversation has 1 to this many."
    )
    concurrency = forms.IntegerField(
        min_value=1, max_value=1024, initial=8, help_text="Conversations in flight at the same time."
    )
    seed = forms.IntegerField(
        min_value=0, max_value=2**31 - 1, initial=0, help_text="The same seed plans the same conversations."
    )
    budget_tokens = forms.IntegerField(min_value=1, required=False, label="Token budget", help_text="Empty: no limit.")
    budget_money = forms.DecimalField(
        min_value=Decimal("0.0001"),
        max_digits=12,
        decimal_places=4,
        required=False,
        label="Money budget",
        help_text="Empty: no limit.",
    )

    contexts = forms.IntegerField(
        min_value=1,
        max_value=20,
        initial=1,
        label="Passages a question",
        help_text="What a first question is written from.",
    )
    retrieval_when = forms.ChoiceField(
        choices=[
            ("answer", "Before every answer"),
            ("dialog", "Once a conversation, by its first question"),
            ("never", "Never"),
        ],
        initial="answer",
        label="Retrieve",
    )
    retrieval_depth = forms.IntegerField(min_value=1, max_value=50, initial=4, label="Passages retrieved")
    retrieval_with_context = forms.BooleanField(
        required=False,
        initial=True,
        label="Also give the passages that the question was written from",
    )
    judge = forms.BooleanField(
        required=False,
        label="Judge every conversation",
        help_text="One more call each: factuality, grounding, helpfulness.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        prompts = project.prompts.filter(archived=False)
        self.fields["corpus"].queryset = project.corpora.all()
        self.fields["personas"].queryset = project.personas.filter(archived=False)
        self.fields["endpoint"].queryset = project.endpoints.all()
        for side in PromptRole:
            self.fields[f"{side}_prompt"].queryset = prompts.filter(role=side)
        for role in ROLES:
            self._add_role_fields(role)

    def _add_role_fields(self, role: ModelRole) -> None:
        """A role's own choice, where it differs from the one for all."""
        self.fields[f"{role}_endpoint"] = forms.ModelChoiceField(
            queryset=self.project.endpoints.all(), required=False, empty_label="Same for all", label="Endpoint"
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

    def clean(self) -> dict[str, Any]:
        if not self.errors:
            self._recipe = self._build(self.cleaned_data)
        return self.cleaned_data

    @property
    def has_role_choices(self) -> bool:
        """Whether the fold of the roles has anything that must be seen."""
        return any(one.value() or one.errors for _, fields in self.role_fields for one in fields)

    @property
    def speaks_offline(self) -> bool:
        """Whether a valid form has the offline model speak."""
        recipe = self.recipe()
        used = {choice.endpoint for choice in recipe.models.values()}
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

    def _build(self, cleaned: dict[str, Any]) -> Recipe | None:
        corpus = cleaned["corpus"]
        retrieval = Retrieval(
            when=cleaned["retrieval_when"] if corpus else "never",
            depth=cleaned["retrieval_depth"],
            with_context=cleaned["retrieval_with_context"],
        )
        roles = [role for role in ROLES if role != "judge" or cleaned["judge"]]
        try:
            return Recipe(
                corpus=corpus.pk if corpus else None,
                respondent_prompt=cleaned["respondent_prompt"].pk,
                correspondent_prompt=_pk(cleaned["correspondent_prompt"]),
                instruction_prompt=_pk(cleaned["instruction_prompt"]),
                personas=tuple(sorted(persona.pk for persona in cleaned["personas"])),
                models={role: self._choice(role, cleaned) for role in roles},
                judge=Judging() if cleaned["judge"] else None,
                retrieval=retrieval,
                budget=Budget(tokens=cleaned["budget_tokens"], money=cleaned["budget_money"]),
                **{
                    name: cleaned[name]
                    for name in ("conversations", "max_turns", "contexts", "concurrency", "seed")
                },
            )
        except ValidationError as error:
            for problem in error.errors():
                self.add_error(None, problem["msg"].removeprefix("Value error, "))
            return None

    def _choice(self, role: ModelRole, cleaned: dict[str, Any]) -> ModelChoice:
        own = cleaned[f"{role}_endpoint"]
        return ModelChoice(
            endpoint=(own or cleaned["endpoint"]).pk,
            model=cleaned[f"{role}_model"] or ("" if own else cleaned["model"]),
            temperature=cleaned[f"{role}_temperature"],
            max_tokens=cleaned[f"{role}_max_tokens"],
        )


def _pk(row: Any) -> int | None:
    return row.pk if row else None


def first_choices(project: Project) -> dict[str, Any]:
    """What a first run needs no change of: whatever came last to the project, and everybody in it."""
    chosen: dict[str, Any] = {"corpus": _newest(project.corpora.all())}
    for role in (PromptRole.RESPONDENT, PromptRole.CORRESPONDENT):
        chosen[f"{role}_prompt"] = _newest(project.prompts.filter(archived=False, role=role))
    speakers = project.endpoints.exclude(chat_model="")
    chosen["endpoint"] = _newest(speakers.exclude(preset=OFFLINE)) or _newest(speakers)
    chosen["personas"] = list(project.personas.filter(archived=False).values_list("pk", flat=True)[:EVERYBODY])
    # A fresh seed for a fresh run: launched twice as it stands, the form should not ask the same questions twice.
    return chosen | {"seed": random.randrange(2**31)}  # noqa: S311


def _newest(rows: QuerySet[Any]) -> int | None:
    return rows.order_by("-pk").values_list("pk", flat=True).first()


def initial_from(recipe: Recipe) -> dict[str, Any]:
    """The form's fields for an existing recipe, so that it can be launched again or changed."""
    main = recipe.models["respondent"]
    initial: dict[str, Any] = {
        "endpoint": main.endpoint,
        "model": main.model,
        "retrieval_when": recipe.retrieval.when,
        "retrieval_depth": recipe.retrieval.depth,
        "retrieval_with_context": recipe.retrieval.with_context,
        "budget_tokens": recipe.budget.tokens,
        "budget_money": recipe.budget.money,
        "personas": list(recipe.personas),
        "judge": recipe.judge is not None,
    }
    for name in ("corpus", "respondent_prompt", "correspondent_prompt", "instruction_prompt", "conversations",
                 "max_turns", "contexts", "concurrency", "seed"):  # fmt: skip
        initial[name] = getattr(recipe, name)
    for role, choice in recipe.models.items():
        same = (choice.endpoint, choice.model) == (main.endpoint, main.model)
        initial[f"{role}_endpoint"] = None if same else choice.endpoint
        initial[f"{role}_model"] = "" if same else choice.model
        initial[f"{role}_temperature"] = choice.temperature
        initial[f"{role}_max_tokens"] = choice.max_tokens
    return initial
