"""Index court opinions into a Qdrant collection, which AfterImage Web can then adopt as a corpus.

    python examples/caselaw/index_corpus.py scotus.jsonl --collection caselaw \
        --qdrant-url http://localhost:6333 --base-url http://localhost:8000/v1 --model BAAI/bge-base-en-v1.5

The file has an opinion a line: {"id": "4172500", "title": "BNSF R. Co. v. Tyrrell", "date_filed": "2017-05-30", "text": …}.
Each is cut into passages of whole paragraphs; each passage becomes a point, with a vector from any server that speaks the
OpenAI API and this payload:

    {"id": "4172500", "title": "BNSF R. Co. v. Tyrrell", "date_filed": "2017-05-30", "part": 3, "text": "…"}

A point's id is made from the opinion's id and the part, so running the script again writes the same points anew.
Keys come from the environment: OPENAI_API_KEY for the model server, QDRANT_API_KEY for Qdrant.

Then, in AfterImage Web: Corpora > Adopt a collection > the address, the collection "caselaw", text key "text", title key
"title"; and as embedding model the very one that is named here. Its vectors and those of the questions must be of one
model: the size of both is compared before anything is made.

It needs the packages aiohttp and openai.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from openai import AsyncOpenAI, OpenAIError

SPACE = uuid.UUID("5b0f7d0c-6f0e-5d3a-9a53-2f4f9c0f7a11")
"""In which the ids of points are made; any other would do as well."""
HYPHEN = re.compile(r"(?<=[a-z])-\n\s*(?=[a-z])")
"""Between the halves of a word at the end of a printed line."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Passage:
    opinion: str
    title: str
    date_filed: str
    part: int
    text: str

    @property
    def point_id(self) -> str:
        return str(uuid.uuid5(SPACE, f"{self.opinion}/{self.part}"))

    def payload(self) -> dict[str, Any]:
        about = {"id": self.opinion, "title": self.title, "date_filed": self.date_filed}
        return {**about, "part": self.part, "text": self.text}


def main() -> None:
    options = read_options()
    try:
        asyncio.run(index(options))
    except (aiohttp.ClientError, OSError, OpenAIError, ValueError) as error:
        sys.exit(f"Stopped: {error}")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Index court opinions into a Qdrant collection.")
    parser.add_argument("file", type=Path, help="JSONL with id, title, date_filed and text")
    parser.add_argument("--collection", default="caselaw")
    parser.add_argument("--qdrant-url", default="http://localhost:6333")
    parser.add_argument("--base-url", default=None, help="of the model server; else that of the openai package")
    parser.add_argument("--model", required=True, help="embedding model")
    parser.add_argument("--vector", default="", help="name of the vector; none unless given")
    parser.add_argument("--chunk-size", type=int, default=1200, help="characters of a passage, at most (1200)")
    parser.add_argument("--batch", type=int, default=64, help="passages that are embedded together (64)")
    parser.add_argument("--limit", type=int, default=None, help="opinions that are read, at most")
    return parser.parse_args()


# -- from the file to passages --------------------------------------------------------------------------------------


def passages_of(file: Path, chunk_size: int, limit: int | None) -> Iterator[Passage]:
    with file.open(encoding="utf-8") as lines:
        for line in islice(filter(str.strip, lines), limit):
            row = json.loads(line)
            for part, text in enumerate(cut(row["text"], chunk_size)):
                yield Passage(str(row["id"]), row.get("title", ""), row.get("date_filed", ""), part, text)


def cut(text: str, size: int) -> Iterator[str]:
    """Whole paragraphs, as many as fit; one that is too long alone is cut after sentences, or anywhere at last."""
    held = ""
    for joint, piece in pieces(text, size):
        if held and len(held) + len(joint) + len(piece) > size:
            yield held
            held = piece
        else:
            held = f"{held}{joint}{piece}" if held else piece
    if held:
        yield held


def pieces(text: str, size: int) -> Iterator[tuple[str, str]]:
    """Each with what joins it to the one before."""
    for paragraph in re.split(r"\n\s*\n", HYPHEN.sub("", text)):
        line = " ".join(paragraph.split())
        joint = "\n\n"
        for sentence in SENTENCE_END.split(line) if len(line) > size else filter(None, [line]):
            for at in range(0, len(sentence), size):
                yield joint, sentence[at : at + size]
                joint = " "


# -- from passages to points ----------------------------------------------------------------------------------------


async def index(options: argparse.Namespace) -> None:
    """Embed and store the passages, a batch at a time."""
    headers = {"api-key": os.environ["QDRANT_API_KEY"]} if os.environ.get("QDRANT_API_KEY") else {}
    model_key = os.environ.get("OPENAI_API_KEY") or "not-needed"
    done = 0
    async with (
        AsyncOpenAI(base_url=options.base_url, api_key=model_key) as models,
        aiohttp.ClientSession(options.qdrant_url.rstrip("/") + "/", headers=headers) as session,
    ):
        qdrant = Qdrant(session, options.collection, options.vector)
        passages = passages_of(options.file, options.chunk_size, options.limit)
        while batch := list(islice(passages, options.batch)):
            texts = [f"{passage.title}\n{passage.text}" for passage in batch]
            answer = await models.embeddings.create(model=options.model, input=texts, encoding_format="float")
            vectors = [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
            if not done:
                await qdrant.ensure(len(vectors[0]))
            await qdrant.store(batch, vectors)
            done += len(batch)
            sys.stderr.write(f"\r{done} passages")
    sys.stderr.write(f"\r{done} passages are in the collection “{options.collection}”.\n")


class Qdrant:
    """One collection, through the three requests of Qdrant's REST API that are needed. Raises ValueError on a refusal."""

    def __init__(self, session: aiohttp.ClientSession, collection: str, vector: str) -> None:
        self.session, self.vector = session, vector
        self.path = f"collections/{quote(collection, safe='')}"

    async def ensure(self, size: int) -> None:
        """Make the collection, unless it is there; then its vectors must be of this size."""
        status, answer = await self.call("GET", self.path)
        if status == 404:
            params = {"size": size, "distance": "Cosine"}
            await self.call("PUT", self.path, {"vectors": {self.vector: params} if self.vector else params})
            return
        vectors = answer["result"]["config"]["params"]["vectors"]
        there = (vectors.get(self.vector) if self.vector else vectors) or {}
        if there.get("size") != size:
            raise ValueError(f"the collection has vectors of {there.get('size')} dimensions, the model makes {size}.")

    async def store(self, batch: list[Passage], vectors: list[list[float]]) -> None:
        points = [
            {
                "id": passage.point_id,
                "payload": passage.payload(),
                "vector": {self.vector: vector} if self.vector else vector,
            }
            for passage, vector in zip(batch, vectors, strict=True)
        ]
        await self.call("PUT", f"{self.path}/points?wait=true", {"points": points})

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        async with self.session.request(method, path, json=body) as response:
            answer = await response.json(content_type=None)
        if response.status >= 400 and not (method == "GET" and response.status == 404):
            raise ValueError(f"Qdrant answered {response.status}: {answer}")
        return response.status, answer


if __name__ == "__main__":
    main()
