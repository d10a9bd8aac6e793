"""Between the engine and the rows: what a run's rows mean to the engine, and where its components find their data."""

from .embedding import embedder_for

__all__ = ["embedder_for"]
