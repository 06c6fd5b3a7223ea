"""Sample clips from the fMRI of the test movies."""

from pathlib import Path

from neurocine.cli import program
from neurocine.diffusion.decode import DecodeSettings, decode, write_decoding
from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import file_sha256
from neurocine.models.decoder import JointDecoder
from neurocine.models.pretrained import load_scheduler, load_vae, pick_device
from neurocine.provenance import refuse_overlap


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
    fmri_train : training file of assemble_train; its mean is the null condition
    fmri_test : test file of assemble_test
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
    where = pick_device(device)
    test = SubjectFmri.read(fmri_test, with_repeats=False).bold
    refuse_overlap(fmri_train, test)
    files = [
        decoder / "unet/diffusion_pytorch_model.safetensors",
        decoder / "encoder/model.safetensors",
        fmri_train,
        fmri_test,
    ]
    result = decode(
        JointDecoder.from_pretrained(decoder).to(where).eval(),
        load_scheduler(stable_diffusion).config,
        load_vae(stable_diffusion, where),
        SubjectFmri.read(fmri_train, with_repeats=False).bold,
        test,
        condition,
        noise_ratio,
        settings,
        seed,
        state,
        [file_sha256(path) for path in files],
    )
    facts = {"condition": condition, "noise_ratio": noise_ratio, "seed": seed}
    write_decoding(out, "decode", result, files, facts)


if __name__ == "__main__":
    main()
