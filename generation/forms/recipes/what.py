"""What is made, from which documents, and how its first questions come about."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.models import Project
from generation import extensions
from generation.engine.recipe import Pairs, Recipe, Rows, ToolDialogs

from .rows import RowFields, initial_rows

PRODUCTS = [
    ("dialogs", "Conversations"),
    ("tool_dialogs", "Conversations that use tools"),
    ("rows", "Structured rows"),
    ("pairs", "Preference pairs"),
]
STRATEGIES = [
    ("temperature", "Temperature: from careful to wild"),
    ("prompt", "Prompt: asked for more, and for less"),
    ("model", "Model: two models in turn"),
    ("combined", "All of them"),
]


class WhatFields(RowFields):
    name = forms.CharField(max_length=120, required=False, help_text="Empty: named after the corpus and the time.")
    product = forms.ChoiceField(choices=PRODUCTS, initial="dialogs", required=False, label="Make")
    corpus = forms.ModelChoiceField(
        queryset=None,
        required=False,
        empty_label="No corpus: ungrounded conversations",
        help_text="Questions are written from its passages, and answers are given from what is retrieved from it.",
    )
    tools = forms.ModelMultipleChoiceField(
        queryset=None,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What the assistant may use; their results are simulated.",
    )
    tools_sample = forms.IntegerField(
        min_value=1, max_value=20, initial=2, required=False, label="Tools a conversation"
    )
    pairs_strategy = forms.ChoiceField(
        choices=STRATEGIES, initial="temperature", required=False, label="Answers vary by"
    )
    pairs_answers = forms.IntegerField(min_value=2, max_value=8, initial=2, required=False, label="Answers compared")
    pairs_gap = forms.FloatField(
        min_value=0,
        max_value=1,
        initial=0.1,
        required=False,
        label="Least gap",
        help_text="Between best and worst score.",
    )
    second_endpoint = forms.ModelChoiceField(queryset=None, required=False, empty_label="None", label="Second endpoint")
    second_model = forms.CharField(max_length=150, required=False, label="Second model")

    contexts = forms.IntegerField(
        min_value=1,
        max_value=20,
        initial=1,
        label="Passages a question",
        help_text="What a first question is written from.",
    )
    batch = forms.IntegerField(
        min_value=1,
        max_value=20,
        initial=1,
        required=False,
        label="Questions a call",
        help_text="Written at once from the same passages; each opens a conversation of its own.",
    )
    visits = forms.IntegerField(
        min_value=1,
        max_value=1000,
        required=False,
        label="Each passage",
        help_text="Asked about so often, then the run has enough. Empty: as often as it takes.",
    )
    fresh = forms.BooleanField(required=False, label="Passages that earlier runs asked about less often come first")
    repeats = forms.BooleanField(required=False, label="Near-duplicates of earlier questions are welcome")
    scenarios = forms.CharField(
        max_length=500_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Situations that users are in, one a line, dealt evenly.",
    )
    instruction_prompt = forms.ModelChoiceField(
        queryset=None, required=False, empty_label="Built-in question writer", label="Question writer"
    )
    writer = forms.ChoiceField(required=False, label="Instruction generator")

    def set_up_what(self, project: Project) -> None:
        self.fields["corpus"].queryset = project.corpora.all()
        self.set_up_rows()
        self.fields["tools"].queryset = project.tools.filter(archived=False)
        self.fields["second_endpoint"].queryset = project.endpoints.all()
        self.fields["writer"].choices = [("", "Built-in"), *((name, name) for name in extensions.names("instructions"))]

    def clean(self) -> dict[str, Any]:
        said = super().clean()
        if said.get("product") == "tool_dialogs" and not said.get("tools") and "tools" not in self.errors:
            self.add_error("tools", "Choose at least one tool.")
        return said

    def what(self, said: dict[str, Any]) -> dict[str, Any]:
        """The part of the recipe that these fields say."""
        corpus, writer = said["corpus"], said["writer"]
        return {
            "corpus": corpus.pk if corpus else None,
            "instruction_prompt": said["instruction_prompt"].pk if said["instruction_prompt"] else None,
            "product": self._product(said),
            "contexts": said["contexts"],
            "questions": {
                "batch": said["batch"] or 1,
                "distinct": not said["repeats"],
                "visits": said["visits"],
                "fresh": said["fresh"],
                "scenarios": [line.strip() for line in said["scenarios"].splitlines() if line.strip()],
                "writer": {"name": writer} if writer else None,
            },
        }

    def _product(self, said: dict[str, Any]) -> dict[str, Any]:
        kind = said["product"] or "dialogs"
        if kind == "tool_dialogs":
            tools = sorted(tool.pk for tool in said["tools"])
            return {"kind": kind, "tools": tools, "sample": said["tools_sample"] or 2}
        if kind == "rows":
            return {"kind": kind, "form": self.row_form(said)}
        if kind == "pairs":
            second = said["second_endpoint"]
            return {
                "kind": kind,
                "strategy": said["pairs_strategy"] or "temperature",
                "answers": said["pairs_answers"] or 2,
                "gap": 0.1 if said["pairs_gap"] is None else said["pairs_gap"],
                "second": {"endpoint": second.pk, "model": said["second_model"]} if second else None,
            }
        return {"kind": kind}


def initial_what(recipe: Recipe) -> dict[str, Any]:
    questions, product = recipe.questions, recipe.product
    initial: dict[str, Any] = {
        "corpus": recipe.corpus,
        "instruction_prompt": recipe.instruction_prompt,
        "product": product.kind,
        "contexts": recipe.contexts,
        "batch": questions.batch,
        "visits": questions.visits,
        "fresh": questions.fresh,
        "repeats": not questions.distinct,
        "scenarios": "\n".join(questions.scenarios),
        "writer": questions.writer.name if questions.writer else "",
    }
    if isinstance(product, ToolDialogs):
        initial |= {"tools": list(product.tools), "tools_sample": product.sample}
    elif isinstance(product, Rows):
        initial |= initial_rows(product.form)
    elif isinstance(product, Pairs):
        initial |= {
            "pairs_strategy": product.strategy,
            "pairs_answers": product.answers,
            "pairs_gap": product.gap,
            "second_endpoint": product.second.endpoint if product.second else None,
            "second_model": product.second.model if product.second else "",
        }
    return initial
