"""Where the networks of a method lie that read fMRI."""


def decoders_of(wildcards):
    """Folders of a method's networks, by name: one set of them."""
    return [METHODS[wildcards.method].decoders(row_of(wildcards.experiment, wildcards.method))]


def permuted_of(wildcards):
    """The same networks trained on fMRI of other times, as often as is asked for: sets of folders."""
    row = row_of(wildcards.experiment, wildcards.method)
    numbers = range(1, config["rank_areas"]["permuted"] + 1)
    return [METHODS[wildcards.method].permuted_decoders(row, number) for number in numbers]


def network_files(sets):
    """The weights of sets of networks."""

    def files(wildcards):
        return [
            of_subject(f"{folder}/model.safetensors") for each in sets(wildcards) for folder in each.values()
        ]

    return files


def named_folders(sets):
    """Networks as a program takes them: name=folder, one set after the other."""

    def named(wildcards):
        found = [item for each in sets(wildcards) for item in each.items()]
        return [f"{name}={of_subject(folder)}".format(subject=wildcards.subject) for name, folder in found]

    return named
