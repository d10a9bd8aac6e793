"""The Celery application, the pulse by which pages know that a worker listens, and the word that it is closing."""

from __future__ import annotations

import os

from celery import Celery, platforms, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "afterimage_web.settings")
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")  # a worker serves no page, and Django's checks import all of them

app = Celery("afterimage_web")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.worker_ready.connect
@signals.heartbeat_sent.connect
def show_pulse(**_: object) -> None:
    """Say on the shared board which queues this worker listens to."""
    from datasets import pulse

    pulse.beat(app.amqp.queues.consume_from)


@signals.worker_ready.connect
def say_that_it_is_open(**_: object) -> None:
    from generation.services.work import pullers

    pullers.announce_open()


@signals.worker_shutting_down.connect
def say_that_it_closes(**_: object) -> None:
    """Lets the children give their claims back, so that another worker goes on at once."""
    from generation.services.work import pullers

    pullers.announce_closing()


@signals.beat_embedded_init.connect
def end_with_the_worker(**_: object) -> None:
    """The clock ends when its worker is killed, as the worker's other children do."""
    platforms.set_pdeathsig("SIGKILL")
