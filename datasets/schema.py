"""The vocabulary that every room speaks: what a conversation is made of, as plain data.

Pure: no Django. The archive stores these shapes as jsonb, the press produces them, the API and the exporters read them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Role = Literal["system", "user", "assistant", "tool"]
Operation = Literal[
    "instruction",
    "question",
    "answer",
    "improve",
    "row",
    "tool_result",
    "judge",
    "persona",
    "correspondent_prompt",
    "embedding",
    "test",
]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolCall(Frozen):
    """A function that an assistant asked for. `arguments` is an object here; formats that want a JSON string convert."""

    id: str
    name: str
    arguments: dict[str, Any]


class ToolSpec(Frozen):
    """A function that an assistant may ask for. `parameters` is the JSON schema of its arguments, an object's."""

    name: str
    description: str = ""
    parameters: dict[str, Any]


class Message(Frozen):
    """One message of a dialog, in the order in which it was said."""

    role: Role
    content: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


class Source(Frozen):
    """A passage that stood before the assistant when it answered.

    `start` and `end` are character offsets into the document's text. `passage` and `document` are 0 for a text that is
    not in the archive. `score` is what the retriever gave (its scale is the retriever's own: BM25, cosine or RRF), None
    when the passage was reserved rather than retrieved. `metadata` is what the retriever said of it besides, such as where
    it stands. The text is kept, so that a trace stays readable after its document has been replaced.
    """

    passage: int
    document: int
    title: str
    text: str
    start: int
    end: int
    page: int | None = None
    heading: str = ""
    score: float | None = None
    metadata: dict[str, JsonValue] = {}


class Step(Frozen):
    """One model call behind a dialog. Texts are indexes into the trace's `texts`, so that none is stored twice."""

    operation: Operation
    model: str
    """By the name that it gave itself; empty where its replies were no use."""
    speaker: str = ""
    """Whom the model spoke as: a role of the recipe, or `second`; empty where nobody said."""
    request: tuple[tuple[Role, int], ...]
    reply: int
    message: int | None = None
    """Index of the message that this call wrote; None for a call that wrote none (instruction drafts, judges)."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: int = 0
    tries: int = 1
    finish: str = ""
    """Why the reply ended, in the server's word: stop, length, tool_calls and so on; empty where it gave none."""
    sources: tuple[Source, ...] = ()


class Trace(Frozen):
    """How a dialog came to be: every call that led to it, in order."""

    texts: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    def written_by(self, message: int) -> Step | None:
        """The call that wrote message number `message`, or None for a message that a person wrote."""
        return next((step for step in self.steps if step.message == message), None)


class Dialog(Frozen):
    """A finished dialog: what is curated, released and exported."""

    messages: tuple[Message, ...]
    system_prompt: str = ""
    persona: str = ""
    """Who the user is, in the words that models were told."""
    trace: Trace = Trace()
    tools: tuple[ToolSpec, ...] = ()
    """What the assistant could ask for."""
    output: Any = None
    """The row of a structured generation, which the last message holds as text."""
    extra: dict[str, Any] = {}
    """What an imported row said that has no place of its own here."""

    @property
    def turns(self) -> int:
        return sum(message.role == "user" for message in self.messages)


class Score(Frozen):
    """What a judge said of one criterion, from 0 (bad) to 1 (good); `value` is None where it does not apply."""

    criterion: str
    value: Annotated[float, Field(ge=0, le=1)] | None
    feedback: str = ""
