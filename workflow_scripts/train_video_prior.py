"""Fine-tune the diffusion model on clips with captions (phase 2a)."""

import dataclasses
from pathlib import Path

from neurocine.cli import program
from neurocine.io import file_sha256
from neurocine.models.catalogue import weight_files
from neurocine.models.pretrained import load_scheduler, load_vae
from neurocine.pictures import write_picture
from neurocine.provenance import header, refuse_leaks, stamp_weights
from neurocine.stimuli.cached import CachedClips, TextStates
from neurocine.train.checkpoint import finish_training
from neurocine.train.loop import is_main_process
from neurocine.train.video_prior import TrainVideoPriorSettings, load_start, train_video_prior


@program
def main(
    *,
    latents: list[Path],
    embeddings: list[Path],
    train_movies: list[str],
    start: Path,
    stable_diffusion: Path,
    noise_ratio: float,
    seed: int,
    settings: TrainVideoPriorSettings,
    state: Path,
    out: Path,
    validation: list[str] | None = None,
    device: str = "auto",
) -> None:
    """Inflate Stable Diffusion to video, or take an earlier prior, and fine-tune its attentions on captions.

    Parameters
    ----------
    latents : files of encode_latents, training movies only
    embeddings : files of embed_clips, the same movies
    train_movies : movies that trainings may see; what was computed from any other is refused
    start : folder of Stable Diffusion, or of an earlier train_video_prior, whose unet/ is trained
    stable_diffusion : folder of Stable Diffusion
    noise_ratio : correlation between the noise of frames (beta), 0 to 1
    seed : of all draws
    settings : section train_video_prior of the config, as JSON
    state : folder of the resumable state
    out : folder that receives unet/, log.jsonl, samples.png and, last, done.json
    validation : movies that are held out
    device : auto, cpu or cuda
    """
    behind = refuse_leaks([*latents, *embeddings], train_movies)
    clips = CachedClips.read(latents)
    captions = TextStates.read(embeddings, list(dict.fromkeys(movie for movie, _ in clips.clips)))
    inputs = {str(path): file_sha256(path) for path in [*latents, *embeddings]}
    started_from = [file_sha256(path) for path in weight_files(start / "unet")]
    unet, report, picture = train_video_prior(
        load_start(start),
        load_scheduler(stable_diffusion).config,
        clips,
        captions,
        tuple(validation or ()),
        noise_ratio,
        settings,
        seed,
        state,
        vae=load_vae(stable_diffusion),
        identity=sorted([*inputs.values(), *started_from]),
        device=device,
    )
    if is_main_process():
        unet.save_pretrained(out / "unet")
        stamp_weights(out / "unet", behind, "train_video_prior")
        assert picture is not None
        write_picture(out / "samples.png", picture, smallest=False)
        facts = {"seed": seed, "noise_ratio": noise_ratio, "inputs": inputs, "started_from": started_from}
        facts["report"] = dataclasses.asdict(report)
        finish_training(state, out, header("train_video_prior", settings, behind, **facts))


if __name__ == "__main__":
    main()
