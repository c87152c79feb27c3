"""Loaded into a worker by `--include`: a predict worker that dies of one film, as a crash in native code would do it."""

from __future__ import annotations

import os
import signal

from ledger.chunks import ClaimedChunk
from ledger.handlers import handler_of, handles
from predictor.inference import KIND

_predict = handler_of(KIND).function


@handles(KIND, queue="predict")
def predict_or_die(chunk: ClaimedChunk) -> None:
    """Die, leaving no trace, of a chunk that holds the film DEADLY_FILM."""
    if chunk.first <= int(os.environ["DEADLY_FILM"]) < chunk.last:
        os.kill(os.getpid(), signal.SIGKILL)
    _predict(chunk)
