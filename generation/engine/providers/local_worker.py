"""A process with one SentenceTransformer: a line of JSON in, a line of JSON out, until there is no more input.

    python -m generation.engine.providers.local_worker MODEL

In: {"texts": ["…"]}. Out: {"vectors": ["…"]}, each the base64 of little-endian float32 numbers, or {"error": "…"}.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any

NOT_INSTALLED = (
    "Embeddings on this machine need the extra “local-embeddings”: "
    'install it for every worker with pip install ".[local-embeddings]" in the folder of AfterImage.'
)


def main(name: str) -> None:
    # Whatever a library prints must not stand among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    model, trouble = _loaded(name)
    for line in sys.stdin:
        answer = {"error": trouble} if model is None else {"vectors": _encoded(model, json.loads(line)["texts"])}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _loaded(name: str) -> tuple[Any, str]:
    """The model, or why there is none."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        return None, NOT_INSTALLED
    try:
        return SentenceTransformer(name, device="cpu"), ""
    except Exception as error:  # whatever a missing or broken model raises in there, often with pages of advice
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return None, f"The embedding model “{name}” cannot be loaded: {reason[:300]}"


def _encoded(model: Any, texts: list[str]) -> list[str]:
    vectors = model.encode(texts, show_progress_bar=False, convert_to_numpy=True).astype("<f4")
    return [base64.b64encode(vector.tobytes()).decode() for vector in vectors]


if __name__ == "__main__":
    main(sys.argv[1])
