"""The toy captioner: its image tower starts from the image classifier's."""

from pathlib import Path

import torch

import train_toy_blip
from neurocine.models.pretrained import load_blip
from neurocine.simulate.toy_models.blip import ToyBlipTask, blip_names
from neurocine.simulate.toy_models.classifiers import new_image_classifier, new_processor
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.stimuli.caption import CaptionClipsSettings, caption_frames
from simulate.quick import QUICK


def test_image_tower_starts_as_the_classifier() -> None:
    classifier = new_image_classifier(QUICK.size).eval()
    for block in classifier.vit.layers:  # biases start as zeros, which any order would copy
        torch.nn.init.normal_(block.attention.q_proj.bias)
        torch.nn.init.normal_(block.attention.k_proj.bias)
        torch.nn.init.normal_(block.attention.v_proj.bias)
    pool, held_out = draw_pools(QUICK, 5)
    tower = ToyBlipTask(pool, held_out, QUICK.size, classifier).model.vision_model.eval()
    pictures = torch.randn(2, 3, QUICK.size, QUICK.size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = classifier.vit(pictures).last_hidden_state
        # Layer norms of the two add 1e-12 and 1e-5 to the variance.
        torch.testing.assert_close(tower(pictures).last_hidden_state, expected, rtol=0, atol=5e-3)
    names = blip_names(classifier.vit.state_dict())
    fused = names["encoder.layers.0.self_attn.qkv.weight"]
    assert torch.equal(fused[:96], classifier.vit.layers[0].attention.q_proj.weight)


def test_captioner_is_read_as_a_published_one(tmp_path: Path) -> None:
    judge = tmp_path / "image_classifier"
    for part in (new_image_classifier(QUICK.size), new_processor(QUICK.size, video=False)):
        part.save_pretrained(judge)
    train_toy_blip.main(
        image_classifier=judge, settings=QUICK, seed=5, state=tmp_path / "state", out=tmp_path / "blip"
    )
    frames = draw_pools(QUICK, 5)[0].frames[:2, 0]
    captions = caption_frames(load_blip(tmp_path / "blip"), frames, CaptionClipsSettings())
    assert len(captions) == 2
    assert all(isinstance(caption, str) for caption in captions)
