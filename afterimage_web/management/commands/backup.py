"""`python manage.py backup FILE`: everything that cannot be made anew, also while people work."""

from __future__ import annotations

import shutil
import sys
import tempfile
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
        parser.add_argument(
            "file", type=Path, help="where to, - for the standard output; what is there already is replaced"
        )

    def handle(self, *, file: Path, **_: Any) -> None:
        try:
            with embedded.running(settings.DATA_DIR, workers=False, say=lambda _: None):
                size = self.pour() if file == Path("-") else self.keep(file.absolute())
        except (embedded.EmbeddedError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stderr.write(
            f"The backup holds everything ({size / 2**20:.1f} MB), also the keys: keep it where it is safe."
        )

    def keep(self, file: Path) -> int:
        if not file.parent.is_dir():
            raise CommandError(f"There is no folder {file.parent}: make it first.")
        return archiving.back_up(file)

    def pour(self) -> int:
        """Through a file, so that a backup that fails halfway gives nothing."""
        with tempfile.TemporaryDirectory(dir=settings.DATA_DIR) as folder:
            size = archiving.back_up(whole := Path(folder, "all.tar"))
            with whole.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
        return size
