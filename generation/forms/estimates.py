"""What is said in place of an estimate."""

from __future__ import annotations

from django import forms


def unfinished(form: forms.Form) -> str:
    """Which fields of an invalid form stand in the way, as the page calls them."""
    labels = [str(form[name].label) for name in form.errors if name in form.fields]
    return f"Complete the form for an estimate{': ' if labels else ''}{', '.join(labels)}."
