"""Decode CLIP embedding, text states and latents of test clips from fMRI, with Mind-Animator's decoders."""

from pathlib import Path

from neurocine.animator.features import (
    DecodeFeaturesSettings,
    Features,
    decode_features,
    require_fit,
    require_variant_of,
    zscore_over_test,
)
from neurocine.cli import program
from neurocine.conditions import made_by
from neurocine.diffusion.conditions import control_fmri
from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import write_arrays
from neurocine.models.motion import MotionGenerator
from neurocine.models.pretrained import pick_device
from neurocine.models.semantic import SemanticDecoder
from neurocine.models.structure import StructureDecoder
from neurocine.provenance import header, movies_behind, refuse_overlap
from neurocine.train.animator import Samples, require_variant


@program
def main(
    *,
    semantic: Path,
    structure: Path,
    motion: Path,
    fmri_train: Path,
    fmri_test: Path,
    embeddings: list[Path],
    latents: list[Path],
    condition: str,
    variant: str,
    seed: int,
    settings: DecodeFeaturesSettings,
    out: Path,
    device: str = "auto",
) -> None:
    """Decode the features of all test clips.

    Parameters
    ----------
    semantic, structure, motion : folders decoder/ of the three trainings
    fmri_train : training file of assemble_train, for the controls mean and noise
    fmri_test : test file of assemble_test
    embeddings : files of embed_clips, test movies: sizes, and the condition features
    latents : files of encode_latents, test movies: sizes, and the condition features
    condition : fmri, a control (shifted, shuffled, mean, noise), or features: the true ones, as a ceiling
    variant : paper, or code: fMRI standardised over the test movies
    seed : of the controls "shuffled" and "noise"
    settings : section decode_features of the config, as JSON
    out : per movie {movie}/embedding, {movie}/states and {movie}/latents
    device : auto, cpu or cuda
    """
    require_variant(variant)
    conditions = (*made_by("decode"), *made_by("reconstruct"))
    if condition not in conditions:
        raise InputError("--condition", condition, ", ".join(conditions), "Choose one of them.")
    where = pick_device(device)
    nets = SemanticDecoder.from_pretrained(semantic), StructureDecoder.from_pretrained(structure)
    generator = MotionGenerator.from_pretrained(motion)
    require_variant_of(variant, semantic=nets[0], structure=nets[1], motion=generator)
    subject = SubjectFmri.read(fmri_test, with_repeats=False)
    test = subject.bold
    refuse_overlap(fmri_train, test)
    truth = Features.true(embeddings, latents, list(test), nets[0].config.n_tokens)
    require_fit(*nets, generator, truth, subject.n_vertices)
    behind = [*embeddings, *latents]
    features = truth
    if condition != "features":
        behind = [
            fmri_train,
            fmri_test,
            *(path / "model.safetensors" for path in (semantic, structure, motion)),
        ]
        training = SubjectFmri.read(fmri_train, with_repeats=False).bold
        shown = control_fmri(condition, test, training, settings.shift_tr, seed)
        shown = zscore_over_test(shown) if variant == "code" else shown
        samples = Samples.of(SubjectFmri(shown), list(test)).given(condition, seed)
        features = decode_features(
            nets[0].to(where), nets[1].to(where), generator.to(where),
            samples.bold, samples.clips, settings.batch_size,
        )  # fmt: skip
    facts = {"condition": condition, "variant": variant, "seed": seed, "movies": list(test)}
    meta = header("decode_features", settings, movies_behind(behind), **facts)
    write_arrays(out, features.arrays(), meta)


if __name__ == "__main__":
    main()
