"""Improvements of conversations that exist: ordered, estimated, proposed, decided."""
