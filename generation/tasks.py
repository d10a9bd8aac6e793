"""Work that the press leaves to workers: ids in, None out. Each is safe to run twice and to be killed."""

from __future__ import annotations

from celery import shared_task

from generation.services import pulling, trials
from generation.services.growing import desk as persona_desk
from generation.services.growing import growths
from generation.services.growing.claims import reopen_lost_branches
from generation.services.improving import desk as improvement_desk
from generation.services.improving.claims import reopen_lost_items
from generation.services.monitoring import alerts
from generation.services.monitoring import delivery as alert_delivery
from generation.services.running import sinks
from generation.services.running.claims import reopen_lost_slots
from generation.services.work import pullers

from .models import Improvement, PassageVector, PersonaGrowth, Run


@shared_task
def tick() -> None:
    """Beat's heartbeat: open what dead workers held, and call for workers where work has too few."""
    reopen_lost_slots()
    reopen_lost_items()
    reopen_lost_branches()
    for run in Run.objects.filter(state=Run.State.RUNNING).order_by("pk"):
        call_for_workers(run)
    for run_id in sinks.runs_waiting():
        deliver.apply_async([run_id], expires=6)
    trials.fail_forgotten_trials()
    for growth in PersonaGrowth.objects.filter(state=PersonaGrowth.State.RUNNING).order_by("pk"):
        call_to_grow(growth)
    for improvement in Improvement.objects.filter(state=Improvement.State.RUNNING).order_by("pk"):
        call_to_improve(improvement)
    if alert_delivery.is_due():
        deliver_alerts.apply_async(expires=6)


@shared_task
def look_for_alerts() -> None:
    """Beat's slower heartbeat: which alert rules are broken. The next tick has the new alerts delivered."""
    alerts.look()


@shared_task
def forget_vectors() -> None:
    """Beat's slowest heartbeat: vectors of passages that nobody has read for long."""
    PassageVector.objects.forget_unused()


@shared_task
def deliver_alerts() -> None:
    """Tell those who are to be told; the next tick sees to what is left."""
    alert_delivery.deliver()


def call_for_workers(run: Run) -> None:
    """One hint for each worker process that the run lacks. Hints expire: the next tick makes new ones."""
    if not pulling.has_work(run_id=run.pk):
        return
    for _ in range(pullers.pullers_wanted(run.spec["concurrency"]) - pullers.pullers_of(run)):
        pull_run.apply_async([run.pk], expires=6)


@shared_task
def pull_run(run_id: int) -> None:
    """Make conversations of a run until none is left, the run is stopped, or another run needs the room."""
    pulling.pull(run_id=run_id)


@shared_task
def deliver(run_id: int) -> None:
    """Hand the finished conversations of a run to the sinks of its recipe; the next tick sees to what is left."""
    sinks.deliver(run_id=run_id)


@shared_task
def run_trial(trial_id: int) -> None:
    """The test, preview or draft that somebody waits for."""
    trials.carry_out(trial_id=trial_id)


def call_to_grow(growth: PersonaGrowth) -> None:
    """A hint for a worker, where nobody is at a growth that has something left to do."""
    if growths.has_work(growth_id=growth.pk) and not pullers.pullers_of(growth):
        grow_personas.apply_async([growth.pk], expires=6)


@shared_task
def grow_personas(growth_id: int) -> None:
    """A slice of growing personas; the next tick sees to what is left."""
    persona_desk.pull(growth_id=growth_id)


def call_to_improve(improvement: Improvement) -> None:
    """A hint for a worker, where nobody is at an improvement that has something left to do."""
    if improvement_desk.has_work(improvement_id=improvement.pk) and not pullers.pullers_of(improvement):
        improve.apply_async([improvement.pk], expires=6)


@shared_task
def improve(improvement_id: int) -> None:
    """A slice of improving conversations; the next tick sees to what is left."""
    improvement_desk.pull(improvement_id=improvement_id)
