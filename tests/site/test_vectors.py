"""The vector process: what it keeps, what it refuses, and that Qdrant's own client takes it for a Qdrant server."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from afterimage_web.embedded.vectors_store import OPTIMIZE_AFTER
from datasets.index import IndexedPassage, IndexFault, PassageIndex, connect
from tests.site.vectors_process import Vectors, refusal


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket's path."""
    with tempfile.TemporaryDirectory(prefix="vectors-") as folder:
        yield Path(folder)


@pytest.fixture
def vectors(folder: Path) -> Iterator[Vectors]:
    vectors = Vectors(folder)
    yield vectors
    vectors.kill()


@pytest.fixture
async def index(vectors: Vectors) -> AsyncIterator[PassageIndex]:
    async with connect(vectors.url) as client:
        index = PassageIndex(client, "corpus-1")
        await index.ensure(None)
        yield index


@pytest.fixture(scope="module")
def server() -> Iterator[Vectors]:
    """One process for the tests that do not end it."""
    with tempfile.TemporaryDirectory(prefix="vectors-") as folder:
        server = Vectors(Path(folder))
        yield server
        server.kill()


@pytest.fixture
async def qdrant(server: Vectors) -> AsyncIterator[AsyncQdrantClient]:
    """Qdrant's own client, as it is, on an empty server."""
    transport = httpx.AsyncHTTPTransport(uds=str(server.socket))
    client = AsyncQdrantClient("http://vectors", transport=transport, timeout=30, check_compatibility=False)
    yield client
    for collection in (await client.get_collections()).collections:
        await client.delete_collection(collection.name)
    await client.close()


def passage(id: int, text: str = "") -> IndexedPassage:
    return IndexedPassage(id, 1, id % 2, 1, "Cats", f"Cats number {id} {text}", 0, 10, None, "")


def passages(count: int, start: int = 0) -> list[IndexedPassage]:
    return [passage(number) for number in range(start, start + count)]


async def make(qdrant: AsyncQdrantClient, name: str, count: int = 0) -> None:
    await qdrant.create_collection(
        name,
        vectors_config={"dense": models.VectorParams(size=2, distance=models.Distance.COSINE)},
        sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    points = [
        models.PointStruct(
            id=n,
            vector={"dense": [1.0, float(n)], "bm25": models.SparseVector(indices=[7, n + 10], values=[1, 1])},
            payload={"parity": n % 2, "name": f"n{n}"},
        )
        for n in range(count)
    ]
    await qdrant.upsert(name, points)


def ids(points: list) -> list[int]:
    return [point.id for point in points]


def parity(value: int) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=value))])


# -- as a Qdrant server --------------------------------------------------------------------------------------------------


async def test_collections_are_made_described_listed_and_deleted(qdrant: AsyncQdrantClient) -> None:
    await make(qdrant, "a", 4)
    await qdrant.create_payload_index("a", "parity", models.PayloadSchemaType.INTEGER)
    info = await qdrant.get_collection("a")
    assert info.points_count == 4
    assert info.config.params.vectors["dense"].size == 2
    assert info.config.params.sparse_vectors["bm25"].modifier == models.Modifier.IDF
    assert info.payload_schema["parity"].points == 4
    assert await qdrant.collection_exists("a")
    assert not await qdrant.collection_exists("b")
    assert [each.name for each in (await qdrant.get_collections()).collections] == ["a"]
    assert await qdrant.delete_collection("a")
    assert not await qdrant.delete_collection("a")
    assert (await qdrant.get_collections()).collections == []


async def test_points_are_ranked_by_words_by_vectors_and_by_both(qdrant: AsyncQdrantClient) -> None:
    await make(qdrant, "a", 6)
    words = models.SparseVector(indices=[13], values=[1])
    near = [1.0, 2.0]
    assert ids((await qdrant.query_points("a", query=words, using="bm25")).points) == [3]
    assert ids((await qdrant.query_points("a", query=near, using="dense", limit=2)).points) == [2, 3]
    stages = [
        models.Prefetch(query=words, using="bm25", limit=5),
        models.Prefetch(query=near, using="dense", limit=5),
    ]
    fused = await qdrant.query_points(
        "a", prefetch=stages, query=models.FusionQuery(fusion=models.Fusion.RRF), limit=2, with_payload=["name"]
    )
    assert ids(fused.points) == [3, 2]
    assert fused.points[0].score == pytest.approx(1 / 2 + 1 / 3)
    assert fused.points[0].payload == {"name": "n3"}
    both = [models.QueryRequest(query=words, using="bm25"), models.QueryRequest(query=near, using="dense", limit=1)]
    assert [ids(each.points) for each in await qdrant.query_batch_points("a", both)] == [[3], [2]]


async def test_filters_and_thresholds_hold(qdrant: AsyncQdrantClient) -> None:
    await make(qdrant, "a", 10)
    near = {"query": [1.0, 4.0], "using": "dense", "limit": 10}
    odd = await qdrant.query_points("a", query_filter=parity(1), **near)
    assert sorted(ids(odd.points)) == [1, 3, 5, 7, 9]
    close = await qdrant.query_points("a", score_threshold=0.995, **near)
    assert sorted(ids(close.points)) == [3, 4, 5, 6]
    either = models.Filter(
        should=[
            models.HasIdCondition(has_id=[1]),
            models.FieldCondition(key="name", match=models.MatchAny(any=["n2"])),
        ],
        must_not=parity(1).must,
    )
    assert (await qdrant.count("a", count_filter=either)).count == 1
    page, following = await qdrant.scroll("a", scroll_filter=parity(0), limit=3)
    rest, end = await qdrant.scroll("a", scroll_filter=parity(0), limit=3, offset=following)
    assert (ids(page), ids(rest), end) == ([0, 2, 4], [6, 8], None)


async def test_points_are_read_and_deleted_by_id_and_by_filter(qdrant: AsyncQdrantClient) -> None:
    await make(qdrant, "a", 6)
    [record] = await qdrant.retrieve("a", [3, 99], with_vectors=True)
    assert record.payload == {"parity": 1, "name": "n3"}
    assert record.vector["bm25"].indices == [7, 13]
    assert record.vector["dense"] == pytest.approx([0.316228, 0.948683], abs=1e-5)
    await qdrant.delete("a", points_selector=[0, 3])
    await qdrant.delete("a", points_selector=parity(1))
    assert ids((await qdrant.scroll("a"))[0]) == [2, 4]


async def test_wrong_requests_get_qdrants_status_and_leave_no_trace(qdrant: AsyncQdrantClient) -> None:
    await make(qdrant, "a", 1)
    good = models.PointStruct(id=1, vector={"dense": [1.0, 2.0]})
    short = models.PointStruct(id=2, vector={"dense": [1.0]})
    strange = models.PointStruct(id=2, vector={"x": [1.0]})
    text = models.Filter(must=[models.FieldCondition(key="name", match=models.MatchText(text="n"))])
    wrong = [
        (lambda: qdrant.count("b"), 404, "Collection `b`"),
        (lambda: make(qdrant, "a"), 409, "Collection `a` already exists!"),
        (lambda: make(qdrant, "../a"), 400, "letters, digits"),
        (lambda: qdrant.upsert("a", [good, short]), 400, "expected dim: 2, got 1"),
        (lambda: qdrant.upsert("a", [good, strange]), 400, "vector name error: x"),
        (lambda: qdrant.upsert("a", [good, models.PointStruct(id="no", vector={})]), 400, "UUID"),
        (lambda: qdrant.query_points("a", query=[1.0], using="dense"), 400, "expected dim: 2, got 1"),
        (lambda: qdrant.query_points("a", query=[1.0, 1.0], using="x"), 400, "vector name error: x"),
        (
            lambda: qdrant.query_points("a", query=[1.0, 1.0], using="dense", query_filter=text),
            400,
            "not support: text",
        ),
        (lambda: qdrant.query_points("a", query=0, using="dense"), 400, "not support: a query by point id"),
        (lambda: qdrant.set_payload("a", {"x": 1}, points=[0]), 404, "payload"),
    ]
    for request, status, words in wrong:
        with pytest.raises(UnexpectedResponse, match=words) as caught:
            await request()
        assert caught.value.status_code == status
    assert ids((await qdrant.scroll("a"))[0]) == [0]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"limit": "x"}', b'{"query": [NaN]}', b'{"query": {}}', b"\xff"])
async def test_a_malformed_body_is_the_senders_fault(qdrant: AsyncQdrantClient, vectors: Vectors, body: bytes) -> None:
    await make(qdrant, "a", 1)
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(vectors.socket))) as raw:
        response = await raw.post("http://vectors/collections/a/points/query", content=body)
    assert response.status_code == 400
    assert response.json()["status"]["error"].startswith("Format error in JSON body")


async def test_a_collection_may_have_one_vector_without_a_name(qdrant: AsyncQdrantClient) -> None:
    await qdrant.create_collection("a", models.VectorParams(size=2, distance=models.Distance.DOT))
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    payloads = [{"page_content": "one", "metadata": {"source": "x"}}, {"page_content": "two"}, {}]
    batch = models.Batch(ids=[7, first, second], vectors=[[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]], payloads=payloads)
    await qdrant.upsert("a", batch)
    params = (await qdrant.get_collection("a")).config.params
    assert (params.vectors.size, params.vectors.distance) == (2, models.Distance.DOT)
    found = (await qdrant.query_points("a", query=[0.0, 1.0], score_threshold=0.5)).points
    assert [(each.id, each.score) for each in found] == [(second, 2.0), (first, 1.0)]
    [record] = await qdrant.retrieve("a", [7], with_vectors=True)
    assert (record.vector, record.payload) == ([1.0, 0.0], payloads[0])
    [bare] = await qdrant.retrieve("a", [7], with_payload=["metadata.source"])
    assert bare.payload == {"metadata": {"source": "x"}}
    with pytest.raises(UnexpectedResponse, match="expected dim: 2, got 1"):
        await qdrant.upsert("a", [models.PointStruct(id=1, vector=[1.0])])


async def test_a_collection_of_named_vectors_is_filled_by_columns_and_read_page_by_page(
    qdrant: AsyncQdrantClient,
) -> None:
    vectors = {
        "title": models.VectorParams(size=1, distance=models.Distance.EUCLID),
        "text": models.VectorParams(size=2, distance=models.Distance.COSINE),
    }
    await qdrant.create_collection("a", vectors)
    names = [str(uuid.UUID(int=number)) for number in range(300)]
    columns = {"title": [[float(n)] for n in range(300)], "text": [[1.0, float(n)] for n in range(300)]}
    await qdrant.upsert("a", models.Batch(ids=names, vectors=columns, payloads=[{"n": n} for n in range(300)]))
    page, following = await qdrant.scroll("a", limit=256)
    rest, end = await qdrant.scroll("a", limit=256, offset=following)
    assert [each.payload["n"] for each in (*page, *rest)] == list(range(300))
    assert (len(page), end) == (256, None)
    [nearest] = (await qdrant.query_points("a", query=[41.8], using="title", limit=1)).points
    assert (nearest.id, nearest.score) == (names[42], pytest.approx(0.2, abs=1e-4))
    with pytest.raises(UnexpectedResponse, match="Not existing vector name error"):
        await qdrant.upsert("a", [models.PointStruct(id=1, vector=[1.0, 2.0])])


# -- one process, nothing lost -------------------------------------------------------------------------------------------


async def test_a_stopped_process_ends_at_once_and_the_next_one_has_everything(
    vectors: Vectors, index: PassageIndex
) -> None:
    await index.upsert(passages(300))
    began = time.monotonic()
    assert vectors.stop() == 0
    assert time.monotonic() - began < 2
    assert not vectors.socket.exists()
    vectors.start()
    assert await index.count() == 300
    assert (await index.search("number 217", limit=1))[0].passage == passage(217)


async def test_kill_9_right_after_an_answer_loses_nothing_that_was_answered(
    vectors: Vectors, index: PassageIndex
) -> None:
    for turn in range(2):
        await index.upsert(passages(150, start=turn * 150))
        await index.delete_stale(source=turn % 2, keep_revision=2)
        before = {hit.passage.id for hit in await index.search("cats", limit=1_000)}
        vectors.kill()
        assert vectors.socket.exists()
        vectors.start()
        assert {hit.passage.id for hit in await index.search("cats", limit=1_000)} == before
    assert len(before) == await index.count() > 0


async def test_kill_9_in_the_middle_of_writing_keeps_every_answered_batch(
    vectors: Vectors, index: PassageIndex
) -> None:
    answered = 0

    async def write() -> None:
        nonlocal answered
        for at in range(0, 100_000, 50):
            await index.upsert(passages(50, start=at))
            answered = at + 50

    writing = asyncio.create_task(write())
    while answered < 500:
        await asyncio.sleep(0.001)
    vectors.kill()
    with pytest.raises(IndexFault):
        await writing
    vectors.start()
    assert await index.count() >= answered
    assert (await index.search(f"number {answered - 1}", limit=1))[0].passage.id == answered - 1


async def test_a_second_process_is_refused_and_harms_nothing(
    vectors: Vectors, index: PassageIndex, folder: Path
) -> None:
    await index.upsert(passages(10))
    said = refusal(vectors.data, folder / "other.sock")
    assert said == (
        f"The vectors in {vectors.data} are already open in process {vectors.process.pid}: "
        "stop that one first, or name another folder.\n"
    )
    await index.upsert(passages(10, start=10))
    assert await index.count() == 20


async def test_a_socket_in_use_or_in_the_way_is_left_alone(vectors: Vectors, folder: Path) -> None:
    assert "Another process answers on" in refusal(folder / "other", vectors.socket)
    (folder / "file").write_text("mine")
    assert "is not a socket" in refusal(folder / "other", folder / "file")
    assert (folder / "file").read_text() == "mine"
    assert "shorter path" in refusal(folder / "other", folder / ("x" * 120))


async def test_one_damaged_collection_leaves_the_others_usable(vectors: Vectors, index: PassageIndex) -> None:
    await index.upsert(passages(5))
    async with connect(vectors.url) as client:
        damaged = PassageIndex(client, "corpus-2")
        await damaged.ensure(None)
        vectors.stop()
        for segments in (vectors.data / "collections" / "corpus-2").glob("shard-*/*"):
            shutil.rmtree(segments) if segments.is_dir() else segments.write_text("?")
        vectors.start()
        with pytest.raises(IndexFault, match="Service internal error"):
            await damaged.count()
        assert await index.count() == 5
        await damaged.drop()
        await damaged.ensure(None)
        assert await damaged.count() == 0


async def test_a_dropped_collection_leaves_no_files(vectors: Vectors, index: PassageIndex) -> None:
    await index.upsert(passages(5))
    await index.drop()
    assert list((vectors.data / "collections").iterdir()) == []


# -- upkeep --------------------------------------------------------------------------------------------------------------


async def worn(vectors: Vectors, index: PassageIndex) -> None:
    """Write and delete so much that the collection is optimised, and return once that has begun."""
    await index.upsert(passages(OPTIMIZE_AFTER))
    await index.delete_stale(source=0, keep_revision=2)
    await until_shards(vectors, 2)


async def until_shards(vectors: Vectors, count: int) -> None:
    async with asyncio.timeout(60):
        while len(vectors.shards("corpus-1")) != count:
            await asyncio.sleep(0.01)


async def test_a_collection_at_rest_is_optimised_while_it_answers(vectors: Vectors, index: PassageIndex) -> None:
    [before] = vectors.shards("corpus-1")
    await worn(vectors, index)
    while len(vectors.shards("corpus-1")) > 1:
        assert (await index.search("number 217", limit=1))[0].passage.id == 217
        await asyncio.sleep(0.02)
    assert vectors.shards("corpus-1") != [before]
    assert await index.count() == OPTIMIZE_AFTER // 2
    await index.upsert(passages(1))
    vectors.kill()
    vectors.start()
    assert await index.count() == OPTIMIZE_AFTER // 2 + 1


async def test_a_write_during_optimisation_wins(vectors: Vectors, index: PassageIndex) -> None:
    before = vectors.shards("corpus-1")
    await worn(vectors, index)
    await index.upsert([passage(0, "zebra")])
    await until_shards(vectors, 1)
    assert vectors.shards("corpus-1") == before
    assert (await index.search("zebra", limit=1))[0].passage.id == 0


async def test_kill_9_during_optimisation_costs_nothing(vectors: Vectors, index: PassageIndex) -> None:
    [before] = vectors.shards("corpus-1")
    await worn(vectors, index)
    vectors.kill()
    vectors.start()
    assert vectors.shards("corpus-1") == [before]
    assert await index.count() == OPTIMIZE_AFTER // 2
