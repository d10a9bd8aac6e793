"""Finding conversations by their words, fast for rare words and for common ones.

There are two ways, and PostgreSQL cannot choose between them, because it takes reading a stored text vector for as cheap
as comparing two numbers: to take the hits from the text index first, or to walk the list and look into each conversation.
Rare words want the first (measured on 100,000 conversations: 2 ms against 570), common ones the second (7 ms against
1,500). So each way is a query of its own, chosen by how many of a list's first conversations hold the words.
"""

from __future__ import annotations

import re

from django.contrib.postgres.search import SearchQuery
from django.db import connection, transaction

from .models import Conversation, Version
from .models.conversations import ConversationQuerySet

SAMPLE = 300
COMMON, EVERYWHERE = 0.05, 0.25
"""Share of a list's first SAMPLE conversations that hold the words, from which on walking shows a page, or counts up to a
limit, sooner than the index does."""

FENCE = 2**31
"""A limit that limits nothing, but keeps PostgreSQL from merging the search into the query around it."""

_TERM = re.compile(r'"([^"]*)"|([^\s"]+)')


def search_query(words: str) -> SearchQuery:
    """Every word by its beginning, and every "quoted phrase" as it stands; whatever else is typed is harmless.

    Each term is handed to PostgreSQL as a quoted text, so that it is cut into words as the conversations were.
    """
    terms = [f"'{_escape(phrase)}'" if phrase else f"'{_escape(word)}':*" for phrase, word in _TERM.findall(words)]
    return SearchQuery(" & ".join(terms), search_type="raw", config="simple")


def _escape(term: str) -> str:
    return term.replace("\\", "\\\\").replace("'", "''")


def narrow(rows: ConversationQuerySet, words: str) -> ConversationQuerySet:
    """Those of `rows` whose head holds the words, for reading in the order of their ids, a page at a time."""
    if not words:
        return rows
    return _walking(rows, words) if _share(rows, words) >= COMMON else _from_index(rows, words)


def count(rows: ConversationQuerySet, words: str, *, limit: int | None = None) -> int:
    """How many of `rows` hold the words, but never more than `limit`."""
    if not words:
        return rows.order_by()[:limit].count()
    # The index knows words, not phrases: for a phrase of common words it has to look into every conversation as well.
    if limit is not None and _share(rows, words) >= (COMMON if '"' in words else EVERYWHERE):
        return _walking(rows, words).order_by()[:limit].count()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        total = _from_index(rows, words).order_by()[:limit].count()
        cursor.execute("SET LOCAL enable_seqscan = on")
    return total


def _share(rows: ConversationQuerySet, words: str) -> float:
    """How common the words are in this list, from 0 to 1. A list shorter than a sample is quickly walked: 1."""
    sample = list(rows.order_by("-pk").values_list("pk", flat=True)[:SAMPLE])
    if len(sample) < SAMPLE:
        return 1
    return _walking(Conversation.objects.filter(pk__in=sample), words).count() / SAMPLE


def _walking(rows: ConversationQuerySet, words: str) -> ConversationQuerySet:
    return rows.filter(head__search=search_query(words))


def _from_index(rows: ConversationQuerySet, words: str) -> ConversationQuerySet:
    return rows.filter(head__in=Version.objects.filter(search=search_query(words)).values("pk")[:FENCE])
