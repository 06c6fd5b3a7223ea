"""Decode many clips in groups, each saved when it is done, so that an interrupted run can resume."""

import dataclasses
import hashlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from neurocine.cli import progress
from neurocine.conditions import made_by
from neurocine.diffusion.conditions import clips_to_decode, control_fmri, exchanged_rows, source_clips
from neurocine.diffusion.noise import require_noise_ratio
from neurocine.diffusion.sampling import (
    Scheduler,
    SchedulerName,
    SlidingWindows,
    initial_noise,
    make_scheduler,
    sample,
)
from neurocine.errors import InputError
from neurocine.fmri.windows import FmriWindows, mean_window
from neurocine.io import read_arrays, write_arrays
from neurocine.models.decoder import JointDecoder
from neurocine.models.vae import decode_latents
from neurocine.models.video_unet import VideoUNet
from neurocine.naming import Clip
from neurocine.provenance import header, movies_behind
from neurocine.section_checks import sequences_need_every_clip, shift_is_not_zero
from neurocine.seeds import torch_generator
from neurocine.settings import Check, Count, NotNegative, Precision, SamplingSteps, Settings, Share, Unit

log = logging.getLogger(__name__)
DEFAULT_BATCH, LARGEST_BATCH = 8, 32  # clips sampled together: more than the latter make a GPU no faster
# Tensors as large as the input of the UNet's first block that are alive at once, as followed on the meta
# device (36), and some more; and bytes for decoding 16 pictures in fp32 (3.2e9), and some more.
TENSORS, VAE_BYTES = 48, 6e9
FAST = ("DPMSolverMultistep", 25)  # DPM-Solver++ and its steps
DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class DecodeSettings(Settings):
    """How clips are sampled. Defaults: MinD-Video's published values; NeuroCine gives none."""

    checks: ClassVar[tuple[Check, ...]] = (sequences_need_every_clip, shift_is_not_zero)

    scheduler: SchedulerName = "DDIM"
    """Name a sampler of diffusers that adds no noise at its steps, which would undo the dependent noise."""
    steps: Annotated[SamplingSteps, Unit("steps")] = 200
    """Each clip is denoised in this many steps."""
    fast: bool = False
    """True samples with DPM-Solver++ in 25 steps, whatever scheduler and steps say."""
    guidance: NotNegative = 12.5
    """Classifier-free guidance has this scale; 1 is none."""
    noise_ratio: Share | None = None
    """Frames start from noise of which they share this fraction; null takes the experiment's, as published.

    With 1, all frames of a clip start from the same noise, and objects change less from frame to frame.
    """
    every: Annotated[Count, Unit("clips")] = 1
    """Clips 0, k, 2k ... of each test movie are decoded, where k is this value."""
    shift_tr: Annotated[int, Unit("TR")] = 30
    """The control shifted rotates a movie's fMRI by this many volumes, not 0."""
    batch_size: Annotated[Count, Unit("clips")] | Literal["auto"] = "auto"
    """This many clips are sampled together, and saved together; auto takes as many as a GPU has memory for.

    That is a power of two up to 32, and 8 on CPUs. A clip does not depend on the others of its batch.
    """
    clips_per_sequence: Annotated[Count, Unit("clips")] = 1
    """This many clips of a movie are denoised as one video, in windows that overlap by half; needs every 1.

    Scenes then continue from clip to clip, for nearly twice the time. 1, as published, decodes each clip by
    itself.
    """
    precision: Precision | Literal["auto"] = "auto"
    """The video UNet computes in full precision (no) or in bf16 or fp16; auto is bf16 on GPUs, else full.

    The VAE always computes in full precision.
    """

    def on(self, unet: VideoUNet) -> Self:
        """Return the settings with nothing left to choose, for a UNet on its device."""
        precision, batch_size = self.precision, self.batch_size
        if precision == "auto":
            precision = "bf16" if unet.device.type == "cuda" else "no"
        if batch_size == "auto":
            free = torch.cuda.mem_get_info(unet.device)[0] if unet.device.type == "cuda" else None
            batch_size = batch_that_fits(unet, DTYPES[precision], free)
        return self.replace(precision=precision, batch_size=batch_size)

    def solver(self) -> tuple[str, int]:
        """Return the name of the scheduler and the number of steps."""
        return FAST if self.fast else (self.scheduler, self.steps)


def batch_that_fits(unet: VideoUNet, dtype: torch.dtype, free: float | None) -> int:
    """Return how many clips to sample together: a power of two, so that it seldom depends on other programs.

    Parameters
    ----------
    unet : that samples; its first feature maps are the largest arrays
    dtype : it computes in
    free : bytes of the GPU that are free; None on a CPU
    """
    if free is None:
        return DEFAULT_BATCH
    _, n_frames, height, width = unet.latent_shape()
    block: int = unet.config["block_out_channels"][0] * n_frames * height * width * dtype.itemsize
    fitting = (free - VAE_BYTES) / (2 * TENSORS * block)  # guidance predicts twice
    return 2 ** int(math.log2(min(max(fitting, 1), LARGEST_BATCH)))


@dataclasses.dataclass(frozen=True)
class Decoded:
    """Decoded clips of a movie: frames (n, F, H, W, 3) uint8 and their clip indices (n,) i64."""

    frames: np.ndarray
    clip: np.ndarray


class GroupStore:
    """Finished groups of clips on disk; a damaged group, or one of another run, is made again.

    Parameters
    ----------
    folder : outside a workflow's declared outputs; None keeps nothing
    identity : JSON values: all that the frames depend on
    """

    def __init__(self, folder: Path | None, identity: Any) -> None:
        self.folder = folder
        text = json.dumps(identity, sort_keys=True, default=repr)
        self.identity = hashlib.sha256(text.encode()).hexdigest()

    def load(self, group: int) -> np.ndarray | None:
        """Return the frames (n, F, H, W, 3) uint8 of a finished group, verified by their hash, or None."""
        if self.folder is None or not self._path(group).is_file():
            return None
        try:
            arrays, meta = read_arrays(self._path(group), ["frames"])
        except InputError as error:
            log.warning("group %d is damaged (%s): decoding it again", group, error)
            return None
        if meta.get("identity") != self.identity:
            log.warning("group %d is of a run with other settings or data: decoding it again", group)
            return None
        if meta.get("sha256") != _hash(arrays["frames"]):
            log.warning("group %d is damaged (its hash differs): decoding it again", group)
            return None
        return arrays["frames"]

    def save(self, group: int, frames: np.ndarray) -> None:
        """Keep the frames (n, F, H, W, 3) uint8 of a finished group."""
        if self.folder is not None:
            meta = {"identity": self.identity, "sha256": _hash(frames)}
            write_arrays(self._path(group), {"frames": frames}, meta)

    def remove(self) -> None:
        """Delete everything; to be called once the result is written."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, group: int) -> Path:
        assert self.folder is not None
        return self.folder / f"group-{group:05d}.safetensors"


def _hash(frames: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest()


@dataclasses.dataclass(frozen=True)
class Sampler:
    """Everything that turns states into frames."""

    unet: VideoUNet
    scheduler: Scheduler
    vae: AutoencoderKL
    null: Tensor  # (L, D)
    noise_ratio: float
    settings: DecodeSettings
    seed: int

    def frames(self, sequences: Sequence[Sequence[Clip]], states: Tensor) -> np.ndarray:
        """Decode the clips of sequences of equal length n from their states, (B n, F, H, W, 3) uint8.

        The random numbers of a sequence depend on seed, movie and index of its first clip only.

        Parameters
        ----------
        sequences : B times n clips that follow each other
        states : (B n, L, D), one per clip
        """
        channels, n_frames, height, width = self.unet.latent_shape()
        n_clips = len(sequences[0])
        shape = (channels, n_frames, height, width)
        generators = [torch_generator(self.seed, "decode", *clips[0]) for clips in sequences]
        at_once = self.settings.batch_size
        assert isinstance(at_once, int)
        latents = sample(
            # Guidance predicts twice, with and without condition.
            SlidingWindows(self.unet, n_frames, at_once=2 * at_once),
            self.scheduler,
            states.unflatten(0, (-1, n_clips)),
            self.null,
            latents=initial_noise(shape, self.noise_ratio, generators, n_clips),
            guidance=self.settings.guidance,
            steps=self.settings.solver()[1],
        )
        frames = decode_latents(self.vae, latents.transpose(1, 2))
        return frames.reshape(-1, n_frames, *frames.shape[2:])


def make_sampler(
    unet: VideoUNet,
    scheduler_config: dict[str, Any],
    vae: AutoencoderKL,
    null: Tensor,
    noise_ratio: float,
    settings: DecodeSettings,
    seed: int,
) -> Sampler:
    """Make a sampler with the scheduler and precision of the settings; the UNet is cast in place.

    ``null`` (L, D) are the states that guidance points away from. ``noise_ratio`` is that of the UNet's
    training; the settings may name another one to start from.
    Its settings have nothing left to choose: see `DecodeSettings.on`.
    """
    if settings.noise_ratio is not None:
        noise_ratio = settings.noise_ratio
    require_noise_ratio(noise_ratio)
    settings = settings.on(unet)
    assert settings.precision != "auto"
    nn.Module.to(unet, dtype=DTYPES[settings.precision])  # diffusers' own warns of layers that need float32
    unet.eval()
    return Sampler(
        unet, make_scheduler(settings.solver()[0], scheduler_config), vae, null, noise_ratio, settings, seed
    )


def cut_sequences(rows: Sequence[int], clips: Sequence[Clip], length: int) -> list[list[int]]:
    """Cut rows of clips into sequences of ``length`` within a movie; its last may be shorter."""
    sequences: list[list[int]] = []
    for row in rows:
        movie, index = clips[row]
        if not sequences or index % length == 0 or clips[sequences[-1][-1]] != (movie, index - 1):
            sequences.append([])
        sequences[-1].append(row)
    return sequences


def group_sequences(sequences: Sequence[Sequence[int]], size: int) -> list[list[Sequence[int]]]:
    """Put neighbouring sequences of equal length into groups of at most ``size`` clips, or one sequence."""
    groups: list[list[Sequence[int]]] = []
    for sequence in sequences:
        length = len(sequence)
        if not groups or len(groups[-1][0]) != length or (len(groups[-1]) + 1) * length > size:
            groups.append([])
        groups[-1].append(sequence)
    return groups


def decode_clips(
    sampler: Sampler,
    clips: Sequence[Clip],
    states: Callable[[Tensor], Tensor],
    state_dir: Path | None = None,
    identity: Any = None,
) -> tuple[dict[str, Decoded], GroupStore]:
    """Decode each k-th clip of the movies, group by group.

    Parameters
    ----------
    sampler : from `make_sampler`; its settings also say how many clips are sampled together
    clips : all clips; ``settings.every`` chooses among them
    states : rows (n,) i64 of ``clips`` to their states (n, L, D)
    state_dir : where finished groups are kept until the result is written
    identity : JSON values for what the sampler does not know: hashes of weights and fMRI, the condition

    Returns
    -------
    Movie to its decoded clips, and the store, whose ``remove`` is called when the result is on disk.
    """
    settings = sampler.settings
    rows = clips_to_decode(clips, settings.every)
    chosen = [clips[row] for row in rows]
    store = GroupStore(
        state_dir, [settings.model_dump(), sampler.seed, sampler.noise_ratio, chosen, identity]
    )
    parts = []
    assert isinstance(settings.batch_size, int)
    groups = group_sequences(cut_sequences(rows, clips, settings.clips_per_sequence), settings.batch_size)
    for number, group in enumerate(progress(groups, len(groups), "groups of clips")):
        frames = store.load(number)
        if frames is None:
            given = torch.tensor([row for sequence in group for row in sequence])
            with torch.no_grad():
                condition = states(given)
            frames = sampler.frames([[clips[row] for row in sequence] for sequence in group], condition)
            store.save(number, frames)
        parts.append(frames)
    return _by_movie(chosen, np.concatenate(parts)), store


def _by_movie(clips: Sequence[Clip], frames: np.ndarray) -> dict[str, Decoded]:
    result = {}
    for movie in dict.fromkeys(movie for movie, _ in clips):
        here = [row for row, (name, _) in enumerate(clips) if name == movie]
        result[movie] = Decoded(frames[here], np.array([clips[row][1] for row in here], np.int64))
    return result


def decoded_arrays(decoded: dict[str, Decoded]) -> dict[str, np.ndarray]:
    """Name the arrays as stored: ``{movie}`` (n, F, H, W, 3) uint8, ``{movie}/clip`` (n,) i64."""
    arrays: dict[str, np.ndarray] = {}
    for movie, clips in decoded.items():
        arrays |= {movie: clips.frames, f"{movie}/clip": clips.clip}
    return arrays


@dataclasses.dataclass(frozen=True)
class Decoding:
    """The decoded clips of one condition.

    Parameters
    ----------
    arrays : as stored, see `decoded_arrays`; of shifted and shuffled ``{movie}/source`` (n,) i64 too, the
        clips at whose time the decoded fMRI was recorded
    movies : in order
    settings : with nothing left to choose
    store : of finished groups, whose ``remove`` is called when the arrays are on disk
    """

    arrays: dict[str, np.ndarray]
    movies: list[str]
    settings: DecodeSettings
    store: GroupStore


def write_decoding(
    out: Path, step: str, decoding: Decoding, files: Sequence[Path], facts: Mapping[str, Any]
) -> None:
    """Write decoded clips, then delete the finished groups that an interrupted run would have gone on from.

    Parameters
    ----------
    out : the file: frames (n, F, H, W, 3) uint8 and {movie}/clip (n,) i64 per movie
    step : that made them
    decoding : what it returned
    files : what they were made from
    facts : for the header: condition, noise ratio, seed
    """
    facts = {**facts, "movies": decoding.movies, "axes": "clip, frame, height, width, RGB"}
    write_arrays(out, decoding.arrays, header(step, decoding.settings, movies_behind(files), **facts))
    decoding.store.remove()


def decode(
    model: JointDecoder,
    scheduler_config: dict[str, Any],
    vae: AutoencoderKL,
    training: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
    condition: str,
    noise_ratio: float,
    settings: DecodeSettings,
    seed: int,
    state: Path | None = None,
    identity: Sequence[str] = (),
) -> Decoding:
    """Decode the test movies of one subject under one condition.

    Parameters
    ----------
    model : fMRI encoder and video UNet, on its device
    scheduler_config, vae : of Stable Diffusion
    training, test : movie -> (T, V) standardised fMRI; the mean of the training is what guidance points away
        from
    condition : fmri, or a control (`control_fmri`, `exchanged_rows`)
    noise_ratio : correlation between the noise of frames (beta), 0 to 1
    settings : section decode of the config
    seed : of the initial noise, and of the controls "shuffled" and "noise"
    state : folder of finished groups; None keeps none
    identity : hashes of weights and fMRI, by which finished groups of other data are found out

    Raises
    ------
    InputError : a condition that is not made of fMRI
    """
    if condition not in made_by("decode"):
        expected = ", ".join(made_by("decode"))
        raise InputError("--condition", condition, expected, "Choose one of them.")
    where = model.unet.device
    n_trs = model.encoder.config.window
    windows = FmriWindows.of_means(control_fmri(condition, test, training, settings.shift_tr, seed), n_trs)
    source = torch.from_numpy(exchanged_rows(condition, windows.clips, seed))
    with torch.no_grad():
        null = model.encoder(torch.from_numpy(mean_window(training, n_trs))[None].to(where))[0]
    sampler = make_sampler(model.unet, scheduler_config, vae, null, noise_ratio, settings, seed)
    decoded, store = decode_clips(
        sampler,
        windows.clips,
        lambda rows: model.encoder(windows.take(source[rows]).to(where)),
        state,
        [condition, *identity],
    )
    sources = source_clips(condition, windows.clips, settings.shift_tr, seed)
    arrays = decoded_arrays(decoded)
    arrays |= {f"{movie}/source": part[decoded[movie].clip] for movie, part in sources.items()}
    return Decoding(arrays, list(decoded), sampler.settings, store)
