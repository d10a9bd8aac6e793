"""What people set of alerts: the rules of a project, and where it is told."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from datasets.models import Project
from generation.adapters.webhooks import RefusedAddress, check_address
from generation.models import Alert, AlertRule, AlertWebhook, Run

PERCENT = 100


class RuleForm(forms.ModelForm):
    """One rule. A share is typed as a percentage; fields that its kind has no use for are missing."""

    class Meta:
        model = AlertRule
        fields = ["active", "threshold", "window", "min_samples", "severity"]

    def __init__(self, data: Any = None, *, instance: AlertRule, share: bool, without: tuple[str, ...] = ()) -> None:
        super().__init__(data, instance=instance, prefix=instance.kind)
        self.share = share
        self.initial["threshold"] = f"{instance.threshold * (PERCENT if share else 1):.10g}"
        for name in without:
            del self.fields[name]
        for name, field in self.fields.items():
            field.widget.attrs["aria-label"] = f"{name.replace('_', ' ').capitalize()} of “{instance}”"
        self.fields["threshold"].widget.attrs |= {"step": "any", "min": 0}

    def clean_threshold(self) -> float:
        threshold = self.cleaned_data["threshold"]
        if not self.share:
            return threshold
        if threshold > PERCENT:
            raise ValidationError("A share is at most 100 %.")
        return threshold / PERCENT


class WebhookForm(forms.ModelForm):
    class Meta:
        model = AlertWebhook
        fields = ["url", "active"]
        labels = {"url": "Address", "active": "Post alerts to it"}
        help_texts = {"url": "A public server of yours that takes JSON by POST."}

    def __init__(self, project: Project, data: Any = None) -> None:
        row = AlertWebhook.objects.filter(project=project).first() or AlertWebhook(project=project)
        super().__init__(data, instance=row)
        self.fields["url"].widget.attrs |= {"placeholder": "https://hooks.example.org/afterimage"}

    @property
    def is_stored(self) -> bool:
        return self.instance.pk is not None

    def clean_url(self) -> str:
        url = self.cleaned_data["url"]
        try:
            check_address(url)
        except RefusedAddress as refusal:
            raise ValidationError(str(refusal)) from refusal
        return url


class AcknowledgeForm(forms.Form):
    """Which alert, all of them if none is named; and the run whose page it was pressed on."""

    alert = forms.ModelChoiceField(Alert.objects.none(), required=False)
    run = forms.ModelChoiceField(Run.objects.none(), required=False)

    def __init__(self, project: Project, data: Any) -> None:
        super().__init__(data)
        self.fields["alert"].queryset = project.alerts.all()
        self.fields["run"].queryset = project.runs.all()
