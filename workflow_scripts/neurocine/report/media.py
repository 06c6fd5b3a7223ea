"""Films, film strips and brain maps, side by side on the page and together in the details of a result."""

from collections.abc import Iterable, Sequence
from html import escape

from neurocine.naming import natural
from neurocine.report.conditions import told
from neurocine.report.markup import fold, key_attributes
from neurocine.report.study import Medium, Order, group_media

NO_MAPS = (
    "None here: brain maps and areas need to know where the vertices lie. Of preprocessed fMRI a mask tells "
    "it, which package.vertex_masks in the config names (docs/data.md)."
)
CHOICES = ("random", "best", "median", "worst")  # what tells most about a result first


def picture(medium: Medium, text: str, kind: str = "") -> str:
    """Show a picture that opens large."""
    return (
        f'<a class="zoom {kind}" href="{escape(medium.href)}">'
        f'<img src="{escape(medium.href)}" alt="{escape(text)}" loading="lazy" decoding="async"></a>'
    )


def film(medium: Medium, who: str) -> str:
    """Show a film, original left and decoded right."""
    said = escape(f"original and reconstruction, {who}, {medium.name}")
    return (
        f'<figure><video controls loop muted playsinline preload="none" src="{escape(medium.href)}" '
        f'aria-label="{said}"></video><figcaption>{escape(medium.name)}</figcaption></figure>'
    )


def strip(medium: Medium, who: str) -> str:
    """Show a sheet of film strips."""
    said = f"film strips, {who}, {medium.name}"
    return f"<figure>{picture(medium, said)}<figcaption>{escape(medium.name)}</figcaption></figure>"


def by_choice(media: Iterable[Medium]) -> list[Medium]:
    """Sort chosen clips in the order of ``CHOICES``; other names behind."""
    place = {name: index for index, name in enumerate(CHOICES)}
    return sorted(media, key=lambda m: (place.get(m.name, len(place)), natural(m.name)))


def film_section(strips: Iterable[Medium], clips: Iterable[Medium], shown: int, order: Order) -> str:
    """Show what was decoded from fMRI: a card per subject and experiment, the subjects side by side."""
    all_strips = group_media((m for m in strips if m.condition == "fmri"), order)
    all_clips = group_media(clips, order)
    cards = []
    for owner in sorted({*all_strips, *all_clips}, key=order.rank):
        who = f"subject {owner.subject}, {order.label(owner)}"
        chosen = by_choice(all_strips.get(owner, []))
        films = "".join(film(medium, who) for medium in chosen if medium.plays)
        movies = "".join(film(medium, who) for medium in all_clips.get(owner, []))
        if movies:
            movies = f'<details><summary>Whole movies</summary><div class="films">{movies}</div></details>'
        pictures = [strip(medium, who) for medium in chosen if not medium.plays]
        rest = "".join(pictures[shown:])
        if rest:
            rest = f"<details><summary>{len(pictures) - shown} more strips</summary>{rest}</details>"
        card = (
            f'<article class="card"{key_attributes(owner.keys)}>{order.heading(owner)}'
            f'<div class="films">{films}</div>{movies}'
            f'<div class="strips">{"".join(pictures[:shown])}{rest}</div></article>'
        )
        cards.append((order.label(owner), owner.experiment, card))
    return fold(cards) or '<p class="empty">No films were made.</p>'


def shown_clips(media: Sequence[Medium], who: str) -> str:
    """Show chosen clips, a block per condition: films, then film strips."""
    blocks = []
    for condition in dict.fromkeys(medium.condition for medium in media):
        own = by_choice(medium for medium in media if medium.condition == condition)
        name = f"{who}, {told(condition).text}"
        films = "".join(film(medium, name) for medium in own if medium.plays)
        strips = "".join(strip(medium, name) for medium in own if not medium.plays)
        blocks.append(
            f'<div class="shown" data-condition="{escape(condition)}"><div class="films">{films}</div>'
            f'<div class="sheets">{strips}</div></div>'
        )
    return "".join(blocks)


def map_pictures(media: Sequence[Medium], who: str) -> tuple[str, str]:
    """Show brain maps: overview and occlusion, and the single maps to unfold."""
    front = [m for m in media if m.name in ("overview", "occlusion")]
    front.sort(key=lambda m: m.name != "overview")
    single = [m for m in media if m not in front]
    shown = "".join(picture(m, f"{m.name} of brain maps, {who}", m.name) for m in front)
    rest = "".join(picture(m, f"{m.name.replace('_', ' ')}, {who}") for m in single)
    if rest:
        rest = (
            f"<details><summary>{len(single)} single maps</summary>"
            f'<div class="thumbnails">{rest}</div></details>'
        )
    return f'<div class="maps">{shown}</div>', rest


def map_section(maps: Iterable[Medium], order: Order) -> str:
    """Show the brain maps of every result."""
    cards = []
    for owner, media in group_media(maps, order).items():
        shown, rest = map_pictures(media, f"subject {owner.subject}, {order.label(owner)}")
        card = (
            f'<article class="card wide"{key_attributes(owner.keys)}>{order.heading(owner)}'
            f"{shown}{rest}</article>"
        )
        cards.append((order.label(owner), owner.experiment, card))
    return fold(cards) or f'<p class="empty">{NO_MAPS}</p>'
