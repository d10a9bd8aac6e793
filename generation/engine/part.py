"""What the parts of a recipe have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, SerializerFunctionWrapHandler, model_serializer
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Part(BaseModel):
    """Frozen, and closed: a key that is not known is an error and never passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Variant(Part):
    """One of several parts that can stand in a place. Its `kind`, which tells them apart, is always written."""

    kind: Any

    @model_serializer(mode="wrap")
    def _with_kind(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"kind": self.kind} | write(self)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """That of its fields: what is written has all of them, as what is read may have."""
        return handler(_without_writer(schema))


def _without_writer(schema: Any) -> Any:
    """A model's schema, which stands inside its validators, without how it is written."""
    kept = {name: part for name, part in schema.items() if name != "serialization"}
    return kept if kept["type"] == "model" else kept | {"schema": _without_writer(kept["schema"])}
