"""How good: what the assistant is given, who judges, and what is done about it."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.models import Project
from generation import extensions
from generation.engine.judging import MODEL_CRITERIA, VECTOR_CRITERIA, Grades, Judging
from generation.engine.recipe import Recipe

from .retrieving import RetrieverFields, initial_retriever

BUILT_IN = (*MODEL_CRITERIA, *VECTOR_CRITERIA)
USUAL = Judging()
GRADES = tuple(Grades.model_fields)


def is_judged(said: dict[str, Any]) -> bool:
    """Pairs always are: the switch is not shown for them, as little as that of improving."""
    return bool(said["judge"] or said["product"] == "pairs")


class GoodFields(RetrieverFields):
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
    retrieval_cached = forms.BooleanField(required=False, label="Keep what was found for the next time it is asked")
    retrieval_template = forms.CharField(
        max_length=50_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono"}),
        label="How prompt and passages are put together",
        help_text="By {prompt} and {context}; any other brace is text. Empty: our own way.",
    )
    judge = forms.BooleanField(required=False, label="Judge every conversation")
    criteria = forms.ModelMultipleChoiceField(
        queryset=None, required=False, widget=forms.CheckboxSelectMultiple, label="Criteria of this project"
    )
    evaluators = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, label="Evaluators of this installation"
    )
    aggregation = forms.ChoiceField(
        choices=[("mean", "Mean of all"), ("weighted", "Mean by weight"), ("min", "The lowest")],
        initial="mean",
        required=False,
        label="Overall score",
    )
    embedding_endpoint = forms.ModelChoiceField(
        queryset=None,
        required=False,
        empty_label="None",
        label="Embedding endpoint",
        help_text="For the criteria that compare texts.",
    )
    embedding_model = forms.CharField(max_length=150, required=False, help_text="Empty: the endpoint's own.")
    improve = forms.BooleanField(
        required=False, label="Improve what is judged too low", help_text="The judge's words go into the next attempt."
    )
    improve_attempts = forms.IntegerField(
        min_value=1, max_value=10, initial=2, required=False, label="Attempts, at most"
    )
    improve_below = forms.FloatField(
        min_value=0, max_value=1, initial=0.72, required=False, label="Scores below", help_text="Of 0 to 1."
    )

    def set_up_good(self, project: Project) -> None:
        self.fields["criteria"].queryset = project.criteria.usable()
        self.fields["embedding_endpoint"].queryset = project.endpoints.exclude(preset="offline")
        self.fields["evaluators"].choices = [(name, name) for name in extensions.names("evaluators")]
        self.set_up_retrievers(project)
        for name in BUILT_IN:
            self.fields[f"weight_{name}"] = forms.FloatField(
                min_value=0,
                max_value=100,
                required=False,
                initial=USUAL.weights.get(name),
                label=name.replace("_", " ").capitalize(),
            )
        for grade in GRADES:
            self.fields[f"grade_{grade}"] = forms.FloatField(
                min_value=0,
                max_value=1,
                required=False,
                initial=getattr(Grades(), grade),
                label=grade.replace("_", " ").capitalize(),
            )

    @property
    def weight_fields(self) -> list[forms.BoundField]:
        return [self[f"weight_{name}"] for name in MODEL_CRITERIA]

    @property
    def vector_fields(self) -> list[forms.BoundField]:
        return [self[f"weight_{name}"] for name in VECTOR_CRITERIA]

    @property
    def grade_fields(self) -> list[forms.BoundField]:
        return [self[f"grade_{name}"] for name in GRADES]

    @property
    def has_judging_errors(self) -> bool:
        """Whether the fold of the judge has anything that must be seen."""
        shown = [*self.weight_fields, *self.vector_fields, *self.grade_fields, self["embedding_endpoint"]]
        return any(field.errors for field in shown)

    def good(self, said: dict[str, Any]) -> dict[str, Any]:
        """The part of the recipe that these fields say."""
        retriever = self.retriever_said(said)
        retrieval = {
            "when": said["retrieval_when"] if said["corpus"] or retriever else "never",
            "depth": said["retrieval_depth"],
            "with_context": said["retrieval_with_context"],
            "cached": said["retrieval_cached"],
            "template": said["retrieval_template"],
        }
        if retriever:
            retrieval["retriever"] = retriever
        improving = {
            "attempts": said["improve_attempts"] or 2,
            "below": 0.72 if said["improve_below"] is None else said["improve_below"],
        }
        return {
            "retrieval": retrieval,
            "judge": self._judging(said) if is_judged(said) else None,
            "improve": improving if said["improve"] and said["product"] != "pairs" else None,
        }

    def _judging(self, said: dict[str, Any]) -> dict[str, Any]:
        embedding = said["embedding_endpoint"]
        weights = {name: weight for name in BUILT_IN if (weight := said[f"weight_{name}"])}
        grades = {name: floor for name in GRADES if (floor := said[f"grade_{name}"]) is not None}
        return {
            "weights": weights,
            "criteria": sorted(row.pk for row in said["criteria"]),
            "others": [{"name": name} for name in said["evaluators"]],
            "aggregation": said["aggregation"] or "mean",
            "grades": grades,
            "embedding": {"endpoint": embedding.pk, "model": said["embedding_model"]} if embedding else None,
        }


def initial_good(recipe: Recipe) -> dict[str, Any]:
    retrieval, improve = recipe.retrieval, recipe.improve
    initial: dict[str, Any] = {
        "retrieval_when": retrieval.when,
        "retrieval_depth": retrieval.depth,
        "retrieval_with_context": retrieval.with_context,
        "retrieval_cached": retrieval.cached,
        "retrieval_template": retrieval.template,
        "judge": recipe.judge is not None,
        "improve": improve is not None,
    }
    if improve:
        initial |= {"improve_attempts": improve.attempts, "improve_below": improve.below}
    initial |= initial_retriever(retrieval.retriever) or {"retriever": ""}
    return initial | (_initial_judging(recipe.judge) if recipe.judge else {})


def _initial_judging(judging: Judging) -> dict[str, Any]:
    return {
        **{f"weight_{name}": judging.weights.get(name) for name in BUILT_IN},
        **{f"grade_{name}": getattr(judging.grades, name) for name in GRADES},
        "criteria": list(judging.criteria),
        "evaluators": [other.name for other in judging.others],
        "aggregation": judging.aggregation,
        "embedding_endpoint": judging.embedding.endpoint if judging.embedding else None,
        "embedding_model": judging.embedding.model if judging.embedding else "",
    }
