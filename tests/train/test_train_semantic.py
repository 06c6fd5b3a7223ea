"""The training of Mind-Animator's semantic decoder: what it learns, its loss, what it refuses."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurocine.io import write_arrays
from neurocine.models.semantic import SemanticConfig, SemanticDecoder
from neurocine.stimuli.cached import TextStates
from neurocine.stimuli.variants import Variants
from neurocine.train.animator import Samples
from neurocine.train.losses import info_nce
from neurocine.train.semantic import (
    Meanings,
    ScaledDecoder,
    SemanticTask,
    TrainSemanticSettings,
    train_semantic,
)
from train.animator_study import LOOP, MOVIES, TR, VERTICES, make_study

SEMANTIC = TrainSemanticSettings(**LOOP, head_widths=(16,), tokens=3, image_frame=1)


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    return make_study()


def embeddings(folder: Path, study: dict[str, Any]) -> tuple[list[Path], TextStates, Variants]:
    """Texts and images that are linear in the fMRI."""
    random = np.random.default_rng(1)
    one, two, three = (random.normal(size=(VERTICES, n)) for n in (16, 16, 4 * 6))
    arrays: dict[str, np.ndarray] = {}
    varied: dict[str, np.ndarray] = {}
    bold = np.concatenate([study["fmri"].bold[movie] for movie in MOVIES])
    states = np.tanh(bold @ three / 3).reshape(-1, 4, 6)
    states[:, 0] = 0.25
    arrays |= {"text_states": states.astype(np.float16), "null_states": states[0].astype(np.float16)}
    varied["texts"] = (bold @ one).astype(np.float16)
    for number, movie in enumerate(MOVIES):
        rows = np.arange(TR)[:, None] + number * TR
        arrays |= {f"{movie}/text": (bold @ one)[rows].astype(np.float32), f"{movie}/state_index": rows}
        images = (bold @ two)[rows].astype(np.float32)
        arrays[f"{movie}/image"] = np.repeat(images, 2, 1)
        varied |= {
            f"{movie}/variant_index": np.repeat(rows, 3, 1),
            f"{movie}/image_crops": images.astype(np.float16),
        }
    write_arrays(folder / "e.safetensors", arrays, {"movies": MOVIES, "computed_from": list(MOVIES)})
    write_arrays(folder / "v.safetensors", varied, {"movies": MOVIES, "computed_from": list(MOVIES)})
    files = [folder / "e.safetensors"]
    return files, TextStates.read(files), Variants.read([folder / "v.safetensors"], MOVIES)


def semantic(study: dict[str, Any], folder: Path, **values: Any) -> tuple:
    files, states, variants = embeddings(folder, study)
    settings = SEMANTIC.replace(**values)
    return train_semantic(
        study["fmri"], files, states, variants, ["seg3"], "paper", settings, 0, folder / "state", device="cpu"
    )


def test_the_semantic_decoder_learns_embeddings_and_states(study: dict[str, Any], tmp_path: Path) -> None:
    net, _, quality = semantic(study, tmp_path, steps=200)
    assert quality["better_than_mean"]
    assert quality["text_top10"] > 0.7  # chance .25
    assert net.config.width == 16
    assert net.config.n_tokens == 3
    assert torch.equal(net.first_state, torch.full((6,), 0.25))


def test_more_tokens_than_texts_have_are_cut_with_a_line_in_the_log(
    study: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        net, *_ = semantic(study, tmp_path, steps=2, tokens=20)
    assert net.config.n_tokens == 4
    assert "tokens is 20, but texts have 4 states: 4 are used" in caplog.text


def test_the_loss_is_the_weighted_sum_of_the_published_parts(study: dict[str, Any], tmp_path: Path) -> None:
    files, states, variants = embeddings(tmp_path, study)
    names = [["seg1", "seg2"], ["seg3"]]
    meanings = [Meanings.read(files, states, movies, 1, 3) for movies in names]
    samples = [Samples.of(study["fmri"], movies) for movies in names]
    torch.manual_seed(0)
    net = ScaledDecoder(SemanticDecoder(SemanticConfig(VERTICES, 16, 3, 6, (16,))), 0.07).eval()
    settings = SEMANTIC.replace(sparsify_share=0.0)
    task = SemanticTask(
        net, samples[0], meanings[0], variants.of(names[0]), samples[1], meanings[1], settings, "paper", 0
    )
    rows = torch.tensor([3, 8, 30, 35])
    loss, _ = task.loss(net, rows, torch.Generator().manual_seed(0))
    x, y, scale = net(samples[0].bold[rows])
    text = variants.of(names[0]).draw_text(rows, torch.Generator())  # all variants are equal here
    image = variants.of(names[0]).draw_image(rows, torch.Generator())
    expected = ((x - text) ** 2).mean() + 0.5 * ((y - meanings[0].states[rows][:, 1:]) ** 2).mean()
    expected = expected + 0.01 * (info_nce(x, text, scale) + info_nce(x, image, scale)) / 2
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_first_text_state_is_the_same_for_all_texts(tmp_path: Path) -> None:
    from neurocine.models.pretrained import load_text_encoder
    from neurocine.stimuli.embed import text_states
    from tiny_study import stable_diffusion

    encoder = load_text_encoder(stable_diffusion(tmp_path), torch.device("cpu"))
    states = text_states(*encoder, ["", "a red circle", "a blue square moving over dark light"])
    assert torch.allclose(states[:, 0], states[:1, 0].expand(3, -1), atol=1e-6)
    assert not torch.allclose(states[0, 1:], states[1, 1:])


@pytest.mark.parametrize("values", [{"tokens": 0}, {"text_share": 2.0}])
def test_settings_outside_their_ranges_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        TrainSemanticSettings(**values)
