"""What each command of ``python -m ml_core`` does with its options (:mod:`ml_core.command_line`).

PyTorch and what stands on it are imported by the commands that need them: describing an artifact takes none of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml_core import stopping
from ml_core.artifact import ArtifactDescription
from ml_core.labels import LABEL_NAMES, LABELS
from ml_core.networks import NETWORKS

Progress = Callable[[dict[str, Any]], None]


def snapshot(options: argparse.Namespace) -> None:
    """Write a snapshot from a CSV of films and a folder of posters, and say what was left out."""
    from ml_core.dataset import build_snapshot

    report = build_snapshot(
        table=options.csv,
        snapshot=options.snapshot,
        posters=options.posters,
        splits=options.splits,
        seed=options.seed,
    )
    print(
        f"{report.films:,} films with {report.posters:,} posters written to {options.snapshot} ({report.sha256[:16]})"
    )
    for reason, count in sorted(report.left_out.items()):
        print(f"{count:,} rows left out: {reason}")


def train(options: argparse.Namespace) -> None:
    """Train a network and write an artifact."""
    from ml_core import ranks
    from ml_core.recipes import TrainingRequest

    if options.network != "fusion":
        _refuse_ours(options)
    if options.all_gpus and options.device is None:
        ranks.start_on_all_gpus(sys.argv[1:])
    ranks.join()  # this command alone is shared among processes; another one's lock on its folder refuses the second
    with _training_process(options, options.artifact) as (work, report):
        request = TrainingRequest(
            snapshot=options.snapshot,
            artifact=options.artifact,
            work=work,
            name=options.name or options.artifact.resolve().name,
            epochs=options.epochs,
            poster_epochs=options.poster_epochs,
            tune_epochs=options.tune_epochs,
            teacher=options.teacher,
            start=options.start,
            read_posters=options.read_posters,
            second_image=options.second_image_encoder,
            batch_size=options.batch_size,
            tune_batch_size=options.tune_batch_size,
            seed=options.seed,
            device=options.device,
            criterion=options.criterion,
            loss=options.loss,
            inputs=options.inputs,
            image_encoder=options.image_encoder,
            word_vectors=options.word_vectors,
            progress=report,
        )
        sha256 = NETWORKS[options.network].load_recipe()(request)
        report({"stage": "done", "artifact": str(options.artifact), "sha256": sha256})


def _refuse_ours(options: argparse.Namespace) -> None:
    """Raise where something is asked of the article's network that only ours can do."""
    from ml_core.training import TrainingError

    asked = {
        "--poster-epochs": options.poster_epochs,
        "--tune-epochs": options.tune_epochs,
        "--teacher": options.teacher,
        "--start": options.start,
        "--read-posters": options.read_posters,
        "--second-image-encoder": options.second_image_encoder,
        "--loss": options.loss != "bce",
    }
    for option, value in asked.items():
        if value:
            raise TrainingError(f"{option} is for the network fusion alone")


def crossfit(options: argparse.Namespace) -> None:
    """Write probabilities of every film by networks that never saw it."""
    from ml_core.crossfit import crossfit

    with _training_process(options, options.output) as (work, report):
        description = crossfit(
            options.snapshot,
            options.output,
            work=work,
            folds=options.folds,
            epochs=options.epochs,
            seed=options.seed,
            image_encoder=options.image_encoder,
            device=options.device,
            progress=report,
        )
        report({"stage": "done", **description["figures"], **description["seconds"]})


def ablate(options: argparse.Namespace) -> None:
    """Train the variants of the ablation table and print it."""
    from ml_core.ablation import ablate
    from ml_core.recipes import TrainingRequest

    with _training_process(options, options.output) as (work, report):
        request = TrainingRequest(
            snapshot=options.snapshot,
            artifact=options.output,
            work=work,
            name="ablation",
            epochs=options.epochs,
            poster_epochs=options.poster_epochs,
            tune_epochs=options.tune_epochs,
            seed=options.seed,
            device=options.device,
            progress=report,
        )
        print(ablate(request, names=options.variant, output=options.output))


@contextmanager
def _training_process(options: argparse.Namespace, written: Path) -> Iterator[tuple[Path, Progress]]:
    """What surrounds a command that trains: its lifeline, threads, working folder and progress."""
    if options.lifeline:
        _end_with_standard_input()
    from ml_core import ranks
    from ml_core.devices import choose_device, keep_freed_memory
    from ml_core.recipes.running import Reporter, alone_in, set_threads
    from ml_core.telemetry import device_name

    keep_freed_memory()
    set_threads(options.threads)
    work = options.work or written.with_name(f"{written.name}.work")
    try:
        if ranks.rank() > 0:
            yield work, _silent
            return
        with stopping.listening(), alone_in(work), Reporter(options.progress) as report:
            report({"stage": "start", "device": device_name(choose_device(options.device), ranks.ranks())})
            yield work, report
    finally:
        ranks.leave()


def _silent(line: dict[str, Any]) -> None:
    """Where only the leader of several processes reports."""


def _end_with_standard_input() -> None:
    """End at once when the parent that holds our standard input is gone, however it went."""

    def wait() -> None:
        # Not through sys.stdin: its lock, held by a thread that waits, aborts the interpreter when it shuts down.
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        os._exit(3)

    threading.Thread(target=wait, daemon=True, name="lifeline").start()


def evaluate(options: argparse.Namespace) -> None:
    """Judge an artifact, write the report beside it and print its headline."""
    from ml_core.judging import judge
    from ml_core.recipes.running import set_threads
    from ml_core.report import headline_table, write_report
    from ml_core.snapshot import Snapshot

    set_threads(options.threads)
    # An artifact holds its own files and no others, so the report stands beside it.
    artifact = options.artifact.resolve()
    folder = options.output or artifact.with_name(f"{artifact.name}.evaluation")
    description = ArtifactDescription.read(artifact)
    reports = judge(artifact, options.snapshot, part=options.part, device=options.device)
    write_report(
        folder,
        description=description,
        snapshot=Snapshot.open(options.snapshot),
        part=options.part,
        reports=reports,
    )
    print(headline_table(reports))
    print(f"Report: {folder / 'report.md'}")


def predict(options: argparse.Namespace) -> None:
    """Predict the genres of one film and print them."""
    from ml_core.predictor import FilmInput, Predictor

    poster = options.poster.read_bytes() if options.poster else None
    predictor = Predictor.load(options.artifact, device=options.device)
    result = predictor.predict([FilmInput(options.title, options.overview, options.tagline, poster)])
    names = {label.tmdb_id: label.name for label in LABELS}
    rows = [
        {"tmdb_id": tmdb_id, "name": names[tmdb_id], "probability": p, "threshold": t, "predicted": yes}
        for tmdb_id, p, t, yes in zip(
            predictor.label_ids,
            result.probabilities[0].round(4).tolist(),
            result.thresholds[0].round(4).tolist(),
            result.predicted[0].tolist(),
            strict=True,
        )
    ]
    if options.json:
        answer: dict[str, Any] = {
            "genres": rows,
            "inputs_used": list(result.inputs_used[0]),
            "poster_error": result.poster_errors[0],
            "poster_text": result.poster_texts[0],
            "model": predictor.description.name,
        }
        print(json.dumps(answer, indent=1))
        return
    if result.poster_errors[0]:
        print(f"The poster was not used: {result.poster_errors[0]}")
    print(f"Inputs used: {', '.join(result.inputs_used[0]) or 'none'}")
    if result.poster_texts[0]:
        print(f"Read on the poster: {result.poster_texts[0]}")
    for row in sorted(rows, key=lambda row: -row["probability"]):
        print(
            f"{'*' if row['predicted'] else ' '} {row['name']:<16} {row['probability']:.3f}  ({row['threshold']:.3f})"
        )


def describe(options: argparse.Namespace) -> None:
    """Print what an artifact is, after checking its hashes."""
    description = ArtifactDescription.read(options.artifact)
    if options.json:
        answer = {
            "name": description.name,
            "network": description.network,
            "created": description.created,
            "sha256": description.sha256,
            "size_bytes": description.size_bytes,
            "label_ids": list(description.label_ids),
            "label_names": [
                LABEL_NAMES[[label.tmdb_id for label in LABELS].index(i)] for i in description.label_ids
            ],
            "thresholds": {name: list(vector) for name, vector in description.thresholds.items()},
            "encoders": description.config.get("encoders", {}),
            "films": {part: len(ids) for part, ids in description.films.items()},
            "files": dict(description.files),
            "metrics": dict(description.metrics),
        }
        print(json.dumps(answer, indent=1))
        return
    films = ", ".join(f"{len(ids):,} {part}" for part, ids in description.films.items())
    print(f"{description.name}: network {description.network}, written {description.created}")
    print(f"{description.size_bytes / 2**20:.1f} MB, SHA-256 {description.sha256}, films {films}")
    for name, report in description.metrics.get("test", {}).items():
        auc = report["macro_roc_auc"]
        print(
            f"  {name:<16} {report['films']:>6} test films, macro ROC AUC {'-' if auc is None else f'{auc:.4f}'}"
        )
