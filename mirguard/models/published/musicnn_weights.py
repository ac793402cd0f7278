"""What there is to know of musicnn's two sets of weights without loading them; reading them out of its wheel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RATE, HOP, FRAMES, BANDS = 16_000, 256, 187, 96
WINDOW = FRAMES * HOP  # samples; 2.99 s


@dataclass(frozen=True)
class Variant:
    """One trained network: its folder in the wheel, and how it is shown. `card`: what was published about it."""

    folder: str
    title: str
    note: str
    labels: tuple[str, ...]
    card: Mapping[str, Any] = field(default_factory=dict)


_MTT = """guitar,classical,slow,techno,strings,drums,electronic,rock,fast,piano,ambient,beat,violin,vocal,synth,female,
indian,opera,male,singing,vocals,no vocals,harpsichord,loud,quiet,flute,woman,male vocal,no vocal,pop,soft,sitar,solo,
man,classic,choir,voice,new age,dance,male voice,female vocal,beats,harp,cello,no voice,weird,country,metal,
female voice,choral"""
_MSD = """rock,pop,alternative,indie,electronic,female vocalists,dance,00s,alternative rock,jazz,beautiful,metal,
chillout,male vocalists,classic rock,soul,indie rock,Mellow,electronica,80s,folk,90s,chill,instrumental,punk,oldies,
blues,hard rock,ambient,acoustic,experimental,female vocalist,guitar,Hip-Hop,70s,party,country,easy listening,sexy,
catchy,funk,electro,heavy metal,Progressive rock,60s,rnb,indie pop,sad,House,happy"""


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in text.split(","))


def _card(data: dict[str, Any], test: dict[str, Any], limits: str) -> dict[str, Any]:
    return {
        "made": "published",
        "source": "musicnn 0.1.0 on PyPI (github.com/jordipons/musicnn)",
        "licence": "ISC; Copyright (c) Music Technology Group, Universitat Pompeu Fabra 2019",
        "citation": "J. Pons, X. Serra: musicnn: Pre-trained Convolutional Neural Networks for Music Audio Tagging. "
        "Late-breaking and demo session, ISMIR 2019",
        "architecture": "timbral and temporal convolutions over log-mel windows of 3 s, a densely connected middle, "
        "pooling over time; 50 independent sigmoids",
        "data": data,
        "test": test,
        "limits": limits,
        "verified": "Equal to the package run under TensorFlow on the same resampled sound: 120 windows of five recordings, "
        "50 tags each, within 2e-4; the tags of whole recordings come in the same order.",
    }


VARIANTS = {
    "musicnn-mtt": Variant(
        "MTT_musicnn",
        "musicnn, MagnaTagATune",
        "A real music tagger: 50 tags of instruments, genres, voices and moods, learned from some 19,000 clips.",
        _tags(_MTT),
        _card(
            {"name": "MagnaTagATune", "clips": {"train": "about 19,000"}, "labels": "a game's players, with synonyms"},
            {"on": "the test set of MagnaTagATune", "roc_auc": 0.9067, "pr_auc": 0.3831},
            "It knows its 50 tags and nothing else, several of them synonyms (no vocal, no vocals, no voice): a change from "
            "one to the other changes no meaning.",
        ),
    ),
    "musicnn-msd": Variant(
        "MSD_musicnn",
        "musicnn, Million Song Dataset",
        "A real music tagger: 50 Last.fm tags of genres, decades and moods, learned from some 200,000 songs.",
        _tags(_MSD),
        _card(
            {
                "name": "Million Song Dataset",
                "clips": {"train": "about 200,000"},
                "labels": "tags of Last.fm's listeners",
            },
            {"on": "the test set of the Million Song Dataset", "roc_auc": 0.8802, "pr_auc": 0.2891},
            "Listeners' tags of popular music in the 2000s, several of them synonyms (female vocalist, female vocalists): "
            "classical music has none of its own.",
        ),
    ),
}
