"""Random changes to posters in training: none that would make another film of it, none that a photograph would not survive."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_SMALLEST_CROP, _LARGEST_CROP = 0.8, 1.05  # of the side; above 1 the border is mirrored
_STRETCH = 0.05
_LIGHT = 0.2  # brightness and contrast
_TINT = 10.0  # of 255, by channel


def augment_posters(
    pixels: Tensor,
    generator: torch.Generator,
    *,
    smallest_crop: float = _SMALLEST_CROP,
    shrink: float = 1.0,
) -> Tensor:
    """Crop, stretch, mirror and tint posters at random: uint8 ``(posters, 3, height, width)`` to float32 within 0..255.

    Height and width of what comes out are ``shrink`` times as large.
    """
    count, _, height, width = pixels.shape

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    side = uniform(smallest_crop, _LARGEST_CROP)
    slack = (1 - side).clamp(min=0)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    crop = torch.zeros(count, 2, 3)
    crop[:, 0, 0] = side * mirror
    crop[:, 1, 1] = side * uniform(1 - _STRETCH, 1 + _STRETCH)
    crop[:, 0, 2] = slack * uniform(-1, 1)
    crop[:, 1, 2] = slack * uniform(-1, 1)
    grid = functional.affine_grid(
        crop, [count, 3, round(shrink * height), round(shrink * width)], align_corners=False
    )
    cropped = functional.grid_sample(
        pixels.float(), grid, padding_mode="reflection", align_corners=False, mode="bilinear"
    )
    mean = cropped.mean(dim=(2, 3), keepdim=True)
    contrast, brightness = uniform(1 - _LIGHT, 1 + _LIGHT, 1, 1, 1), uniform(1 - _LIGHT, 1 + _LIGHT, 1, 1, 1)
    tint = uniform(-_TINT, _TINT, 3, 1, 1)
    return ((cropped - mean) * contrast + mean * brightness + tint).clamp_(0, 255)
