"""A SentenceTransformer of the tests' own, for embeddings on this machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

INSTALLED = importlib.util.find_spec("sentence_transformers") is not None
needs_the_extra = pytest.mark.skipif(not INSTALLED, reason="the extra local-embeddings is not installed")
WORDS = ["pump", "reset", "valve", "open", "close", "water", "button", "green", "elephant", "savanna"]
SIZE = 16


def make_tiny(folder: Path) -> str:
    """The folder of a model with random weights: one layer, SIZE dimensions, ten words."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(1)
    sizes = {"hidden_size": SIZE, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=15, max_position_embeddings=32, **sizes)).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    # Of a plain BERT it takes the mean of the words' vectors.
    SentenceTransformer(str(folder), device="cpu").save(str(folder / "model"))
    return str(folder / "model")
