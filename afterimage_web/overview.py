"""What an administrator sees first in the admin panel: what is away, what is at work, what it has cost."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Min, Model, Q, QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince

from afterimage_web.health import failing_parts, queues
from datasets import pulse
from datasets.models import BulkAction, Export, Import, PersonaImport, Report, SourceFile
from datasets.secrets import Undecryptable
from generation.models import Call, EndpointKey, Improvement, PersonaGrowth, Run, Trial

PARTS = {
    "database": "Database",
    "redis": "Queue (Valkey or Redis)",
    "vectors": "Search index (Qdrant)",
    "files": "Folder of files",
}
QUIET = timedelta(minutes=5)
"""After which work that should move, and does not, is pointed out."""
SCARCE = 2**30
"""Bytes of free space from which on down it is pointed out."""
DAYS = 30
SHOWN = 50
"""Rows of a table at most."""
KEYS_TRIED = 500

Table = dict[str, list[Any]]


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds the tables of the admin panel's first page for who sees everything; others find the panel's own list there."""
    if request.user.is_superuser:
        context |= {"parts": parts(), "work": work(), "spending": spending(), "days": DAYS}
    return context


def parts() -> Table:
    failing = failing_parts()
    rows = [[name, "⚠ Does not work" if part in failing else "Works"] for part, name in PARTS.items()]
    disk = shutil.disk_usage(settings.DATA_DIR)
    room = f"{disk.free / 2**30:.1f} of {disk.total / 2**30:.1f} GB free"
    rows.append(["Disk of the data folder", room if disk.free > SCARCE else f"⚠ {room}"])
    rows += [[f"Workers of the queue “{queue}”", _heard(pulse.silence(queue))] for queue in queues()]
    if sealed := _unreadable_keys():
        rows.append(["Keys of endpoints", f"⚠ {sealed} cannot be opened with ENCRYPTION_KEYS: enter them again"])
    return {"headers": ["Part", "State"], "rows": rows}


def _heard(silence: int | None) -> str:
    if silence is None:
        return "⚠ Never heard of"
    return "Listening" if silence <= pulse.FRESH else f"⚠ Last heard of {silence} s ago"


def _unreadable_keys() -> int:
    return sum(not _opens(key) for key in EndpointKey.objects.order_by("-pk")[:KEYS_TRIED])


def _opens(key: EndpointKey) -> bool:
    try:
        key.reveal()
    except Undecryptable:
        return False
    return True


# -- what is at work --------------------------------------------------------------------------------------------------


def work() -> Table:
    """Orders one by one, with when anything of them last ended; the rest by kind."""
    rows = [*_runs(), *_improvements(), *_growths(), *_others()]
    return {"headers": ["Work", "Project", "Done", "Last sign"], "rows": rows}


def _runs() -> Iterable[list[Any]]:
    for run in Run.objects.filter(state=Run.State.RUNNING).select_related("project")[:SHOWN]:
        ended = Q(state="done") | ~Q(error_kind="")  # the condition of an index
        last = run.slots.filter(ended).aggregate(last=Max("updated"))["last"]
        done = f"{run.slots_done + run.slots_failed} of {run.slots_total}"
        yield [_link(run, f"Run “{run.name}”"), run.project, done, _sign(last or run.started or run.created)]


def _improvements() -> Iterable[list[Any]]:
    running = Improvement.objects.filter(state=Improvement.State.RUNNING).select_related("project")
    for row in running.annotate(last=Max("items__updated"))[:SHOWN]:
        done = f"{row.made + row.failed} of {row.total}"
        yield [_link(row, f"Improvement {row.pk}"), row.project, done, _sign(row.last or row.created)]


def _growths() -> Iterable[list[Any]]:
    running = PersonaGrowth.objects.filter(state=PersonaGrowth.State.RUNNING).select_related("project")
    for row in running.annotate(last=Max("branches__updated"))[:SHOWN]:
        name = f"Personas from “{row.corpus_name}”"
        yield [_link(row, name), row.project, f"{row.personas} personas", _sign(row.last or row.created)]


def _others() -> Iterable[list[Any]]:
    open_rows: list[QuerySet[Any]] = [
        SourceFile.objects.filter(state__in=SourceFile.OPEN),
        Export.objects.filter(state__in=[Export.State.WAITING, Export.State.WRITING]),
        Report.objects.filter(state__in=[Report.State.WAITING, Report.State.RUNNING]),
        Import.objects.filter(state=Import.State.RUNNING),
        PersonaImport.objects.filter(state=PersonaImport.State.RUNNING),
        BulkAction.objects.filter(state__in=BulkAction.ACTIVE),
        Trial.objects.filter(state__in=[Trial.State.WAITING, Trial.State.RUNNING]),
    ]
    for rows in open_rows:
        found = rows.aggregate(n=Count("pk"), since=Min("created"))
        if found["n"]:
            opts = rows.model._meta
            name = opts.verbose_name if found["n"] == 1 else opts.verbose_name_plural
            address = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
            yield [
                format_html('<a class="underline" href="{}">{} {}</a>', address, found["n"], name),
                "",
                "",
                f"the oldest from {timesince(found['since'], depth=1)} ago",
            ]


def _link(row: Model, name: str) -> str:
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a class="underline" href="{}">{}</a>', address, name)


def _sign(last: datetime) -> str:
    """When it last moved, which is pointed out where it should have since."""
    quiet = timezone.now() - last
    said = f"{timesince(last, depth=1)} ago"
    return said if quiet < QUIET else f"⚠ nothing for {timesince(last, depth=1)}"


# -- what it has cost -------------------------------------------------------------------------------------------------


def spending() -> Table:
    """The projects that have called models in the last days, the dearest first."""
    recent = Call.objects.filter(created__gte=timezone.now() - timedelta(days=DAYS)).order_by()
    day = Q(created__gte=timezone.now() - timedelta(days=1))
    sums = recent.values("project__name").annotate(
        calls=Count("pk"),
        tokens=Sum("prompt_tokens") + Sum("completion_tokens"),
        money=Sum("cost"),
        today=Sum("cost", filter=day),
    )
    rows = [
        [
            row["project__name"],
            f"{row['calls']:,}",
            f"{row['tokens']:,}",
            f"{row['money']:.2f}",
            f"{row['today'] or 0:.2f}",
        ]
        for row in sums.order_by("-money", "-tokens")[:SHOWN]
    ]
    return {"headers": ["Project", "Calls", "Tokens", "Money", "Of it in the last 24 hours"], "rows": rows}
