"""An assistant that uses functions: it calls, is given simulated results, and answers from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import AliasChoices, AliasPath, BaseModel, BeforeValidator, Field

from datasets.schema import Message, Operation, ToolCall, ToolSpec
from datasets.text import clean_json
from generation.engine import forms, replies
from generation.engine.errors import BadReply
from generation.engine.prompts import tools as prompts
from generation.engine.protocols import Brief, CallLog, Completion, ModifiedPrompt, Speaker

ROUNDS = 3
"""How often functions may be called before an answer in words is due."""
MOST_CALLS = 6
"""How many functions one message may call."""


@dataclass(frozen=True, slots=True)
class ToolResults:
    """Stands for every function: a model makes up what a call returns, true to what was returned before.

    It is told of the function, the arguments and earlier results, and neither of the user nor of the assistant.
    """

    speaker: Speaker

    async def of(self, call: ToolCall, tool: ToolSpec, said: Sequence[Message], calls: CallLog) -> Message:
        """The message that follows `said`, in which `call` has been made. Its content is JSON."""
        request = self.speaker.request("tool_result", prompts.result(tool, call, said))
        content = await calls.ask(self.speaker.model, request, _read_result, message=len(said))
        return Message(role="tool", content=content, tool_call_id=call.id)


@dataclass(frozen=True, slots=True)
class ToolUsing:
    """Calls the functions of the brief, for at most `ROUNDS` rounds a question, then answers in words.

    Whoever asks for dialogs with functions wants to see them used, and instructions are written to need one. Still an
    assistant may first ask back for what it has to know, so an answer without a call is taken as long as the dialog
    goes on. Where it would end without a single call, the last answer is asked for again; a dialog whose model calls
    nothing even then fails, so that it is counted among the run's errors rather than among its conversations.

    What a message says beside its calls is left out: it was said before the results were there.
    """

    speaker: Speaker
    results: ToolResults

    async def answer(
        self, prompt: ModifiedPrompt, messages: Sequence[Message], brief: Brief, calls: CallLog, operation: Operation
    ) -> tuple[Message, ...]:
        said = list(messages)
        by_name = {tool.name: tool for tool in brief.tools}
        for left in reversed(range(ROUNDS + 1)):
            step = _Step(prompt, brief.tools if left else (), tuple(said), needed=_is_needed(brief, said))
            message = await self._take(step, calls, operation)
            said.append(message)
            if not message.tool_calls:
                break
            for call in message.tool_calls:
                said.append(await self.results.of(call, by_name[call.name], said, calls))
        return tuple(said[len(messages) :])

    async def _take(self, step: _Step, calls: CallLog, operation: Operation) -> Message:
        turns = prompts.use(step.prompt.text, step.tools, step.said, needed=step.needed)
        request = self.speaker.request(operation, turns, schema=reply_schema(step.tools), schema_name="step")
        read = partial(_read_step, step)
        return await calls.ask(self.speaker.model, request, read, message=len(step.said), sources=step.prompt.sources)


@dataclass(frozen=True, slots=True)
class _Step:
    """One message of the assistant to be written after those that were `said`; in words where there are no `tools`."""

    prompt: ModifiedPrompt
    tools: tuple[ToolSpec, ...]
    said: tuple[Message, ...]
    needed: bool


def _is_needed(brief: Brief, said: Sequence[Message]) -> bool:
    """Whether the dialog would end without any call if the next message made none."""
    last = sum(message.role == "user" for message in said) >= brief.turns
    return last and bool(brief.tools) and not any(message.tool_calls for message in said)


# -- what is asked for --------------------------------------------------------------------------------------------------


def reply_schema(tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """The form of a step: words, and calls of the `tools` where there are any."""
    text = {"type": "string"}
    if not tools:
        return _object({"reasoning": text, "content": text})
    definitions: dict[str, Any] = {}
    choices = [_call_schema(tool, definitions) for tool in tools]
    listed = {"type": "array", "items": choices[0] if len(choices) == 1 else {"anyOf": choices}}
    schema = _object({"reasoning": text, "tool_calls": listed, "content": text})
    return schema | {"$defs": definitions} if definitions else schema


def _call_schema(tool: ToolSpec, definitions: dict[str, Any]) -> dict[str, Any]:
    arguments, further = forms.embedded(forms.asked(tool.parameters), tool.name)
    definitions |= further
    return _object({"name": {"type": "string", "enum": [tool.name]}, "arguments": arguments})


def _object(parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False}


# -- what is read -------------------------------------------------------------------------------------------------------


def _as_object(said: Any) -> Any:
    """Models are used to writing arguments as a string of JSON."""
    return clean_json(replies.loads(said) if isinstance(said, str) else said)


def _as_list(said: Any) -> Any:
    return [] if said is None else said


def _as_text(said: Any) -> Any:
    return "" if said is None else said


class _Call(BaseModel):
    name: str = Field(validation_alias=AliasChoices("name", AliasPath("function", "name")))
    arguments: Annotated[dict[str, Any], BeforeValidator(_as_object)] = Field(
        validation_alias=AliasChoices("arguments", AliasPath("function", "arguments"))
    )


class _Reply(BaseModel):
    reasoning: Annotated[replies.Said, BeforeValidator(_as_text)] = ""
    tool_calls: Annotated[list[_Call], BeforeValidator(_as_list)] = []
    content: Annotated[replies.Said, BeforeValidator(_as_text)] = ""


def _read_step(step: _Step, completion: Completion) -> Message:
    reply = replies.structured(completion, _Reply)
    reasoning = completion.reasoning or reply.reasoning
    if reply.tool_calls and step.tools:
        return Message(role="assistant", content="", reasoning=reasoning, tool_calls=_calls(reply, step))
    if not reply.content:
        raise BadReply("The assistant said nothing.")
    if step.needed:
        raise BadReply("The conversation would end without any function having been called.")
    return Message(role="assistant", content=reply.content, reasoning=reasoning)


def _calls(reply: _Reply, step: _Step) -> tuple[ToolCall, ...]:
    if len(reply.tool_calls) > MOST_CALLS:
        raise BadReply(f"The assistant called {len(reply.tool_calls)} functions at once, more than {MOST_CALLS}.")
    first = 1 + sum(len(message.tool_calls) for message in step.said)
    tools = {tool.name: tool for tool in step.tools}
    return tuple(_checked(call, f"call_{number}", tools) for number, call in enumerate(reply.tool_calls, first))


def _checked(call: _Call, id: str, tools: dict[str, ToolSpec]) -> ToolCall:
    tool = tools.get(call.name)
    if tool is None:
        raise BadReply(f"The assistant called “{replies.excerpt(call.name, 60)}”, which is none of its functions.")
    arguments = forms.fitted(call.arguments, tool.parameters)
    if wrong := forms.problem(arguments, tool.parameters):
        raise BadReply(f"The arguments of {call.name} do not fit it: {wrong}")
    return ToolCall(id=id, name=call.name, arguments=arguments)


def _read_result(completion: Completion) -> str:
    value = replies.json_value(completion)
    if not isinstance(value, dict | list):
        raise BadReply("A function's result was not a JSON object.")
    return json.dumps(clean_json(value), ensure_ascii=False)
