"""The steps by which somebody else's collection becomes a corpus: its server, the collection, what is read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from datasets import secrets
from datasets.addresses import check_web_address
from datasets.foreign_index import DenseVector
from datasets.models import AdoptedCollection
from datasets.models.adopted import MOST_POINTS


def check_key(key: str) -> None:
    if not (key.isascii() and key.isprintable()):
        raise ValidationError("A key has plain letters, digits and signs only: copy it again.")


class KeyField(forms.CharField):
    """An API key: it goes in and never comes out."""

    widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(label="API key", required=False, max_length=500, validators=[check_key], **kwargs)


class ServerForm(forms.Form):
    """Where the server is. Between the steps the page holds the key, encrypted together with the address it is for."""

    url = forms.CharField(
        label="Address",
        max_length=300,
        validators=[check_web_address],
        help_text="Of a Qdrant server. Its port is 6333 unless you name one.",
        widget=forms.URLInput(attrs={"placeholder": "https://qdrant.example.org"}),
    )
    key = KeyField(help_text="Only if the server wants one. It is encrypted, and never shown again.")
    sealed = forms.CharField(required=False, max_length=4_000, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        super().clean()
        data = self.cleaned_data
        data["url"] = data.get("url", "").rstrip("/")
        data["key"] = data.get("key") or self._unsealed()
        self.data = {**self.data.dict(), "sealed": self._sealed()}
        if data["key"]:
            self.fields["key"].help_text = "The key that you entered is used: leave empty to keep it."
        return data

    def _sealed(self) -> str:
        key = self.cleaned_data["key"]
        return secrets.encrypt(f"{self.cleaned_data['url']}\n{key}").decode() if key else ""

    def _unsealed(self) -> str:
        """A key belongs to the server that it was entered for: it is never sent to another address."""
        try:
            url, _, key = secrets.decrypt(self.cleaned_data.get("sealed", "").encode()).partition("\n")
        except secrets.Undecryptable:
            return ""
        return key if url == self.cleaned_data["url"] else ""


class CollectionForm(forms.Form):
    collection = forms.ChoiceField(error_messages={"invalid_choice": "There is no such collection: choose another."})

    def __init__(self, names: Sequence[str], data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.fields["collection"].choices = [("", "Choose one"), *((name, name) for name in names)]
        # The page asks for the next step as soon as one is chosen.
        self.fields["collection"].widget.attrs |= {"hx-post": "", "hx-target": "#adopt", "hx-trigger": "change"}


class ReadingForm(forms.Form):
    """What is read of a collection. Keys are typed, with those of its first points offered."""

    content_key = forms.CharField(
        label="Text", max_length=200, help_text="The payload key that holds the text; nested ones with dots."
    )
    title_key = forms.CharField(label="Title", required=False, max_length=200)
    id_key = forms.CharField(
        label="Id", required=False, max_length=200, help_text="What a document is called; else its point’s id."
    )
    max_docs = forms.IntegerField(
        label="Copy at most",
        initial=10_000,
        min_value=1,
        max_value=MOST_POINTS,
        help_text="Questions are asked about these.",
    )
    vector = forms.ChoiceField(
        label="Searched by", required=False, help_text="Answers are retrieved by it, in the whole collection."
    )
    score_threshold = forms.FloatField(
        label="Score threshold", required=False, help_text="Empty: the nearest points, however far they are."
    )

    def __init__(
        self,
        vectors: Sequence[DenseVector],
        data: Mapping[str, Any] | None = None,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        for name in ("content_key", "title_key", "id_key"):
            self.fields[name].widget.attrs |= {"list": "payload-keys", "autocomplete": "off", "spellcheck": "false"}
        self.fields["vector"].choices = [(vector.name, described(vector)) for vector in vectors]
        if not vectors:
            self.fields["vector"].choices = [("", "It has no vectors")]

    def clean_score_threshold(self) -> float | None:
        value = self.cleaned_data["score_threshold"]
        if value is not None and not abs(value) < 1e30:
            raise ValidationError("Enter a number.")
        return value


class AdoptForm(ReadingForm):
    name = forms.CharField(max_length=100, help_text="Of the corpus.")
    description = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2}), help_text="A line for your colleagues."
    )


class ChangeForm(ReadingForm):
    key = KeyField(help_text="Leave empty to keep what is stored.")


def described(vector: DenseVector) -> str:
    return f"{vector.name or 'The vector without a name'}: {vector.size} dimensions, {vector.distance}"


def reading_of(adopted: AdoptedCollection) -> dict[str, Any]:
    """What the form begins with."""
    names = ("content_key", "title_key", "id_key", "max_docs", "vector", "score_threshold")
    return {name: getattr(adopted, name) for name in names}
