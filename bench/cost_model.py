"""What each stage costs at the published size, worked out on a CPU in seconds: no weights, no data, no GPU.

Operations and saved activations are counted by running each network's forward and backward pass on PyTorch's
meta device, with the fused attention that GPUs use. Times are operations over a share of the card's peak. How
often each stage runs is counted from config.yaml. Prints the page docs/cost.md:

    python bench/cost_model.py > docs/cost.md
"""

import argparse
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from published_size import FRAMES, LATENT, STATES, published_decoder, published_encoder, published_unet
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from neurocine.conditions import made_by
from neurocine.config import complete_config
from neurocine.diffusion.decode import DecodeSettings
from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.methods.neurocine import decoder_key, encoder_key, prior_key
from neurocine.models.masked_autoencoder import MaskedAutoencoder
from neurocine.train.checkpoint import STATES_KEPT
from neurocine.train.decoder import TrainDecoderSettings
from neurocine.train.encoder import ContrastiveModel, TrainEncoderSettings
from neurocine.train.pretrain import PretrainEncoderSettings
from neurocine.train.task import LoopSettings
from neurocine.train.video_prior import TrainVideoPriorSettings

PEAKS = {"A100": 312.0, "H200": 989.0}  # TFLOP/s of dense bf16 matrix products, as the vendor states them
CLIPS = {"train": 18 * 240, "test": 5 * 240}  # of CC2017
REST = (1114, 120)  # subjects of HCP, samples of each from one run
CONFIG = Path(__file__).parents[1] / "config.yaml"
GIB, GB = 2**30, 1e9
# Stable Diffusion's VAE; the other arguments are the class's defaults.
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of one stage.

    Parameters
    ----------
    parameters, trained : numbers of weights
    batch : what one step works on, in words
    flops : operations of one step
    done : the same with gradient_checkpointing, as config.yaml has it
    activations : bytes that one step saves for its backward pass, bf16
    checkpointed : the same with gradient_checkpointing
    states : bytes of weights, gradients and AdamW's moments, fp32
    steps : of the whole stage
    best : whether a training's state also holds the best weights so far
    """

    stage: str
    parameters: int
    trained: int
    batch: str
    flops: int
    done: int
    activations: int
    checkpointed: int
    states: int
    steps: int
    best: bool = False

    def hours(self, peak: float, share: float) -> float:
        """Hours on a card of so many TFLOP/s of which a share is reached."""
        return self.done * self.steps / (share * peak * 1e12) / 3600


def fused_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend by the kernel that GPUs run, whose memory does not grow with the square of the tokens."""
    return torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)[0]


@contextmanager
def gpu_attention() -> Iterator[None]:
    """Let the networks use `fused_attention`; on the meta device PyTorch would choose the plain one."""
    plain = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = lambda query, key, value, *_, **__: fused_attention(query, key, value)
    try:
        yield
    finally:
        F.scaled_dot_product_attention = plain


def weights(model: nn.Module) -> tuple[int, int]:
    """Count parameters, and those trained."""
    counts = [(value.numel(), value.requires_grad) for value in model.parameters()]
    return sum(count for count, _ in counts), sum(count for count, trained in counts if trained)


def count(model: nn.Module, run: Callable[[], Tensor], train: bool = True) -> tuple[int, int]:
    """Return the operations of a step and the bytes saved for its backward pass, without the weights."""
    own = {id(value) for value in model.parameters()}
    saved: dict[int, tuple[Tensor, int]] = {}

    def pack(value: Tensor) -> Tensor:
        base = value if value._base is None else value._base
        if id(base) not in own:
            # Views share their memory; keeping the tensor keeps its id from being used again.
            saved[id(base)] = (base, base.numel() * base.element_size())
        return value

    with gpu_attention(), FlopCounterMode(display=False) as counter:
        if train:
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
                loss = run().float().square().mean()
            size = sum(each for _, each in saved.values())
            saved.clear()
            loss.backward()
        else:
            size = 0
            with torch.no_grad():
                run()
    return counter.get_total_flops(), size


def fp32_states(model: nn.Module) -> int:
    """Bytes of fp32 weights, and of gradient and two moments of those trained."""
    parameters, trained = weights(model)
    return 4 * parameters + 12 * trained


def train_cost(
    stage: str,
    model: nn.Module,
    batch: str,
    run: Callable[[], Tensor],
    switch: Callable[[bool], None],
    settings: LoopSettings,
) -> Cost:
    """Count a training's step, and what it saves with and without checkpointing."""
    nn.Module.to(model, dtype=torch.bfloat16)  # diffusers' own warns of layers that need float32
    model.train()
    sizes, flops = {}, {}
    for checkpointing in (False, True):
        switch(checkpointing)
        flops[checkpointing], sizes[checkpointing] = count(model, run)
        model.zero_grad(set_to_none=True)
    best = settings.keep_best and bool(settings.validate_every)
    work = (flops[False], flops[True], sizes[False], sizes[True])
    return Cost(stage, *weights(model), batch, *work, fp32_states(model), settings.steps, best)


def pretrain_cost(n_vertices: int) -> Cost:
    """Phase 0: two masks of every sample."""
    settings = PretrainEncoderSettings()
    model = MaskedAutoencoder(settings.architecture(n_vertices), settings.decoder())
    n_patches = model.encoder.config.n_patches
    n = 2 * settings.batch_size
    bold = torch.empty(n, n_vertices, dtype=torch.bfloat16)
    visible = torch.empty(n, max(1, int(n_patches * (1 - settings.mask_ratio))), dtype=torch.int64)

    def switch(on: bool) -> None:
        model.encoder.gradient_checkpointing = on

    batch = f"{settings.batch_size} volumes, two masks"
    return train_cost("pretrain_encoder", model, batch, lambda: model(bold, visible), switch, settings)


def encoder_cost(n_vertices: int) -> Cost:
    """Phase 1: the clean window and two views of it."""
    settings = TrainEncoderSettings()
    model = ContrastiveModel(published_encoder(n_vertices), settings)
    bold = torch.empty(3 * settings.batch_size, settings.window, n_vertices, dtype=torch.bfloat16)

    def switch(on: bool) -> None:
        model.encoder.gradient_checkpointing = on

    batch = f"{settings.batch_size} windows, three views"
    return train_cost("train_encoder", model, batch, lambda: model(bold)[0], switch, settings)


def prior_cost() -> Cost:
    """Phase 2a."""
    settings = TrainVideoPriorSettings()
    model = published_unet(settings.trained)
    n = settings.batch_size
    latents = torch.empty(n, 4, FRAMES, LATENT, LATENT, dtype=torch.bfloat16)
    states, times = torch.empty(n, *STATES, dtype=torch.bfloat16), torch.zeros(n)

    def switch(on: bool) -> None:
        model.enable_gradient_checkpointing() if on else model.disable_gradient_checkpointing()

    def run() -> Tensor:
        return model(latents, times, states, return_dict=False)[0]

    return train_cost("train_video_prior", model, f"{n} clips", run, switch, settings)


def decoder_cost(n_vertices: int) -> Cost:
    """Phase 2b."""
    settings = TrainDecoderSettings()
    model = published_decoder(n_vertices, settings.trained)
    n, window = settings.batch_size, model.encoder.config.window
    latents = torch.empty(n, 4, FRAMES, LATENT, LATENT, dtype=torch.bfloat16)
    windows, times = torch.empty(n, window, n_vertices, dtype=torch.bfloat16), torch.zeros(n)

    def switch(on: bool) -> None:
        model.encoder.gradient_checkpointing = on
        model.unet.enable_gradient_checkpointing() if on else model.unet.disable_gradient_checkpointing()

    def run() -> Tensor:
        return model(latents, times, windows, return_dict=False)[0]

    return train_cost("train_decoder", model, f"{n} clips", run, switch, settings)


def frozen_cost(stage: str, model: nn.Module, batch: str, run: Callable[[], Tensor], steps: int) -> Cost:
    """Count a forward pass of a frozen network in bf16."""
    nn.Module.to(model, dtype=torch.bfloat16)
    model.requires_grad_(False).eval()
    flops, _ = count(model, run, train=False)
    return Cost(stage, *weights(model), batch, flops, flops, 0, 0, 2 * weights(model)[0], steps)


def latents_cost() -> Cost:
    """Encode the frames of one clip with the VAE."""
    vae = AutoencoderKL(**VAE)
    frames = torch.empty(FRAMES, 3, 8 * LATENT, 8 * LATENT, dtype=torch.bfloat16)
    return frozen_cost(
        "encode_latents", vae, "1 clip", lambda: vae.encode(frames).latent_dist.mean, sum(CLIPS.values())
    )


def decode_costs(n_vertices: int) -> list[Cost]:
    """One denoising step of one clip with guidance (two passes of the UNet), and the VAE's decoding."""
    unet, vae = published_unet("all"), AutoencoderKL(**VAE)
    latents = torch.empty(2, 4, FRAMES, LATENT, LATENT, dtype=torch.bfloat16)
    states = torch.empty(2, *STATES, dtype=torch.bfloat16)
    steps = DecodeSettings().steps * CLIPS["test"]
    pictures = latents[0].transpose(0, 1)
    return [
        frozen_cost(
            "decode: UNet",
            unet,
            "1 step of 1 clip",
            lambda: unet(latents, 500, states, return_dict=False)[0],
            steps,
        ),
        frozen_cost("decode: VAE", vae, "1 clip", lambda: vae.decode(pictures).sample, CLIPS["test"]),
    ]


def costs(n_vertices: int) -> list[Cost]:
    """Count all stages."""
    with torch.device("meta"):
        return [
            pretrain_cost(n_vertices),
            encoder_cost(n_vertices),
            prior_cost(),
            decoder_cost(n_vertices),
            latents_cost(),
            *decode_costs(n_vertices),
        ]


def jobs(config: dict[str, Any], experiments: list[str]) -> dict[str, int]:
    """Count the trainings and decodings of experiments, which share what they can; stage -> how often."""
    rows = [config["experiments"][name] for name in experiments]
    subjects, conditions = len(config["subjects"]), set(config["conditions"])
    encoders = {encoder_key(row) for row in rows}
    decodings = len(conditions.intersection(made_by("decode"))) + len(config["generation_seeds"])
    return {
        "pretrain_encoder": 1,
        "train_encoder": subjects * len(encoders),
        "train_video_prior": len({prior_key(row) for row in rows}),
        "train_decoder": subjects * len({decoder_key(row) for row in rows}),
        "decode": subjects * len(rows) * decodings,
        "decode_captions": len(rows) * len(conditions.intersection(made_by("decode_captions"))),
        "make_baselines": len(conditions.intersection(made_by("make_baselines"))),
        "retrieve_clips": subjects * len(encoders) if "retrieval" in conditions else 0,
    }


def training_disk(cost: Cost) -> tuple[float, float]:
    """Bytes that a training leaves, and those of its states (two, and one being written) while it runs."""
    copies = 3 + cost.best  # weights, two moments, best weights
    return 4.0 * cost.parameters, 4.0 * cost.trained * copies * (STATES_KEPT + 1)


def disk(
    trainings: dict[str, Cost], n_vertices: int, repeats: dict[str, int]
) -> dict[str, tuple[float, float]]:
    """Bytes that one job of each stage leaves, and what it takes besides while it runs."""
    clips, sample, picture = sum(CLIPS.values()), 4 * n_vertices, FRAMES * 3 * (8 * LATENT) ** 2
    single = sum(CLIPS[part] * repeats[part] for part in CLIPS)
    decoded = float(CLIPS["test"] * picture)
    return {
        "prepare_stimuli": (float(clips * picture), 0.0),
        "encode_latents": (float(clips * FRAMES * 4 * LATENT**2 * 2), 0.0),
        "embed_clips": (float(clips * STATES[0] * STATES[1] * 2), 0.0),
        # Single repeats, means of training movies, means and repeats of test movies.
        "preprocess_run, assemble_subject": (
            float(sample * (single + CLIPS["train"] + CLIPS["test"] * (1 + repeats["test"]))),
            0.0,
        ),
        "preprocess_hcp": (float(sample * REST[0] * REST[1]), 0.0),
        **{stage: training_disk(cost) for stage, cost in trainings.items()},
        "decode": (decoded, decoded),
        "decode_captions": (decoded, decoded),
        "make_baselines": (decoded, 0.0),
        "retrieve_clips": (decoded, 0.0),
    }


def study_table(every: list[Cost], n_vertices: int, share: float) -> str:
    """Write what one job of each stage costs, how many of them each target has, and the sums."""
    config = complete_config(yaml.safe_load(CONFIG.read_text()))
    alone = config | {"conditions": ["fmri"], "generation_seeds": []}
    studies = [
        jobs(config, config["run_experiments"]),
        jobs(config, config["ablation_experiments"]),
        jobs(alone, config["ablation_experiments"]),
    ]
    trainings = {cost.stage: cost for cost in every if cost.trained}
    hours = {cost.stage: [cost.hours(peak, share) for peak in PEAKS.values()] for cost in trainings.values()}
    both = [cost for cost in every if cost.stage.startswith("decode:")]
    hours["decode"] = [sum(cost.hours(peak, share) for cost in both) for peak in PEAKS.values()]
    hours["decode_captions"] = hours["decode"]
    once = {"prepare_stimuli": 1, "encode_latents": 1, "embed_clips": 1, "preprocess_hcp": 1}
    once["preprocess_run, assemble_subject"] = len(config["subjects"])
    cells = []
    sums = [[0.0] * (len(PEAKS) + 1) for _ in studies]
    for stage, (size, more) in disk(trainings, n_vertices, config["repeats"]).items():
        counts = [once.get(stage, study.get(stage, 0)) for study in studies]
        own = hours.get(stage, [0.0] * len(PEAKS))
        for total, count in zip(sums, counts, strict=True):
            for place, value in enumerate([*own, size / GB]):
                total[place] += count * value
        times = [duration(3600 * value) if value else "–" for value in own]
        while_running = f"{more / GB:.1f}" if more else "–"
        cells.append([f"`{stage}`".replace(", ", "`, `"), *times, f"{size / GB:.1f}", while_running, *counts])
    names = [*(f"GPU hours, {card}" for card in PEAKS), "disk, GB"]
    for place, name in enumerate(names):
        cells.append([f"**{name}**", *[""] * 4, *(f"**{total[place]:.0f}**" for total in sums)])
    heads = ["stage", *PEAKS, "disk, GB", "more while it runs", "`snakemake`", "`ablation`", "of fMRI alone"]
    return table(heads, cells)


def table(heads: list[str], rows: list[list[Any]]) -> str:
    """Write a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)


def duration(seconds: float) -> str:
    """Write seconds with two digits in the unit that fits."""
    for size, unit in ((3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            value = seconds / size
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return f"{1000 * seconds:.0f} ms"


def gib(size: int) -> str:
    """Write bytes as GiB."""
    return f"{size / GIB:.1f}" if size else "–"


def page(n_vertices: int, share: float) -> str:
    """Write docs/cost.md."""
    heads = ["stage", "parameters, M", "trained, M", "one step", "TFLOP per step", "activations, GiB"]
    heads += ["with checkpointing", "weights and AdamW, GiB", "card, GiB", "steps", *PEAKS]
    every, rows = costs(n_vertices), []
    for cost in every:
        times = [duration(3600 * cost.hours(peak, share)) for peak in PEAKS.values()]
        rows.append(
            [
                f"`{cost.stage.split(':')[0]}`" + cost.stage.partition(":")[2],
                f"{cost.parameters / 1e6:.1f}",
                f"{cost.trained / 1e6:.1f}" if cost.trained else "–",
                cost.batch,
                f"{cost.flops / 1e12:.2f}",
                gib(cost.activations),
                gib(cost.checkpointed),
                gib(cost.states),
                gib(2 * cost.checkpointed + cost.states if cost.trained else 0),
                f"{cost.steps}",
                *times,
            ]
        )
    settings = SelectVerticesSettings()
    peaks = " and ".join(f"{peak:g} ({card})" for card, peak in PEAKS.items())
    return f"""# Cost

Worked out, not measured, for the published size: {n_vertices} vertices (`{settings.roi_set}`),
{FRAMES} frames of {8 * LATENT} x {8 * LATENT}, the published batches, CC2017 ({CLIPS["train"]} training and
{CLIPS["test"]} test clips). Written in half a minute on any CPU by

    python bench/cost_model.py > docs/cost.md

{table(heads, rows)}

- Trainings are of one subject, except `pretrain_encoder` and `train_video_prior`, which all subjects share;
  `encode_latents` runs once for the study. `train_encoder` and `train_decoder` rarely take all their steps:
  held-out movies stop them.
- TFLOP are those of a forward and backward pass, without checkpointing. Times are with it: a forward pass
  more.
- Activations are what a step keeps for its backward pass if all of it is bf16. Autocast keeps fp32 copies of
  some: expect up to twice as much. Checkpointing (`gradient_checkpointing`) is on in `config.yaml` for all
  trainings; `gradient_accumulation: 4` takes a quarter of either column and leaves the batch as it is. Where
  all clips of a batch are contrasted (`train_encoder`, `pretrain_encoder`) it costs one more forward pass.
- Weights and AdamW: fp32 weights, with gradients and two moments of what is trained; of frozen networks bf16
  weights.
- Card: the memory that one GPU needs, these weights and twice the activations with checkpointing; some GiB
  more while a block is computed again. A card of 80 GB holds every stage, one of 40 GB all but
  `pretrain_encoder` (tightly); on smaller ones accumulate.
- Times assume {share:.0%} of the stated bf16 peak of one card, {peaks} TFLOP/s. They leave out
  reading, logging and validation.

## Whole studies

What one job of each stage takes, how many such jobs `config.yaml` makes (three subjects), and the sums: of
`snakemake`, of `snakemake ablation` after nothing else, and of the ablation with fMRI as its only condition:

    snakemake ablation --profile slurm --config 'conditions=[fmri]' 'generation_seeds=[]'

{study_table(every, n_vertices, share)}

- Without controls and further seeds the ablation still fills Table 1. They are what tells a difference
  between two of its rows from chance.
- Trainings keep two states while they run, and need room for a third. Both states go when the weights are
  written; a decoder's states are most of the disk that a running study needs, so count how many run at once.
- Left out: captions, embeddings, scores and maps, which ask for a GPU for minutes, and pictures and films.
  Rest runs are counted once, `preprocess_run` and `assemble_subject` per subject, other stages per job.
  With reliable vertices each subject also has its own `preprocess_hcp` and `pretrain_encoder`.
- Decoded clips (`results/<dataset>/sub-*/neurocine/*/decode/`) may be deleted when all is scored; scores and
  page stay. Asked for the same target once more, Snakemake makes them again.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vertices", type=int, help="of one frame (default: those of select_vertices)")
    parser.add_argument("--share", type=float, default=0.3, help="of the card's peak that is reached")
    arguments = parser.parse_args()
    n_vertices = arguments.vertices or len(select_vertices(SelectVerticesSettings()).area)
    print(page(n_vertices, arguments.share), end="")


if __name__ == "__main__":
    main()
