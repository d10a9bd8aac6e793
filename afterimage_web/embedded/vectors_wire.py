"""Between Qdrant's REST bodies and Qdrant Edge's objects.

Whatever a body asks for that is not translated here is refused by name: nothing is left out in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import qdrant_edge as edge

Body = dict[str, Any]
PointId = int | str | UUID

DISTANCES = {
    "Cosine": edge.Distance.Cosine,
    "Dot": edge.Distance.Dot,
    "Euclid": edge.Distance.Euclid,
    "Manhattan": edge.Distance.Manhattan,
}
INDEX_TYPES = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
    "bool": edge.PayloadSchemaType.Bool,
}
LARGEST_SIZE = 65_536
"""Dimensions of a dense vector, as in Qdrant."""
UNNAMED = ""
"""Under this name Qdrant keeps the vector of a collection that has one and gave it no name."""
RRF_K = 2
"""Qdrant's own default: a point scores 1 / (2 + rank), ranks counted from 0, summed over the fused lists."""


class Refused(Exception):
    """A request that is answered with an error: one sentence and an HTTP status."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


@contextmanager
def reading() -> Iterator[None]:
    """Turn whatever a malformed body raises while it is translated into a Refused."""
    try:
        yield
    except KeyError as error:
        raise Refused(f"Format error in JSON body: missing or unknown value {error}") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Refused(f"Format error in JSON body: {error}") from error


def only(body: Body, *known: str) -> Body:
    """`body` without its nulls. Refuses a key that is not among `known`."""
    given = {key: value for key, value in body.items() if value is not None}
    if unknown := sorted(given.keys() - set(known)):
        raise Refused(f"The embedded vector process does not support: {', '.join(unknown)}")
    return given


# -- collections ---------------------------------------------------------------------------------------------------------


def schema_of(body: Body) -> Body:
    """The vectors that a collection is created with: {"vectors": {name: {size, distance}}, "sparse_vectors": {...}}.

    The one vector of {"vectors": {size, distance}} has the name UNNAMED.
    """
    body = only(body, "vectors", "sparse_vectors")
    dense = body.get("vectors", {})
    if "size" in dense:
        dense = {UNNAMED: dense}
    for name, params in dense.items():
        if not 1 <= params["size"] <= LARGEST_SIZE:
            raise Refused(
                f"Wrong input: the size of vector {name or 'of the collection'} must lie between 1 and {LARGEST_SIZE}"
            )
    return {
        "vectors": {name: only(params, "size", "distance") for name, params in dense.items()},
        "sparse_vectors": {name: only(params, "modifier") for name, params in body.get("sparse_vectors", {}).items()},
    }


def described(schema: Body) -> Body:
    """The vectors of a collection as a request for it named them."""
    return {**schema, "vectors": schema["vectors"].get(UNNAMED, schema["vectors"])}


def edge_config(schema: Body) -> edge.EdgeConfig:
    """One search thread a shard: more than one costs twice the CPU and saves no time at these sizes."""
    dense = {
        name: edge.EdgeVectorParams(params["size"], DISTANCES[params["distance"]])
        for name, params in schema["vectors"].items()
    }
    sparse = {
        name: edge.EdgeSparseVectorParams(modifier=_modifier(params.get("modifier")))
        for name, params in schema["sparse_vectors"].items()
    }
    return edge.EdgeConfig(vectors=dense, sparse_vectors=sparse, max_search_threads=1)


def _modifier(name: str | None) -> edge.Modifier | None:
    return {None: None, "none": None, "idf": edge.Modifier.Idf}[name]


def field_index(body: Body) -> edge.UpdateOperation:
    body = only(body, "field_name", "field_schema")
    schema = body["field_schema"]
    if isinstance(schema, dict):
        schema = only(schema, "type")["type"]
    return edge.UpdateOperation.create_field_index(body["field_name"], INDEX_TYPES[schema])


# -- points --------------------------------------------------------------------------------------------------------------


def points(body: Body, schema: Body) -> list[edge.Point]:
    """Every point of an upsert, checked against the collection's vectors: Edge would apply half of a bad batch."""
    body = only(body, "points", "batch")
    return [_point(point, schema) for point in (_columns(body["batch"]) if "batch" in body else body["points"])]


def _columns(batch: Body) -> list[Body]:
    """The points of {"ids": [...], "vectors": [...] or {name: [...]}, "payloads": [...]}."""
    batch = only(batch, "ids", "vectors", "payloads")
    vectors = batch["vectors"]
    if isinstance(vectors, dict):
        vectors = [dict(zip(vectors, row, strict=True)) for row in zip(*vectors.values(), strict=True)]
    payloads = batch.get("payloads") or [None] * len(batch["ids"])
    return [
        {"id": identity, "vector": vector, "payload": payload}
        for identity, vector, payload in zip(batch["ids"], vectors, payloads, strict=True)
    ]


def _point(point: Body, schema: Body) -> edge.Point:
    point = only(point, "id", "vector", "payload")
    given = {UNNAMED: point["vector"]} if isinstance(point["vector"], list) else point["vector"]
    vectors = {name: _stored(name, vector, schema) for name, vector in given.items()}
    return edge.Point(point_id(point["id"]), vectors, point.get("payload", {}))


def _stored(name: str, vector: Any, schema: Body) -> Any:
    if name in schema["sparse_vectors"]:
        return edge.SparseVector(vector["indices"], vector["values"])
    if name not in schema["vectors"]:
        raise Refused(f"Wrong input: Not existing vector name error: {name}")
    size = schema["vectors"][name]["size"]
    if len(vector) != size:
        raise Refused(f"Wrong input: Vector dimension error: expected dim: {size}, got {len(vector)}")
    return vector


def point_id(value: Any) -> PointId:
    """A non-negative integer or a UUID string (which Edge checks)."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Refused(f"Format error in JSON body: {value!r} is not a point id")
    return value


def removal(body: Body) -> edge.UpdateOperation:
    """The deletion of {"points": [ids]} or of {"filter": ...}."""
    body = only(body, "points", "filter")
    if "points" in body:
        return edge.UpdateOperation.delete_points([point_id(value) for value in body["points"]])
    return edge.UpdateOperation.delete_points_by_filter(_filter(body["filter"]))


def record(found: edge.Record | edge.ScoredPoint) -> Body:
    return {"id": found.id, "payload": found.payload, "vector": _vectors(found.vector)}


def scored(found: edge.ScoredPoint) -> Body:
    return {**record(found), "version": found.version, "score": found.score}


def _vectors(vectors: Any) -> Any:
    if not isinstance(vectors, dict):
        return vectors
    return {
        name: {"indices": vector.indices, "values": vector.values} if isinstance(vector, edge.SparseVector) else vector
        for name, vector in vectors.items()
    }


# -- reading -------------------------------------------------------------------------------------------------------------


def query(body: Body) -> edge.QueryRequest:
    body = only(
        body, "query", "using", "prefetch", "filter", "limit", "offset", "with_payload", "with_vector",
        "score_threshold", "params",
    )  # fmt: skip
    return edge.QueryRequest(
        limit=body.get("limit", 10),
        offset=body.get("offset"),
        query=_scoring(body.get("query"), body.get("using")),
        prefetches=_prefetches(body.get("prefetch")),
        with_payload=selector(body.get("with_payload", False)),
        with_vector=body.get("with_vector", False),
        filter=to_filter(body.get("filter")),
        score_threshold=body.get("score_threshold"),
        params=_params(body.get("params")),
    )


def _prefetches(body: Body | list[Body] | None) -> list[edge.Prefetch]:
    stages = body if isinstance(body, list) else [body] if body else []
    return [_prefetch(stage) for stage in stages]


def _prefetch(body: Body) -> edge.Prefetch:
    body = only(body, "query", "using", "prefetch", "filter", "limit", "score_threshold", "params")
    return edge.Prefetch(
        limit=body.get("limit", 10),
        query=_scoring(body.get("query"), body.get("using")),
        prefetches=_prefetches(body.get("prefetch")),
        filter=to_filter(body.get("filter")),
        score_threshold=body.get("score_threshold"),
        params=_params(body.get("params")),
    )


def _scoring(body: Any, using: str | None) -> Any:
    """A ranking by nearness, a fusion of the prefetches' rankings, or None."""
    if body is None:
        return None
    if isinstance(body, dict) and "fusion" in body:
        return _fusion(only(body, "fusion")["fusion"])
    if isinstance(body, dict) and "rrf" in body:
        rrf = only(only(body, "rrf")["rrf"], "k", "weights")
        return edge.Fusion.Rrf(rrf.get("k", RRF_K), rrf.get("weights"))
    if isinstance(body, dict) and "nearest" in body:
        body = only(body, "nearest")["nearest"]
    if isinstance(body, dict):
        body = only(body, "indices", "values")
        return edge.Query.Nearest(edge.SparseVector(body["indices"], body["values"]), using=using)
    if isinstance(body, list):
        return edge.Query.Nearest(body, using=using)
    raise Refused("The embedded vector process does not support: a query by point id")


def _fusion(name: str) -> Any:
    return {"rrf": edge.Fusion.Rrf(RRF_K), "dbsf": edge.Fusion.Dbsf()}[name]


def _params(body: Body | None) -> edge.SearchParams | None:
    return edge.SearchParams(**only(body, "hnsw_ef", "exact", "indexed_only")) if body else None


def scroll(body: Body) -> edge.ScrollRequest:
    body = only(body, "limit", "offset", "filter", "with_payload", "with_vector")
    return edge.ScrollRequest(
        limit=body.get("limit", 10),
        offset=body.get("offset"),
        filter=to_filter(body.get("filter")),
        with_payload=selector(body.get("with_payload", True)),
        with_vector=body.get("with_vector", False),
    )


def selector(body: Any) -> bool | list[str] | edge.PayloadSelector:
    """Which payload fields a hit brings along: all, none, these, or all but these."""
    if isinstance(body, bool | list):
        return body
    body = only(body, "include", "exclude")
    if "exclude" in body:
        return edge.PayloadSelector.Exclude(body["exclude"])
    return edge.PayloadSelector.Include(body["include"])


# -- filters -------------------------------------------------------------------------------------------------------------


def to_filter(body: Body | None) -> edge.Filter | None:
    return None if body is None else _filter(body)


def _filter(body: Body) -> edge.Filter:
    body = only(body, "must", "should", "must_not")
    must, should, must_not = (_conditions(body.get(clause, [])) for clause in ("must", "should", "must_not"))
    return edge.Filter(must=must or None, should=should or None, must_not=must_not or None)


def _conditions(body: Body | list[Body]) -> list[Any]:
    return [_condition(each) for each in (body if isinstance(body, list) else [body])]


def _condition(body: Body) -> Any:
    if "has_id" in body:
        return edge.HasIdCondition({point_id(value) for value in only(body, "has_id")["has_id"]})
    if "is_empty" in body:
        return edge.IsEmptyCondition(only(body, "is_empty")["is_empty"]["key"])
    if "is_null" in body:
        return edge.IsNullCondition(only(body, "is_null")["is_null"]["key"])
    if "key" not in body:
        return _filter(body)
    body = only(body, "key", "match", "range")
    if "match" in body:
        return edge.FieldCondition(body["key"], match=_match(only(body, "key", "match")["match"]))
    bounds = only(body["range"], "gt", "gte", "lt", "lte")
    return edge.FieldCondition(body["key"], range=edge.RangeFloat(**bounds))


MATCHES: dict[str, Callable[[Any], Any]] = {
    "value": edge.MatchValue,
    "any": edge.MatchAny,
    "except": edge.MatchExcept,
}


def _match(body: Body) -> Any:
    [(kind, wanted)] = only(body, *MATCHES).items()
    return MATCHES[kind](wanted)
