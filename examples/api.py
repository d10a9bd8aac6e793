"""From a folder to a training file by the API alone: `TOKEN=… python -m examples.api ADDRESS PROJECT FOLDER OUT`.

It needs httpx. The offline model speaks, so that nothing is spent; any endpoint of the project can be named instead.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

ROLES = ("instruction", "correspondent", "respondent")


def main(address: str, name: str, folder: Path, out: Path) -> None:
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    with httpx.Client(base_url=f"{address}/api/v1", headers=headers, timeout=60) as api:
        home = f"/projects/{ask(api, 'POST', '/projects', json={'name': name})['slug']}"
        corpus = read(api, home, folder)
        run = make(api, home, corpus)
        action = ask(api, "POST", f"{home}/conversations/bulk",
                     json={"filter": {"batch": run["batch"]}, "decision": "approved"})  # fmt: skip
        wait(api, f"{home}/conversations/bulk/{action['id']}", lambda row: row["state"] == "done")
        export = ask(api, "POST", f"{home}/exports", json={"format": "messages", "filter": {"status": "approved"}})
        wait(api, f"{home}/exports/{export['id']}", lambda row: row["state"] in ("ready", "failed"))
        with api.stream("GET", f"{home}/exports/{export['id']}/file") as answer, out.open("wb") as file:
            for part in answer.iter_bytes():
                file.write(part)
        print(f"{run['done']} conversations in {out}")


def read(api: httpx.Client, home: str, folder: Path) -> int:
    """A corpus of the folder's files; returns its id once a worker has read them."""
    corpus = ask(api, "POST", f"{home}/corpora", json={"name": folder.name})["id"]
    files = [("files", (path.name, path.read_bytes())) for path in sorted(folder.iterdir()) if path.is_file()]
    for upload in ask(api, "POST", f"{home}/corpora/{corpus}/files", files=files):
        print(upload["name"], upload["outcome"], upload["reason"])
    wait(api, f"{home}/corpora/{corpus}", lambda row: row["open_files"] == 0)
    return corpus


def make(api: httpx.Client, home: str, corpus: int) -> dict[str, Any]:
    """A run over the corpus, once it has ended."""
    endpoint = next(one["id"] for one in pages(api, f"{home}/endpoints") if one["offline"])
    prompt = next(pages(api, f"{home}/prompts", role="respondent"))["id"]
    recipe = {
        "corpus": corpus,
        "respondent_prompt": prompt,
        "models": {role: {"endpoint": endpoint} for role in ROLES},
        "conversations": 10,
    }
    print("It will take", ask(api, "POST", f"{home}/runs/estimate", json={"recipe": recipe})["calls"], "calls")
    # With a key of its own the run is launched once, even if the answer is lost and this is sent again.
    run = ask(api, "POST", f"{home}/runs", json={"recipe": recipe}, headers={"Idempotency-Key": f"{home}-{corpus}"})
    run = wait(api, f"{home}/runs/{run['id']}", lambda row: row["finished"] is not None)
    print(f"The run is {run['state']}: {run['done']} made, {run['failed']} failed. {run['reason']}")
    for error in run["progress"]["errors"]:
        print(f"{error['count']} times: {error['error']}")
    return run


def ask(api: httpx.Client, method: str, path: str, **sent: Any) -> Any:
    """What is answered; a refusal is one sentence, and ends the program."""
    answer = api.request(method, path, **sent)
    if answer.is_error:
        sys.exit(f"{method} {path}: {answer.json()['detail']}")
    return answer.json()


def wait(api: httpx.Client, path: str, is_over: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    while not is_over(row := ask(api, "GET", path)):
        time.sleep(1)
    return row


def pages(api: httpx.Client, path: str, **query: Any) -> Iterator[dict[str, Any]]:
    """Every row of a list, however many pages it has."""
    cursor: dict[str, Any] = {}
    while cursor.get("cursor", 0) is not None:
        page = ask(api, "GET", path, params={**query, **cursor})
        yield from page["items"]
        cursor = {"cursor": page["next"]}


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
