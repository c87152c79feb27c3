"""What out-of-fold probabilities of all films cost, beside one training of the heads on the same films.

``python -m benchmarks.crossfit_time SNAPSHOT --work WORK`` encodes the films (or takes what an earlier run left in WORK), then
times one training of the heads and the five of a crossfit, both from encoded films and both without a checkpoint to go on from.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ml_core.crossfit import crossfit
from ml_core.devices import keep_freed_memory
from ml_core.features import FeatureSource
from ml_core.heads import new_fusion
from ml_core.recipes import TrainingRequest
from ml_core.recipes.fusion import Films, heads_config
from ml_core.recipes.running import set_threads
from ml_core.training import fit

PROMISED_RATIO = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both; returns 1 where the promise is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crossfit_time", description=__doc__.split("\n")[0]
    )
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args(arguments)
    keep_freed_memory()
    set_threads(None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = TrainingRequest(
            snapshot=options.snapshot, artifact=folder / "none", work=options.work, name="timed"
        )
        films = Films.of(request)
        features = films.features(films.all_rows())
        labels, train, val = films.snapshot.labels, films.rows("train"), films.rows("val")
        start = time.perf_counter()
        result = fit(
            new_fusion(features, labels, train=train, seed=0),
            FeatureSource(features),
            labels,
            train=train,
            val=val,
            config=heads_config(request),
            device=films.device,
        )
        once = time.perf_counter() - start
        for checkpoint in options.work.glob("crossfit-*.safetensors"):
            checkpoint.unlink()
        description = crossfit(options.snapshot, folder / "out", work=options.work)
    spent = description["seconds"]["training"]
    figures = description["figures"]
    print(
        f"{'one training of the heads':<40}{once:>8.1f} s, val macro ROC AUC {result.best_val_macro_roc_auc:.4f}"
    )
    print(f"{'five folds, every film once':<40}{spent:>8.1f} s, macro ROC AUC {figures['macro_roc_auc']:.4f}")
    print(f"{'ratio':<40}{spent / once:>8.2f} (promised <= {PROMISED_RATIO})")
    return 0 if spent <= PROMISED_RATIO * once else 1


if __name__ == "__main__":
    sys.exit(main())
