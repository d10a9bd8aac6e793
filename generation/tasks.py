"""Work that the press leaves to workers: ids in, None out. Each is safe to run twice and to be killed."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from generation.services import trials
from generation.services.growing.claims import reopen_lost_branches
from generation.services.growing.desk import GROWTHS
from generation.services.improving.claims import reopen_lost_items
from generation.services.improving.desk import IMPROVEMENTS
from generation.services.monitoring import alerts
from generation.services.monitoring import delivery as alert_delivery
from generation.services.running import sinks
from generation.services.running.claims import reopen_lost_slots
from generation.services.running.pulling import RUNS
from generation.services.work import pullers
from generation.services.work.pulling import Kind

from .models import PassageVector
from .models.work import Costed


@shared_task
def tick() -> None:
    """Beat's heartbeat: open what dead workers held, and call for workers where work has too few."""
    reopen_lost_slots()
    reopen_lost_items()
    reopen_lost_branches()
    for kind in KINDS:
        for order in kind.running():
            call_for_workers(order)
    for run_id in sinks.runs_waiting():
        deliver.apply_async([run_id], expires=6)
    trials.fail_forgotten_trials()
    if alert_delivery.is_due():
        deliver_alerts.apply_async(expires=6)


@shared_task
def look_for_alerts() -> None:
    """Beat's slower heartbeat: which alert rules are broken. The next tick has the new alerts delivered."""
    alerts.look()


@shared_task
def forget_vectors() -> None:
    """Beat's slowest heartbeat: vectors that nobody has asked for in long, and questions that nobody waits for."""
    PassageVector.objects.forget_unused()
    trials.forget_questions()


@shared_task
def deliver_alerts() -> None:
    """Tell those who are to be told; the next tick sees to what is left."""
    alert_delivery.deliver()


@shared_task
def pull_run(run_id: int) -> None:
    """Make conversations of a run until none is left, the run is stopped, or another run needs the room."""
    RUNS.pull(run_id)


@shared_task
def improve(improvement_id: int) -> None:
    """A slice of improving conversations; the next tick sees to what is left."""
    IMPROVEMENTS.pull(improvement_id)


@shared_task
def grow_personas(growth_id: int) -> None:
    """A slice of growing personas; the next tick sees to what is left."""
    GROWTHS.pull(growth_id)


KINDS: dict[Kind[Any], Task[..., None]] = {RUNS: pull_run, IMPROVEMENTS: improve, GROWTHS: grow_personas}
"""Every kind of order, with the task that works on one."""


def call_for_workers(order: Costed) -> None:
    """One hint for each worker process that an order lacks. Hints expire: the next tick makes new ones."""
    kind = next(kind for kind in KINDS if isinstance(order, kind.orders))
    if not kind.has_work(order):
        return
    for _ in range(pullers.pullers_wanted(order.concurrency) - pullers.pullers_of(order)):
        KINDS[kind].apply_async([order.pk], expires=6)


@shared_task
def deliver(run_id: int) -> None:
    """Hand the finished conversations of a run to the sinks of its recipe; the next tick sees to what is left."""
    sinks.deliver(run_id=run_id)


@shared_task
def run_trial(trial_id: int) -> None:
    """The test, preview or draft that somebody waits for."""
    trials.carry_out(trial_id=trial_id)
