"""A run's budget, which may be changed while it runs."""

from __future__ import annotations

from decimal import Decimal

from django import forms

from generation.engine.recipe import Budget
from generation.models import Run


class BudgetForm(forms.Form):
    tokens = forms.IntegerField(min_value=1, required=False, label="Tokens", help_text="Empty: no limit.")
    money = forms.DecimalField(
        min_value=Decimal("0.0001"),
        max_digits=12,
        decimal_places=4,
        required=False,
        label="Money",
        help_text="Empty: no limit.",
    )

    @classmethod
    def of(cls, run: Run) -> BudgetForm:
        return cls(initial=run.spec["budget"])

    def budget(self) -> Budget:
        return Budget(tokens=self.cleaned_data["tokens"], money=self.cleaned_data["money"])
