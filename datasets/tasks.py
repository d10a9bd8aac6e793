"""Work that the archive leaves to workers: ids in, None out. Each is safe to run twice and to be killed."""

from __future__ import annotations

from functools import partial

from celery import shared_task
from django.core.management import call_command
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from datasets.models import Corpus, Export, PersonaImport, Report, SourceFile, User
from datasets.services import accounts
from datasets.services.collecting import ingest
from datasets.services.curating import bulk, imports
from datasets.services.personas import importing as personas_import
from datasets.services.publishing import exports, reports

AT_ONCE = 500
"""Files that one tick hands out; the next one goes on from there."""
EXPIRES = 15.0
"""Seconds after which a reminder is dropped: the next tick reminds again."""


@shared_task
def ingest_file(file_id: int) -> None:
    ingest.ingest(file_id)


@shared_task
def clear_corpus(corpus_id: int) -> None:
    ingest.clear_corpus(corpus_id)


@shared_task
def write_export(export_id: int) -> None:
    exports.write_export(export_id=export_id)


@shared_task
def make_report(report_id: int) -> None:
    reports.make_report(report_id=report_id)


@shared_task
def carry_on_bulk(action_id: int) -> None:
    while bulk.advance(action_id=action_id):
        pass


@shared_task
def carry_on_import(import_id: int) -> None:
    while imports.advance(import_id=import_id):
        pass


@shared_task
def carry_on_persona_import(import_id: int) -> None:
    personas_import.carry_on(import_id=import_id)


def bring_in_personas(row: PersonaImport) -> None:
    """At once where that is quick, else by a worker."""
    if personas_import.is_quick(row):
        carry_on_persona_import(row.pk)
    else:
        transaction.on_commit(partial(carry_on_persona_import.delay, row.pk), robust=True)


@shared_task(autoretry_for=(OSError,), retry_backoff=5, max_retries=5)
def send_email_confirmation(user_id: int, email: str) -> None:
    user = User.objects.get(pk=user_id)
    link = reverse("datasets:email-confirm", args=[accounts.token_for(user=user, email=email)])
    accounts.send_confirmation(user=user, email=email, link=link)


@shared_task
def forget_sessions() -> None:
    """Of people who were logged out by time."""
    call_command("clearsessions")


@shared_task
def tick() -> None:
    """Remind the workers of whatever is left to do: what is new, and what somebody was killed over."""
    files = SourceFile.objects.free(timezone.now()).order_by("created").values_list("pk", flat=True)
    for file_id in files[:AT_ONCE]:
        ingest_file.apply_async((file_id,), expires=EXPIRES)
    for corpus_id in Corpus.with_deleted.exclude(deleted=None).values_list("pk", flat=True):
        clear_corpus.apply_async((corpus_id,), expires=EXPIRES)
    for export_id in Export.objects.waiting().values_list("pk", flat=True):
        write_export.apply_async((export_id,), expires=EXPIRES)
    for report_id in Report.objects.waiting().values_list("pk", flat=True):
        make_report.apply_async((report_id,), expires=EXPIRES)
    for action_id in bulk.left_lying():
        carry_on_bulk.apply_async((action_id,), expires=EXPIRES)
    for import_id in imports.left_lying():
        carry_on_import.apply_async((import_id,), expires=EXPIRES)
    for import_id in personas_import.left_lying():
        carry_on_persona_import.apply_async((import_id,), expires=EXPIRES)
