"""Where the files and settings of Mind-Animator's experiments lie, for its rules."""

from neurocine.methods.mind_animator import motion_key


def animator_row(wildcards):
    """The settings of an experiment of this method."""
    return row_of(wildcards.experiment, ANIMATOR.name)


def of_animator(path):
    """A file of one subject under one experiment of this method."""
    return of_subject(f"{ANIMATOR.name}/{{experiment}}/{path}")


def animator_decoder(step):
    """The weights of one of the trainings that a motion generator belongs to."""

    def path(wildcards):
        variant = MOTIONS[wildcards.motion]["variant"]
        key = wildcards.motion if step == "train_motion" else variant
        return of_subject(f"{step}/{key}/decoder/model.safetensors")

    return path


def motion_parameter(name):
    """What of its experiments a motion generator depends on."""

    def value(wildcards):
        return MOTIONS[wildcards.motion][name]

    return value


def structure_of_motion(wildcards):
    """The structure decoder of a motion generator's variant."""
    variant = MOTIONS[wildcards.motion]["variant"]
    return of_subject(f"train_structure/{variant}/decoder/model.safetensors")


def decoded_features(wildcards):
    """The features that an experiment's clips are drawn from."""
    key = motion_key(animator_row(wildcards))
    return of_subject(f"decode_features/{key}/{condition_of(wildcards)}.safetensors")


def drawing(wildcards):
    """What of an experiment decides how clips are drawn, as JSON."""
    row = animator_row(wildcards)
    return json.dumps({name: row[name] for name in ("variant", "renoise", "without", "through")})
