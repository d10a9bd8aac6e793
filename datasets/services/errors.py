"""What a service refuses, in a sentence that a page can show."""

from __future__ import annotations


class Refused(Exception):
    """The request cannot be done as it stands; `str(error)` says why and what to do. `field` names the form field."""

    def __init__(self, sentence: str, *, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field
