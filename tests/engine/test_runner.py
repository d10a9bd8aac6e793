"""Many dialogs: exact counts whatever the concurrency, orders that are followed, and ends that leave nothing behind."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable

import pytest

from datasets.schema import Dialog
from generation.engine.protocols import Attempt, Brief, Failed, Job, Made, Outcome
from generation.engine.runner import Pace, Runner
from tests.engine.parts import MemoryDesk, jobs
from tests.engine.waiting import until

QUICK = Pace(orders=0.01, landing=0.0, patience=(0.001, 0.001))
DIALOG = Dialog(messages=())


class Press:
    """Makes dialogs that take `seconds` each, and watches how many are in flight."""

    def __init__(self, seconds: float = 0.0, make: Callable[[Job[Brief]], Outcome] | None = None) -> None:
        self.seconds = seconds
        self.outcome = make or (lambda job: Made((Attempt(DIALOG),)))
        self.started: Counter[int] = Counter()
        self.cancelled: list[int] = []
        self.now = self.peak = 0

    async def __call__(self, job: Job[Brief]) -> Outcome:
        self.started[job.key] += 1
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            await asyncio.sleep(self.seconds)
            return self.outcome(job)
        except asyncio.CancelledError:
            self.cancelled.append(job.key)
            raise
        finally:
            self.now -= 1


def desk_of(count: int, **settings: object) -> MemoryDesk:
    return MemoryDesk(deque(jobs(count)), **settings)  # type: ignore[arg-type]


def everything_has_its_end(desk: MemoryDesk, count: int) -> None:
    """Every claimed job has either landed once or been released once."""
    ended = [landing.job.key for landing in desk.landed] + [job.key for job in desk.released]
    assert sorted(ended + [job.key for job in desk.pending]) == list(range(count))
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(("count", "in_flight"), [(1, 1), (1, 64), (7, 2), (40, 32), (200, 60), (1000, 256)])
async def test_n_jobs_give_exactly_n_outcomes_whatever_the_concurrency(count: int, in_flight: int) -> None:
    desk, press = desk_of(count, in_flight=in_flight), Press(0.003)
    tally = await Runner(desk, press, QUICK).run()
    assert desk.slots == list(range(count))
    assert press.started == Counter(range(count))
    assert press.peak == min(count, in_flight)
    assert (tally.made, tally.failed) == (count, 0)
    assert desk.released == []
    everything_has_its_end(desk, count)


async def test_several_runners_share_the_jobs_of_one_desk_without_losing_or_doubling_any() -> None:
    desk, press = desk_of(300, in_flight=16, landing_time=0.002), Press(0.002)
    tallies = await asyncio.gather(*(Runner(desk, press, QUICK).run() for _ in range(4)))
    assert desk.slots == list(range(300))
    assert sum(tally.made for tally in tallies) == 300
    assert press.started == Counter(range(300))


async def test_a_runner_without_work_ends_at_once() -> None:
    desk = desk_of(0)
    tally = await asyncio.wait_for(Runner(desk, Press(), QUICK).run(), 1)
    assert (tally.made, desk.groups) == (0, [])


async def test_the_next_dialog_starts_as_soon_as_one_ends_without_waiting_for_the_slowest() -> None:
    async def produce(job: Job[Brief]) -> Outcome:
        await asyncio.sleep(0.4 if job.key == 0 else 0.01)
        return Made((Attempt(DIALOG),))

    desk = desk_of(60, in_flight=4)
    begun = time.monotonic()
    await Runner(desk, produce, QUICK).run()
    assert time.monotonic() - begun < 0.7
    assert desk.landed[-1].job.key == 0


async def test_no_dialog_waits_for_a_landing_and_what_ends_meanwhile_is_landed_together() -> None:
    desk, press = desk_of(80, in_flight=8, landing_time=0.05), Press(0.01)
    begun = time.monotonic()
    await Runner(desk, press, QUICK).run()
    assert time.monotonic() - begun < 0.6
    assert desk.slots == list(range(80))
    assert len(desk.groups) < 20


async def test_outcomes_are_landed_while_others_are_still_being_made() -> None:
    async def produce(job: Job[Brief]) -> Outcome:
        await asyncio.sleep(0.5 if job.key == 1 else 0)
        return Made((Attempt(DIALOG),))

    desk = desk_of(2, in_flight=2)
    running = asyncio.create_task(Runner(desk, produce, QUICK).run())
    await until(lambda: desk.slots == [0], 0.3)
    await running


async def test_a_desk_that_lands_slowly_holds_back_new_dialogs_before_outcomes_pile_up() -> None:
    desk, press = desk_of(100, in_flight=4, landing_time=0.1), Press(0)
    running = asyncio.create_task(Runner(desk, press, QUICK).run())
    await asyncio.sleep(0.05)
    assert sum(press.started.values()) <= 2 * 4 + 8 + 4
    await running
    assert desk.slots == list(range(100))


# -- failures -------------------------------------------------------------------------------------------------------


async def test_a_failed_dialog_is_an_outcome_like_any_other() -> None:
    desk = desk_of(30)
    press = Press(make=lambda job: Failed("dialog", "No luck.") if job.key % 3 == 0 else Made((Attempt(DIALOG),)))
    tally = await Runner(desk, press, QUICK).run()
    assert (tally.made, tally.failed, tally.errors) == (20, 10, {"No luck.": 10})
    assert desk.slots == list(range(30))


async def test_an_unexpected_error_fails_its_slot_only_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def make(job: Job[Brief]) -> Outcome:
        if job.key == 3:
            raise KeyError("oops")
        return Made((Attempt(DIALOG),))

    desk = desk_of(10)
    with caplog.at_level(logging.ERROR):
        tally = await Runner(desk, Press(make=make), QUICK).run()
    assert (tally.made, tally.errors) == (9, {"KeyError: 'oops'": 1})
    assert "KeyError" in caplog.text


async def test_a_dialog_that_cancels_itself_fails_instead_of_hanging_the_run() -> None:
    def make(job: Job[Brief]) -> Outcome:
        raise asyncio.CancelledError

    desk = desk_of(3)
    tally = await asyncio.wait_for(Runner(desk, Press(make=make), QUICK).run(), 2)
    assert tally.failed == 3


async def test_a_fatal_failure_stops_the_others_at_once_and_is_landed() -> None:
    async def produce(job: Job[Brief]) -> Outcome:
        await asyncio.sleep(0.02 if job.key == 2 else 30)
        return Failed("fatal", "The server refused the key.")

    desk = desk_of(50, in_flight=8)
    tally = await asyncio.wait_for(Runner(desk, produce, QUICK).run(), 2)
    assert tally.fatal == "The server refused the key."
    assert desk.slots == [2]
    everything_has_its_end(desk, 50)


async def test_what_ended_before_a_fatal_failure_is_landed_too() -> None:
    press = Press(0.01, make=lambda job: Failed("fatal", "Refused.") if job.key == 7 else Made((Attempt(DIALOG),)))
    desk = desk_of(8, in_flight=8)
    tally = await Runner(desk, press, QUICK).run()
    assert desk.slots == list(range(8))
    assert (tally.made, tally.failed) == (7, 1)


async def test_slots_put_back_by_their_landing_are_claimed_again() -> None:
    class Reopening(MemoryDesk):
        async def land(self, landings: list) -> None:  # type: ignore[type-arg, override]
            await super().land(landings)
            self.pending.extend(item.job for item in landings if isinstance(item.outcome, Failed))

    tries: Counter[int] = Counter()

    def make(job: Job[Brief]) -> Outcome:
        tries[job.key] += 1
        return Made((Attempt(DIALOG),)) if tries[job.key] == 3 else Failed("transient", "Busy.")

    desk = Reopening(deque(jobs(20)))
    tally = await Runner(desk, Press(make=make), QUICK).run()
    assert (tally.made, tally.failed) == (20, 40)


# -- the desk fails -------------------------------------------------------------------------------------------------


async def test_a_landing_that_fails_for_a_moment_is_tried_again_and_nothing_is_lost_or_doubled() -> None:
    desk = desk_of(100, in_flight=16)
    desk.failures = deque([OSError("gone"), OSError("gone"), None, OSError("gone"), None])
    tally = await Runner(desk, Press(0.002), QUICK).run()
    assert desk.slots == list(range(100))
    assert tally.made == 100


async def test_a_landing_that_keeps_failing_raises_says_what_is_lost_and_gives_the_rest_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = desk_of(40, in_flight=4)
    desk.failures = deque([OSError("no database")] * 99)
    press = Press(make=lambda job: Made((Attempt(DIALOG),)))
    with caplog.at_level(logging.ERROR), pytest.raises(OSError, match="no database"):
        await asyncio.wait_for(Runner(desk, press, QUICK).run(), 3)
    assert desk.landed == []
    lost = set(press.started)
    kept = {job.key for job in desk.released} | {job.key for job in desk.pending}
    assert lost | kept == set(range(40))
    assert f"{len(lost - kept)} outcomes could not be committed" in caplog.text
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_claim_that_keeps_failing_raises_after_what_was_made_has_landed() -> None:
    class Broken(MemoryDesk):
        async def claim(self, limit: int) -> list[Job[Brief]]:  # type: ignore[override]
            if self.claimed:
                raise OSError("no database")
            return list(await super().claim(4))

    desk = Broken(deque(jobs(10)))
    with pytest.raises(OSError, match="no database"):
        await Runner(desk, Press(0.01), QUICK).run()
    everything_has_its_end(desk, 10)


async def test_orders_that_cannot_be_had_end_the_runner_and_give_the_jobs_back() -> None:
    class Deaf(MemoryDesk):
        asked = 0

        async def orders(self):  # type: ignore[no-untyped-def]
            self.asked += 1
            if self.asked > 1:
                raise OSError("no database")
            return await super().orders()

    desk = Deaf(deque(jobs(10)))
    with pytest.raises(OSError, match="no database"):
        await asyncio.wait_for(Runner(desk, Press(30), QUICK).run(), 2)
    everything_has_its_end(desk, 10)
    assert len(desk.released) == 5


# -- orders ---------------------------------------------------------------------------------------------------------


async def running(desk: MemoryDesk, press: Press, pace: Pace = QUICK) -> asyncio.Task[object]:
    """A runner at work with its line full."""
    task: asyncio.Task[object] = asyncio.create_task(Runner(desk, press, pace).run())
    await until(lambda: press.now == desk.in_flight)
    return task


async def test_drain_finishes_what_is_in_flight_and_starts_nothing_more() -> None:
    desk, press = desk_of(100, in_flight=8), Press(0.1)
    task = await running(desk, press)
    desk.state = "drain"
    await task
    assert len(desk.landed) == 8
    assert press.cancelled == []
    everything_has_its_end(desk, 100)


async def test_a_drain_that_is_taken_back_goes_on_to_the_end() -> None:
    desk, press = desk_of(40, in_flight=4), Press(0.05)
    task = await running(desk, press)
    desk.state = "drain"
    await asyncio.sleep(0.03)
    desk.state = "go"
    await task
    assert desk.slots == list(range(40))


async def test_abort_cancels_what_is_in_flight_within_a_second_and_gives_it_back() -> None:
    desk, press = desk_of(100, in_flight=32), Press(60)
    task = await running(desk, press, Pace())
    begun = time.monotonic()
    desk.state = "abort"
    await task
    assert time.monotonic() - begun < 1
    assert len(press.cancelled) == 32
    assert desk.landed == []
    everything_has_its_end(desk, 100)


async def test_abort_keeps_outcomes_that_were_waiting_to_be_landed() -> None:
    desk, press = desk_of(20, in_flight=4, landing_time=0.2), Press(0.01)
    task = asyncio.create_task(Runner(desk, press, QUICK).run())
    await asyncio.sleep(0.05)
    desk.state = "abort"
    await task
    assert len(desk.landed) >= 4
    everything_has_its_end(desk, 20)


async def test_the_number_in_flight_follows_the_orders_up_and_down() -> None:
    desk, press = desk_of(10_000, in_flight=2), Press(0.02)
    task = await running(desk, press)
    desk.in_flight = 20
    await until(lambda: press.now == 20)
    desk.in_flight = 3
    await until(lambda: press.now == 3)
    await asyncio.sleep(0.05)
    assert press.now <= 3
    desk.state = "abort"
    await task
    everything_has_its_end(desk, 10_000)


async def test_a_time_slice_ends_the_starting_and_finishes_what_is_in_flight() -> None:
    desk, press = desk_of(1000, in_flight=4), Press(0.03)
    begun = time.monotonic()
    await Runner(desk, press, Pace(slice=0.1, orders=0.01, landing=0.0)).run()
    assert 0.1 <= time.monotonic() - begun < 0.6
    assert press.cancelled == []
    assert 0 < len(desk.landed) < 200
    everything_has_its_end(desk, 1000)


async def test_orders_of_nothing_in_flight_end_the_runner() -> None:
    desk = desk_of(5, in_flight=0)
    await asyncio.wait_for(Runner(desk, Press(), QUICK).run(), 1)
    assert len(desk.pending) == 5


async def test_claims_run_ahead_of_the_line_by_a_quarter_at_most() -> None:
    desk, press = desk_of(1000, in_flight=40), Press(60)
    task = await running(desk, press)
    await asyncio.sleep(0.05)
    assert desk.claimed == 50
    desk.state = "abort"
    await task


# -- cancellation ---------------------------------------------------------------------------------------------------


async def test_a_cancelled_runner_cancels_its_dialogs_and_gives_their_jobs_back() -> None:
    desk, press = desk_of(100, in_flight=16), Press(60)
    task = await running(desk, press)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 2)
    assert len(press.cancelled) == 16
    everything_has_its_end(desk, 100)


async def test_a_cancelled_runner_lands_what_has_ended() -> None:
    desk, press = desk_of(8, in_flight=8, landing_time=0.1), Press(0.01)
    task = await running(desk, press)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert desk.slots == list(range(8))


@pytest.mark.parametrize("seed", range(5))
async def test_a_runner_cancelled_at_any_moment_leaves_nothing_behind(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(10):
        desk, press = desk_of(60, in_flight=8, landing_time=0.001), Press(0.002)
        task = asyncio.create_task(Runner(desk, press, QUICK).run())
        await asyncio.sleep(chance.uniform(0, 0.03))
        task.cancel()
        await asyncio.wait([task])
        everything_has_its_end(desk, 60)


async def test_a_dialog_costs_the_runner_little_time_of_its_own() -> None:
    desk = desk_of(2000, in_flight=64)
    begun = time.process_time()
    await Runner(desk, Press(0), QUICK).run()
    assert (time.process_time() - begun) / 2000 < 0.0005
