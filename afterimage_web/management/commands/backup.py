"""`python manage.py backup FILE`: everything that cannot be made anew, also while people work."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from afterimage_web import embedded
from afterimage_web.management import archiving


class Command(BaseCommand):
    help = "Write the database, the uploads and exports, and the keys to a tar file, also while people work."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="where to; what is there already is replaced")

    def handle(self, *, file: Path, **_: Any) -> None:
        if not file.absolute().parent.is_dir():
            raise CommandError(f"There is no folder {file.absolute().parent}: make it first.")
        try:
            with embedded.running(settings.DATA_DIR, workers=False, say=lambda _: None):
                size = archiving.back_up(file.absolute())
        except (embedded.EmbeddedError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{file} holds everything ({size / 2**20:.1f} MB), also the keys: keep it where it is safe.")
