"""The life of a run, from launch to its end, as changes of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from datasets.models import Activity, Batch, Passage, Project, User
from datasets.services.errors import Refused
from generation.engine import sampling
from generation.engine.recipe import Budget
from generation.engine.recipe import Recipe as RecipeSpec
from generation.frozen import Expected, Frozen
from generation.models import Recipe, Run, Slot
from generation.services.running import document_casting, persona_pool
from generation.services.running.estimating import estimate_frozen, slots_of
from generation.services.running.freezing import freeze
from generation.services.work import pullers
from generation.services.work.orders import change_state, run_again

UNFINISHED = [Run.State.RUNNING, Run.State.PAUSED, Run.State.STOPPED]


@transaction.atomic
def start_run(
    *, project: Project, spec: RecipeSpec, user: User | None, name: str = "", recipe: Recipe | None = None
) -> Run:
    """A launched run with all of its slots, each with its seed, turns, persona and reserved passages."""
    frozen = freeze(project=project, spec=spec)
    passages = passages_of(spec)
    slots = slots_of(spec, len(passages))
    reckoned = estimate_frozen(project=project, spec=spec, frozen=frozen, slots=slots)
    dealt = persona_pool.versions_dealt(project=project, spec=spec)
    frozen = frozen.model_copy(
        update={
            "expected": Expected(tokens=reckoned.tokens / slots, money=reckoned.cost / slots),
            "cast": persona_pool.cast_of(dealt),
        }
    )
    run = _create_run(project=project, spec=spec, frozen=frozen, user=user, name=name, recipe=recipe, slots=slots)
    _write_slots(run, plan_of(spec, passages, slots, tuple(dealt)), document_casting.versions_of(spec) | dealt)
    return run


USED = """
    SELECT passage, count(*) FROM generation_slot AS slot
    JOIN generation_run AS run ON run.id = slot.run_id, unnest(slot.context) AS passage
    WHERE run.corpus_id = %s AND slot.state = 'done' GROUP BY passage
"""


def _used(spec: RecipeSpec) -> dict[int, int]:
    """In how many conversations of all runs each passage of the corpus was asked about."""
    with connection.cursor() as cursor:
        cursor.execute(USED, [spec.corpus])
        return dict(cursor.fetchall())


def plan_of(
    spec: RecipeSpec, passages: Sequence[int], slots: int, personas: Sequence[int]
) -> Iterable[sampling.SlotPlan]:
    """What each slot is asked to be. `personas` are dealt evenly; with personas of documents, those ask about their own."""
    plans = sampling.plan(
        slots,
        seed=spec.seed,
        max_turns=spec.max_turns,
        passages=passages,
        contexts=spec.contexts,
        personas=personas,
        batch=spec.questions.batch,
        used=_used(spec) if spec.questions.fresh else None,
    )
    return document_casting.cast_by_document(spec, plans, passages=len(passages), slots=slots)


def _write_slots(run: Run, plans: Iterable[sampling.SlotPlan], versions: Mapping[int, int]) -> None:
    """By COPY: a hundred thousand slots take a second, inside the request that launches them.

    `versions` are those that are in use now, by persona.
    """
    columns = (
        "run_id, index, batch, leads, opening, sketch, seed, turns, context, persona_id, "
        "persona_version_id, state, attempts, error_kind, "
        "error, delivered, updated"
    )
    now = timezone.now()
    with connection.cursor() as cursor, cursor.copy(f"COPY generation_slot ({columns}) FROM STDIN") as copy:
        for plan in plans:
            row: tuple[object, ...] = (
                run.pk,
                plan.index,
                plan.batch,
                plan.leads,
                "",
                [],
                plan.seed,
                plan.turns,
                list(plan.contexts),
            )
            copy.write_row(
                (*row, plan.persona, versions.get(plan.persona or 0), Slot.State.PENDING.value, 0, "", "", True, now)
            )


def passages_of(spec: RecipeSpec) -> list[int]:
    """What the contexts of a recipe are dealt from. Raises Refused when its corpus has nothing to ask about yet."""
    if spec.corpus is None:
        return []
    passages = list(Passage.objects.filter(corpus=spec.corpus).order_by("pk").values_list("pk", flat=True))
    if not passages:
        raise Refused("This corpus has no passages yet: add documents and wait until they are read.", field="corpus")
    return passages


def _create_run(
    *,
    project: Project,
    spec: RecipeSpec,
    frozen: Frozen,
    user: User | None,
    name: str,
    recipe: Recipe | None,
    slots: int,
) -> Run:
    name = name.strip() or _usual_name(project, frozen)
    batch = Batch.objects.create(project=project, kind=Batch.Kind.RUN, name=name[:120])
    run = Run.objects.create(
        project=project,
        batch=batch,
        name=batch.name,
        recipe=recipe,
        corpus_id=spec.corpus,
        spec=spec.model_dump(mode="json"),
        frozen=frozen.model_dump(mode="json"),
        offline=frozen.offline,
        slots_total=slots,
        created_by=user,
    )
    note(run, user, f"launched the run “{run.name}” of {run.slots_total} conversations")
    return run


def _usual_name(project: Project, frozen: Frozen) -> str:
    """The corpus and the minute; numbered where that minute saw others begin."""
    name = f"{(frozen.corpus_name or 'Ungrounded')[:90]} · {timezone.localtime():%d %b %H:%M}"
    same = Batch.objects.filter(project=project, name__startswith=name).count()
    return f"{name} ({same + 1})" if same else name


def note(run: Run, user: User | None, text: str) -> None:
    Activity.objects.create(
        project_id=run.project_id, actor=user, text=text[:300], path=f"/p/{run.project.slug}/runs/{run.pk}/"
    )


def pause_run(*, run: Run, user: User) -> None:
    """No new conversation starts; those in flight are finished."""
    if change_state(run, to=Run.State.PAUSED, among=[Run.State.RUNNING]):
        note(run, user, f"paused the run “{run.name}”")


def resume_run(*, run: Run, user: User) -> None:
    """Carry on after a pause, a stop or a failure that has been mended."""
    if finish_run(run):
        return
    if run.slots_open == 0:
        raise Refused("Nothing is left to do in this run; “Retry failed” tries its failed conversations again.")
    among = [Run.State.PAUSED, Run.State.STOPPED, Run.State.FAILED]
    if change_state(run, to=Run.State.RUNNING, among=among):
        pullers.wake(run)
        note(run, user, f"resumed the run “{run.name}”")


@transaction.atomic
def cancel_run(*, run: Run, user: User) -> None:
    """Stop for good: what is in flight is dropped, what has landed stays."""
    among = [Run.State.RUNNING, Run.State.PAUSED, Run.State.STOPPED, Run.State.FAILED]
    # Slots before the run, as a landing locks them: the other way round the two would wait for each other.
    run.pieces.cancel()
    if change_state(run, to=Run.State.CANCELLED, among=among, reason=f"Cancelled by {user}.", end=True):
        note(run, user, f"cancelled the run “{run.name}”")


@transaction.atomic
def retry_failed(*, run: Run, user: User) -> int:
    """Open the failed slots again. Returns how many there were."""
    count = run.pieces.retry(error_kind="")
    if count:
        if not run_again(run, slots_failed=F("slots_failed") - count):
            raise Refused("A cancelled run stays cancelled: launch a new one with the same recipe.")
        note(run, user, f"asked for {count} failed conversations of “{run.name}” again")
    return count


def change_budget(*, run: Run, user: User, budget: Budget) -> None:
    """Give a run a new budget; the recipe that it was launched from stays as it is."""
    spec = {**run.spec, "budget": budget.model_dump(mode="json")}
    Run.objects.filter(pk=run.pk).update(spec=spec)
    run.refresh_from_db()
    note(run, user, f"changed the budget of the run “{run.name}”")


def stop_run(*, run: Run, reason: str) -> None:
    """A stopping rule was met: no new conversation starts, and the page says why."""
    change_state(run, to=Run.State.STOPPED, among=[Run.State.RUNNING], reason=reason, end=True)


def finish_run(run: Run) -> bool:
    """Close the run if every slot has ended. A run that made nothing has failed, whatever else it did."""
    run.refresh_from_db()
    if run.state not in UNFINISHED or run.slots_open > 0:
        return False
    if run.slots_done == 0:
        last = run.slots.filter(state=Slot.State.FAILED).order_by("-updated").values_list("error", flat=True).first()
        reason = f"No conversation could be made. The last error: {last}"
        return change_state(run, to=Run.State.FAILED, among=[run.state], reason=reason, end=True)
    return change_state(run, to=Run.State.DONE, among=[run.state], end=True)
