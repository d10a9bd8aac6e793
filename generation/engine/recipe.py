"""The whole configuration of a run, as data: validated, stored as jsonb, readable as YAML.

A recipe names rows of the project by id; `generation.adapters` resolves them when a run starts and freezes what it found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, field_serializer, field_validator, model_validator
from pydantic_core import PydanticCustomError

from . import forms, rules
from .judging import Judging
from .part import Part, Variant
from .protocols import ModelRole


class ModelChoice(Part):
    """Which model speaks in a role. An empty `model` means the endpoint's own default."""

    endpoint: int
    model: str = ""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=200_000)] | None = None


class Extension(Part):
    """Something that the installation adds, by its name in the settings, with options of its own."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    options: dict[str, Any] = {}


# -- what is made ---------------------------------------------------------------------------------------------------


class Dialogs(Variant):
    """Conversations in words."""

    kind: Literal["dialogs"] = "dialogs"


class ToolDialogs(Variant):
    """Conversations in which the assistant uses tools of the project, whose results are simulated."""

    kind: Literal["tool_dialogs"] = "tool_dialogs"
    tools: Annotated[tuple[int, ...], Field(min_length=1, max_length=500)]
    sample: Annotated[int, Field(ge=1, le=20)] = 2
    """How many of the tools one conversation is offered."""


class Rows(Variant):
    """One structured row for each instruction, of a JSON schema whose top is an object."""

    kind: Literal["rows"] = "rows"
    form: dict[str, Any]
    """The JSON schema, or its text: models fill its properties in the order in which they are written."""

    @field_validator("form", mode="before")
    @classmethod
    def _reads_its_text(cls, form: Any) -> Any:
        return forms.read(form) if isinstance(form, str) else form

    @field_serializer("form", when_used="json")
    def _as_text(self, form: dict[str, Any]) -> str:
        """In jsonb, properties would lose their order."""
        return json.dumps(form, ensure_ascii=False)

    @field_validator("form")
    @classmethod
    def _is_a_schema_of_objects(cls, form: dict[str, Any]) -> dict[str, Any]:
        forms.checked(form)
        if form.get("type") != "object" or not form.get("properties"):
            raise ValueError("The schema of a row is one of an object with properties.")
        return form


class Pairs(Variant):
    """Conversations whose last answer is given several times in different ways, for preference pairs."""

    kind: Literal["pairs"] = "pairs"
    strategy: Literal["temperature", "prompt", "model", "combined"] = "temperature"
    answers: Annotated[int, Field(ge=2, le=8)] = 2
    """How many answers are compared."""
    gap: Annotated[float, Field(ge=0, le=1)] = 0.1
    """By how much the best must be better than the worst to make a pair."""
    second: ModelChoice | None = None
    """The other model, for the strategies `model` and `combined`."""

    @model_validator(mode="after")
    def _has_models_to_compare(self) -> Pairs:
        if self.strategy == "model" and self.second is None:
            raise ValueError("Choose a second model to compare answers of two models.")
        return self


Product = Annotated[Dialogs | ToolDialogs | Rows | Pairs, Field(discriminator="kind")]


# -- how first questions come about -----------------------------------------------------------------------------------


class Questions(Part):
    """How first questions are written."""

    batch: Annotated[int, Field(ge=1, le=20)] = 1
    """How many are written by one call, from the same passages; each opens a conversation of its own."""
    distinct: bool = True
    """Whether near-duplicates of questions that the run has already are written anew."""
    fresh: bool = False
    """Whether passages that earlier runs asked about less often come first."""
    scenarios: Annotated[tuple[str, ...], Field(max_length=10_000)] = ()
    """Situations that users are in, dealt evenly."""
    visits: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How often each passage is asked about, after which the run has enough; None is as often as it takes."""
    writer: Extension | None = None
    """An instruction generator that the installation adds, in place of our own."""


# -- what the respondent is given --------------------------------------------------------------------------------------


class FromCorpus(Variant):
    """The corpus of the recipe, or another one of the project."""

    kind: Literal["corpus"] = "corpus"
    corpus: int | None = None


class FixedText(Variant):
    """The same text for every question."""

    kind: Literal["text"] = "text"
    text: Annotated[str, Field(min_length=1, max_length=200_000)]
    title: str = "Notes"


class InTurn(Variant):
    """One retriever after the other until they have brought up enough."""

    kind: Literal["chain"] = "chain"
    retrievers: Annotated[tuple[AnyRetriever, ...], Field(min_length=1, max_length=10)]
    enough: Annotated[int, Field(ge=1)] = 50
    """Characters of text."""


class Weighed(Part):
    """A retriever of an ensemble, and how much its ranking counts."""

    retriever: AnyRetriever
    weight: Annotated[float, Field(gt=0, le=1000)] = 1


class Ensemble(Variant):
    """Several retrievers at once, their rankings fused by weight."""

    kind: Literal["ensemble"] = "ensemble"
    members: Annotated[tuple[Weighed, ...], Field(min_length=1, max_length=10)]


class CustomRetriever(Variant, Extension):
    """A retriever that the installation adds."""

    kind: Literal["custom"] = "custom"


AnyRetriever = Annotated[FromCorpus | FixedText | InTurn | Ensemble | CustomRetriever, Field(discriminator="kind")]


def retrievers_in(retriever: AnyRetriever) -> Iterator[AnyRetriever]:
    """A retriever and all that are inside it."""
    yield retriever
    match retriever:
        case InTurn():
            inner = retriever.retrievers
        case Ensemble():
            inner = tuple(member.retriever for member in retriever.members)
        case _:
            inner = ()
    for one in inner:
        yield from retrievers_in(one)


def corpora_of(retriever: AnyRetriever) -> set[int]:
    """The corpora that a retriever names."""
    found = (one.corpus for one in retrievers_in(retriever) if isinstance(one, FromCorpus))
    return {corpus for corpus in found if corpus is not None}


def custom_retrievers_of(retriever: AnyRetriever) -> list[str]:
    """The names of an installation's retrievers in it."""
    return [one.name for one in retrievers_in(retriever) if isinstance(one, CustomRetriever)]


class Retrieval(Part):
    """What the respondent sees. `when`: never, once a dialog (by its first question), or before every answer."""

    when: Literal["never", "dialog", "answer"] = "answer"
    depth: Annotated[int, Field(ge=1, le=50)] = 4
    """How many passages are retrieved."""
    with_context: bool = True
    """Whether the passages that the question was written from are given to the respondent as well."""
    template: Annotated[str, Field(max_length=50_000)] = ""
    """How prompt and passages are put together, by `{prompt}` and `{context}`; empty is our own way."""
    retriever: AnyRetriever = FromCorpus()
    cached: bool = False
    """Whether what was found for a query is kept for the next time that it is asked."""


# -- how good -------------------------------------------------------------------------------------------------------------


class Improving(Part):
    """Conversations that are judged too low are made again, told what the judge said, and the best one counts."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 2
    below: Annotated[float, Field(ge=0, le=1)] = 0.72


class PersonaGroup(Part):
    """The usable personas that have something in common, whoever they are when a run is launched; all, if it is nothing."""

    words: Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")] = ""
    """Each of them is in a persona's name or description."""
    document: int | None = None
    """The one that they were written from."""


class Budget(Part):
    """Where to stop: total tokens (prompt + completion) and money in the endpoints' currency; None is no limit."""

    tokens: Annotated[int, Field(ge=1)] | None = None
    money: Annotated[Decimal, Field(gt=0, max_digits=12, decimal_places=4)] | None = None


class Recipe(Part):
    """Everything that a run is made from. Ids are primary keys of rows of the same project."""

    corpus: int | None
    """None makes ungrounded dialogs, on purpose."""
    respondent_prompt: int
    correspondent_prompt: int | None = None
    """None uses the built-in, general simulated user."""
    instruction_prompt: int | None = None
    """None uses the built-in instruction writer."""
    personas: tuple[int, ...] = ()
    persona_groups: Annotated[tuple[PersonaGroup, ...], Field(max_length=20)] = ()
    """Who takes part besides `personas`, without being named one by one."""
    grown_personas: bool = False
    """Whether the personas that were written from the corpus's documents ask about those; all others ask about others."""
    models: dict[ModelRole, ModelChoice]
    product: Product = Dialogs()
    conversations: Annotated[int, Field(ge=1, le=100_000)] = 20
    """At most so many; fewer where `questions.visits` or a stopping rule sets a smaller number."""
    max_turns: Annotated[int, Field(ge=1, le=50)] = 3
    contexts: Annotated[int, Field(ge=1, le=20)] = 1
    """Passages that each first question is written from."""
    questions: Questions = Questions()
    retrieval: Retrieval = Retrieval()
    judge: Judging | None = None
    improve: Improving | None = None
    stopping: Annotated[tuple[rules.Rule, ...], Field(max_length=20)] = ()
    """The run stops when any of these is met."""
    hooks: Annotated[tuple[Extension, ...], Field(max_length=10)] = ()
    """Turn hooks that the installation adds."""
    sinks: Annotated[tuple[Extension, ...], Field(max_length=10)] = ()
    """Where finished conversations go besides the archive, as the installation adds them."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 8
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    budget: Budget = Budget()

    @field_validator("judge", mode="before")
    @classmethod
    def _yes_is_the_usual_judge(cls, judge: Any) -> Any:
        """`true` and `false` as they are said in short."""
        return ({} if judge else None) if isinstance(judge, bool) else judge

    @property
    def roles(self) -> set[ModelRole]:
        """Those in which a model speaks."""
        asked: set[ModelRole] = {"instruction", "respondent"}
        if self.product.kind != "rows":
            asked.add("correspondent")
        if self.judge and self.judge.asks_model:
            asked.add("judge")
        return asked

    @property
    def most_conversations(self) -> int:
        """What the recipe's own numbers allow, whatever the corpus holds."""
        return min(self.conversations, rules.most(self.stopping) or self.conversations)

    @property
    def searched(self) -> set[int]:
        """The corpora that answers are looked up in."""
        if self.retrieval.when == "never":
            return set()
        own = {self.corpus} if FromCorpus() in retrievers_in(self.retrieval.retriever) and self.corpus else set()
        return corpora_of(self.retrieval.retriever) | own

    @property
    def visits(self) -> int | None:
        """How often each passage is to be asked about: as said, or as the stopping rules want."""
        return self.questions.visits or rules.visits(self.stopping)

    @property
    def idle(self) -> str:
        """What of it would do nothing, in a sentence; empty where all counts.

        Recipes of runs that exist may have such parts, so they are read; nothing is launched with them any more.
        """
        if self.improve and self.product.kind == "pairs":
            return "Preference pairs compare answers as they were given: leave improving out."
        return ""

    @model_validator(mode="after")
    def _every_role_has_a_model(self) -> Recipe:
        missing = sorted(self.roles - set(self.models))
        if missing:
            raise ValueError(f"Choose an endpoint for: {', '.join(missing)}.")
        return self

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Recipe:
        needs_corpus = self.retrieval.retriever == FromCorpus() and self.retrieval.when != "never"
        if self.corpus is None and needs_corpus:
            raise PydanticCustomError("corpus", "Retrieval needs a corpus: choose one, or set retrieval to never.")
        if self.corpus is None and self.visits:
            raise PydanticCustomError("corpus", "Coverage needs a corpus: choose one, or leave the rule out.")
        if self.judge is None and (self.improve or self.product.kind == "pairs"):
            what = "Improving" if self.improve else "Comparing answers"
            raise PydanticCustomError("judge", "{what} needs a judge: switch judging on.", {"what": what})
        if not (self.personas or self.persona_groups or self.grown_personas) and any(
            rule.kind == "personas" for rule in rules.each(self.stopping)
        ):
            raise PydanticCustomError(
                "personas", "A rule on personas needs personas: choose some, or leave the rule out."
            )
        return self
