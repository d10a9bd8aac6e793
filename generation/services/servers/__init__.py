"""Endpoints, their keys, and who embeds the passages of a corpus."""
