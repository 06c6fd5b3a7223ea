"""Where the files of ridge regression's experiments lie, for its rules."""

from neurocine.methods.neurocine import prior_key


def of_ridge(path):
    """A file of one subject under one experiment of this method."""
    return of_subject(f"{RIDGE.name}/{{experiment}}/{path}")


def ridge_prior_file(wildcards):
    """The weights of the video prior that an experiment samples its captions with."""
    prior = prior_key(row_of(wildcards.experiment, RIDGE.name))
    return results(f"train_video_prior/{prior}/unet/diffusion_pytorch_model.safetensors")
