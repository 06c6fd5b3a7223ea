"""The training of Mind-Animator's motion generator: what it learns, its masks, what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch

from neurocine.errors import InputError
from neurocine.models.motion import MotionGenerator
from neurocine.models.structure import StructureConfig, StructureDecoder
from neurocine.train.animator import Samples
from neurocine.train.motion import MotionTask, TrainMotionSettings, train_motion
from train.animator_study import LOOP, SHAPE, VERTICES, make_study

MOTION = TrainMotionSettings(
    **{**LOOP, "warmup_steps": 10}, encoder_width=16, feedforward_width=16, l1_weight=0.0, dropout=0.0
)


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    return make_study()


def motion(study: dict[str, Any], folder: Path, from_fmri: bool = True, **values: Any) -> tuple:
    net = StructureDecoder(StructureConfig(VERTICES, SHAPE, 16))
    settings = MOTION.replace(**{k: v for k, v in values.items() if k not in ("memory_tokens", "structure")})
    return train_motion(
        study["fmri"], study["latents"], values.get("structure", net), ["seg3"], "paper",
        values.get("memory_tokens", 1), from_fmri, settings, 0, folder, device="cpu",
    )  # fmt: skip


def test_the_motion_generator_learns_motion_from_fmri(study: dict[str, Any], tmp_path: Path) -> None:
    true_first = TrueFirst(study)
    net, _, seeing = motion(study, tmp_path / "seeing", structure=true_first)
    *_, blind = motion(study, tmp_path / "blind", from_fmri=False, structure=true_first)
    assert seeing["error"] < seeing["mean_error"]
    assert seeing["hold_error"] == blind["hold_error"]
    truth = torch.from_numpy(study["latents"].of(["seg3"])).float()
    held = truth[:, :1] - truth[:, 1:]
    assert seeing["hold_error"] == pytest.approx(float(held.square().mean()), rel=1e-4)
    with torch.no_grad():
        rolled = net.roll_out(torch.from_numpy(study["fmri"].bold["seg3"]), truth[:, 0])
    assert float((rolled - truth)[:, 1:].square().mean()) == pytest.approx(seeing["error"], rel=1e-4)


class TrueFirst(StructureDecoder):
    """A structure decoder that knows the answer for the held-out movie."""

    def __init__(self, study: dict[str, Any]) -> None:
        super().__init__(StructureConfig(VERTICES, SHAPE, 16))
        self.answer = torch.from_numpy(study["latents"].of(["seg3"])[:, 0]).float()

    def forward(self, bold: torch.Tensor) -> torch.Tensor:
        return self.answer


def test_masks_are_fresh_per_batch_or_fixed_for_good(study: dict[str, Any]) -> None:
    frames = torch.from_numpy(study["latents"].of(["seg1"])).float().repeat(1, 3, 1, 1, 1)
    samples = Samples.of(study["fmri"], ["seg1"])
    for variant, kinds in (("paper", 20), ("code", 1)):
        config = MOTION.architecture(VERTICES, 12, SHAPE, 1, True, variant)
        task = MotionTask(MotionGenerator(config), samples, frames, samples, frames, frames[:, 0], MOTION, 0)
        masks = {task.seen(torch.Generator().manual_seed(n)).numpy().tobytes() for n in range(20)}
        assert len(masks) == kinds


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"memory_tokens": 0}, "memory_tokens: found 0; expected 1 or more"),
        ({"structure": StructureDecoder(StructureConfig(VERTICES, (4, 4, 4), 16))}, r"\(4, 4, 4\)"),
        (
            {"structure": StructureDecoder(StructureConfig(VERTICES, SHAPE, 16, variant="code"))},
            "variant code",
        ),
    ],
)
def test_what_does_not_fit_the_motion_generator_is_refused(
    study: dict[str, Any], tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        motion(study, tmp_path, **values)


@pytest.mark.parametrize("values", [{"hide": -0.1}, {"attention_width": 6}, {"warmup_steps": 0}])
def test_settings_outside_their_ranges_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        TrainMotionSettings(**values)
