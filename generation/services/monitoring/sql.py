"""The questions of `metrics`, in SQL. Each takes `Scope.parameters()`, so that nothing that a person typed is in them."""

from __future__ import annotations

from typing import Protocol


class Bounds(Protocol):
    """Which conditions a scope needs."""

    @property
    def run(self) -> int | None: ...
    @property
    def endpoint(self) -> int | None: ...
    @property
    def model(self) -> str: ...


def _calls_of(scope: Bounds) -> str:
    parts = [
        "project_id = %(project)s",
        "run_id = %(run)s" if scope.run is not None else "",
        "created >= %(since)s AND created < %(until)s",
        "endpoint_id = %(endpoint)s" if scope.endpoint is not None else "",
        "model = %(model)s" if scope.model else "",
    ]
    return " AND ".join(filter(None, parts))


def _slots_of(scope: Bounds) -> str:
    """Slots whose last attempt has ended, in the words of the index `slot_ended`."""
    runs = (
        "SELECT id FROM generation_run WHERE project_id = %(project)s"  # whoever names a run of another one sees none
    )
    parts = [
        f"slot.run_id IN ({runs} AND id = %(run)s)" if scope.run is not None else f"slot.run_id IN ({runs})",
        "slot.updated >= %(since)s AND slot.updated < %(until)s",
        "(slot.state = 'done' OR slot.error_kind <> '') AND slot.state <> 'cancelled'",
    ]
    return " AND ".join(parts)


# A time at a time: grouped by an expression of `created`, a million calls would be sorted on the disk, because the planner
# expects a group for each of them.
TIMES = "generate_series(%(first)s, %(until)s - interval '1 microsecond', %(step)s) AS at"
IN_TIME = "created >= greatest(at, %(since)s) AND created < least(at + %(step)s, %(until)s)"


def calls(scope: Bounds) -> str:
    return f"""
        SELECT at, found.* FROM {TIMES} CROSS JOIN LATERAL (
            SELECT endpoint_id, operation, model,
              count(*), sum(tries), count(*) FILTER (WHERE tries > 1), sum(cost),
              sum(prompt_tokens), min(prompt_tokens), max(prompt_tokens),
              sum(completion_tokens), min(completion_tokens), max(completion_tokens),
              sum(prompt_tokens + completion_tokens), min(prompt_tokens + completion_tokens),
              max(prompt_tokens + completion_tokens),
              sum(latency_ms), min(latency_ms), max(latency_ms)
            FROM generation_call WHERE {_calls_of(scope)} AND {IN_TIME} GROUP BY 1, 2, 3
        ) AS found
    """  # noqa: S608 (conditions are written here)


def finishes(scope: Bounds) -> str:
    """The most frequent words for why a reply ended, each with its calls and those of all words.

    Embeddings do not end.
    """
    return f"""
        SELECT finish, count(*), sum(count(*)) OVER () FROM generation_call
        WHERE {_calls_of(scope)} AND operation <> 'embedding' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(limit)s
    """  # noqa: S608


def calls_by_run(scope: Bounds) -> str:
    return f"""
        SELECT run_id, count(*), sum(prompt_tokens), sum(completion_tokens), sum(cost)
        FROM generation_call WHERE {_calls_of(scope)} GROUP BY 1
        ORDER BY sum(cost) DESC, sum(prompt_tokens + completion_tokens) DESC LIMIT %(limit)s
    """  # noqa: S608


def generation(scope: Bounds) -> str:
    """By time (`bar` is null) and by how long they took (`at` is null). The calls of a conversation land together."""
    return f"""
        SELECT at, width_bucket(ms, %(edges)s::bigint[]) AS bar, count(*), sum(ms), min(ms), max(ms)
        FROM {TIMES} CROSS JOIN LATERAL (
            SELECT sum(latency_ms) AS ms FROM generation_call
            WHERE {_calls_of(scope)} AND {IN_TIME} AND slot IS NOT NULL AND operation <> ALL(%(aside)s)
            GROUP BY run_id, slot
        ) AS conversation GROUP BY GROUPING SETS (1, 2)
    """  # noqa: S608


def outcomes(scope: Bounds) -> str:
    return f"""
        SELECT date_bin(%(step)s, slot.updated, %(origin)s), slot.state, slot.error_kind, count(*),
          count(conversation.turns), sum(conversation.turns), min(conversation.turns), max(conversation.turns)
        FROM generation_slot AS slot LEFT JOIN datasets_conversation AS conversation
          ON conversation.id = slot.conversation_id
        WHERE {_slots_of(scope)} GROUP BY 1, 2, 3
    """  # noqa: S608


def outcomes_by_run(scope: Bounds) -> str:
    return f"""
        SELECT run_id, state, error_kind, count(*), 0, 0, 0, 0 FROM generation_slot AS slot
        WHERE run_id = ANY(%(runs)s) AND {_slots_of(scope)} GROUP BY 1, 2, 3
    """  # noqa: S608


def judged(scope: Bounds) -> str:
    """Each judgement once under the criterion '' with its overall score, and once under each of its own."""
    return f"""
        SELECT date_bin(%(step)s, slot.updated, %(origin)s), score.criterion,
          count(*), count(*) FILTER (WHERE judgement.error <> ''),
          count(score.value), sum(score.value), min(score.value), max(score.value)
        FROM generation_slot AS slot
          JOIN datasets_version AS version ON version.conversation_id = slot.conversation_id
          JOIN datasets_judgement AS judgement ON judgement.version_id = version.id
          CROSS JOIN LATERAL (
              SELECT '' AS criterion, judgement.overall AS value
              UNION ALL
              SELECT one ->> 'criterion', (one ->> 'value')::float8 FROM jsonb_array_elements(judgement.scores) AS one
          ) AS score
        WHERE {_slots_of(scope)} AND slot.state = 'done' AND slot.id %% %(every)s = 0 GROUP BY 1, 2
    """  # noqa: S608
