"""Where the files and settings of Mind-Animator's experiments lie, for its rules."""

from neurocine.methods.mind_animator import motion_key, variant_key


def animator_row(wildcards):
    """The settings of an experiment of this method."""
    return row_of(wildcards.experiment, ANIMATOR.name)


def of_animator(path):
    """A file of one subject under one experiment of this method."""
    return of_subject(f"{ANIMATOR.name}/{{experiment}}/{path}")


def variant_of(wildcards):
    """The name of the two decoders that a motion generator belongs to, with its seed of train_seeds."""
    training = MOTIONS[wildcards.motion]
    return variant_key({**training.parameters, "train_seed": training.seed})


def seed_of_variant(wildcards):
    """The seed of a semantic or structure decoder: the study's, or the one in the name of its training."""
    return int(wildcards.training.removeprefix("_train") or config["seed"])


def animator_decoder(step):
    """The weights of one of the trainings that a motion generator belongs to."""

    def path(wildcards):
        key = wildcards.motion if step == "train_motion" else variant_of(wildcards)
        return of_subject(f"{step}/{key}/decoder/model.safetensors")

    return path


def motion_parameter(name):
    """What of its experiments a motion generator depends on."""

    def value(wildcards):
        return MOTIONS[wildcards.motion].parameters[name]

    return value


def structure_of_motion(wildcards):
    """The structure decoder of a motion generator's variant."""
    return of_subject(f"train_structure/{variant_of(wildcards)}/decoder/model.safetensors")


def decoded_features(wildcards):
    """The features that an experiment's clips are drawn from."""
    key = motion_key(animator_row(wildcards))
    return of_subject(f"decode_features/{key}/{condition_of(wildcards)}.safetensors")


def drawing(wildcards):
    """What of an experiment decides how clips are drawn, as JSON."""
    row = animator_row(wildcards)
    return json.dumps({name: row[name] for name in ("variant", "renoise", "without", "through")})
