"""What a method makes of fMRI and how it judges that itself: what `rank_areas` asks of every method.

A probe scores what is decoded from each test clip's fMRI with every test clip, larger values being better, so
that the loss when an area is taken away can be held against pairings with other times of the movie.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocine.animator.features import Features
from neurocine.errors import InputError
from neurocine.fmri.windows import FmriWindows
from neurocine.metrics.agreement import embed, mean_direction
from neurocine.metrics.embeddings import identification_pairs
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.motion import MotionGenerator
from neurocine.models.semantic import SemanticDecoder
from neurocine.models.structure import StructureDecoder
from neurocine.surface.attention import ExtractAttentionSettings, measure_attention
from neurocine.surface.regions import Region

TEMPERATURE = 0.07  # of the contrasts whose loss is NeuroCine's own, as they start
Bold = Mapping[str, np.ndarray]  # movie -> (T, V)
Rows = Mapping[str, np.ndarray]  # movie -> (n,) indices of the clips that are asked for


class Probe(ABC):
    """The networks of a method that read fMRI, and what is true of the test clips.

    Attributes
    ----------
    losses : the measures that the method was trained on; the first is its main one
    n_vertices : of the fMRI that it reads
    """

    losses: tuple[str, ...]
    n_vertices: int

    @abstractmethod
    def pairs(self, bold: Bold) -> dict[str, np.ndarray]:
        """Score what is decoded from each clip's fMRI with each clip, larger is better.

        Parameters
        ----------
        bold : test movies, (T, V) each

        Returns
        -------
        measure -> (n, n) float64, over the clips of all movies one after the other
        """

    def attention(self, bold: Bold, regions: list[Region]) -> np.ndarray | None:
        """Return the attention that regions get in each clip (n, n_regions), where the method has any.

        ``bold`` holds test movies, (T, V) each.
        """
        return None

    def vertex_maps(self, bold: Bold) -> dict[tuple[str, str], np.ndarray]:
        """Name what weights say of vertices: (kind, measure) -> (V,), from training fMRI (T, V)."""
        return {}


def embedding_pairs(predicted: np.ndarray, text: np.ndarray, image: np.ndarray) -> dict[str, np.ndarray]:
    """Score predicted embeddings with CLIP's of all clips, means over text and image.

    Parameters
    ----------
    predicted, text, image : (n, E), text and image of unit length

    Returns
    -------
    (n, n) each. cosine; identification: share of the other clips less similar than this one, chance .5
    """
    unit = F.normalize(torch.from_numpy(predicted).double(), dim=-1).numpy()
    cosine = np.mean([unit @ target.T for target in (text, image)], axis=0)
    ranks = [identification_pairs(predicted[:, None], target[:, None]) for target in (text, image)]
    return {"cosine": cosine, "identification": np.mean(ranks, axis=0)}


def contrast_pairs(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Log probability (n, n) that each prediction gives each clip, of embeddings (n, E)."""
    unit = F.normalize(torch.from_numpy(predicted).double(), dim=-1)
    logits = unit @ F.normalize(torch.from_numpy(target).double(), dim=-1).T / TEMPERATURE
    return F.log_softmax(logits, dim=-1).numpy()


def error_pairs(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Mean squared error (n, n) of predictions with the truth of all clips, (n, ...) each, times -1."""
    first, second = (values.reshape(len(values), -1).astype(np.float64) for values in (predicted, target))
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    return np.asarray(-squares / first.shape[1])


def _of_clips(values: Mapping[str, np.ndarray], rows: Rows) -> np.ndarray:
    return np.concatenate([values[movie][index] for movie, index in rows.items()])


class EncoderProbe(Probe):
    """NeuroCine's encoder after contrastive training, judged by its contrast with captions and frames.

    Parameters
    ----------
    encoder : with projection head, on the device to compute on
    text, image : movie -> projected CLIP embeddings (T, k, E)
    rows : clips that are asked for
    batch_size : windows per pass
    """

    losses = ("contrast",)

    def __init__(
        self,
        encoder: FmriEncoder,
        text: Mapping[str, np.ndarray],
        image: Mapping[str, np.ndarray],
        rows: Rows,
        batch_size: int,
    ) -> None:
        self.encoder, self.rows, self.batch_size = encoder, rows, batch_size
        self.n_vertices = encoder.config.n_vertices
        self.text, self.image = (mean_direction(_of_clips(part, rows)).numpy() for part in (text, image))

    def windows(self, bold: Bold) -> np.ndarray:
        """Cut the windows of the clips, (n, w, V) of movies (T, V)."""
        windows = FmriWindows.of_means(bold, self.encoder.config.window)
        starts = np.cumsum([0, *map(len, bold.values())])
        places = {movie: start for movie, start in zip(bold, starts, strict=False)}
        rows = np.concatenate([places[movie] + index for movie, index in self.rows.items()])
        return windows.take(torch.from_numpy(rows)).numpy()

    def pairs(self, bold: Bold) -> dict[str, np.ndarray]:
        """Score embeddings (n, E): contrast is the log probability of the clip, text plus image."""
        made = embed(self.encoder, self.windows(bold), None, self.batch_size).numpy()
        contrast = contrast_pairs(made, self.text) + contrast_pairs(made, self.image)
        return {"contrast": contrast, **embedding_pairs(made, self.text, self.image)}

    def attention(self, bold: Bold, regions: list[Region]) -> np.ndarray:
        """Return what the last layer gives to regions in each clip, (n, n_regions); 1 is uniform."""
        layer = self.encoder.config.depth
        settings = ExtractAttentionSettings(layers=(layer,), batch_size=self.batch_size)
        layers = measure_attention(self.encoder, self.windows(bold), regions, settings, "the encoder")
        return layers[layer].regions["softmax"]


class AnimatorProbe(Probe):
    """Mind-Animator's three decoders, each judged by the error it was trained on.

    Parameters
    ----------
    semantic, structure, motion : trained decoders, on the device to compute on
    truth : true features of all test clips
    image : movie -> CLIP embeddings of frames (T, k, E)
    rows : clips that are asked for
    batch_size : clips per pass
    """

    losses = ("embedding", "states", "structure", "motion")

    def __init__(
        self,
        semantic: SemanticDecoder,
        structure: StructureDecoder,
        motion: MotionGenerator,
        truth: Features,
        image: Mapping[str, np.ndarray],
        rows: Rows,
        batch_size: int,
    ) -> None:
        self.semantic, self.structure, self.motion = semantic, structure, motion
        self.rows, self.batch_size = rows, batch_size
        self.n_vertices = semantic.config.n_vertices
        place = {clip: number for number, clip in enumerate(truth.clips)}
        chosen = [place[movie, int(clip)] for movie, index in rows.items() for clip in index]
        self.embedding, self.states = truth.embedding[chosen], truth.states[chosen][:, 1:]
        self.latents = truth.latents[chosen]
        self.image = mean_direction(_of_clips(image, rows)).numpy()

    @torch.no_grad()
    def decode(self, bold: Bold) -> dict[str, np.ndarray]:
        """Decode the features of the clips (n, ...) from movies (T, V)."""
        samples = torch.from_numpy(_of_clips(bold, self.rows)).float()
        device = next(self.semantic.parameters()).device
        parts: dict[str, list[Tensor]] = {name: [] for name in self.losses}
        for batch in samples.split(self.batch_size):
            given = batch.to(device)
            embedding, states = self.semantic(given)
            first = self.structure(given)
            features = (embedding, states, first, self.motion.roll_out(given, first)[:, 1:])
            for name, values in zip(self.losses, features, strict=True):
                parts[name].append(values.float().cpu())
        return {name: torch.cat(values).numpy() for name, values in parts.items()}

    def pairs(self, bold: Bold) -> dict[str, np.ndarray]:
        """Score decoded features (n, ...): errors of embedding, text states, first latent and later ones."""
        made = self.decode(bold)
        truth = (self.embedding, self.states, self.latents[:, 0], self.latents[:, 1:])
        errors = {
            name: error_pairs(made[name], target) for name, target in zip(self.losses, truth, strict=True)
        }
        text = F.normalize(torch.from_numpy(self.embedding), dim=-1).numpy()
        return {**errors, **embedding_pairs(made["embedding"], text, self.image)}

    def vertex_maps(self, bold: Bold) -> dict[tuple[str, str], np.ndarray]:
        """Return the published products of weights, and patterns of the linear stages, (V,) each."""
        linear = linear_stage(self.structure)
        stages = {"embedding": first_layer(self.semantic.trunk), "structure": linear}
        stages["motion"] = first_layer(self.motion.encoder)
        samples = np.concatenate(list(bold.values()))
        products = {
            "embedding": weight_product(self.semantic.trunk),
            "structure": weight_product(self.structure.layers[0]),
            "motion": weight_product(self.motion.encoder),
        }
        maps = {("weights", name): values for name, values in products.items()}
        return maps | {("pattern", name): haufe_pattern(samples, stage) for name, stage in stages.items()}


def first_layer(network: nn.Module) -> np.ndarray:
    """Return the weights (k, V) of a network's first linear layer."""
    layer = next(part for part in network.modules() if isinstance(part, nn.Linear))
    return layer.weight.detach().double().cpu().numpy()


def linear_stage(structure: StructureDecoder) -> np.ndarray:
    """Return the linear map (k, V) before the structure decoder's norm: its residual blocks are linear."""
    vertices = structure.config.n_vertices
    weights = first_layer(structure.layers[0])
    assert weights.shape[1] == vertices
    for number in range(structure.config.blocks):
        weights = weights + first_layer(structure.layers[2 + number]) @ weights
    return weights


def weight_product(network: nn.Module) -> np.ndarray:
    """Multiply the weights of all linear layers and take the absolute value of the mean over outputs, (V,).

    As in Mind-Animator's released ``Explainable_analysis``: norms, nonlinearities and the paths around
    residual layers are left out, and effects of opposite sign cancel.
    """
    product: np.ndarray | None = None
    for part in network.modules():
        if isinstance(part, nn.Linear):
            weights = part.weight.detach().double().cpu().numpy()
            product = weights if product is None else weights @ product
    if product is None:
        raise ValueError("a network without linear layers")
    return np.abs(product.mean(0))


def haufe_pattern(bold: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Turn a linear stage's weights into what it extracts: the variance of each vertex that it accounts for.

    The pattern is A = cov(x) W' cov(s)^-1 of s = W x (Haufe et al. 2014, eq. 6); weights alone are large also
    where they cancel noise. The variance of vertex v that the stage shares is (A cov(s) A')_vv.

    Parameters
    ----------
    bold : (n, V) training samples
    weights : (k, V)

    Returns
    -------
    (V,) float64, in the squared unit of the fMRI; all of each vertex's variance where k >= V
    """
    x = bold.astype(np.float64) - bold.mean(0, dtype=np.float64)
    s = x @ weights.T
    covariance = x.T @ s / len(x)  # of vertices and outputs, cov(x) W'
    pattern = covariance @ np.linalg.pinv(s.T @ s / len(x), hermitian=True)
    return np.asarray((pattern * covariance).sum(1))


def _read_text_image(
    paths: list[Path], movies: list[str]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    from neurocine.stimuli.cached import CachedClips

    parts = []
    for kind in ("text", "image"):
        cached = CachedClips.read(paths, kind, movies)
        parts.append({movie: cached.of([movie]) for movie in movies})
    return parts[0], parts[1]


def read_encoder_probe(
    folders: Mapping[str, Path],
    rows: Rows,
    embeddings: list[Path],
    latents: list[Path],
    batch_size: int,
    device: torch.device | str,
) -> Probe:
    """Read NeuroCine's probe: folder ``encoder``, and files of embed_clips."""
    encoder = FmriEncoder.from_pretrained(folders["encoder"]).to(device).eval()
    text, image = _read_text_image(embeddings, list(rows))
    return EncoderProbe(encoder, text, image, rows, batch_size)


def read_animator_probe(
    folders: Mapping[str, Path],
    rows: Rows,
    embeddings: list[Path],
    latents: list[Path],
    batch_size: int,
    device: torch.device | str,
) -> Probe:
    """Read Mind-Animator's probe: folders ``semantic``, ``structure``, ``motion``; files of true features."""
    semantic = SemanticDecoder.from_pretrained(folders["semantic"]).to(device)
    structure = StructureDecoder.from_pretrained(folders["structure"]).to(device)
    motion = MotionGenerator.from_pretrained(folders["motion"]).to(device)
    truth = Features.true(embeddings, latents, list(rows), semantic.config.n_tokens)
    image = _read_text_image(embeddings, list(rows))[1]
    return AnimatorProbe(semantic, structure, motion, truth, image, rows, batch_size)


# How the networks of each method become a probe.
READERS: dict[str, Callable[..., Probe]] = {
    "neurocine": read_encoder_probe,
    "mind_animator": read_animator_probe,
}


def read_probe(
    method: str,
    folders: Mapping[str, Path],
    rows: Rows,
    embeddings: list[Path],
    latents: list[Path],
    batch_size: int,
    device: torch.device | str,
) -> Probe:
    """Read the networks of a method and what is true of the clips.

    Parameters
    ----------
    method : name of the method
    folders : networks by the names of its ``decoders``
    rows : movie -> (n,) clips that are asked for
    embeddings, latents : files of embed_clips and encode_latents with the test movies
    batch_size : clips per pass
    device : to compute on

    Raises
    ------
    InputError : a method without a probe, or files that do not fit
    """
    if method not in READERS:
        expected = ", ".join(READERS)
        raise InputError("--method", method, expected, "Add its probe to neurocine/surface/probes.py.")
    return READERS[method](folders, rows, embeddings, latents, batch_size, device)
