"""Forms of a project and its members."""

from __future__ import annotations

from django import forms

from datasets.models import ApiToken, Membership, Project, Role


class ProjectForm(forms.ModelForm):
    class Meta:
        model = Project
        fields = ["name", "description"]
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}
        help_texts = {"description": "What the conversations are for, in a sentence or two."}


class MemberForm(forms.Form):
    username = forms.CharField(max_length=150, label="Name", help_text="User name or e-mail address.")
    role = forms.ChoiceField(choices=Role.choices, initial=Role.ANNOTATOR)


class RoleForm(forms.ModelForm):
    class Meta:
        model = Membership
        fields = ["role"]


class EmailForm(forms.Form):
    email = forms.EmailField(
        required=False,
        label="Address",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        help_text="Alerts that you ask for are sent there, and owners of projects find you by it. Empty: none.",
    )


class TokenForm(forms.ModelForm):
    class Meta:
        model = ApiToken
        fields = ["name"]
        help_texts = {"name": "What will use it, for example “nightly export”."}
