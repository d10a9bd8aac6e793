"""The passage index, against a real Qdrant: the embedded vector process, or the server that QDRANT_URL names."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator

import pytest

from datasets.foreign_index import connect_foreign, list_collections
from datasets.index import (
    Client,
    IndexedPassage,
    IndexFault,
    IndexMismatch,
    IndexMissing,
    IndexUnavailable,
    PassageIndex,
    connect,
)
from tests.fixtures_foreign_qdrant import ForeignQdrant

CATS = "Cats sleep for most of the day."
DOGS = "Dogs bark at strangers at night."
FISH = "Fish swim in the deep sea."


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connect(os.environ["QDRANT_URL"], os.environ.get("QDRANT_API_KEY")) as client:
        yield client


@pytest.fixture
def name() -> str:
    """Of a collection: one of its own for each test, beside those of other processes."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
async def index(client: Client, name: str) -> AsyncIterator[PassageIndex]:
    """The collection is not made yet."""
    index = PassageIndex(client, name)
    yield index
    await index.drop()


def passage(id: int, text: str, **given: object) -> IndexedPassage:
    fields = {"document": id * 10, "source": 1, "revision": 1, "title": "", "start": 0, "end": len(text)}
    return IndexedPassage(**(fields | {"page": None, "heading": ""} | given), id=id, text=text)


async def animals(index: PassageIndex, dense_size: int | None = None) -> list[IndexedPassage]:
    passages = [passage(1, CATS), passage(2, DOGS), passage(3, FISH)]
    await index.ensure(dense_size)
    await index.upsert(passages, [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]] if dense_size else None)
    return passages


async def found(index: PassageIndex, query: str, **options: object) -> list[int]:
    return [hit.passage.id for hit in await index.search(query, limit=10, **options)]


async def test_a_hit_is_the_passage_that_was_indexed_with_its_offsets_page_and_heading(
    index: PassageIndex,
) -> None:
    full = passage(
        7, "Das Gerät zeigt E-4012.\n\0 “quoted”", document=70, source=3, revision=4, title="Handbuch",
        start=1200, end=1234, page=12, heading="Fehler > Strom",
    )  # fmt: skip
    await index.ensure(None)
    await index.upsert([full, passage(8, CATS)])
    [hit] = await index.search("4012", limit=5)
    assert hit.passage == full
    assert hit.score > 0


async def test_the_best_match_comes_first_and_no_more_than_asked_for(index: PassageIndex) -> None:
    await index.ensure(None)
    await index.upsert([passage(n, f"Battery number {n}. " + "Charging. " * n) for n in range(1, 6)])
    hits = await index.search("charging battery 3", limit=2)
    assert hits[0].passage.id == 3
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len(hits) == 2


async def test_words_are_found_in_title_and_heading_too(index: PassageIndex) -> None:
    await index.ensure(None)
    await index.upsert([passage(1, CATS, title="Warranty"), passage(2, DOGS, heading="Returns")])
    assert await found(index, "warranty") == [1]
    assert await found(index, "return") == [2]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Die Rückgabe der Geräte", "RUCKGABE"),
        ("Nos cafés sont ouverts", "cafes"),
        ("Сброс пароля администратора", "пароля"),
        ("我喜欢学习机器学习", "机器学习"),
        ("東京都に住んでいます", "東京"),
        ("สวัสดีครับ", "สวัสดี"),
        ("The batteries were charged", "battery charging"),
    ],
)
async def test_other_languages_and_spellings_are_found(index: PassageIndex, text: str, query: str) -> None:
    await index.ensure(None)
    await index.upsert([passage(1, text), passage(2, CATS), passage(3, "全く関係のない文章")])
    assert (await found(index, query))[0] == 1


@pytest.mark.parametrize("query", ["", " \n\t", "the of and", "?!…", "\ud800"])
async def test_a_query_without_a_word_finds_nothing(index: PassageIndex, query: str) -> None:
    await animals(index)
    assert await found(index, query) == []


async def test_a_whole_message_is_a_query(index: PassageIndex) -> None:
    await animals(index)
    message = "I wonder about something. " * 2_000 + "Why do dogs bark?"
    assert await found(index, message) == [2]


async def test_a_hybrid_search_fuses_both_rankings(index: PassageIndex) -> None:
    await animals(index, 3)
    hits = await index.search("cats", limit=3, dense=[0.1, 0.9, 0.2])
    assert [hit.passage.id for hit in hits] == [1, 2, 3]
    # cats: first by words, third by vector; dogs and fish: first and second by vector alone
    assert [hit.score for hit in hits] == pytest.approx([1 / 2 + 1 / 4, 1 / 2, 1 / 3])


async def test_a_hybrid_search_goes_by_the_vector_where_no_word_is_known(index: PassageIndex) -> None:
    await animals(index, 3)
    assert await found(index, "and the", dense=[0, 0.1, 1]) == [3, 2, 1]
    assert await found(index, "  ", dense=[0, 0, 1]) == []


async def test_an_index_made_for_other_vectors_says_so(index: PassageIndex) -> None:
    await animals(index, 3)
    for size, words in ((4, "vectors of 4 dimensions"), (None, "word search alone")):
        with pytest.raises(IndexMismatch, match=f"made for vectors of 3 dimensions, not for {words}"):
            await index.ensure(size)
    assert await index.count() == 3


async def test_an_index_without_vectors_is_not_taken_for_one_with(index: PassageIndex) -> None:
    await index.ensure(None)
    with pytest.raises(IndexMismatch, match="word search alone, not for vectors of 3"):
        await index.ensure(3)


async def test_making_an_index_twice_or_at_the_same_time_keeps_what_it_holds(index: PassageIndex) -> None:
    await asyncio.gather(*(index.ensure(3) for _ in range(4)))
    await animals(index, 3)
    await index.ensure(3)
    assert await index.count() == 3


async def test_vectors_of_a_wrong_size_or_number_are_refused_and_store_nothing(index: PassageIndex) -> None:
    await index.ensure(3)
    with pytest.raises(IndexFault, match="expected dim: 3, got 2"):
        await index.upsert([passage(1, CATS), passage(2, DOGS)], [[1.0, 0, 0], [1.0, 0]])
    with pytest.raises(ValueError, match="2 passages came with 1 vectors"):
        await index.upsert([passage(1, CATS), passage(2, DOGS)], [[1.0, 0, 0]])
    assert await index.count() == 0


async def test_indexing_a_passage_again_replaces_it(index: PassageIndex) -> None:
    await animals(index)
    await index.upsert([passage(1, "Hamsters run in wheels.")])
    assert await index.count() == 3
    assert await found(index, "cats") == []
    assert await found(index, "hamster") == [1]


async def test_only_other_revisions_of_the_same_source_are_stale(index: PassageIndex) -> None:
    await index.ensure(None)
    origins = [(1, 1), (1, 2), (1, 3), (2, 1)]
    await index.upsert([passage(n, CATS, source=s, revision=r) for n, (s, r) in enumerate(origins)])
    await index.delete_stale(source=1, keep_revision=2)
    assert sorted(await found(index, "cats")) == [1, 3]


async def test_the_passages_of_deleted_sources_go_and_no_others(index: PassageIndex) -> None:
    await index.ensure(None)
    await index.upsert([passage(n, CATS, source=n) for n in range(5)])
    await index.delete_sources([])
    assert await index.count() == 5
    await index.delete_sources([1, 3, 99])
    assert sorted(await found(index, "cats")) == [0, 2, 4]


async def test_many_passages_are_counted_and_found(index: PassageIndex) -> None:
    await index.ensure(None)
    await index.upsert([passage(n, f"{CATS} Number {n}.") for n in range(1, 351)])
    assert await index.count() == 350
    assert (await found(index, "number 217"))[0] == 217


async def test_searches_are_answered_while_passages_are_added(index: PassageIndex) -> None:
    await animals(index)
    adding = asyncio.create_task(index.upsert([passage(n, f"{CATS} {n}") for n in range(10, 3_010)]))
    answered = 0
    while not adding.done():
        assert await found(index, "dogs bark") == [2]
        answered += 1
    await adding
    assert answered > 10
    assert await index.count() == 3_003


async def test_a_dropped_index_is_gone_and_can_be_dropped_again(client: Client, index: PassageIndex, name: str) -> None:
    await animals(index)
    assert name in await client.get_collections()
    await index.drop()
    await index.drop()
    assert name not in await client.get_collections()
    with pytest.raises(IndexMissing):
        await index.count()


async def test_an_unknown_collection_is_missing_for_every_use(index: PassageIndex) -> None:
    for use in (
        index.search("cats", limit=1),
        index.upsert([passage(1, CATS)]),
        index.delete_stale(source=1, keep_revision=1),
        index.delete_sources([1]),
        index.count(),
    ):
        with pytest.raises(IndexMissing, match="doesn't exist"):
            await use


@pytest.mark.parametrize("url", ["unix:///nonexistent/vectors.sock", "http://127.0.0.1:9"])
async def test_a_store_that_does_not_answer_is_named_in_one_sentence(url: str) -> None:
    async with connect(url) as client:
        with pytest.raises(
            IndexUnavailable, match=r"^The vector store at \S+ does not answer \(nothing answers there\): .*QDRANT_URL"
        ):
            await PassageIndex(client, "corpus-1").search("cats", limit=1)


async def test_a_refused_key_is_told_apart_and_what_stands_before_a_server_is_not_quoted() -> None:
    """A key that is missing is refused in plain text."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status = b"200 OK" if b"api-key: right" in head else b"401 Unauthorized"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: 19\r\nConnection: close\r\n\r\nMust provide a key." % status)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with connect(url, "wrong") as client:
            with pytest.raises(IndexFault, match="refuses the API key: enter one that it accepts"):
                await client.get_collections()
        async with connect(url, "right") as client:
            with pytest.raises(IndexUnavailable):
                await client.get_collections()


async def test_a_name_that_now_stands_for_the_machines_own_network_is_not_connected_to(
    foreign: ForeignQdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect_foreign(foreign.url, None) as client:
        assert await list_collections(client) == []
    monkeypatch.setattr("datasets.foreign_index.is_link_local", lambda address: address == "127.0.0.1")
    async with connect_foreign(foreign.url, None) as client:
        with pytest.raises(IndexUnavailable, match="nothing answers there"):
            await list_collections(client)
