"""What there is to know of musicnn's two sets of weights without loading them; reading them out of its wheel."""

from __future__ import annotations

from dataclasses import dataclass

RATE, HOP, FRAMES, BANDS = 16_000, 256, 187, 96
WINDOW = FRAMES * HOP  # samples; 2.99 s


@dataclass(frozen=True)
class Variant:
    """One trained network: its folder in the wheel, and how it is shown."""

    folder: str
    title: str
    note: str
    labels: tuple[str, ...]


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


VARIANTS = {
    "musicnn-mtt": Variant(
        "MTT_musicnn",
        "musicnn, MagnaTagATune",
        "A real music tagger: 50 tags of instruments, genres, voices and moods, learned from 25,863 clips.",
        _tags(_MTT),
    ),
    "musicnn-msd": Variant(
        "MSD_musicnn",
        "musicnn, Million Song Dataset",
        "A real music tagger: 50 Last.fm tags of genres, decades and moods, learned from some 200,000 songs.",
        _tags(_MSD),
    ),
}
