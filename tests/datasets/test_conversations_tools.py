"""The page of a conversation in which functions are called, or that holds a row."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Conversation, Project, User
from datasets.presenters.talk import utterances
from datasets.schema import Dialog, Message, ToolCall, ToolSpec
from tests.factories import make_conversation, make_dialog

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]
WEATHER = ToolSpec(
    name="get_weather",
    description="Says how <i>warm</i> it is.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)


def called(*ids: str) -> Message:
    calls = tuple(ToolCall(id=one, name="get_weather", arguments={"city": f"Bern {one}"}) for one in ids)
    return Message(role="assistant", content="", reasoning="It has to be looked up.", tool_calls=calls)


def result(id: str, text: str = '{"celsius": 21}') -> Message:
    return Message(role="tool", content=text, tool_call_id=id)


def asked(text: str = "How warm is it?") -> Message:
    return Message(role="user", content=text)


def answered(text: str = "It is warm.") -> Message:
    return Message(role="assistant", content=text)


def page(client: Client, row: Conversation) -> str:
    answer = client.get(reverse("datasets:conversation-detail", args=[row.project.slug, row.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_calls_and_results_are_shown_folded_with_names_and_pretty_json(
    project: Project, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    said = (asked(), called("c1"), result("c1", '{"celsius": 21, "note": "<script>x</script>"}'), answered())
    row = make_conversation(project, dialog=Dialog(messages=said, tools=(WEATHER,)))
    shown = page(client_of(annotator), row)
    for text in (
        "<b>get_weather</b>",
        "city: &quot;Bern c1&quot;",
        "{\n  &quot;celsius&quot;: 21,",
        "It has to be looked up.",
        "Thinking",
        "It is warm.",
        "called 1×",
        "Says how &lt;i&gt;warm&lt;/i&gt; it is.",
    ):
        assert text in shown
    assert "<script>x" not in shown
    assert shown.count('id="turn-1"') == 1
    assert (
        client_of(stranger).get(reverse("datasets:conversation-detail", args=["handbook", row.pk])).status_code == 404
    )


def test_results_stand_with_their_calls_even_where_ids_repeat_or_are_missing() -> None:
    dialog = Dialog(
        messages=(
            asked(), called("a", "b"), result("b", "2"), result("a", "1"), answered(),
            asked(), called("a"), result("", "3"), answered(), asked(), called("x"), answered(),
        )
    )  # fmt: skip
    shown = [one for one in utterances(dialog, {}) if one.uses]
    assert [[use.result for use in one.uses] for one in shown] == [["1", "2"], ["3"], [""]]
    assert [one.answer for one in utterances(dialog, {}) if one.answer] == [1, 2, 3]


def test_a_result_that_answers_no_call_is_shown_all_the_same(
    project: Project, annotator: User, client_of: ClientOf
) -> None:
    row = make_conversation(project, dialog=Dialog(messages=(asked(), result("gone", '{"lost": 1}'), answered())))
    shown = page(client_of(annotator), row)
    assert "Result of a call that is not here" in shown
    assert "&quot;lost&quot;: 1" in shown


def test_a_row_is_shown_by_its_fields_and_as_json(project: Project, annotator: User, client_of: ClientOf) -> None:
    output = {"title": "A <b>card</b>", "tags": ["x"], "sure": True, "by": None}
    dialog = make_dialog("Make a card.", json.dumps(output, indent=2), output=output)
    shown = page(client_of(annotator), make_conversation(project, dialog=dialog))
    for text in ("<dt>title</dt>", "A &lt;b&gt;card&lt;/b&gt;", "<code>[&quot;x&quot;]</code>", "yes", "As JSON"):
        assert text in shown


def test_an_answer_that_no_longer_is_the_row_is_shown_as_it_is(
    project: Project, annotator: User, client_of: ClientOf
) -> None:
    dialog = make_dialog("Make a card.", "Rather not.", output={"title": "A"})
    shown = page(client_of(annotator), make_conversation(project, dialog=dialog))
    assert "Rather not." in shown
    assert "<dt>title</dt>" not in shown
