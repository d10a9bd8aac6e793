"""Personas grown from documents, layer by layer."""
