"""What the published study takes on this GPU: every part in under a minute, one line each as it goes.

Needs this repository and its packages; data and weights are random. Each part runs in a process of its own:

    python bench/gpu.py                              # all parts, then everything once more as JSON
    python bench/gpu.py --part 2b --part decode --json gpu.json
    python bench/gpu.py --device cpu --small         # tries the program where there is no GPU

ceiling        product of two bf16 matrices, copy of a tensor
attention      over few tokens: the plain and the compiled arithmetic, their time and their difference
0, 1, 2a, 2b   steps of the trainings at the published batch, as written and with compiled blocks: time,
               samples per second, peak memory, share of the ceiling, time by kind of kernel, and how often
               the CPU waits for the GPU
decode         one denoising step with guidance, the fast sampler from fMRI to frames, the VAE, by precision
deterministic  whether two runs of a training have the same bits, with the setting and without, and its price
24gb, 80gb     one step of each training with the settings of studies/cards, in that much of the memory
"""

import argparse
import functools
import gc
import json
import multiprocessing
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import published_size as size
import torch
import yaml
from kernels import KINDS, kind_of_kernel
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from neurocine.diffusion.decode import DecodeSettings, Sampler, make_sampler
from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.models.attention import Attend, attend_to_few, compiled_attention, in_chunks
from neurocine.models.vae import decode_latents
from neurocine.train.device import deterministic
from neurocine.train.loop import Trainer

CARDS = Path(__file__).parents[1] / "studies/cards"
SECTIONS = {"0": "pretrain_encoder", "1": "train_encoder", "2a": "train_video_prior", "2b": "train_decoder"}
# Sequences, heads, tokens, width of attention over frames: UNet levels 1 and 2, encoder in phases 2b and 1.
FEW = [(24576, 8, 6, 40), (6144, 8, 6, 80), (12240, 16, 2, 64), (97920, 16, 2, 64)]
STEPS = 3  # that are compared for equal bits
Record = dict[str, Any]


class Bench:
    """One part under way: where it runs, how long it may take, and where its lines go."""

    def __init__(self, given: argparse.Namespace, say: Callable[[Record], None]) -> None:
        self.given, self.say = given, say
        self.device = torch.device(given.device)
        self.gpu = self.device.type == "cuda"
        self.vertices = given.vertices
        if given.small:
            size.make_small()

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.gpu:
            torch.cuda.synchronize()

    def seconds(self, run: Callable[[], Any], most: int = 20) -> list[float]:
        """Times of up to ``most`` runs, as many as the part has time for, after one that is not counted."""
        run()
        self.wait()
        times: list[float] = []
        ends = time.perf_counter() + self.given.seconds
        while len(times) < most and (len(times) < 2 or time.perf_counter() < ends):
            began = time.perf_counter()
            run()
            self.wait()
            times.append(time.perf_counter() - began)
        return times

    def median(self, run: Callable[[], Any], most: int = 20) -> float:
        return statistics.median(self.seconds(run, most))

    def peak_gb(self) -> float | None:
        return torch.cuda.max_memory_allocated() / 1e9 if self.gpu else None

    def forget(self) -> None:
        """Free what earlier trainings took and measure the peak anew.

        In half precision accelerate wraps a model's ``forward``: the model then refers to itself, and Python
        frees it only when it collects garbage.
        """
        gc.collect()
        if self.gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    # --- ceilings ---------------------------------------------------------------------------------------

    def product(self) -> float:
        """Operations per second of the best of some products of two square bf16 matrices."""
        n = 256 if self.given.small else 8192
        left, right = (torch.randn(n, n, device=self.device, dtype=torch.bfloat16) for _ in range(2))
        return 2 * n**3 / min(self.seconds(lambda: left @ right, 10))

    def ceiling(self) -> None:
        """A product of two matrices, and a copy of 1 GiB."""
        source = torch.empty(
            (2**20 if self.given.small else 2**30) // 2, dtype=torch.bfloat16, device=self.device
        )
        target = torch.empty_like(source)
        speed = 4 * len(source) / min(self.seconds(lambda: target.copy_(source), 10))
        self.say({"what": "product", "TFLOP/s": self.product() / 1e12})
        self.say({"what": "copy (read and written)", "TB/s": speed / 1e12})

    # --- attention --------------------------------------------------------------------------------------

    def attention(self) -> None:
        """Forward and backward pass over few tokens, plain and compiled."""
        for n, *rest in FEW:
            self.few_tokens(64 if self.given.small else n, *rest)

    def few_tokens(self, n: int, heads: int, tokens: int, width: int) -> None:
        """Time both ways in n sequences, and compare their outputs and gradients."""
        compiled = compiled_attention(self.device.type)
        ways: dict[str, Attend] = {"plain": lambda *parts: in_chunks(attend_to_few, max(n // 8, 1), *parts)}
        ways |= {"compiled": compiled} if compiled else {}
        given = [
            torch.randn(n, tokens, heads, width, device=self.device, dtype=torch.bfloat16)
            .transpose(1, 2)
            .requires_grad_()
            for _ in range(3)
        ]

        def both_passes(way: str) -> list[Tensor]:
            output = ways[way](*given)
            return [output, *torch.autograd.grad(output, given, torch.ones_like(output))]

        record: Record = {"what": f"{n} x {heads} x {tokens} x {width}"}
        record |= {f"{way}, ms": 1000 * self.median(functools.partial(both_passes, way)) for way in ways}
        if compiled:
            pairs = zip(both_passes("plain"), both_passes("compiled"), strict=True)
            record["largest difference"] = max(float((one - other).abs().max()) for one, other in pairs)
        else:
            record["compiled"] = "no compiler here"
        self.say(record)

    # --- trainings --------------------------------------------------------------------------------------

    def trainer(self, phase: str, folder: str, **changes: Any) -> Trainer:
        """Make a training with the published settings, but for some; its data are always the same."""
        size.draw_again()
        make, settings = size.PHASES[phase]
        settings = settings.replace(tensorboard=False, **changes)
        task = make(settings, self.vertices, settings.batch_size, self.given.device)
        torch.manual_seed(0)
        trainer = Trainer(task, settings, 0, Path(folder), "bench", self.given.device)
        trainer.model.train()
        return trainer

    def phase(self, phase: str) -> None:
        """Steps as written and with compiled blocks."""
        for how in ("as written", "compiled blocks"):
            self.forget()
            with tempfile.TemporaryDirectory() as folder:
                compile_ = "blocks" if how == "compiled blocks" and not self.given.small else False
                self.say(self.steps(phase, how, self.trainer(phase, folder, compile=compile_)))

    def steps(self, phase: str, how: str, trainer: Trainer) -> Record:
        """Do some steps and tell what one took."""
        began = time.perf_counter()
        trainer.train_step()
        self.wait()
        first = time.perf_counter() - began
        times = self.seconds(trainer.train_step)
        seconds = statistics.median(times)
        record: Record = {
            "what": how,
            "batch": trainer.settings.batch_size,
            "checkpointing": trainer.checkpointing,
            "ms": 1000 * seconds,
            "from": 1000 * min(times),
            "to": 1000 * max(times),
            "first step, s": first,
            "samples/s": trainer.settings.batch_size / seconds,
            "peak GB": self.peak_gb(),
            "loss": trainer.check_losses()["loss"],
            "waits": self.waits(trainer),
            "ms by kind": self.kinds(trainer.train_step),
        }
        flops = self.flops(phase)
        if flops:
            speed = flops / seconds
            record |= {"TFLOP/s": speed / 1e12, "share of the product": speed / self.product()}
        return record

    def flops(self, phase: str) -> float | None:
        """Operations of a step that computes nothing twice; not counted for the small sizes."""
        if self.given.small:
            return None
        from cost_model import step_flops

        return step_flops(phase, self.vertices)

    def waits(self, trainer: Trainer) -> int | None:
        """How often the CPU waits for the GPU in a step, which PyTorch warns of when it is asked to."""
        if not self.gpu:
            return None
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                trainer.train_step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(warning.message) for warning in caught)

    def kinds(self, run: Callable[[], Any]) -> dict[str, float]:
        """Milliseconds of a run by kind of kernel (on a CPU: of operation), and the number of launches."""
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self.gpu else [])]
        with profile(activities=activities) as profiler:
            run()
            self.wait()
        sums: dict[str, float] = defaultdict(float)
        for event in profiler.key_averages():
            on_gpu = event.device_type == torch.autograd.DeviceType.CUDA
            if on_gpu == self.gpu and not event.key.startswith("ProfilerStep"):
                spent = event.self_device_time_total if self.gpu else event.self_cpu_time_total
                sums[kind_of_kernel(event.key)] += spent / 1000
                sums["launches"] += event.count
        return {kind: sums[kind] for kind in (*KINDS, "launches") if sums[kind]}

    # --- decoding ---------------------------------------------------------------------------------------

    def decode(self) -> None:
        """A denoising step of the default batch in two precisions, the fast sampler, and the VAE."""
        with torch.device(self.device):
            vae, unet = size.published_vae().eval(), size.published_unet("all")
        null = torch.zeros(size.STATES)
        for precision in ("no", "bf16"):
            settings = DecodeSettings(fast=True, precision=precision)
            self.denoising_step(make_sampler(unet, size.SCHEDULE, vae, null, size.NOISE_RATIO, settings, 0))
        settings = DecodeSettings(fast=True)
        self.fast_sampler(make_sampler(unet, size.SCHEDULE, vae, null, size.NOISE_RATIO, settings, 0))
        pictures = torch.randn(size.FRAMES, 4, size.LATENT, size.LATENT)
        for dtype in (torch.float32, torch.bfloat16):
            nn.Module.to(vae, dtype=dtype)
            seconds = self.median(lambda: decode_latents(vae, pictures), 5)
            self.say({"what": f"VAE, one clip, {dtype}", "ms": 1000 * seconds})

    def denoising_step(self, sampler: Sampler) -> None:
        """Predict the noise of a batch of clips with and without condition."""
        n, unet = sampler.settings.batch_size, sampler.unet
        assert isinstance(n, int)
        like = {"device": self.device, "dtype": next(unet.parameters()).dtype}
        latents = torch.randn(2 * n, *unet.latent_shape(), **like)
        states = torch.randn(2 * n, *size.STATES, **like)

        def step() -> None:
            with torch.no_grad():
                unet(latents, 500, states, return_dict=False)

        seconds = self.median(step, 5)
        record: Record = {"what": f"denoising step, {sampler.settings.precision}", "clips": n}
        record |= {"ms": 1000 * seconds, "1200 clips, 200 steps, h": seconds / n * 1200 * 200 / 3600}
        self.say(record | {"ms by kind": self.kinds(step)})

    def fast_sampler(self, sampler: Sampler) -> None:
        """Decode a batch of clips, from states to frames."""
        n = sampler.settings.batch_size
        assert isinstance(n, int)
        clips = [[("seg1", index)] for index in range(n)]
        states = torch.randn(n, *size.STATES)
        seconds = self.median(lambda: sampler.frames(clips, states), 2)
        record: Record = {"what": "fast sampler", "clips": n, "s": seconds, "peak GB": self.peak_gb()}
        self.say(record | {"1200 clips, min": seconds / n * 1200 / 60})

    # --- equal bits, smaller cards ----------------------------------------------------------------------

    def two_runs(self, wanted: bool) -> tuple[bool, float]:
        """Train twice from the same start; say whether the weights are equal, and a step's seconds."""
        weights, seconds = [], 0.0
        for _ in range(2):
            with tempfile.TemporaryDirectory() as folder, deterministic(wanted):
                trainer = self.trainer("2b", folder, deterministic=wanted)
                generator = torch.Generator(self.device).manual_seed(0)
                with torch.no_grad():
                    for value in trainer.task.model.parameters():
                        value.copy_(torch.randn(value.shape, generator=generator, device=self.device) / 50)
                trainer.train_step()
                self.wait()
                began = time.perf_counter()
                for _ in range(STEPS):  # as many in both runs, however long they take
                    trainer.train_step()
                self.wait()
                seconds = (time.perf_counter() - began) / STEPS
                weights.append({name: value.detach().cpu() for name, value in trainer.trained.items()})
        return all(torch.equal(value, weights[1][name]) for name, value in weights[0].items()), seconds

    def equal_bits(self) -> None:
        """The same training twice, with the setting and without."""
        for wanted in (True, False):
            equal, seconds = self.two_runs(wanted)
            self.say({"what": f"deterministic: {wanted}".lower(), "same bits": equal, "ms": 1000 * seconds})

    def card(self, name: str) -> None:
        """Two steps of each training with a card's settings in no more than its memory."""
        chosen = yaml.safe_load((CARDS / f"{name}.yaml").read_text())
        if self.gpu:
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(min(float(name.removesuffix("gb")) * 1e9 / total, 1.0))
        for phase, section in SECTIONS.items():
            self.forget()
            with tempfile.TemporaryDirectory() as folder:
                trainer = self.trainer(phase, folder, **chosen.get(section, {}))
                for _ in range(2):
                    trainer.train_step()
                self.wait()
                record = {"what": section, "fits": True, "peak GB": self.peak_gb()}
                self.say(record | {"loss": trainer.check_losses()["loss"]})
                del trainer


PARTS: dict[str, Callable[[Bench], None]] = {
    "ceiling": Bench.ceiling,
    "attention": Bench.attention,
    **{phase: lambda bench, phase=phase: bench.phase(phase) for phase in SECTIONS},  # type: ignore[misc]
    "decode": Bench.decode,
    "deterministic": Bench.equal_bits,
    **{name: lambda bench, name=name: bench.card(name) for name in ("24gb", "80gb")},  # type: ignore[misc]
}


def written(value: Any) -> str:
    """Write a value of a record for a line."""
    if isinstance(value, dict):
        return "; ".join(f"{name} {written(one)}" for name, one in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def run_part(part: str, given: argparse.Namespace, results: Connection) -> None:
    """Run a part in this process; send its records."""

    def say(record: Record) -> None:
        shown = {name: value for name, value in record.items() if value is not None}
        print(
            f"{part}: " + ", ".join(f"{name} {written(value)}" for name, value in shown.items()), flush=True
        )
        results.send({"part": part, **shown})

    PARTS[part](Bench(given, say))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all, one after the other")
    parser.add_argument("--seconds", type=float, default=10, help="that one measurement is repeated at most")
    parser.add_argument("--vertices", type=int, help="of one frame (default: those of select_vertices)")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny networks and batches, to try the program")
    parser.add_argument("--json", type=Path, help="file that receives all records")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no usable GPU here: try the program with --device cpu --small")
    given.vertices = given.vertices or (
        100 if given.small else len(select_vertices(SelectVerticesSettings()).area)
    )
    card = torch.cuda.get_device_name() if given.device == "cuda" else "CPU"
    head: Record = {
        "card": card,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "date": time.strftime("%F"),
    }
    print(", ".join(f"{name} {value}" for name, value in head.items()), flush=True)
    spawn, records, failed = multiprocessing.get_context("spawn"), [], []
    for part in given.part or PARTS:
        receive, send = spawn.Pipe(duplex=False)
        process = spawn.Process(target=run_part, args=(part, given, send))
        process.start()
        send.close()
        try:
            while True:
                records.append(receive.recv())
        except EOFError:
            process.join()
        failed += [part] if process.exitcode else []
    text = json.dumps({**head, "records": records, "failed": failed}, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
