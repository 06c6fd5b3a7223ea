"""Sample clips from the fMRI of the test movies."""

from pathlib import Path

import torch

from neurocine.cli import program
from neurocine.conditions import made_by
from neurocine.diffusion.conditions import control_fmri, shuffled_rows, source_clips
from neurocine.diffusion.decode import DecodeSettings, decode_clips, decoded_arrays, make_sampler
from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.windows import FmriWindows, mean_window
from neurocine.io import file_sha256, write_arrays
from neurocine.models.decoder import JointDecoder
from neurocine.models.pretrained import load_scheduler, load_vae, pick_device
from neurocine.provenance import header, movies_behind, refuse_overlap


@program
def main(
    *,
    decoder: Path,
    fmri_train: Path,
    fmri_test: Path,
    stable_diffusion: Path,
    noise_ratio: float,
    seed: int,
    condition: str,
    settings: DecodeSettings,
    state: Path,
    out: Path,
    device: str = "auto",
) -> None:
    """Decode test movies; finished groups of clips survive an interruption.

    Parameters
    ----------
    decoder : folder of train_decoder, with unet/ and encoder/
    fmri_train : training file of assemble_subject; its mean is the null condition
    fmri_test : test file of assemble_subject
    stable_diffusion : folder of Stable Diffusion
    noise_ratio : correlation between the noise of frames (beta), 0 to 1
    seed : of the initial noise, and of the controls "shuffled" and "noise"
    condition : fmri, or a control: shifted (each movie's fMRI rotated in time), shuffled (its windows in
        random order), mean (of the training), noise (white, of the training's size)
    settings : section decode of the config, as JSON
    state : folder of finished groups
    out : per movie frames (n, F, H, W, 3) uint8 and {movie}/clip; of shifted and shuffled {movie}/source too,
        the clips at whose time the decoded fMRI was recorded
    device : auto, cpu or cuda
    """
    if condition not in made_by("decode"):
        raise InputError("--condition", condition, ", ".join(made_by("decode")), "Choose one of them.")
    where = pick_device(device)
    model = JointDecoder.from_pretrained(decoder).to(where).eval()
    test = SubjectFmri.read(fmri_test, with_repeats=False).bold
    refuse_overlap(fmri_train, test)
    weights = [decoder / "unet/diffusion_pytorch_model.safetensors", decoder / "encoder/model.safetensors"]
    behind = movies_behind([fmri_train, fmri_test, *weights])
    training = SubjectFmri.read(fmri_train, with_repeats=False).bold
    shown = control_fmri(condition, test, training, settings.shift_tr, seed)
    width = model.encoder.config.window
    windows = FmriWindows.of_means(shown, width)
    source = torch.arange(len(windows.clips))
    if condition == "shuffled":
        source = torch.from_numpy(shuffled_rows(windows.clips, seed))
    null_window = torch.from_numpy(mean_window(training, width))
    with torch.no_grad():
        null = model.encoder(null_window[None].to(where))[0]
    sampler = make_sampler(
        model.unet,
        load_scheduler(stable_diffusion).config,
        load_vae(stable_diffusion, where),
        null,
        noise_ratio,
        settings,
        seed,
    )
    decoded, store = decode_clips(
        sampler,
        windows.clips,
        lambda rows: model.encoder(windows.take(source[rows]).to(where)),
        state,
        [condition, *(file_sha256(path) for path in [*weights, fmri_train, fmri_test])],
    )
    meta = header(
        "decode",
        sampler.settings,
        behind,
        condition=condition,
        noise_ratio=noise_ratio,
        seed=seed,
        movies=list(decoded),
        axes="clip, frame, height, width, RGB",
    )
    sources = source_clips(condition, windows.clips, settings.shift_tr, seed)
    arrays = decoded_arrays(decoded)
    arrays |= {f"{movie}/source": part[decoded[movie].clip] for movie, part in sources.items()}
    write_arrays(out, arrays, meta)
    store.remove()


if __name__ == "__main__":
    main()
