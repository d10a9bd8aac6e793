"""Every seam of the engine on one page, with the small frozen dataclasses that cross them.

A component is anything that has the one method its protocol names. All are async; none has a sync twin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from datasets.schema import Dialog, Message, Operation, Role, Score, Source, Step, ToolSpec

ModelRole = Literal["instruction", "correspondent", "respondent", "judge"]
Reply = TypeVar("Reply")
Work = TypeVar("Work")
Product = TypeVar("Product")


# -- models ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a request: a role and its text."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked of a model: JSON of `schema`, named `schema_name`, if there is one. `speaker` is for the record."""

    operation: Operation
    turns: tuple[Turn, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    schema: Mapping[str, Any] | None = None
    schema_name: str = "reply"
    seed: int | None = None
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered. Token counts are the server's own; `latency` is in seconds, of the successful try."""

    text: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency: float = 0.0
    finish_reason: str = ""
    """The server's word for why the reply ended; empty where it gives none."""
    reasoning: str = ""
    tries: int = 1


class ChatModel(Protocol):
    """Raises FatalError, TransientError or BadReply."""

    async def complete(self, request: ChatRequest) -> Completion: ...


@dataclass(frozen=True, slots=True)
class Speaker:
    """A model and how it is asked: what a recipe chooses for one role. Calls are put down to its `name`."""

    model: ChatModel
    temperature: float | None = None
    max_tokens: int | None = None
    name: str = ""

    def request(
        self,
        operation: Operation,
        turns: Sequence[Turn],
        *,
        schema: Mapping[str, Any] | None = None,
        schema_name: str = "reply",
    ) -> ChatRequest:
        return ChatRequest(
            operation, tuple(turns), self.temperature, self.max_tokens, schema, schema_name, speaker=self.name
        )


class Embedder(Protocol):
    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        ...


# -- what a dialog is made from -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PersonaSketch:
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Brief:
    """What one dialog is asked to be. The same brief with the same seed asks for the same thing."""

    seed: int
    turns: int
    contexts: tuple[Source, ...] = ()
    persona: PersonaSketch | None = None
    slot: int = 0
    """By which `Openings` knows the dialog."""
    questions: int = 1
    """How many first messages are asked for at once; the others go to dialogs of the same batch."""
    opening: str = ""
    """The first message, where it has been written already."""
    avoid: tuple[str, ...] = ()
    """First messages that were too near to others of the run."""
    scenario: str = ""
    """The situation that the user is in."""
    tools: tuple[ToolSpec, ...] = ()
    """What the respondent may ask for."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """The first thing that the simulated user says."""

    text: str


class InstructionGenerator(Protocol):
    async def propose(self, brief: Brief, calls: CallLog) -> Sequence[Instruction]:
        """Up to `brief.questions` first messages, at least one; none near those to `brief.avoid`."""
        ...


class Openings(Protocol):
    """The first messages of a run, of which no two are nearly alike."""

    async def admit(self, brief: Brief, proposed: Sequence[str]) -> str | None:
        """The first of `proposed` that is near no other, now this dialog's; further new ones go to its batch.

        None when none is new."""
        ...


class Retriever(Protocol):
    async def retrieve(self, query: str) -> tuple[Source, ...]:
        """The passages for a query, best first; an empty tuple is a miss."""
        ...


@dataclass(frozen=True, slots=True)
class ModifiedPrompt:
    """The respondent's system prompt for one answer, and the passages that it was given."""

    text: str
    sources: tuple[Source, ...] = ()


class PromptModifier(Protocol):
    async def modify(self, prompt: str, brief: Brief, query: str) -> ModifiedPrompt:
        """`query` is the user's latest message."""
        ...


class Respondent(Protocol):
    """The assistant that is imitated."""

    async def answer(
        self, prompt: ModifiedPrompt, messages: Sequence[Message], brief: Brief, calls: CallLog, operation: Operation
    ) -> tuple[Message, ...]:
        """What follows `messages`, which end with the user's: one answer, with any use of tools that led to it."""
        ...


class Simulator(Protocol):
    """The correspondent: a simulated user."""

    async def ask(self, brief: Brief, messages: Sequence[Message], calls: CallLog) -> str:
        """The user's next message after `messages`, which begin with the user's first and end with an answer."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an evaluator said of a dialog. `overall` is from 0 to 1; `error` says why there is none.

    `first_bad` is the index of the first message that has to be mended, where the evaluator named one.
    """

    evaluator: str
    model: str
    scores: tuple[Score, ...]
    overall: float | None
    feedback: str = ""
    error: str = ""
    grade: str = ""
    first_bad: int | None = None


class Evaluator(Protocol):
    @property
    def name(self) -> str: ...

    async def judge(self, dialog: Dialog, brief: Brief, calls: CallLog) -> Verdict: ...


class CallLog(Protocol):
    """Through which a component speaks to its model: makes the call and keeps it for the trace and the ledger."""

    async def ask(
        self,
        model: ChatModel,
        request: ChatRequest,
        read: Callable[[Completion], Reply],
        *,
        message: int | None = None,
        sources: tuple[Source, ...] = (),
    ) -> Reply:
        """What `read` makes of the reply. When it raises BadReply the model is asked again, a bounded number of times;
        then DialogError. `message` is the index of the message that the accepted reply becomes."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a dialog stands when a hook is called."""

    brief: Brief
    messages: tuple[Message, ...]
    prompt: str
    """The respondent's system prompt; empty until it is known."""

    @property
    def answered(self) -> int:
        """Turns that are complete."""
        return sum(message.role == "assistant" and not message.tool_calls for message in self.messages)


class TurnHooks(Protocol):
    """Told of each step of each dialog. Hooks observe; what they raise fails the dialog.

    The first question of a dialog comes from the instruction generator: only `after_question` is called for it.
    """

    async def before_question(self, moment: Moment) -> None: ...

    async def after_question(self, moment: Moment) -> None: ...

    async def before_answer(self, moment: Moment) -> None: ...

    async def after_answer(self, moment: Moment) -> None: ...


# -- outcomes -------------------------------------------------------------------------------------------------------

FailureKind = Literal["fatal", "transient", "dialog"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One state of a dialog: the first, one improved after a verdict, or one of several alternatives."""

    dialog: Dialog
    verdict: Verdict | None = None
    origin: Literal["generated", "improved", "alternative"] = "generated"
    parent: int | None = None
    """Index of the attempt that it was made from."""
    label: str = ""
    """How it differs from its siblings, in a word or two."""

    @property
    def overall(self) -> float | None:
        return self.verdict.overall if self.verdict else None


@dataclass(frozen=True, slots=True)
class Made:
    """A dialog, with every attempt at it. `steps` are the calls of all of them."""

    attempts: tuple[Attempt, ...]
    steps: tuple[Step, ...] = ()

    @property
    def best(self) -> int:
        """Index of the attempt with the highest score; the earliest of equals, and unjudged ones come last."""
        scores = [-1.0 if attempt.overall is None else attempt.overall for attempt in self.attempts]
        return scores.index(max(scores))

    @property
    def dialog(self) -> Dialog:
        return self.attempts[self.best].dialog

    @property
    def verdict(self) -> Verdict | None:
        return self.attempts[self.best].verdict


@dataclass(frozen=True, slots=True)
class Failed:
    """A dialog that could not be made. `steps` are the calls that were paid for all the same."""

    kind: FailureKind
    error: str
    steps: tuple[Step, ...] = ()
    retry_after: float | None = None
    """Seconds after which there is anything to be had of the keys, where that is what failed."""


Outcome = Made | Failed


# -- many dialogs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Job(Generic[Work]):
    """One claimed piece of work, such as a dialog's brief. `token` proves that the claim holds when its outcome lands."""

    key: int
    token: str
    work: Work


@dataclass(frozen=True, slots=True)
class Landing(Generic[Work, Product]):
    """What came of a job."""

    job: Job[Work]
    outcome: Product | Failed


@dataclass(frozen=True, slots=True)
class Orders:
    """What the runner is to do now, as its desk sees it."""

    state: Literal["go", "drain", "abort"] = "go"
    in_flight: int = 1
    """How many dialogs this runner may have in flight."""


class Desk(Protocol[Work, Product]):
    """Where a runner gets its work and brings its results: rows of a database, or a list in memory."""

    async def claim(self, limit: int) -> Sequence[Job[Work]]:
        """Up to `limit` jobs; none means that there is nothing to claim now."""
        ...

    async def land(self, landings: Sequence[Landing[Work, Product]]) -> None:
        """Commit outcomes, all or none. Those whose claim no longer holds are dropped."""
        ...

    async def orders(self) -> Orders:
        """Asked about twice a second. Also renews the claims of jobs in flight."""
        ...

    async def release(self, jobs: Sequence[Job[Work]]) -> None:
        """Give unfinished jobs back, to be claimed again."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished dialog on its way to a sink. `key` tells it from all others and is the same if it comes again."""

    key: str
    dialog: Dialog
    overall: float | None = None
    """The judge's score, from 0 to 1."""


class Sink(Protocol):
    """Where finished dialogs go besides, or in place of, the archive."""

    async def keep(self, kept: Sequence[Kept]) -> None:
        """Keep them. What it raises is told, and they come again; each comes at least once."""
        ...


class Maker(Protocol):
    """What makes the dialogs of a run. Never raises but for cancellation."""

    async def make(self, brief: Brief) -> Outcome: ...


Produce = Callable[[Job[Work]], Awaitable[Product | Failed]]
"""What makes a job's outcome."""


@dataclass(slots=True)
class Tally:
    """What a runner landed: dialogs made, dialogs failed and how often each error was given."""

    made: int = 0
    failed: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    fatal: str = ""
    """The error that stopped the runner, when one did."""
