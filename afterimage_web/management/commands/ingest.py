"""A folder of documents into a corpus, without a browser."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from afterimage_web import embedded
from afterimage_web.management.folders import corpus_named, read_folder
from datasets.models import Corpus, Project
from datasets.services.errors import Refused


class Command(BaseCommand):
    help = "Read a folder of documents into a corpus. What is there already, as it is, is not read again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="slug of the project, as in its address")
        parser.add_argument("folder", type=Path, help="folder of documents; folders below it are read too")
        parser.add_argument("--corpus", metavar="NAME", help="name of the corpus; else that of the folder")

    def handle(self, **options: Any) -> None:
        folder: Path = options["folder"]
        if not folder.is_dir():
            raise CommandError(f"{folder} is not a folder: name the folder that holds your documents.")
        try:
            with embedded.running(settings.DATA_DIR, workers=False, say=self.say):
                self.ingest(folder, options["project"], options["corpus"] or folder.resolve().name)
        except (embedded.EmbeddedError, Refused) as error:
            raise CommandError(str(error)) from error

    def say(self, sentence: str) -> None:
        tqdm.write(sentence, file=self.stderr)

    def ingest(self, folder: Path, slug: str, name: str) -> None:
        corpus = corpus_named(project_named(slug), name[:100])
        if corpus.adopted_id:
            raise Refused(f"“{corpus}” is read from a collection: name another corpus.")
        tally = read_folder(folder, corpus, self.say)
        passages = Corpus.objects.with_totals().get(pk=corpus.pk).passage_total
        self.say(
            f"“{corpus}”: {tally.read} read, {tally.unchanged} unchanged, {tally.failed} failed; {passages} passages."
        )
        if tally.failed:
            raise CommandError("Not every file could be read: see above.")


def project_named(slug: str) -> Project:
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        known = ", ".join(Project.objects.values_list("slug", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no project “{slug}”. The projects are: {known}.")
    return project
