"""What the tables of all work have in common: what it has cost, and who holds a piece of it."""

from __future__ import annotations

from django.db import models


class Costed(models.Model):
    """Work that calls models: its counters are kept by the transactions that land what they count."""

    calls = models.PositiveIntegerField(default=0)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.DecimalField(max_digits=14, decimal_places=6, default=0)

    class Meta:
        abstract = True

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Leased(models.Model):
    """A piece of work that one worker at a time holds, until its lease runs out."""

    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
