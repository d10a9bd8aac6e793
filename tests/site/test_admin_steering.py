"""What an administrator does in the panel: sees what is wrong, holds work back, puts people out, deletes what must go."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.core.files.base import ContentFile
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from datasets import pulse
from datasets.models import ApiToken, Conversation, Corpus, Export, Project, SourceFile, User, Version
from generation.models import Call, Endpoint, EndpointKey, Improvement, Run
from tests.factories import make_batch, make_conversation, make_corpus, make_user

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def administrator(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("admin"))
    return client


def make_run(project: Project, **fields: Any) -> Run:
    values = {"name": "Night run", "spec": {"concurrency": 4}, "frozen": {}, "slots_total": 3, **fields}
    run = Run.objects.create(project=project, batch=make_batch(project), **values)
    for index in range(run.slots_total):
        run.slots.create(index=index, seed=index, turns=2)
    return run


def act(client: Client, model: type[Model], action: str, *rows: Model, **more: str) -> HttpResponse:
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return client.post(address, {"action": action, "_selected_action": [row.pk for row in rows], **more})


def told(answer: HttpResponse) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def overview(client: Client) -> str:
    """The panel's first page, as it is read."""
    page = client.get(reverse("admin:index"))
    assert page.status_code == 200
    return " ".join(re.sub(r"<[^>]*>", " ", page.content.decode()).split())


# -- the first page -------------------------------------------------------------------------------------------------------


def test_the_first_page_says_which_parts_work_and_who_listens(administrator: Client, settings: Any) -> None:
    for queue in ("default", "press"):
        pulse.board().delete(f"pulse:{queue}")
    pulse.beat(["press"])
    settings.QDRANT_URL = "unix:///nowhere/vectors.sock"
    page = overview(administrator)
    assert "Database Works" in page
    assert "Search index (Qdrant) ⚠ Does not work" in page
    assert "Workers of the queue “default” ⚠ Never heard of" in page
    assert "Workers of the queue “press” Listening" in page
    assert "GB free" in page


def test_the_first_page_points_out_a_run_that_does_not_move(administrator: Client, project: Project) -> None:
    stuck = make_run(project, name=HOSTILE)
    Run.objects.filter(pk=stuck.pk).update(created=timezone.now() - timedelta(hours=2))
    make_run(project, name="Ended long ago", state="done")
    page = administrator.get(reverse("admin:index")).content.decode()
    assert "nothing for 2" in page
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Ended long ago" not in page


def test_the_first_page_tells_of_files_that_wait(administrator: Client, project: Project) -> None:
    SourceFile.objects.create(corpus=make_corpus(project), name="a.txt", size=1, sha256="0" * 64)
    assert "1 source file the oldest from" in overview(administrator)


def test_the_first_page_sums_what_each_project_has_spent(administrator: Client, project: Project) -> None:
    line = {
        "operation": "answer",
        "model": "m",
        "prompt_tokens": 900,
        "completion_tokens": 100,
        "cost": Decimal("1.25"),
    }
    for days in (0, 3, 60):
        call = Call.objects.create(project=project, **line)
        Call.objects.filter(pk=call.pk).update(created=timezone.now() - timedelta(days=days))
    assert f"{project.name} 2 2,000 2.50 1.25" in overview(administrator)


def test_keys_that_cannot_be_opened_are_counted(administrator: Client, project: Project, settings: Any) -> None:
    endpoint = Endpoint.objects.create(project=project, name="Server", preset="custom", base_url="http://localhost/v1")
    EndpointKey.seal(endpoint, "sk-very-secret-key-1234").save()
    assert "cannot be opened" not in overview(administrator)
    settings.ENCRYPTION_KEYS = ["A" * 43 + "="]
    assert "1 cannot be opened with ENCRYPTION_KEYS" in overview(administrator)


def test_the_first_page_asks_no_more_for_many_runs(
    administrator: Client, project: Project, django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        make_run(project)
    with django_assert_max_num_queries(30):
        overview(administrator)


def test_who_may_only_enter_the_panel_sees_nothing_of_projects_there(client: Client, project: Project) -> None:
    make_run(project, name="Secret run")
    client.force_login(make_user("clerk", is_staff=True))
    page = overview(client)
    assert "Parts of the server" not in page
    assert "Secret run" not in page


# -- work -----------------------------------------------------------------------------------------------------------------


def test_a_runaway_run_is_paused_resumed_and_cancelled(administrator: Client, project: Project) -> None:
    run = make_run(project)
    for action, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert told(act(administrator, Run, action, run))[-1].startswith("1 of 1 ")
        run.refresh_from_db()
        assert run.state == state
    assert run.slots.filter(state="cancelled").count() == 3
    assert project.activities.filter(text__startswith="cancelled the run", actor__username="admin").exists()


def test_what_cannot_be_moved_is_told(administrator: Client, project: Project) -> None:
    done = make_run(project, state="done", slots_total=0)
    assert told(act(administrator, Run, "cancel", done)) == ["0 of 1 cancelled."]
    assert any("Nothing is left to do" in sentence for sentence in told(act(administrator, Run, "resume", done)))


def test_an_improvement_is_cancelled(administrator: Client, project: Project) -> None:
    row = Improvement.objects.create(project=project, spec={}, frozen={}, total=1)
    act(administrator, Improvement, "cancel", row)
    row.refresh_from_db()
    assert row.state == "cancelled"


def test_who_is_no_superuser_steers_nothing(client: Client, project: Project) -> None:
    run = make_run(project)
    clerk = make_user("clerk", is_staff=True)
    client.force_login(clerk)
    assert act(client, Run, "cancel", run).status_code == 403
    run.refresh_from_db()
    assert run.state == "running"


def test_all_files_of_a_corpus_are_read_again(administrator: Client, project: Project) -> None:
    corpus = make_corpus(project)
    SourceFile.objects.create(corpus=corpus, name="a.txt", size=1, sha256="0" * 64, state="ready")
    assert told(act(administrator, Corpus, "read_again", corpus)) == ["1 files are read again."]
    assert corpus.files.get().state == "waiting"


# -- people ---------------------------------------------------------------------------------------------------------------


def test_a_person_is_put_out_at_once_and_let_in_again(administrator: Client, client_of: Any, owner: User) -> None:
    browser = client_of(owner)
    _, token = ApiToken.issue(owner, "Script")
    bearer = {"Authorization": f"Bearer {token}"}
    assert Client().get("/api/v1/projects", headers=bearer).status_code == 200

    act(administrator, User, "deactivate", owner)

    assert browser.get(reverse("datasets:project-list")).status_code == 302
    assert Client().get("/api/v1/projects", headers=bearer).status_code == 401
    entry = LogEntry.objects.get(object_id=str(owner.pk))
    assert (entry.user.username, entry.get_change_message()) == ("admin", "Changed active.")
    act(administrator, User, "activate", owner)
    assert Client().get("/api/v1/projects", headers=bearer).status_code == 200


def test_nobody_deactivates_themselves(administrator: Client) -> None:
    me = User.objects.get(username="admin")
    assert "You stay active, or nobody might be left to let you in." in told(act(administrator, User, "deactivate", me))
    me.refresh_from_db()
    assert me.is_active


def test_a_forgotten_password_is_set_anew(administrator: Client, owner: User) -> None:
    address = reverse("admin:auth_user_password_change", args=[owner.pk])
    fields = {"password1": "a-long-pass-phrase", "password2": "a-long-pass-phrase", "usable_password": "true"}
    assert administrator.post(address, fields).status_code == 302
    owner.refresh_from_db()
    assert owner.check_password("a-long-pass-phrase")


# -- what must go, and what must not --------------------------------------------------------------------------------------


def test_a_conversation_is_deleted_with_its_versions(administrator: Client, project: Project) -> None:
    kept, doomed = make_conversation(project), make_conversation(project)
    address = reverse("admin:datasets_conversation_delete", args=[doomed.pk])
    assert administrator.get(address).status_code == 200
    assert administrator.post(address, {"post": "yes"}).status_code == 302
    assert list(Conversation.objects.values_list("pk", flat=True)) == [kept.pk]
    assert list(Version.objects.values_list("conversation", flat=True)) == [kept.pk]


def test_an_export_is_deleted_with_its_file(
    administrator: Client, project: Project, owner: User, django_capture_on_commit_callbacks: Any
) -> None:
    export = Export.objects.create(project=project, format="messages", state="ready", created_by=owner)
    export.file.save("rows.jsonl", ContentFile(b"{}\n"))
    path = Path(export.file.path)
    with django_capture_on_commit_callbacks(execute=True):
        act(administrator, Export, "delete_selected", export, post="yes")
    assert not Export.objects.exists()
    assert not path.exists()


def test_a_key_is_not_sent_to_another_address_and_what_speaks_through_it_keeps_it(
    administrator: Client, project: Project
) -> None:
    endpoint = Endpoint.objects.create(project=project, name="Server", preset="custom", base_url="http://localhost/v1")
    EndpointKey.seal(endpoint, "sk-very-secret-key-1234").save()
    address = reverse("admin:generation_endpoint_change", args=[endpoint.pk])
    page = administrator.get(address).content.decode()
    assert 'name="base_url"' not in page
    assert 'name="name"' in page
    assert administrator.post(reverse("admin:generation_endpoint_delete", args=[endpoint.pk])).status_code == 403


def test_a_name_that_is_taken_in_the_project_is_refused_in_the_form(administrator: Client, project: Project) -> None:
    taken, other = make_corpus(project), make_corpus(project)
    address = reverse("admin:datasets_corpus_change", args=[other.pk])
    answer = administrator.post(address, {"name": taken.name, "description": ""})
    assert answer.status_code == 200
    other.refresh_from_db()
    assert other.name != taken.name
