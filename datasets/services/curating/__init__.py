"""Conversations: brought in, changed, decided on, one by one or many at once."""
