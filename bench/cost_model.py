"""What each stage costs at the published size, worked out on a CPU in seconds: no weights, no data, no GPU.

Operations are counted, and memory is followed, by running each training's step on PyTorch's meta device, with
the fused attention that GPUs use. Times are operations over the share of the card's peak that was measured.
How often each stage runs is counted from config.yaml. Prints the page docs/cost.md:

    python bench/cost_model.py > docs/cost.md
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from memory_model import gpu_attention, meta_step, step_memory
from published_size import FRAMES, LATENT, PHASES, STATES, published_unet, published_vae
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from neurocine.conditions import made_by
from neurocine.config import complete_config
from neurocine.diffusion.decode import DecodeSettings
from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.methods.neurocine import decoder_key, encoder_key, prior_key
from neurocine.models.checkpointing import CHECKPOINTINGS, Checkpointing, set_checkpointing
from neurocine.train.checkpoint import STATES_KEPT

PEAKS = {"A100": 312.0, "H200": 989.0}  # TFLOP/s of dense bf16 matrix products, as the vendor states them
CLIPS = {"train": 18 * 240, "test": 5 * 240}  # of CC2017
REST = (1114, 120)  # subjects of HCP, samples of each from one run
CONFIG = Path(__file__).parents[1] / "config.yaml"
GB = 1e9
CARD = 80.0  # GB of the card whose checkpointing is assumed in the times
# A step takes what the model follows, and CUDA's own programs, workspaces and gaps between tensors.
MARGIN, OWN = 1.15, 2.0  # factor, GB
SHARE = 0.12  # of the stated peak, where nothing was measured
# Measured on one H200 at commit 2ee6b95, in November 2026: stage, batch, how, ms, peak GB, what was
# checkpointed.
MEASURED: list[tuple[str, str, str, int, float, Checkpointing]] = [
    ("train_encoder", "64 windows", "all checkpointed, attention over frames fused", 1400, 32.1, "all"),
    ("train_video_prior", "14 clips", "all checkpointed", 517, 16.1, "all"),
    ("train_video_prior", "14 clips", "nothing checkpointed", 303, 44.5, "none"),
    ("train_decoder", "24 clips", "all checkpointed", 1158, 21.6, "all"),
    ("train_decoder", "24 clips", "nothing checkpointed", 841, 84.0, "none"),
    ("train_decoder", "24 clips", "nothing checkpointed, attention over frames fused", 622, 85.7, "none"),
]
MEASURED_DECODING = [("fp32", 8, 391), ("bf16", 8, 115), ("bf16", 32, 417)]  # clips, ms of a denoising step
STAGES = {"0": "pretrain_encoder", "1": "train_encoder", "2a": "train_video_prior", "2b": "train_decoder"}


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of one stage.

    Parameters
    ----------
    parameters, trained : numbers of weights
    batch : what one step works on, in words
    flops : operations of one step, for each choice of gradient_checkpointing
    memory : bytes that one step takes at most, likewise; empty where nothing is trained
    steps : of the whole stage
    best : whether a training's state also holds the best weights so far
    """

    stage: str
    parameters: int
    trained: int
    batch: str
    flops: dict[str, int]
    memory: dict[str, int]
    steps: int
    best: bool = False

    def choice(self, card: float = CARD) -> str:
        """The least checkpointing that fits a card of so many GB."""
        fitting = [which for which, size in self.memory.items() if needed(size) <= card]
        return (fitting or ["all"])[0] if self.memory else "none"

    def hours(self, peak: float) -> float:
        """Hours on a card of so many TFLOP/s, by the share of it that was measured."""
        return self.flops[self.choice()] * self.steps / (share(self) * peak * 1e12) / 3600


def needed(size: float) -> float:
    """GB that a card must have for a step of so many bytes."""
    return MARGIN * size / GB + OWN


def share(cost: Cost) -> float:
    """The part of the H200's stated peak that the stage reached when it was measured, as it was then."""
    if cost.stage == "decode: UNet":
        seconds = {clips: ms / 1000 for kind, clips, ms in MEASURED_DECODING if kind == "bf16"}
        return cost.flops["none"] * 8 / seconds[8] / (PEAKS["H200"] * 1e12)
    for stage, _, _, ms, _, which in MEASURED:
        if stage == cost.stage:
            return cost.flops[which] / (ms / 1000) / (PEAKS["H200"] * 1e12)
    return SHARE


def weights(model: nn.Module) -> tuple[int, int]:
    """Count parameters, and those trained."""
    counts = [(value.numel(), value.requires_grad) for value in model.parameters()]
    return sum(count for count, _ in counts), sum(count for count, trained in counts if trained)


def step_flops(phase: str, n_vertices: int) -> int:
    """Operations of a training's step that computes nothing twice."""
    make, settings = PHASES[phase]
    task = make(settings, n_vertices, settings.batch_size, "meta")
    set_checkpointing(task.model.train(), "none")
    with gpu_attention(), FlopCounterMode(display=False) as counter:
        meta_step(task, settings)
    return counter.get_total_flops()


def train_cost(phase: str, n_vertices: int) -> Cost:
    """Count a training's step, for each choice of what is computed twice."""
    make, settings = PHASES[phase]
    task = make(settings, n_vertices, settings.batch_size, "meta")
    flops, memory = {}, {}
    for which in CHECKPOINTINGS:
        memory[which] = step_memory(task, settings, which)
        set_checkpointing(task.model, which)
        with gpu_attention(), FlopCounterMode(display=False) as counter:
            meta_step(task, settings)
        flops[which] = counter.get_total_flops()
    batch = {"0": "volumes, two masks", "1": "windows, three views"}.get(phase, "clips")
    best = settings.keep_best and bool(type(settings)().validate_every)
    sizes = weights(task.model)
    return Cost(STAGES[phase], *sizes, f"{settings.batch_size} {batch}", flops, memory, settings.steps, best)


def frozen_cost(stage: str, model: nn.Module, batch: str, run: Callable[[], Tensor], steps: int) -> Cost:
    """Count a forward pass of a frozen network in bf16."""
    nn.Module.to(model, dtype=torch.bfloat16)  # diffusers' own warns of layers that need float32
    model.requires_grad_(False).eval()
    with gpu_attention(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return Cost(stage, *weights(model), batch, {"none": counter.get_total_flops()}, {}, steps)


def latents_cost() -> Cost:
    """Encode the frames of one clip with the VAE."""
    vae = published_vae()
    frames = torch.empty(FRAMES, 3, 8 * LATENT, 8 * LATENT, dtype=torch.bfloat16)
    return frozen_cost(
        "encode_latents", vae, "1 clip", lambda: vae.encode(frames).latent_dist.mean, sum(CLIPS.values())
    )


def decode_costs() -> list[Cost]:
    """One denoising step of one clip with guidance (two passes of the UNet), and the VAE's decoding."""
    unet, vae = published_unet("all"), published_vae()
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
    trainings = [train_cost(phase, n_vertices) for phase in PHASES]
    with torch.device("meta"):
        return [*trainings, latents_cost(), *decode_costs()]


def jobs(config: dict[str, Any], experiments: list[str]) -> dict[str, int]:
    """Count the trainings and decodings of experiments, which share what they can; stage -> how often."""
    rows = [config["experiments"][name] for name in experiments]
    subjects, conditions = len(config["subjects"]), set(config["conditions"])
    encoders, decoders = {encoder_key(row) for row in rows}, {decoder_key(row) for row in rows}
    decodings = len(conditions.intersection(made_by("decode"))) + len(config["generation_seeds"])
    return {
        "pretrain_encoder": 1,
        "train_encoder": subjects * len(encoders),
        "train_video_prior": len({prior_key(row) for row in rows}),
        "train_decoder": subjects * len(decoders),
        "decode": subjects * len(rows) * decodings,
        "decode_captions": len(rows) * len(conditions.intersection(made_by("decode_captions"))),
        "make_baselines": len(conditions.intersection(made_by("make_baselines"))),
        "decode_nearest": subjects * len(decoders) if "nearest_caption" in conditions else 0,
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
        "preprocess_run, assemble_train, assemble_test": (
            float(sample * (single + CLIPS["train"] + CLIPS["test"] * (1 + repeats["test"]))),
            0.0,
        ),
        "preprocess_hcp": (float(sample * REST[0] * REST[1]), 0.0),
        **{stage: training_disk(cost) for stage, cost in trainings.items()},
        "decode": (decoded, decoded),
        "decode_captions": (decoded, decoded),
        "decode_nearest": (decoded, decoded),
        "make_baselines": (decoded, 0.0),
        "retrieve_clips": (decoded, 0.0),
    }


def study_table(every: list[Cost], n_vertices: int) -> str:
    """Write what one job of each stage costs, how many of them each target has, and the sums."""
    config = complete_config(yaml.safe_load(CONFIG.read_text()))
    alone = config | {"conditions": ["fmri"], "generation_seeds": []}
    studies = [
        jobs(config, config["run_experiments"]),
        jobs(config, config["ablation_experiments"]),
        jobs(alone, config["ablation_experiments"]),
    ]
    trainings = {cost.stage: cost for cost in every if cost.trained}
    hours = {cost.stage: [cost.hours(peak) for peak in PEAKS.values()] for cost in trainings.values()}
    both = [cost for cost in every if cost.stage.startswith("decode:")]
    hours["decode"] = [sum(cost.hours(peak) for cost in both) for peak in PEAKS.values()]
    hours["decode_captions"] = hours["decode_nearest"] = hours["decode"]
    once = {"prepare_stimuli": 1, "encode_latents": 1, "embed_clips": 1, "preprocess_hcp": 1}
    once["preprocess_run, assemble_train, assemble_test"] = len(config["subjects"])
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


def gigabytes(size: int) -> str:
    """Write bytes as GB."""
    return f"{size / GB:.1f}" if size else "–"


def cost_table(every: list[Cost]) -> str:
    """Write what a step of each stage takes."""
    heads = ["stage", "parameters, M", "trained, M", "one step", "TFLOP"]
    heads += [f"memory, {which}" for which in CHECKPOINTINGS]
    rows = []
    for cost in every:
        times = [duration(3600 * cost.hours(peak)) for peak in PEAKS.values()]
        rows.append(
            [
                f"`{cost.stage.split(':')[0]}`" + cost.stage.partition(":")[2],
                f"{cost.parameters / 1e6:.1f}",
                f"{cost.trained / 1e6:.1f}" if cost.trained else "–",
                cost.batch,
                f"{cost.flops['none'] / 1e12:.2f}",
                *(gigabytes(cost.memory.get(which, 0)) for which in CHECKPOINTINGS),
                f"{cost.steps}",
                f"{share(cost):.0%}",
                *times,
            ]
        )
    return table([*heads, "steps", "share of peak", *PEAKS], rows)


def memory_then(cost: Cost, which: Checkpointing, n_vertices: int) -> int:
    """Bytes of a step at the measured commit, which kept frozen weights in float32."""
    if cost.trained == cost.parameters:
        return cost.memory[which]
    make, settings = PHASES[next(phase for phase, stage in STAGES.items() if stage == cost.stage)]
    task = make(settings, n_vertices, settings.batch_size, "meta")
    return step_memory(task, settings, which, torch.float32)


def measured_table(every: list[Cost], n_vertices: int) -> str:
    """Write what was measured beside what the model says."""
    by_stage = {cost.stage: cost for cost in every}
    rows: list[list[Any]] = []
    memory: dict[tuple[str, str], int] = {}
    for stage, batch, how, ms, gb, which in MEASURED:
        cost = by_stage[stage]
        reached = cost.flops[which] / ms / 1e9
        if (stage, which) not in memory:
            memory[stage, which] = memory_then(cost, which, n_vertices)
        model = f"{memory[stage, which] / GB:.1f}"
        rows.append([f"`{stage}`, {batch}", how, ms, f"{reached:.0f}", f"{gb:.1f}", model])
    for kind, clips, ms in MEASURED_DECODING:
        reached = by_stage["decode: UNet"].flops["none"] * clips / ms / 1e9
        rows.append([f"`decode`, a denoising step of {clips} clips", kind, ms, f"{reached:.0f}", "–", "–"])
    return table(["step", "how", "ms", "TFLOP/s", "peak GB", "model, GB"], rows)


def fp32_hours(every: list[Cost]) -> float:
    """Hours of decoding all test clips in fp32, as measured."""
    ms = next(ms / clips for kind, clips, ms in MEASURED_DECODING if kind == "fp32")
    return next(cost.steps for cost in every if cost.stage == "decode: UNet") * ms / 1000 / 3600


def page(n_vertices: int) -> str:
    """Write docs/cost.md."""
    every = costs(n_vertices)
    settings = SelectVerticesSettings()
    peaks = " and ".join(f"{peak:g} ({card})" for card, peak in PEAKS.items())
    return f"""# Cost

For the published size: {n_vertices} vertices (`{settings.roi_set}`), {FRAMES} frames of
{8 * LATENT} x {8 * LATENT}, the published batches, CC2017 ({CLIPS["train"]} training and {CLIPS["test"]} test
clips). Operations and memory are worked out on a CPU in half a minute; times rest on what was measured.
Written by

    python bench/cost_model.py > docs/cost.md

{cost_table(every)}

- Trainings are of one subject, except `pretrain_encoder` and `train_video_prior`, which all subjects share;
  `encode_latents` runs once for the study. `train_encoder` rarely takes all its steps: held-out movies
  stop it.
- TFLOP are those of a step, forward and backward, that computes nothing twice.
- Memory: the most that the tensors of a step take, in GB, with `gradient_checkpointing` none, blocks and all.
  Beyond it a card needs about {MARGIN - 1:.0%} for gaps and {OWN:g} GB for CUDA's own use. Where a training
  is run in parts (`gradient_accumulation`), activations take as much less. The setting `auto` starts
  with none and computes more twice when the card's memory does not suffice.
- Times: operations, with what is computed twice on a card of {CARD:g} GB, over the share of one card's stated
  bf16 peak, {peaks} TFLOP/s. The share is the one measured on an H200 (below), {SHARE:.0%} where
  nothing was measured, and taken to be the same on an A100. Reading, logging and validation are left out.

## Measured

On one H200 with PyTorch 2.11 and CUDA 13 in November 2026, at commit 2ee6b95, random weights, medians of 3
to 6 steps. A product of two matrices of side 8192 reached 740 to 785 TFLOP/s, a copy 4.0 to 4.15 TB/s.
`python bench/gpu.py` measures all this again on any card (see [development.md](development.md)).

{measured_table(every, n_vertices)}

- TFLOP/s count what is computed twice as often as it is computed.
- In that commit attention over two and six frames used kernels made for long sequences, on which phase 1
  failed at its batch; "fused" is the arithmetic that replaced them, and only rows that say so had it. What
  has changed since was not measured: frames that self-attention sees are joined without an index, copies to
  the GPU are not waited for, blocks can be compiled (`compile: blocks`).
- The model's GB in this table are those of that commit, which kept frozen weights in float32. All rows are
  within 2 % of them but those of `train_video_prior`, which are 4.7 and 7.9 GB above. No step of it takes
  these: `train_decoder` runs the same UNet on more clips, and its rows leave no room for them. Models that
  were measured before in the same process were probably still in memory: in bf16 a model is freed only when
  Python collects garbage, and a decoder's weights are 4.7 GB, a prior's 3.6. Which models they were is not
  known and nothing was measured again; `bench/gpu.py` now collects garbage before each training.
- Decoding in fp32 takes {fp32_hours(every):.1f} h per condition and seed on that card;
  `decode.precision: auto` takes bf16 on a GPU.

## Cards

`auto` finds by itself how much must be computed twice, but leaves batches whole. For smaller cards, or to
choose beforehand:

    snakemake --configfile studies/cards/24gb.yaml
    snakemake --configfile studies/cards/80gb.yaml

Their settings fit by the model above, margin included; `python bench/gpu.py --part 24gb` tries them in so
much of a larger card's memory. Give your own study's file after theirs.

## The same bits

On CPUs a training ends with the same bits however often it was interrupted. On a GPU it does so only with
`deterministic: true`, on one kind of card and one set of versions: the backward passes of PyTorch's fastest
attention add up in an order that changes from run to run, and PyTorch gives them up only when it is told to,
not when it is asked to warn. The attention over few frames is then not compiled, and `compile` is refused,
because the compiler chooses by timing. `make test-kills` checks it where there is a GPU, and
`python bench/gpu.py --part deterministic` says what it costs; neither has been run on one yet.

## Precision of decoding

The UNet runs in bf16 on a GPU, the VAE in fp32. In bf16 the embedded study's VAE gives pictures with a PSNR
of 54.2 dB to those of fp32 (60 clips, worst clip 52.1 dB); rounding to 8 bits alone is worth 58.9 dB.

`decode.fast` (25 steps of DPM-Solver++) takes an eighth of the time of 200 steps of DDIM. On subject 1 of the
embedded study, 40 clips from the same noise: SSIM .642 (fast) and .644, PSNR 15.4 and 15.5 dB, image 50-way
any of three .410 and .398, colour .521 and .496, shape .488 and .504, direction .725 and .738.
Whether the two differ was not tested.

## Whole studies

What one job of each stage takes, how many such jobs `config.yaml` makes (three subjects), and the sums: of
`snakemake`, of `snakemake ablation` after nothing else, and of the ablation with fMRI as its only condition:

    snakemake ablation --profile slurm --config 'conditions=[fmri]' 'generation_seeds=[]'

{study_table(every, n_vertices)}

- Without controls and further seeds the ablation still fills Table 1. They are what tells a difference
  between two of its rows from chance.
- Trainings keep two states while they run, and need room for a third. Both states go when the weights are
  written; a decoder's states are most of the disk that a running study needs, so count how many run at once.
- Left out: captions, embeddings, scores, agreement with the brain and maps, which ask for a GPU for minutes,
  and pictures and films.
  Rest runs are counted once, `preprocess_run` and `assemble_*` per subject, other stages per job.
  With reliable vertices each subject also has its own `preprocess_hcp` and `pretrain_encoder`.
- `keep: {{decoded: false}}` deletes clips decoded from fMRI (`results/<dataset>/sub-*/neurocine/*/decode/`)
  when all is scored; scores and page stay, and no later run makes them again.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vertices", type=int, help="of one frame (default: those of select_vertices)")
    arguments = parser.parse_args()
    n_vertices = arguments.vertices or len(select_vertices(SelectVerticesSettings()).area)
    print(page(n_vertices), end="")


if __name__ == "__main__":
    main()
