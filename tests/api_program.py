"""A program at the API: what it sends and what it is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse
from django.test import Client

from datasets.models import ApiToken, User

ROOT = "/api/v1"


class Program:
    """Speaks with a token, and never with a session. Paths are below /api/v1."""

    def __init__(self, token: str = "") -> None:
        self.client = Client(headers={"Authorization": f"Bearer {token}"} if token else None)

    @classmethod
    def of(cls, user: User) -> Program:
        return cls(ApiToken.issue(user, "test")[1])

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> HttpResponse:
        """The answer, whatever it is."""
        data = "" if body is None else json.dumps(body)
        return self.client.generic(method, ROOT + path, data, "application/json", query_params=query)

    def upload(self, path: str, **fields: Any) -> HttpResponse:
        """A multipart form."""
        return self.client.post(ROOT + path, fields)

    def get(self, path: str, **query: Any) -> Any:
        return self._expect("GET", path, None, query)

    def post(self, path: str, body: Any = None) -> Any:
        return self._expect("POST", path, body, {})

    def delete(self, path: str) -> None:
        assert self.call("DELETE", path).status_code == 204

    def pages(self, path: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
        """The pages of a list, one after another."""
        page = self.get(path, **query)
        yield page["items"]
        while page["next"] is not None:
            page = self.get(path, **query, cursor=page["next"])
            yield page["items"]

    def _expect(self, method: str, path: str, body: Any, query: dict[str, Any]) -> Any:
        answer = self.call(method, path, body, **query)
        assert answer.status_code in (200, 201), answer.content
        return answer.json()


def refusal(answer: HttpResponse, status: int) -> str:
    """The sentence of a refusal of that status."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"].startswith("application/json")
    return answer.json()["detail"]
