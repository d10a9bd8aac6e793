"""What people choose when they bring conversations along."""

from __future__ import annotations

from django import forms


class ImportForm(forms.Form):
    file = forms.FileField(
        label="File",
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"accept": ".jsonl,.ndjson,.json"}),
        help_text="JSONL in UTF-8: rows, structured rows and preference pairs of the AfterImage library, messages, "
        "ShareGPT, or pairs as TRL reads them.",
        error_messages={"required": "Choose a file."},
    )
