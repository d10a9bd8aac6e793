"""What the parts of a recipe have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Part(BaseModel):
    """Frozen, and closed: a key that is not known is an error and never passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Variant(Part):
    """One of several parts that can stand in a place. Its `kind`, which tells them apart, is always written."""

    kind: Any

    @model_serializer(mode="wrap")
    def _with_kind(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"kind": self.kind} | write(self)
