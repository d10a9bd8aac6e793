"""How things get made: the tables of the press."""

from .endpoints import CorpusEmbedding, Endpoint, EndpointKey, Price
from .runs import Call, Recipe, Run, Slot
from .trials import Trial

__all__ = ["Call", "CorpusEmbedding", "Endpoint", "EndpointKey", "Price", "Recipe", "Run", "Slot", "Trial"]
