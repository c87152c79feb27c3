"""The ledger's rules, on a real database: claims, leases, fences, ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ledger import chunks, handlers
from ledger.models import WorkChunk

KIND = "counting"


@pytest.fixture(autouse=True)
def ended_runs() -> Iterator[list[tuple[int, chunks.Progress]]]:
    """The runs of KIND whose end was told, in order."""
    ends: list[tuple[int, chunks.Progress]] = []
    handlers.on_run_end(KIND)(lambda run, progress: ends.append((run, progress)))
    yield ends
    handlers._run_ends.pop(KIND)


def plan(*spans: tuple[int, int], run: int = 1) -> None:
    chunks.plan(kind=KIND, run=run, spans=spans)


def claim(worker: str = "a", lease_seconds: float = 30) -> chunks.ClaimedChunk:
    claimed = chunks.claim(kind=KIND, worker=worker, lease_seconds=lease_seconds)
    assert claimed is not None
    return claimed


@pytest.mark.django_db
def test_chunks_are_claimed_in_order_and_once():
    plan((0, 10), (10, 20))
    first, second = claim("a"), claim("b")
    assert [(c.first, c.last, c.attempt) for c in (first, second)] == [(0, 10, 1), (10, 20, 1)]
    assert chunks.claim(kind=KIND, worker="c") is None


@pytest.mark.django_db
def test_planning_twice_adds_nothing():
    plan((0, 10), (10, 20))
    plan((0, 10), (10, 20))
    assert WorkChunk.objects.count() == 2


@pytest.mark.django_db
def test_another_kind_is_left_alone():
    plan((0, 10))
    assert chunks.claim(kind="else", worker="a") is None


@pytest.mark.django_db
def test_the_run_ends_once_with_its_last_chunk(ended_runs):
    plan((0, 10), (10, 20))
    first, second = claim(), claim()
    chunks.finish(second)
    assert ended_runs == []
    chunks.finish(first)
    chunks.finish(first)  # delivered twice
    assert ended_runs == [(1, chunks.Progress(done=2))]


@pytest.mark.django_db
def test_a_worker_that_lost_its_lease_can_neither_renew_nor_finish_nor_fail(ended_runs):
    plan((0, 10))
    slow = claim("slow", lease_seconds=-1)
    assert chunks.release_expired() == 1
    quick = claim("quick")
    assert not chunks.renew(slow)
    with pytest.raises(chunks.LeaseLostError):
        slow.still_ours()
    with pytest.raises(chunks.LeaseLostError):
        chunks.finish(slow)
    chunks.fail(slow, "too late")
    quick.still_ours()
    chunks.finish(quick)
    assert WorkChunk.objects.get().state == "done"
    assert len(ended_runs) == 1


@pytest.mark.django_db
def test_the_same_worker_is_fenced_by_its_attempt():
    plan((0, 10))
    before = claim("same", lease_seconds=-1)
    chunks.release_expired()
    now = claim("same")
    with pytest.raises(chunks.LeaseLostError):
        chunks.finish(before)
    chunks.finish(now)


@pytest.mark.django_db
def test_a_lease_that_still_runs_is_not_released():
    plan((0, 10))
    claim(lease_seconds=30)
    assert chunks.release_expired() == 0


@pytest.mark.django_db
def test_a_failing_chunk_is_tried_three_times_and_set_aside_with_its_reason(ended_runs):
    plan((0, 10), (10, 20))
    for attempt in (1, 2, 3):
        chunks.finish(claim()) if attempt == 2 else None
        failing = claim()
        chunks.fail(failing, f"attempt {attempt} hit a bad film")
    ended = ended_runs[-1][1]
    assert (ended.done, ended.set_aside) == (1, 1)
    assert "attempt 3 hit a bad film" in ended.reasons[0]
    assert chunks.claim(kind=KIND, worker="a") is None


@pytest.mark.django_db
def test_a_chunk_that_failed_waits_behind_the_others():
    plan((0, 10), (10, 20))
    chunks.fail(claim(), "bad luck")
    assert claim().first == 10


@pytest.mark.django_db
def test_a_chunk_whose_worker_is_lost_three_times_is_set_aside(ended_runs):
    plan((0, 10))
    for _ in range(3):
        claim("doomed", lease_seconds=-1)
        chunks.release_expired()
    assert ended_runs[0][1].set_aside == 1
    assert (
        "The worker doomed was lost while it worked on this (attempt 3 of 3)" in ended_runs[0][1].reasons[0]
    )


@pytest.mark.django_db
def test_a_chunk_given_back_has_lost_no_attempt():
    plan((0, 10))
    chunks.give_back(claim())
    assert claim().attempt == 1


@pytest.mark.django_db
def test_cancelling_ends_the_run_and_stops_whoever_works_on_it(ended_runs):
    plan((0, 10), (10, 20))
    working = claim()
    assert chunks.cancel_run(kind=KIND, run=1) == 2
    with pytest.raises(chunks.RunCancelledError):
        working.still_ours()
    with pytest.raises(chunks.RunCancelledError):
        chunks.finish(working)
    assert [progress.cancelled for _, progress in ended_runs] == [2]
    assert chunks.cancel_run(kind=KIND, run=1) == 0
    assert len(ended_runs) == 1


@pytest.mark.django_db
def test_when_telling_the_end_fails_the_chunk_has_not_ended():
    plan((0, 10))

    def refuse(run: int, progress: chunks.Progress) -> None:
        raise RuntimeError("no")

    handlers.on_run_end(KIND)(refuse)
    working = claim()
    with pytest.raises(RuntimeError):
        chunks.finish(working)
    working.still_ours()


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_do_each_chunk_once_and_end_the_run_once(ended_runs):
    plan(*((n, n + 1) for n in range(60)))
    start = threading.Barrier(6)

    def labour(name: str) -> list[int]:
        done = []
        start.wait()
        try:
            while (claimed := chunks.claim(kind=KIND, worker=name)) is not None:
                done.append(claimed.first)
                chunks.finish(claimed)
        finally:
            connection.close()
        return done

    with ThreadPoolExecutor(6) as pool:
        done = [n for each in pool.map(labour, "abcdef") for n in each]
    assert sorted(done) == list(range(60))
    assert [progress.done for _, progress in ended_runs] == [60]


class Ledger(RuleBasedStateMachine):
    """Whatever workers do, in whatever order, each chunk ends once and the run ends once, last."""

    def __init__(self) -> None:
        super().__init__()
        WorkChunk.objects.all().delete()
        self.ends: list[chunks.Progress] = []
        handlers.on_run_end(KIND)(lambda run, progress: self.ends.append(progress))
        plan(*((n, n + 1) for n in range(3)))
        self.held: list[chunks.ClaimedChunk] = []
        self.written: list[int] = []

    @rule(worker=st.sampled_from("ab"), late=st.booleans())
    def take(self, worker: str, late: bool) -> None:
        claimed = chunks.claim(kind=KIND, worker=worker, lease_seconds=-1 if late else 100)
        if claimed is not None:
            self.held.append(claimed)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        claimed = data.draw(st.sampled_from(self.held))
        before = WorkChunk.objects.get(pk=claimed.id).state
        try:
            chunks.finish(claimed)
        except chunks.ChunkInterruptedError:
            return
        if before == "leased":
            self.written.append(claimed.first)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        chunks.fail(data.draw(st.sampled_from(self.held)), "no luck")

    @rule()
    def sweep(self) -> None:
        chunks.release_expired()

    @precondition(lambda self: len(self.held) > 4)
    @rule()
    def cancel(self) -> None:
        chunks.cancel_run(kind=KIND, run=1)

    @invariant()
    def each_ended_once(self) -> None:
        assert len(self.written) == len(set(self.written))
        progress = chunks.progress(kind=KIND, run=1)
        assert progress.total == 3
        assert len(self.ends) == (1 if progress.ended else 0)
        assert WorkChunk.objects.filter(attempts__gt=chunks.MAX_ATTEMPTS).count() == 0


@pytest.mark.django_db
def test_in_any_order_of_events_nothing_ends_twice():
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Ledger, settings=hypothesis_settings(max_examples=40, stateful_step_count=25, deadline=None)
    )
