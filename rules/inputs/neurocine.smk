"""Where the files and settings of NeuroCine's experiments lie, for its rules."""

from neurocine.methods.neurocine import decoder_key, encoder_key, export_names, permuted_key, prior_key


def neurocine_row(wildcards):
    """The settings of an experiment of this method."""
    return row_of(wildcards.experiment, NEUROCINE.name)


def trained_encoder(wildcards):
    """The training of an encoder; also of a null of rank_areas, and of the decoder that is made of it."""
    return ENCODERS[PERMUTATIONS[wildcards.encoder][0]]


def of_neurocine(path):
    """A file of one subject under one experiment of this method."""
    return of_subject(f"{NEUROCINE.name}/{{experiment}}/{path}")


def decoder_file(name):
    """A file of the decoder that an experiment uses."""

    def path(wildcards):
        return of_subject(f"train_decoder/{decoder_key(neurocine_row(wildcards))}/{name}")

    return path


def evaluated(step):
    """The maps of an evaluation, if the study asks for it."""
    return [of_neurocine(f"maps/{step}.safetensors")] if step in config["evaluate"] else []


def contrastive_file(wildcards):
    """The weights of the encoder after phase 1 that an experiment uses."""
    return of_subject(f"train_encoder/{encoder_key(neurocine_row(wildcards))}/encoder/model.safetensors")


def prior_file(wildcards):
    """The weights of the video prior that an experiment uses."""
    prior = prior_key(neurocine_row(wildcards))
    return results(f"train_video_prior/{prior}/unet/diffusion_pytorch_model.safetensors")


def own_layers(wildcards):
    """What experiments have in place of the settings of a video prior's layers."""
    parameters = PRIORS[wildcards.prior].parameters
    return {key: value for key, value in parameters.items() if key != "noise_ratio"}


def prior_settings(wildcards):
    """The settings of a video prior: those of the section, or what its experiments have in their place."""
    return json.dumps(config["train_video_prior"] | own_layers(wildcards), sort_keys=True)


def start_of_prior(wildcards):
    """The network that a video prior starts from; layers of its own fit no other video prior."""
    return "video_prior" if "video_prior" in MODELS and not own_layers(wildcards) else "stable_diffusion"


def noise_ratio(wildcards):
    return neurocine_row(wildcards)["noise_ratio"]


def drawn_captions(wildcards):
    """The embeddings of the training movies, where captions are drawn from them."""
    wanted = wildcards.text == "training_caption"
    return train_files(results("embed_clips/{batch}.safetensors")) if wanted else []
