"""The part of Qdrant's REST API that the application uses, answered from the store."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import qdrant_edge as edge
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic_core import from_json, to_json

from afterimage_web.embedded import vectors_wire as wire
from afterimage_web.embedded.vectors_store import STEP, Collection, Store

log = logging.getLogger("vectors")

VERSION = "1.20.0"
"""The version of the REST API that is followed."""
LARGEST_BODY = 32 * 1024 * 1024
"""Bytes, as in Qdrant."""
DATA_TYPES = {str(kind): name for name, kind in wire.INDEX_TYPES.items()}

EDGE_DEFAULTS = {
    "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000},
    "optimizer_config": {"default_segment_number": 0, "flush_interval_sec": 30},
}
"""What a collection's description must hold and Edge does not tell."""


def application(store: Store) -> web.Application:
    api = Api(store)
    app = web.Application(middlewares=[refusals], client_max_size=LARGEST_BODY)
    one, points = "/collections/{name}", "/collections/{name}/points"
    app.add_routes(
        [
            web.get("/", api.version),
            *(web.get(path, api.healthy) for path in ("/healthz", "/livez", "/readyz")),
            web.get("/collections", api.list_collections),
            web.get(one, api.collection_info),
            web.put(one, api.create_collection),
            web.delete(one, api.delete_collection),
            web.get(f"{one}/exists", api.collection_exists),
            web.put(f"{one}/index", api.create_index),
            web.delete(f"{one}/index/{{field}}", api.delete_index),
            web.put(points, api.upsert),
            web.post(points, api.retrieve),
            web.post(f"{points}/delete", api.delete_points),
            web.post(f"{points}/count", api.count),
            web.post(f"{points}/scroll", api.scroll),
            web.post(f"{points}/query", api.query),
            web.post(f"{points}/query/batch", api.query_batch),
        ]
    )
    return app


class Api:
    """One method an endpoint: a request in, Qdrant's answer out."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def collection(self, request: web.Request) -> Collection:
        return self.store.get(request.match_info["name"])

    async def version(self, request: web.Request) -> web.Response:
        return _json({"title": "qdrant edge, embedded", "version": VERSION})

    async def healthy(self, request: web.Request) -> web.Response:
        return web.Response(text="all good")

    # -- collections

    async def list_collections(self, request: web.Request) -> web.Response:
        return answer({"collections": [{"name": name} for name in sorted(self.store.collections)]})

    async def collection_exists(self, request: web.Request) -> web.Response:
        return answer({"exists": request.match_info["name"] in self.store.collections})

    async def create_collection(self, request: web.Request) -> web.Response:
        body = await _body(request)
        with wire.reading():
            self.store.create(request.match_info["name"], wire.schema_of(body))
        return answer(True)

    async def delete_collection(self, request: web.Request) -> web.Response:
        return answer(self.store.remove(request.match_info["name"]))

    async def collection_info(self, request: web.Request) -> web.Response:
        return answer(_described(self.collection(request)))

    async def create_index(self, request: web.Request) -> web.Response:
        body = await _body(request)
        with wire.reading():
            operation = wire.field_index(body)
        return await _written(self.collection(request), [operation])

    async def delete_index(self, request: web.Request) -> web.Response:
        operation = edge.UpdateOperation.delete_field_index(request.match_info["field"])
        return await _written(self.collection(request), [operation])

    # -- points

    async def upsert(self, request: web.Request) -> web.Response:
        collection = self.collection(request)
        body = await _body(request)
        with wire.reading():
            points = wire.points(body, collection.schema)
        steps = (edge.UpdateOperation.upsert_points(points[at : at + STEP]) for at in range(0, len(points), STEP))
        return await _written(collection, steps, upserted=len(points))

    async def delete_points(self, request: web.Request) -> web.Response:
        collection = self.collection(request)
        body = await _body(request)
        with wire.reading():
            operation = wire.removal(body)
        return await _written(collection, [operation])

    async def retrieve(self, request: web.Request) -> web.Response:
        body = await _body(request)
        with wire.reading():
            body = wire.only(body, "ids", "with_payload", "with_vector")
            ids = [wire.point_id(value) for value in body["ids"]]
            payload = wire.selector(body.get("with_payload", True))
            found = self.collection(request).shard.retrieve(ids, payload, body.get("with_vector", False))
        return answer([wire.record(each) for each in found])

    async def count(self, request: web.Request) -> web.Response:
        body = await _body(request)
        with wire.reading():
            body = wire.only(body, "filter", "exact")
            asked = edge.CountRequest(exact=body.get("exact", True), filter=wire.to_filter(body.get("filter")))
        return answer({"count": self.collection(request).shard.count(asked)})

    async def scroll(self, request: web.Request) -> web.Response:
        body = await _body(request)
        with wire.reading():
            asked = wire.scroll(body)
        found, following = self.collection(request).shard.scroll(asked)
        return answer({"points": [wire.record(each) for each in found], "next_page_offset": following})

    async def query(self, request: web.Request) -> web.Response:
        body = await _body(request)
        with wire.reading():
            asked = wire.query(body)
        found = self.collection(request).shard.query(asked)
        return answer({"points": [wire.scored(each) for each in found]})

    async def query_batch(self, request: web.Request) -> web.Response:
        body = await _body(request)
        with wire.reading():
            asked = [wire.query(each) for each in wire.only(body, "searches")["searches"]]
        found = self.collection(request).shard.query_batch(edge.QueryBatchRequest(asked))
        return answer([{"points": [wire.scored(each) for each in hits]} for hits in found])


async def _written(
    collection: Collection, operations: Iterable[edge.UpdateOperation], upserted: int = 0
) -> web.Response:
    await collection.write(operations, upserted)
    return answer({"operation_id": collection.writes, "status": "completed"})


def _described(collection: Collection) -> wire.Body:
    info = collection.shard.info()
    return {
        "status": "yellow" if collection.optimizing else "green",
        "optimizer_status": "ok",
        "points_count": info.points_count,
        "indexed_vectors_count": info.indexed_vectors_count,
        "segments_count": info.segments_count,
        "config": {"params": wire.described(collection.schema), **EDGE_DEFAULTS},
        "payload_schema": {
            field: {"data_type": DATA_TYPES[str(index.data_type)], "points": index.points}
            for field, index in info.payload_schema.items()
        },
    }


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors in Qdrant's own shape, with Qdrant's status."""
    try:
        return await handler(request)
    except wire.Refused as error:
        return _error(str(error), error.status)
    except web.HTTPException as error:
        return _error(f"{error.reason}: {request.method} {request.path}", error.status)
    except Exception as error:
        return _edge_error(error)


def _edge_error(error: Exception) -> web.Response:
    """Edge raises bare Exceptions. What the request did wrong is told from what went wrong here by the first words."""
    sentence = str(error)
    if type(error) is Exception and not sentence.startswith("Service "):
        return _error(f"Wrong input: {sentence}", 400)
    log.exception("A request failed.")
    return _error(f"Service internal error: {sentence}", 500)


def _error(sentence: str, status: int) -> web.Response:
    return _json({"status": {"error": sentence}}, status)


def answer(result: Any) -> web.Response:
    return _json({"result": result, "status": "ok"})


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=to_json(body), status=status, content_type="application/json")


async def _body(request: web.Request) -> wire.Body:
    try:
        body = from_json(await request.read(), allow_inf_nan=False)
    except ValueError as error:
        raise wire.Refused(f"Format error in JSON body: {error}") from error
    if not isinstance(body, dict):
        raise wire.Refused("Format error in JSON body: an object is expected")
    return body
