"""What the parts of a recipe have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Frozen, and closed: a key that is not known is an error and never passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
