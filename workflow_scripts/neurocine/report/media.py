"""Films, film strips and brain maps, side by side on the page and together in the details of a result."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from neurocine.conditions import describe
from neurocine.naming import natural
from neurocine.report.markup import Card, fold
from neurocine.report.study import Medium, Order, group_media
from neurocine.report.templates import piece, render

NO_MAPS = (
    "None here: the methods on this page have none, or nothing tells where the vertices lie. Of preprocessed "
    "fMRI a mask tells it, which package.vertex_masks in the config names (docs/data.md)."
)
CHOICES = ("random", "best", "median", "worst")  # what says most about a result first
# Files of export_maps without their endings, and what the page says of them.
EXPORTS = {
    "interactive": "interactive occlusion map",
    "maps": "what these maps are",
    "maps.dscalar": "all maps for other tools",
    "maps.nii": "all maps for other tools",
}
FRONT = ("overview", "occlusion", "rank_areas", "agree_fmri")  # maps in sight; the others unfold


def by_choice(media: Iterable[Medium]) -> list[Medium]:
    """Sort chosen clips in the order of ``CHOICES``; other names behind."""
    place = {name: index for index, name in enumerate(CHOICES)}
    return sorted(media, key=lambda m: (place.get(m.name, len(place)), natural(m.name)))


def film_section(strips: Iterable[Medium], clips: Iterable[Medium], shown: int, order: Order) -> Markup:
    """Show what was decoded from fMRI: a card per subject and experiment, the subjects side by side."""
    all_strips = group_media((m for m in strips if m.condition == "fmri"), order)
    all_clips = group_media(clips, order)
    cards = []
    for owner in sorted({*all_strips, *all_clips}, key=order.rank):
        label = order.label(owner)
        body = render(
            "films.html",
            owner=owner,
            label=label,
            chosen=by_choice(all_strips.get(owner, [])),
            movies=all_clips.get(owner, []),
            shown=shown,
        )
        cards.append(Card(label, owner.experiment, body))
    return fold(cards) if cards else piece("empty", "No films were made.")


def shown_clips(media: Sequence[Medium], who: str) -> Markup:
    """Show chosen clips, a block per condition: films, then film strips."""
    names = dict.fromkeys(medium.condition for medium in media)
    blocks = [
        (name, describe(name).text, by_choice(medium for medium in media if medium.condition == name))
        for name in names
    ]
    return render("clips.html", blocks=blocks, who=who)


def map_pictures(media: Sequence[Medium], who: str) -> Markup:
    """Show brain maps: overview and occlusion, and the single maps to unfold."""
    front = sorted((m for m in media if m.name in FRONT), key=lambda m: FRONT.index(m.name))
    return render("maps.html", front=front, single=[m for m in media if m not in front], who=who)


def map_section(maps: Iterable[Medium], files: Iterable[Medium], order: Order) -> Markup:
    """Show the brain maps of every result, and link the interactive one.

    Parameters
    ----------
    maps : pictures
    files : among them the pages and the maps for other tools, of export_maps
    order : of the results
    """
    exports = group_media((m for m in files if m.name in EXPORTS), order)
    cards = []
    for owner, media in group_media(maps, order).items():
        label = order.label(owner)
        pictures = map_pictures(media, f"subject {owner.subject}, {label}")
        links = [(m, EXPORTS[m.name]) for m in exports.get(owner, [])]
        body = render("map_card.html", owner=owner, label=label, pictures=pictures, links=links)
        cards.append(Card(label, owner.experiment, body))
    return fold(cards) if cards else piece("empty", NO_MAPS)
