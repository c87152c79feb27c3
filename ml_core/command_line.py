"""The options of ``python -m ml_core`` and of each of its commands."""

from __future__ import annotations

import argparse
from pathlib import Path

from ml_core import commands
from ml_core.networks import NETWORKS


def new_parser() -> argparse.ArgumentParser:
    """The parser of ``python -m ml_core``; the options that it returns have the command as ``run``."""
    parser = argparse.ArgumentParser(
        prog="python -m ml_core",
        description="Write a snapshot, train, crossfit, evaluate, predict, describe. No site, no database.",
    )
    added = parser.add_subparsers(required=True, metavar="COMMAND")

    snapshot = added.add_parser(
        "snapshot", help="write a snapshot from a CSV of films and a folder of posters"
    )
    snapshot.add_argument("csv", type=Path, help="movies_metadata.csv or a CSV of its columns")
    snapshot.add_argument("snapshot", type=Path, help="the folder to write")
    snapshot.add_argument(
        "--posters", type=Path, help="folder of posters, NN/<id>.jpg with NN the id modulo 100"
    )
    snapshot.add_argument("--splits", type=Path, help="CSV id,split; without it films are split by groups")
    snapshot.add_argument("--seed", type=int, default=0, help="of the split that is made without --splits")
    snapshot.set_defaults(run=commands.snapshot)

    _add_train(added.add_parser("train", help="train a network on a snapshot and write an artifact"))
    _add_crossfit(
        added.add_parser("crossfit", help="write probabilities of every film by networks that never saw it")
    )
    _add_ablate(added.add_parser("ablate", help="train the variants of the ablation table and print it"))

    evaluate = added.add_parser(
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
    evaluate.set_defaults(run=commands.evaluate)

    predict = added.add_parser("predict", help="predict the genres of one film")
    predict.add_argument("artifact", type=Path)
    predict.add_argument("--title", default="")
    predict.add_argument("--tagline", default="")
    predict.add_argument("--overview", default="")
    predict.add_argument("--poster", type=Path, help="a JPEG, PNG or WebP file")
    predict.add_argument("--json", action="store_true")
    predict.add_argument("--device")
    predict.set_defaults(run=commands.predict)

    describe = added.add_parser("describe", help="say what an artifact is, after checking its hashes")
    describe.add_argument("artifact", type=Path)
    describe.add_argument("--json", action="store_true")
    describe.set_defaults(run=commands.describe)
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
    parser.set_defaults(run=commands.train)


def _add_crossfit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("output", type=Path, help="the folder to write")
    parser.add_argument("--folds", type=_positive, default=5)
    parser.add_argument("--epochs", type=_positive, help="of each fold's network")
    parser.add_argument("--seed", type=_count, default=0)
    parser.add_argument("--image-encoder", default="efficientnet-lite0", help="or torchvision/<model>")
    _add_process_options(parser)
    parser.set_defaults(run=commands.crossfit)


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
    parser.set_defaults(run=commands.ablate)


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
