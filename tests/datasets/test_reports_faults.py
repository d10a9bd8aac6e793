"""A worker that is killed while it makes a report."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from datasets import tasks
from datasets.filters import ConversationFilter
from datasets.models import Project, Report, User
from datasets.services.publishing import reports
from tests.datasets.test_exports_faults import killed_at
from tests.factories import make_conversation

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_killed_report_is_made_whole_by_the_next_worker(project: Project, owner: User) -> None:
    for n in range(5):
        make_conversation(project, f"Question {n}?", "Yes.")
    report = reports.start_report(project=project, actor=owner, filter=ConversationFilter())
    killed_at("make_report", report.pk)
    report.refresh_from_db()
    assert (report.state, report.rows_read, report.result) == ("running", 2, None)
    assert list(Report.objects.waiting()) == []
    Report.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    tasks.make_report(report.pk)
    report.refresh_from_db()
    assert (report.state, report.rows_read, report.attempts) == ("done", 5, 2)
    assert report.result["summary"]["words"] == 15
