"""``python -m ml_core``: write a snapshot, train, crossfit, evaluate, predict, describe. No site, no database.

Exit codes: 0 done, 2 for what the caller can mend (a wrong path, a damaged artifact, a missing corpus), which is then
said in one line; 4 when a training stopped on SIGTERM, to go on from its checkpoint; 130 when interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml_core import stopping
from ml_core.artifact import ArtifactDescription, ArtifactError
from ml_core.labels import LABEL_NAMES, LABELS
from ml_core.networks import NETWORKS
from ml_core.snapshot import SnapshotError
from ml_core.stopping import TrainingStopped

Progress = Callable[[dict[str, Any]], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except TrainingStopped as stopped:
        _complain(stopped)
        return 4
    except (ArtifactError, SnapshotError, OSError) as error:
        return _complain(error)
    except (RuntimeError, ValueError) as error:
        # Ours are told in one line; anything else is a fault of the program and keeps its traceback.
        if not type(error).__module__.startswith("ml_core."):
            raise
        return _complain(error)
    except KeyboardInterrupt:
        return 130
    return 0


def _complain(error: Exception) -> int:
    print(f"ml_core: {error}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml_core", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    snapshot = commands.add_parser(
        "snapshot", help="write a snapshot from a CSV of films and a folder of posters"
    )
    snapshot.add_argument("csv", type=Path, help="movies_metadata.csv or a CSV of its columns")
    snapshot.add_argument("snapshot", type=Path, help="the folder to write")
    snapshot.add_argument(
        "--posters", type=Path, help="folder of posters, NN/<id>.jpg with NN the id modulo 100"
    )
    snapshot.add_argument("--splits", type=Path, help="CSV id,split; without it films are split by groups")
    snapshot.add_argument("--seed", type=int, default=0, help="of the split that is made without --splits")
    snapshot.set_defaults(run=_snapshot)

    _add_train(commands.add_parser("train", help="train a network on a snapshot and write an artifact"))
    _add_crossfit(
        commands.add_parser(
            "crossfit", help="write probabilities of every film by networks that never saw it"
        )
    )
    _add_ablate(commands.add_parser("ablate", help="train the variants of the ablation table and print it"))

    evaluate = commands.add_parser(
        "evaluate", help="judge an artifact on a part of a snapshot and write a report"
    )
    evaluate.add_argument("artifact", type=Path)
    evaluate.add_argument("snapshot", type=Path)
    evaluate.add_argument("--part", choices=("val", "test"), default="test")
    evaluate.add_argument(
        "--output",
        type=Path,
        help="folder for metrics.json and report.md with its pictures; by default <artifact>.evaluation",
    )
    evaluate.add_argument("--device")
    evaluate.add_argument(
        "--threads", type=_positive, help="of the CPU; figures repeat exactly for the same number"
    )
    evaluate.set_defaults(run=_evaluate)

    predict = commands.add_parser("predict", help="predict the genres of one film")
    predict.add_argument("artifact", type=Path)
    predict.add_argument("--title", default="")
    predict.add_argument("--tagline", default="")
    predict.add_argument("--overview", default="")
    predict.add_argument("--poster", type=Path, help="a JPEG, PNG or WebP file")
    predict.add_argument("--json", action="store_true")
    predict.add_argument("--device")
    predict.set_defaults(run=_predict)

    describe = commands.add_parser("describe", help="say what an artifact is, after checking its hashes")
    describe.add_argument("artifact", type=Path)
    describe.add_argument("--json", action="store_true")
    describe.set_defaults(run=_describe)
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("artifact", type=Path, help="the folder to write")
    parser.add_argument("--network", choices=sorted(NETWORKS), default="fusion")
    parser.add_argument("--epochs", type=_positive, help="of the network itself (fusion: of its heads)")
    parser.add_argument(
        "--poster-epochs",
        type=_count,
        default=0,
        help="of the image encoder, on posters alone, first (fusion)",
    )
    parser.add_argument("--tune-epochs", type=_count, default=0, help="of both encoders, end to end (fusion)")
    parser.add_argument(
        "--teacher", type=Path, help="an artifact; its probabilities have a share in what is learned (fusion)"
    )
    parser.add_argument(
        "--start", type=Path, help="an artifact of ours to go on from, with its encoders and fusion (fusion)"
    )
    parser.add_argument(
        "--read-posters",
        action="store_true",
        help="learn in the end to use what is written on posters that come with nothing else (fusion)",
    )
    parser.add_argument(
        "--second-image-encoder",
        type=Path,
        metavar="ARTIFACT",
        help="whose image encoder is to look, too, at posters that are read (fusion)",
    )
    parser.add_argument("--batch-size", type=_positive)
    parser.add_argument("--tune-batch-size", type=_positive, help="films at a time while encoders are tuned")
    parser.add_argument(
        "--all-gpus", action="store_true", help="train on every GPU there is, as torchrun would start it"
    )
    parser.add_argument("--seed", type=_count, default=0)
    parser.add_argument("--name", help="the model's name; by default the artifact folder's")
    parser.add_argument(
        "--inputs", choices=("both", "overview", "poster"), default="both", help="what the network is shown"
    )
    parser.add_argument(
        "--loss", choices=("bce", "asymmetric", "balanced"), default="bce", help="what is minimised (fusion)"
    )
    parser.add_argument(
        "--criterion", choices=("f1", "mcc"), default="f1", help="what thresholds are chosen for"
    )
    parser.add_argument("--image-encoder", default="efficientnet-lite0", help="or torchvision/<model>")
    parser.add_argument("--word-vectors", type=Path, help="word2vec binary file, such as Google's (lstm_cnn)")
    _add_process_options(parser)
    parser.set_defaults(run=_train)


def _add_crossfit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("output", type=Path, help="the folder to write")
    parser.add_argument("--folds", type=_positive, default=5)
    parser.add_argument("--epochs", type=_positive, help="of each fold's network")
    parser.add_argument("--seed", type=_count, default=0)
    parser.add_argument("--image-encoder", default="efficientnet-lite0", help="or torchvision/<model>")
    _add_process_options(parser)
    parser.set_defaults(run=_crossfit)


def _add_ablate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("output", type=Path, help="the folder to write: an artifact a variant, and the table")
    parser.add_argument(
        "--variant", action="append", default=[], help="only this one; may be given more than once"
    )
    parser.add_argument("--epochs", type=_positive, help="of our heads")
    parser.add_argument(
        "--poster-epochs", type=_count, default=0, help="of the variants that are tuned and see posters"
    )
    parser.add_argument("--tune-epochs", type=_positive, default=4, help="of the variants that are tuned")
    parser.add_argument("--seed", type=_count, default=0)
    _add_process_options(parser)
    parser.set_defaults(run=_ablate)


def _add_process_options(parser: argparse.ArgumentParser) -> None:
    """What every command has that trains, whoever started it."""
    parser.add_argument(
        "--work", type=Path, help="caches and checkpoints; by default beside what is written, in .work"
    )
    parser.add_argument(
        "--progress", type=Path, help="file that gets a line of JSON at each step worth telling"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; by default the first GPU, else the CPU")
    parser.add_argument(
        "--threads", type=_positive, help="of the CPU; figures repeat exactly for the same number"
    )
    parser.add_argument("--lifeline", action="store_true", help="end when standard input is closed")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0")
    return number


def _snapshot(options: argparse.Namespace) -> None:
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


def _train(options: argparse.Namespace) -> None:
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


def _crossfit(options: argparse.Namespace) -> None:
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


def _ablate(options: argparse.Namespace) -> None:
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


def _evaluate(options: argparse.Namespace) -> None:
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


def _predict(options: argparse.Namespace) -> None:
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


def _describe(options: argparse.Namespace) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
