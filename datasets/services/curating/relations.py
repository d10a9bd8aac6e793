"""What conversations have in common: the texts that they were made from, and who speaks in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import connection

from datasets.formats.splitting import Together

# Of the first version, whose trace begins with what all others were made from too: the texts that were reserved for the
# conversation, not those that were found for an answer. A document that was read anew has a new number, but often the
# same texts.
_GIVEN = """
    FROM datasets_conversation AS conversation
    JOIN datasets_version AS version ON version.conversation_id = conversation.id AND version.number = 1
    CROSS JOIN LATERAL jsonb_path_query(
        version.trace, '$.steps[*].sources[*] ? (!exists(@.score) || @.score == null)'
    ) AS source
    WHERE conversation.id = ANY(%(ids)s)
"""
_QUERIES: Mapping[Together, str] = {
    "passages": f"SELECT DISTINCT conversation.id, md5(source->>'text') {_GIVEN}",
    "documents": f"""
        SELECT DISTINCT conversation.id, unnest(ARRAY[md5(source->>'text'), nullif(source->>'document', '0')]) {_GIVEN}
    """,
    "personas": """
        SELECT conversation.id, unnest(ARRAY['p' || persona.id, 'd' || persona.document_id, md5(nullif(said.persona, ''))])
        FROM datasets_conversation AS conversation
        JOIN datasets_version AS said ON said.id = conversation.head_id
        LEFT JOIN datasets_persona AS persona ON persona.id = conversation.persona_id
        WHERE conversation.id = ANY(%(ids)s)
    """,
}


def ties_of(conversations: Sequence[int], together: Together) -> Mapping[int, Sequence[str]]:
    """Marks of each of these conversations, by id; those that are to stay together share one. One query.

    Personas that were written from the same document, and in any number of steps from each other, are one group.
    """
    ties: dict[int, list[str]] = {pk: [] for pk in conversations}
    if together == "nothing":
        return ties
    with connection.cursor() as cursor:
        cursor.execute(_QUERIES[together], {"ids": list(conversations)})
        for pk, tie in cursor.fetchall():
            if tie is not None:
                ties[pk].append(tie)
    return ties
