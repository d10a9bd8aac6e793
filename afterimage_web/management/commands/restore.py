"""`python manage.py restore FILE`: puts back what `backup` has written, while nothing else runs."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from afterimage_web.embedded import EmbeddedError
from afterimage_web.embedded.stack import own
from afterimage_web.health import queues
from afterimage_web.management import archiving
from datasets import pulse


class Command(BaseCommand):
    help = "Put back what `backup` has written, into an empty installation, while nothing else runs."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="what `backup` has written, - for the standard input")
        parser.add_argument("--replace", action="store_true", help="lose the projects that are there now")

    def handle(self, *, file: Path, replace: bool, **_: Any) -> None:
        os.umask(0o077)
        try:
            with own(settings.DATA_DIR, workers=False, say=lambda _: None):
                if any(map(pulse.listens, queues())):
                    raise CommandError(
                        "Workers are at work here: stop them and the web server, and wait half a minute."
                    )
                files = self.restore(file, replace)
        except EmbeddedError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Restored. Start everything: workers then read {files} files again for the search index.")

    def restore(self, file: Path, replace: bool) -> int:
        if file != Path("-"):
            return archiving.restore(file, replace=replace)
        with tempfile.NamedTemporaryFile(dir=settings.DATA_DIR) as whole:
            shutil.copyfileobj(sys.stdin.buffer, whole)
            whole.flush()
            return archiving.restore(Path(whole.name), replace=replace)
