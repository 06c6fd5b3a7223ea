"""Train the fMRI encoder and the video diffusion model together (phase 2b)."""

import dataclasses
from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import file_sha256
from neurocine.models.decoder import JointDecoder
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.pretrained import load_scheduler, load_vae
from neurocine.models.video_unet import VideoUNet
from neurocine.pictures import write_picture
from neurocine.provenance import header, refuse_leaks, stamp_weights
from neurocine.stimuli.cached import CachedClips
from neurocine.train.checkpoint import finish_training
from neurocine.train.decoder import TrainDecoderSettings, subject_data, train_decoder
from neurocine.train.loop import is_main_process


@program
def main(
    *,
    fmri: Path,
    latents: list[Path],
    train_movies: list[str],
    encoder: Path,
    prior: Path,
    stable_diffusion: Path,
    noise_ratio: float,
    seed: int,
    settings: TrainDecoderSettings,
    state: Path,
    out: Path,
    validation: list[str] | None = None,
    device: str = "auto",
) -> None:
    """Replace captions by fMRI: train a subject's encoder together with the video prior.

    Parameters
    ----------
    fmri : training file of assemble_train
    latents : files of encode_latents that hold the training movies
    train_movies : movies that trainings may see; what was computed from any other is refused
    encoder : folder encoder/ of train_encoder
    prior : folder unet/ of train_video_prior
    stable_diffusion : folder of Stable Diffusion
    noise_ratio : correlation between the noise of frames (beta), 0 to 1, that of the prior
    seed : of all draws
    settings : section train_decoder of the config, as JSON
    state : folder of the resumable state
    out : folder that receives unet/, encoder/, log.jsonl, samples.png and, last, done.json
    validation : movies that are held out
    device : auto, cpu or cuda
    """
    weights = [encoder / "model.safetensors", prior / "diffusion_pytorch_model.safetensors"]
    behind = refuse_leaks([fmri, *latents, *weights], train_movies)
    subject = SubjectFmri.read(fmri)
    decoder = JointDecoder(VideoUNet.from_pretrained(prior), FmriEncoder.from_pretrained(encoder))
    clips = CachedClips.read(latents, movies=subject.movies)
    data = subject_data(clips, subject, decoder.encoder.config.window, tuple(validation or ()))
    inputs = {str(path): file_sha256(path) for path in [fmri, *latents, *weights]}
    report, picture = train_decoder(
        decoder,
        load_scheduler(stable_diffusion).config,
        data,
        noise_ratio,
        settings,
        seed,
        state,
        vae=load_vae(stable_diffusion),
        identity=sorted(inputs.values()),
        device=device,
    )
    if is_main_process():
        decoder.save_pretrained(out)
        for part in ("unet", "encoder"):
            stamp_weights(out / part, behind, "train_decoder")
        assert picture is not None
        write_picture(out / "samples.png", picture, smallest=False)
        facts = {"seed": seed, "noise_ratio": noise_ratio, "inputs": inputs}
        facts["report"] = dataclasses.asdict(report)
        finish_training(state, out, header("train_decoder", settings, behind, **facts))


if __name__ == "__main__":
    main()
