"""The Celery application, and the pulse by which pages know that a worker listens."""

from __future__ import annotations

import os

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "afterimage_web.settings")

app = Celery("afterimage_web")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.worker_ready.connect
@signals.heartbeat_sent.connect
def show_pulse(**_: object) -> None:
    """Say on the shared board which queues this worker process listens to."""
    from datasets import pulse

    pulse.beat(app.amqp.queues.consume_from)
