"""A folder into a corpus without a browser: `manage.py ingest PROJECT FOLDER --corpus NAME`."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from datasets.models import Corpus, Document, Project, SourceFile
from tests.datasets.ingesting import CAT, DOG, add, read
from tests.factories import make_corpus

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "manual"
    (folder / "guides" / "de").mkdir(parents=True)
    (folder / "notes.txt").write_text("The charger gives 12 volts, and a full battery lasts for nine days of use.\n")
    (folder / "guides" / "notes.txt").write_text(CAT)
    (folder / "guides" / "de" / "notes.txt").write_text(DOG)
    (folder / ".hidden").write_text("not this")
    return folder


def ingest(project: Project, folder: Path, corpus: str | None = "Manual") -> str:
    said = StringIO()
    call_command("ingest", project.slug, folder, corpus=corpus, stderr=said)
    return said.getvalue()


def test_a_folder_becomes_a_corpus_whose_files_keep_their_paths(project: Project, folder: Path) -> None:
    said = ingest(project, folder)
    corpus = project.corpora.get(name="Manual")
    assert "3 read, 0 unchanged, 0 failed; 3 passages" in said
    names = corpus.files.values_list("name", flat=True)
    assert sorted(names) == ["guides/de/notes.txt", "guides/notes.txt", "notes.txt"]
    assert set(corpus.documents.values_list("title", flat=True)) == {"guides/de/notes", "guides/notes", "notes"}


def test_what_is_there_as_it_is_is_not_read_again(project: Project, folder: Path) -> None:
    ingest(project, folder)
    before = dict(SourceFile.objects.values_list("name", "revision"))
    assert "0 read, 3 unchanged" in ingest(project, folder)
    assert dict(SourceFile.objects.values_list("name", "revision")) == before
    (folder / "notes.txt").write_text("The charger gives 9 volts now, and there is a new sentence about the lamp.\n")
    assert "1 read, 2 unchanged" in ingest(project, folder)
    after = dict(SourceFile.objects.values_list("name", "revision"))
    assert [name for name in after if after[name] != before[name]] == ["notes.txt"]


def test_a_file_of_before_folders_were_kept_is_known_by_its_content(project: Project, folder: Path) -> None:
    corpus = make_corpus(project, name="Manual")
    (folder / "notes.txt").unlink()
    read(add(corpus, "notes.txt", CAT))
    assert "1 read, 1 unchanged" in ingest(project, folder)
    assert sorted(corpus.files.values_list("name", flat=True)) == ["guides/de/notes.txt", "notes.txt"]


def test_a_file_that_was_left_unread_is_read_now(project: Project, folder: Path) -> None:
    corpus = make_corpus(project, name="Manual")
    add(corpus, "notes.txt", (folder / "notes.txt").read_bytes())
    ingest(project, folder)
    assert set(corpus.files.values_list("state", flat=True)) == {SourceFile.State.READY}


def test_a_file_that_cannot_be_read_is_named_and_the_rest_goes_on(project: Project, folder: Path) -> None:
    (folder / "empty.pdf").touch()
    said = StringIO()
    with pytest.raises(CommandError, match="Not every file could be read"):
        call_command("ingest", project.slug, folder, stderr=said)
    assert "empty.pdf: " in said.getvalue()
    assert Document.objects.filter(corpus__name="manual").count() == 3


def test_what_it_cannot_do_is_one_sentence(project: Project, folder: Path) -> None:
    with pytest.raises(CommandError, match=r"There is no project “nowhere”\. The projects are: handbook"):
        call_command("ingest", "nowhere", folder)
    with pytest.raises(CommandError, match="is not a folder: name the folder"):
        call_command("ingest", project.slug, folder / "notes.txt")
    assert not Corpus.objects.exists()
