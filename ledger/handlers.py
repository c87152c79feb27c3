"""Who does a chunk's work, by the kind of run.

An app's ``tasks`` module defines or imports its handlers; `ledger.apps` imports those modules in every process,
so that a run can also be ended (cancelled) from a page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.chunks import ClaimedChunk, Progress


class UnknownKindError(LookupError):
    """No handler is registered for a chunk's kind."""


@dataclass(frozen=True, slots=True)
class Handler:
    """What works on the chunks of one kind, and the queue whose workers do so."""

    kind: str
    queue: str
    function: Callable[[ClaimedChunk], None]


_handlers: dict[str, Handler] = {}
_run_ends: dict[str, Callable[[int, Progress], None]] = {}


def handles(
    kind: str, *, queue: str
) -> Callable[[Callable[[ClaimedChunk], None]], Callable[[ClaimedChunk], None]]:
    """Register a function ``(chunk: ClaimedChunk) -> None`` for all chunks of a kind.

    It is called with the lease held and renewed. It should call ``chunk.still_ours()`` every second or so, be
    idempotent, and may call `ledger.chunks.finish` itself in the transaction that holds its writes, which
    then happen exactly once; otherwise the chunk is finished when it returns. An exception fails the attempt.
    """

    def register(function: Callable[[ClaimedChunk], None]) -> Callable[[ClaimedChunk], None]:
        _handlers[kind] = Handler(kind=kind, queue=queue, function=function)
        return function

    return register


def on_run_end(
    kind: str,
) -> Callable[[Callable[[int, Progress], None]], Callable[[int, Progress], None]]:
    """Register ``(run: int, progress: Progress) -> None``, called once when the last chunk of a run has ended.

    It runs in the transaction that ends that chunk: both happen or neither.
    """

    def register(function: Callable[[int, Progress], None]) -> Callable[[int, Progress], None]:
        _run_ends[kind] = function
        return function

    return register


def handler_of(kind: str) -> Handler:
    """The handler of a kind.

    Raises:
        UnknownKindError: no app registered one.
    """
    try:
        return _handlers[kind]
    except KeyError:
        raise UnknownKindError(f"No handler is registered for chunks of kind {kind!r}.") from None


def run_end_of(kind: str) -> Callable[[int, Progress], None] | None:
    """What is to be called when a run of that kind ends."""
    return _run_ends.get(kind)


def kinds() -> list[str]:
    """All kinds that have a handler."""
    return sorted(_handlers)
