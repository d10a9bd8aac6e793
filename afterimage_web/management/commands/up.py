"""`python manage.py up`: the whole application on this machine, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from afterimage_web.embedded import EmbeddedError
from afterimage_web.embedded.programs import WebAddress
from afterimage_web.embedded.stack import own
from afterimage_web.embedded.supervisor import Supervisor
from afterimage_web.first_start import welcome
from datasets.services.errors import Refused


class Command(BaseCommand):
    help = "Start the database, the queue, the vector index, workers and the web server; Ctrl-C stops them all."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--data", type=Path, help="data folder (default: AFTERIMAGE_DATA, or data/ in the project)")

    def handle(self, *, host: str, port: int, data: Path | None, **_: Any) -> None:
        if data and data.resolve() != settings.DATA_DIR.resolve():
            start_over(data, host, port)
        os.umask(0o077)  # uploads and exports are nobody else's business
        for ending in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(ending) is signal.SIG_DFL:  # under nohup SIGHUP stays ignored
                signal.signal(ending, stop)
        if host not in ("127.0.0.1", "localhost", "::1") and not os.environ.get("ALLOWED_HOSTS"):
            self.say("Only this machine's own names are answered: list others in ALLOWED_HOSTS, separated by commas.")
        web = WebAddress(host, port)
        # For workers as well: mails and webhooks lead to the address that is listened on.
        os.environ.setdefault("SITE_URL", web.url.rstrip("/"))
        try:
            with own(settings.DATA_DIR, workers=True, web=web, say=self.say) as supervisor:
                self.serve(supervisor, web.url)
        except EmbeddedError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.say("Stopped.")

    def serve(self, supervisor: Supervisor, url: str) -> None:
        """Greet in a thread of its own, so that Ctrl-C and a failing process are noticed whatever the greeting does."""
        threading.Thread(target=self.greet, args=(supervisor, url), daemon=True).start()
        try:
            supervisor.wait()
        except KeyboardInterrupt:
            self.say("Stopping; Ctrl-C again does not wait for work in progress.")
            raise

    def greet(self, supervisor: Supervisor, url: str) -> None:
        try:
            welcome(settings.DATA_DIR, url, say=self.say)
        except Refused as refusal:
            self.say(f"The sample could not be finished: {refusal}")
            self.say(f"AfterImage is at {url} (Ctrl-C stops it).")
        except Exception:
            if not supervisor.stopping:
                traceback.print_exc()

    def say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()


def stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def start_over(data: Path, host: str, port: int) -> None:
    """Run this command anew with another data folder: the settings have been read by now."""
    environment = os.environ | {"AFTERIMAGE_DATA": str(data.resolve())}
    command = [sys.executable, sys.argv[0], "up", "--host", host, "--port", str(port)]
    os.execve(sys.executable, command, environment)  # noqa: S606 - no shell is wanted
