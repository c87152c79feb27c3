"""Looking at a poster more than once: as it is, mirrored, a little enlarged, and both; what an encoder makes of them is averaged.

What is random in a network's answer differs from view to view and is averaged away, what it sees stays (Krizhevsky et al. 2012, who averaged ten
crops and mirror images). It takes four passes instead of one, so it is for posters that come with nothing else, where reading takes longer still.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ml_core.networks.image import ImageEncoder

# Of each side, cut off in the enlarged views.
_MARGIN = 0.06


def encode_views(encoder: ImageEncoder, pixels: Tensor) -> Tensor:
    """The mean of the features of a poster's views: pixels uint8 ``(batch, 3, height, width)`` to ``(batch, encoder.width)`` float32."""
    height, width = pixels.shape[2:]
    top, left = round(_MARGIN * height), round(_MARGIN * width)
    inner = pixels[:, :, top : height - top, left : width - left].float()
    larger = functional.interpolate(inner, size=(height, width), mode="bilinear", align_corners=False)
    views = [pixels.float(), larger]
    views += [view.flip(3) for view in views]
    return torch.stack([encoder(view).float() for view in views]).mean(dim=0)
