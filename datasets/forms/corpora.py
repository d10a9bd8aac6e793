"""What people type into the pages of the corpora room."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict

from datasets.models import Corpus, SourceFile


class CorpusForm(forms.ModelForm):
    class Meta:
        model = Corpus
        fields = ["name", "description", "chunk_size", "chunk_overlap"]
        labels = {"chunk_size": "Passage length", "chunk_overlap": "Overlap"}
        help_texts = {"description": "What these documents are: a line for your colleagues."}
        widgets = {"description": forms.Textarea(attrs={"rows": 2})}


class AdoptedForm(CorpusForm):
    """Of a corpus that is read from a collection: its texts are cut already."""

    class Meta(CorpusForm.Meta):
        fields = ["name", "description"]


class ManyFilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """Cleans to a list of uploaded files, perhaps of none. An empty file is taken: the page says beside it that it is
    empty."""

    widget = ManyFilesInput

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        return [super(ManyFilesField, self).clean(file, initial) for file in data or []]


class OptionsMixin(forms.Form):
    """Where in a row its text, title and id are; left empty, the reader picks them."""

    column = forms.CharField(
        required=False, max_length=200, label="Text column", help_text="CSV and TSV: the column that holds the text."
    )
    content_key = forms.CharField(
        required=False, max_length=200, label="Text key", help_text="JSONL: the key that holds the text."
    )
    title_key = forms.CharField(
        required=False, max_length=200, label="Title", help_text="The column or key of the title."
    )
    id_key = forms.CharField(
        required=False, max_length=200, label="Id", help_text="The column or key of what a document is called."
    )
    drop_others = forms.BooleanField(
        required=False,
        label="Leave out the other columns or keys",
        help_text="They are kept as the document’s metadata otherwise.",
    )

    @property
    def options(self) -> dict[str, str]:
        """The options that were given, of a valid form."""
        given = {name: value for name in OptionsMixin.base_fields if (value := self.cleaned_data.get(name))}
        return {name: "yes" if value is True else value for name, value in given.items()}


class UploadForm(OptionsMixin):
    use_required_attribute = False  # files, a folder, or both
    files = ManyFilesField(  # type: ignore[assignment]  # Django takes fields out of the class
        label="Files", allow_empty_file=True, help_text="PDF, DOCX, HTML, Markdown, text, RTF, CSV, TSV or JSONL."
    )
    folder = ManyFilesField(
        allow_empty_file=True,
        help_text="Its files keep their paths, those in the folders below too.",
        widget=ManyFilesInput(attrs={"webkitdirectory": True}),
    )
    paths = forms.CharField(required=False, max_length=1_000_000, widget=forms.HiddenInput)
    field_order = ["files", "folder"]

    def clean(self) -> dict[str, Any]:
        super().clean()
        if not self.errors and not self.chosen:
            self.add_error("files", "Choose at least one file.")
        return self.cleaned_data

    @property
    def chosen(self) -> list[UploadedFile]:
        """Hidden files of a folder, as the system's own are, are not meant."""
        folder = [file for file in self.cleaned_data["folder"] if not (file.name or "").startswith(".")]
        return [*self.cleaned_data["files"], *folder]

    def folders(self) -> list[str]:
        """Of a valid form: the folder that each chosen file stood in. Browsers tell names alone; the page's script tells
        these, as a JSON list of the paths of all files that were sent."""
        files = [*self.cleaned_data["files"], *self.cleaned_data["folder"]]
        try:
            paths = json.loads(self.cleaned_data["paths"] or "[]")
        except ValueError:
            return []
        if not isinstance(paths, list) or len(paths) != len(files):
            return []
        by_file = {id(file): str(path).rpartition("/")[0] for file, path in zip(files, paths, strict=True)}
        return [by_file[id(file)] for file in self.chosen]


class ReadingForm(OptionsMixin):
    """How one file is read: the option that its kind has, if it has one."""

    def __init__(self, source: SourceFile, data: QueryDict | None = None) -> None:
        super().__init__(data, initial=source.options)
        shown = {source.option, "title_key", "id_key", "drop_others"} if source.option else set()
        for name in OptionsMixin.base_fields.keys() - shown:
            del self.fields[name]
        for name in (source.option, "title_key", "id_key") if source.option and source.columns else ():
            names = dict.fromkeys([*source.columns, *filter(None, [source.options.get(name)])])
            choices = [("", "Automatic"), *((name, name) for name in names)]
            self.fields[name].widget = forms.Select(choices=choices)


class PasteForm(forms.Form):
    title = forms.CharField(max_length=200)
    text = forms.CharField(
        strip=False,
        widget=forms.Textarea(attrs={"rows": 14}),
        max_length=5_000_000,
        error_messages={"required": "Paste or write some text."},
    )


class PlaceForm(forms.Form):
    """Where a page of a list stands. Unusable values count as absent: an address is never refused for them."""

    def values(self) -> dict[str, Any]:
        self.full_clean()
        return {name: self.cleaned_data.get(name) for name in self.fields}


class FilesForm(PlaceForm):
    state = forms.ChoiceField(required=False, choices=[("open", "Open"), *SourceFile.State.choices])
    after = forms.CharField(required=False)
    before = forms.CharField(required=False)

    def values(self) -> dict[str, Any]:
        return {name: value or None for name, value in super().values().items()}


class DocumentsForm(PlaceForm):
    q = forms.CharField(required=False, max_length=200)
    file = forms.IntegerField(required=False)
    after = forms.IntegerField(required=False)
    before = forms.IntegerField(required=False)


class SearchForm(PlaceForm):
    """`asked` is the number under which the question's vector is waited for."""

    q = forms.CharField(required=False, max_length=2_000)
    asked = forms.IntegerField(required=False, min_value=1)


class SpanForm(PlaceForm):
    """What a link into a document points to: a stretch in characters, a passage, or a part by its number."""

    start = forms.IntegerField(required=False, min_value=0)
    end = forms.IntegerField(required=False, min_value=0)
    passage = forms.IntegerField(required=False)
    part = forms.IntegerField(required=False, min_value=1)
