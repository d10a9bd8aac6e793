"""The record of a dialog's calls: each is made here, kept for the trace, and made again when its reply is no use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from datasets.schema import Source, Step, Trace

from .errors import BadReply, DialogError
from .protocols import ChatModel, ChatRequest, Completion, Reply
from .replies import storable, word


class Calls:
    """The CallLog of one dialog. Each request gets a seed of its own that follows from the dialog's `seed`."""

    def __init__(self, seed: int = 0, *, tries: int = 3) -> None:
        self._seed = seed
        self._tries = tries
        self._asked = 0
        self._texts: dict[str, int] = {}
        self._steps: list[Step] = []
        self._paid: list[Step] = []

    @property
    def paid(self) -> tuple[Step, ...]:
        """Every call that was made, those of forks included."""
        return tuple(self._paid)

    @property
    def trace(self) -> Trace:
        return Trace(texts=tuple(self._texts), steps=tuple(self._steps))

    @classmethod
    def after(cls, trace: Trace, seed: int) -> Calls:
        """A record that goes on after `trace`, whose calls were paid for elsewhere."""
        calls = cls(seed)
        calls._texts = {text: index for index, text in enumerate(trace.texts)}
        calls._steps = list(trace.steps)
        return calls

    def fork(self, kept: int, branch: int) -> Calls:
        """The record of another attempt, which keeps the first `kept` messages and the calls that wrote them.

        Every `branch` asks under seeds of its own.
        """
        fork = Calls(self._seed + branch * 7_919, tries=self._tries)
        fork._asked, fork._paid, fork._texts = self._asked, self._paid, dict(self._texts)
        fork._steps = [step for step in self._steps if step.message is not None and step.message < kept]
        return fork

    async def ask(
        self,
        model: ChatModel,
        request: ChatRequest,
        read: Callable[[Completion], Reply],
        *,
        message: int | None = None,
        sources: tuple[Source, ...] = (),
    ) -> Reply:
        """What `read` makes of the reply. When it raises BadReply the model is asked again, under another seed.

        DialogError after `tries`. A BadReply that the model itself raises is passed on: it has asked again already.
        """
        for left in reversed(range(self._tries)):
            completion = await self._complete(model, request)
            try:
                reply = read(completion)
            except BadReply as error:
                # Paid for all the same, so it is kept, but as nobody's message.
                self._keep(completion, request, None, sources)
                if not left:
                    what = f"No usable reply in {self._tries} tries ({request.operation}): {error}"
                    raise DialogError(what) from error
            else:
                self._keep(completion, request, message, sources)
                return reply
        raise ValueError("A call needs at least one try.")

    async def _complete(self, model: ChatModel, request: ChatRequest) -> Completion:
        self._asked += 1
        seed = (self._seed * 1_000_003 + self._asked) & 0x7FFFFFFF
        try:
            completion = await model.complete(replace(request, seed=seed))
        except BadReply as error:
            lost = Completion(
                "",
                "",
                error.prompt_tokens,
                error.completion_tokens,
                finish_reason=error.finish_reason,
                tries=error.tries,
            )
            self._keep(lost, request, None, ())
            raise
        text, reasoning = storable(completion.text), storable(completion.reasoning)
        if (text, reasoning) == (completion.text, completion.reasoning):
            return completion
        return replace(completion, text=text, reasoning=reasoning)

    def _keep(
        self, completion: Completion, request: ChatRequest, message: int | None, sources: tuple[Source, ...]
    ) -> None:
        step = Step(
            operation=request.operation,
            model=word(completion.model, 150),
            speaker=request.speaker,
            request=tuple((turn.role, self._index(turn.content)) for turn in request.turns),
            reply=self._index(completion.text),
            message=message,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            latency_ms=round(completion.latency * 1000),
            tries=completion.tries,
            finish=word(completion.finish_reason),
            sources=sources,
        )
        self._steps.append(step)
        self._paid.append(step)

    def _index(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))
