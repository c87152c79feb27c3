"""Random changes to posters stay posters."""

from __future__ import annotations

import torch

from ml_core.augmentation import augment_posters


def posters() -> torch.Tensor:
    return torch.randint(
        0, 256, (4, 3, 64, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def test_shape_range_and_that_something_changes() -> None:
    changed = augment_posters(posters(), torch.Generator().manual_seed(0))
    assert changed.shape == (4, 3, 64, 48)
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert (changed - posters().float()).abs().mean() > 5


def test_the_generator_alone_decides() -> None:
    first, again, other = (augment_posters(posters(), torch.Generator().manual_seed(n)) for n in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_smaller_crop_shows_less_of_the_poster() -> None:
    ramp = torch.arange(256, dtype=torch.float32).to(torch.uint8).expand(64, 3, 256, 256)
    spans = []
    for smallest in (0.8, 0.4):
        changed = augment_posters(ramp, torch.Generator().manual_seed(0), smallest_crop=smallest)
        # Contrast differs from poster to poster, alike in both.
        spans.append((changed[:, 0, 128].amax(dim=1) - changed[:, 0, 128].amin(dim=1)).mean())
    assert spans[1] < 0.9 * spans[0]


def test_a_plain_poster_keeps_its_colour_within_bounds() -> None:
    plain = torch.full((64, 3, 32, 32), 128, dtype=torch.uint8)
    changed = augment_posters(plain, torch.Generator().manual_seed(0))
    assert changed.std(dim=(2, 3)).max() < 0.5
    assert changed.mean(dim=(1, 2, 3)).min() > 128 * 0.8 - 10
    assert changed.mean(dim=(1, 2, 3)).max() < 128 * 1.2 + 10


def test_a_shrunk_poster_shows_the_same_in_fewer_pixels() -> None:
    ramp = torch.arange(240, dtype=torch.float32).to(torch.uint8).expand(8, 3, 120, 240)
    whole, small = (
        augment_posters(ramp, torch.Generator().manual_seed(0), shrink=shrink) for shrink in (1.0, 0.5)
    )
    assert whole.shape == (8, 3, 120, 240)
    assert small.shape == (8, 3, 60, 120)
    between = (whole[:, :, ::2, ::2] + whole[:, :, 1::2, 1::2]) / 2
    assert (small - between).abs().mean() < 2
