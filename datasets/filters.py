"""Which conversations are meant: one object for lists, bulk actions, exports and the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef
from django.http import QueryDict
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from . import text_search
from .models import Labelling, Note, Status
from .models.conversations import ConversationQuerySet
from .text import clean

Id = Annotated[int, Field(ge=1, lt=2**63)]
Turns = Annotated[int, Field(ge=0, le=32_767)]
Share = Annotated[float, Field(ge=0, le=1)]

COUNTED = 10_000
"""Pages count matches up to here, and say “more than” beyond."""
PICKED = 500
"""So many can be picked one by one: ten pages of a list, and an address that servers still take."""


class ConversationFilter(BaseModel):
    """What is not given does not narrow. `q` are words, found by their beginnings, and “"quoted phrases"”; `pick` are
    ids, of which the project's own count."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    q: Annotated[str, Field(max_length=300)] = ""
    status: Status | None = None
    batch: Id | None = None
    persona: Id | None = None
    label: Id | None = None
    turns_min: Turns | None = None
    turns_max: Turns | None = None
    score_min: Share | None = None
    score_max: Share | None = None
    note: bool = False
    pick: tuple[Id, ...] = ()

    @field_validator("pick")
    @classmethod
    def _each_once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(value) > PICKED:
            raise ValueError(f"More than {PICKED} conversations are picked: go by parts, or by a filter.")
        return tuple(sorted(set(value)))

    @field_validator("q")
    @classmethod
    def _storable(cls, value: str) -> str:
        return clean(value)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.turns_min is not None and self.turns_max is not None and self.turns_min > self.turns_max:
            raise ValueError("The fewest turns are more than the most turns: swap them.")
        if self.score_min is not None and self.score_max is not None and self.score_min > self.score_max:
            raise ValueError("The lowest score is above the highest score: swap them.")
        return self

    @classmethod
    def read(cls, parameters: Mapping[str, Any]) -> Self:
        """From single values, where an empty text means “not given”. Raises pydantic's ValidationError."""
        return cls.model_validate({name: value for name, value in parameters.items() if value not in ("", None)})

    @classmethod
    def asked(cls, query: QueryDict) -> Self:
        """From the query of an address, which names each that is picked. Raises pydantic's ValidationError."""
        return cls.read({**query.dict(), "pick": query.getlist("pick")})

    @property
    def parameters(self) -> dict[str, Any]:
        """What was given, as JSON values that `read` takes back."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def query(self) -> str:
        """What was given, as the query of an address without its question mark."""
        return urlencode({name: "1" if value is True else value for name, value in self.parameters.items()}, doseq=True)

    @property
    def unpicked(self) -> Self:
        """The list that was picked from."""
        return self.without("pick")

    def without(self, *names: str) -> Self:
        return self.model_copy(update={name: type(self).model_fields[name].default for name in names})

    def apply(self, rows: ConversationQuerySet) -> ConversationQuerySet:
        """The rows that match, in no particular order. `rows` are those of one project."""
        return text_search.narrow(self._facets(rows), self.q)

    def count(self, rows: ConversationQuerySet) -> int:
        """How many of `rows` match, exactly: for what is about to be done to all of them."""
        return text_search.count(self._facets(rows), self.q)

    def bounded_count(self, rows: ConversationQuerySet) -> int:
        """How many of `rows` match, or COUNTED + 1 where it is more: for a page, at a bounded cost."""
        return text_search.count(self._facets(rows), self.q, limit=COUNTED + 1)

    def first_id(self, rows: ConversationQuerySet) -> int | None:
        """The match at the top of a list of the newest first."""
        return self.apply(rows).order_by("-pk").values_list("pk", flat=True).first()

    def next_id(self, rows: ConversationQuerySet, pk: int) -> int | None:
        """The match below conversation `pk` in a list of the newest first."""
        return self.apply(rows).filter(pk__lt=pk).order_by("-pk").values_list("pk", flat=True).first()

    def previous_id(self, rows: ConversationQuerySet, pk: int) -> int | None:
        return self.apply(rows).filter(pk__gt=pk).order_by("pk").values_list("pk", flat=True).first()

    def _facets(self, rows: ConversationQuerySet) -> ConversationQuerySet:
        exact = {"status": self.status, "batch": self.batch, "persona": self.persona}
        ranges = {
            "turns__gte": self.turns_min,
            "turns__lte": self.turns_max,
            "score__gte": self.score_min,
            "score__lte": self.score_max,
        }
        rows = rows.filter(**{name: value for name, value in {**exact, **ranges}.items() if value is not None})
        if self.pick:
            rows = rows.filter(pk__in=self.pick)
        if self.label is not None:
            rows = rows.filter(Exists(Labelling.objects.filter(label=self.label, conversation=OuterRef("pk"))))
        if self.note:
            rows = rows.filter(Exists(Note.objects.filter(conversation=OuterRef("pk"))))
        return rows
