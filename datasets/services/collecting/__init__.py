"""Corpora: files and collections that become documents, passages and points of an index."""
