"""What somebody wants grown from documents."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets.forms.corpora import PlaceForm
from datasets.models import Corpus, Document, Project
from generation.models.endpoints import OFFLINE

SHOWN = 60
"""Documents to tick; those of a corpus that has more are narrowed by their titles."""
AS_NEEDED = "as_needed"
DEPTHS = [
    (AS_NEEDED, "As deep as the conversations need"),
    ("0", "1 layer: 5 a document"),
    ("1", "2 layers: 30 a document"),
    ("2", "3 layers: 155 a document"),
    ("3", "4 layers: 780 a document"),
    ("4", "5 layers: 3 905 a document"),
]


class GrowPlaceForm(PlaceForm):
    """What the address of a fresh form asks for."""

    corpus = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    document = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)


class GrowthForm(forms.Form):
    """Every choice is of the project. `order()` of a valid form are the fields of a service's `Order`."""

    corpus = forms.ModelChoiceField(queryset=None, empty_label=None)
    titles = forms.CharField(
        required=False,
        max_length=200,
        label="Words of the title",
        widget=forms.TextInput(attrs={"placeholder": "all documents"}),
    )
    documents = forms.TypedMultipleChoiceField(
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked: all of them.",
    )
    most = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=1_000_000,
        label="Documents, at most",
        help_text="Empty: all. Those with the fewest personas come first.",
    )
    depth = forms.ChoiceField(
        choices=DEPTHS,
        initial="0",
        label="Layers",
        help_text="Five people are written from each document, then five more around each of them, and so on.",
    )
    conversations = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10_000_000,
        help_text="How many conversations they are for.",
    )
    endpoint = forms.ModelChoiceField(queryset=None, empty_label=None)
    model = forms.CharField(max_length=150, required=False, help_text="Empty: the endpoint's own.")
    concurrency = forms.IntegerField(min_value=1, max_value=64, initial=8, help_text="Calls at the same time.")

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.fields["corpus"].queryset = project.corpora.all()
        self.fields["endpoint"].queryset = project.endpoints.exclude(chat_model="")
        corpus = self._corpus()
        mine = Document.objects.filter(corpus=corpus) if corpus else Document.objects.none()
        matching = mine.matching(title=str(self["titles"].value() or "")[:200]).exclude(pk__in=self._ticked())
        listed = [mine.filter(pk__in=self._ticked()), matching[:SHOWN]]
        self.fields["documents"].choices = [pair for rows in listed for pair in rows.values_list("pk", "title")]
        self.unlisted = max(0, matching.count() - SHOWN)

    def _ticked(self) -> list[int]:
        """Those stay in the list when it is narrowed."""
        return [int(pk) for pk in self["documents"].value() or () if str(pk).isdecimal() and len(str(pk)) < 19]

    def _corpus(self) -> Corpus | None:
        """The one that is chosen now, whether the form is valid or not."""
        try:
            return self.fields["corpus"].clean(self["corpus"].value())
        except forms.ValidationError:
            return None

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if (
            cleaned.get("depth") == AS_NEEDED
            and not cleaned.get("conversations")
            and "conversations" not in self.errors
        ):
            self.add_error("conversations", "Say how many conversations they are for, or choose the layers yourself.")
        return cleaned

    def order(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        as_needed = cleaned["depth"] == AS_NEEDED
        return {
            "corpus": cleaned["corpus"],
            "endpoint": cleaned["endpoint"],
            "model": cleaned["model"].strip(),
            "chosen": cleaned["documents"],
            "titles": cleaned["titles"],
            "most": cleaned["most"],
            "depth": None if as_needed else int(cleaned["depth"]),
            "conversations": cleaned["conversations"],
            "concurrency": cleaned["concurrency"],
        }


def first_choices(project: Project, *, corpus: int | None = None, documents: list[int] | None = None) -> dict[str, Any]:
    """What stands in a fresh form: the corpus asked for or the newest, and a real model where there is one."""
    speakers = project.endpoints.exclude(chat_model="").order_by("-pk")
    of_document = Document.objects.filter(corpus__in=project.corpora.all(), pk__in=documents or ())
    wanted = of_document.values_list("corpus", flat=True).first() or corpus or 0
    chosen = project.corpora.filter(pk=wanted).first() or project.corpora.order_by("-pk").first()
    return {
        "corpus": chosen and chosen.pk,
        "documents": documents or [],
        "endpoint": speakers.exclude(preset=OFFLINE).first() or speakers.first(),
    }
