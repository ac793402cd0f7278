"""The same recording is found at another level, rate, coding or cut; different ones are not; what straddles is named."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from mirguard.datasets.fingerprint import Fingerprint, compare, fingerprint, matches
from mirguard.datasets.folder import labelled_folder
from mirguard.datasets.labelled import Item, LabelledSet
from mirguard.datasets.leakage import check_leakage, join_duplicates
from mirguard.datasets.splits import split
from mirguard.datasets.synthesis import RATE, dataset
from mirguard.errors import Cancelled


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """A hundred different toy clips of four seconds, all instruments."""
    return [np.asarray(example.samples, np.float32) for example in dataset(100, seed=77, seconds=4.0)]


@pytest.fixture(scope="module")
def prints(clips) -> list[Fingerprint]:
    return [fingerprint(clip, RATE) for clip in clips]


def save(path: Path, samples: np.ndarray, rate: int = RATE, **how) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    kind = {".mp3": ("MP3", "MPEG_LAYER_III"), ".ogg": ("OGG", "VORBIS"), ".flac": ("FLAC", "PCM_16")}
    format, subtype = kind.get(path.suffix, ("WAV", "PCM_16"))
    if subtype == "PCM_16":  # rounded once, so that copies in both formats are equal
        samples = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    with soundfile.SoundFile(path, "w", rate, channels, subtype, format=format, **how) as file:
        file.write(samples)
    return path


def found(prints: list[Fingerprint]) -> dict[tuple[int, int], tuple[float, float]]:
    return {(m.first, m.second): (m.offset, m.similarity) for _, some in matches(prints) for m in some}


def made(*rows: tuple, **more) -> LabelledSet:
    """A set of (path, label, group[, split[, artist]])."""
    items = tuple(
        Item(row[0], row[1], row[2], row[3] if len(row) > 3 else "", artist=row[4] if len(row) > 4 else "")
        for row in rows
    )
    return LabelledSet("made", "nowhere", tuple(sorted({item.label for item in items})), items, **more)


# -- The fingerprint ---------------------------------------------------------------------------------------------------


def test_no_two_of_a_hundred_toy_clips_are_taken_for_one(prints):
    assert found(prints) == {}


@pytest.mark.parametrize(
    "change", ["quieter", "louder", "16 kHz", "48 kHz", "mp3", "worst mp3", "ogg", "noise", "stereo"]
)
def test_a_changed_copy_is_found_and_nothing_else(tmp_path, clips, prints, change):
    numbers = range(0, 100, 11)
    copies = []
    for number in numbers:
        clip, rate = clips[number], RATE
        if change == "quieter":
            clip = clip * np.float32(0.03)
        elif change == "louder":
            clip = np.clip(clip / np.abs(clip).max() * np.float32(1.2), -1, 1)
        elif change.endswith("kHz"):
            rate = int(change.split()[0]) * 1000
            clip = soxr.resample(clip, RATE, rate)
        elif change == "noise":
            level = np.sqrt(np.mean(clip**2)) * 10 ** (-40 / 20)
            clip = clip + level * np.random.default_rng(0).standard_normal(len(clip)).astype(np.float32)
        elif change == "stereo":
            clip = np.stack([clip, 0.7 * clip], axis=1)
        if change.endswith(("mp3", "ogg")):
            quality = 0.95 if change.startswith("worst") else 0.5
            path = save(tmp_path / f"{number}.{change[-3:]}", 0.9 * clip, compression_level=quality)
            clip, rate = soundfile.read(path, dtype="float32")
        copies.append(fingerprint(clip if clip.ndim == 1 else clip.mean(axis=1), rate))
    pairs = found(prints + copies)
    assert set(pairs) == {(number, len(prints) + n) for n, number in enumerate(numbers)}
    assert all(abs(offset) < 0.06 and similarity >= 0.6 for offset, similarity in pairs.values())


def test_excerpts_that_overlap_are_found_with_their_offset(clips, prints):
    cut = [fingerprint(clip[round(1.3 * RATE) :], RATE) for clip in clips[:20]]
    pairs = found(prints[:20] + cut)
    assert set(pairs) == {(n, n + 20) for n in range(20)}
    assert all(offset == pytest.approx(1.3, abs=0.02) for offset, _ in pairs.values())
    pairs = found(cut + prints[:20])
    assert set(pairs) == {(n, n + 20) for n in range(20)}
    assert all(offset == pytest.approx(-1.3, abs=0.02) for offset, _ in pairs.values())


def test_excerpts_that_share_a_part_in_the_middle(clips):
    whole = np.concatenate([clips[3], clips[14], clips[25]])
    first, second = whole[: round(7.0 * RATE)], whole[round(4.0 * RATE) :]
    (pair,) = found([fingerprint(first, RATE), fingerprint(second, RATE)]).items()
    assert pair[0] == (0, 1) and pair[1][0] == pytest.approx(4.0, abs=0.02)


def test_a_short_clip_within_a_long_one(clips, prints):
    whole = np.concatenate(clips[:12])
    pairs = found([*prints[4:6], prints[50], fingerprint(whole, RATE)])
    assert set(pairs) == {(0, 3), (1, 3)}
    assert [pairs[0, 3][0], pairs[1, 3][0]] == pytest.approx([-16.0, -20.0], abs=0.02)


def test_what_says_nothing_matches_nothing():
    time = np.arange(4 * RATE) / RATE
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    quiet = [np.zeros(4 * RATE, np.float32), tone, 0.3 * tone, np.zeros(100, np.float32), tone[:9000]]
    assert found([fingerprint(sound, RATE) for sound in quiet]) == {}
    assert found([]) == {}


def test_noise_is_told_apart():
    rng = np.random.default_rng(1)
    noises = [fingerprint(0.1 * rng.standard_normal(4 * RATE).astype(np.float32), RATE) for _ in range(30)]
    assert found(noises) == {}
    assert set(found(noises + noises[:1])) == {(0, 30)}


def test_compare_is_one_for_the_same_and_finds_the_lag(prints):
    assert compare(prints[0], prints[0], 0) == (pytest.approx(1.0), 0)
    later = Fingerprint(prints[0].bits[40:])
    assert compare(prints[0], later, 36, 8) == (pytest.approx(1.0), 40)
    assert compare(prints[0], Fingerprint(prints[0].bits[:10]), 0) == (0.0, 0)


# -- The check ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def leaky(tmp_path, clips) -> LabelledSet:
    """Three sounds in several copies, one of them under another label, among sounds of their own."""
    rows = [(save(tmp_path / f"{n}.wav", clips[n]), f"c{n % 2}", f"g{n}", "train") for n in range(6)]
    rows.append((save(tmp_path / "copy of 0.flac", clips[0]), "c0", "h0", "test"))
    rows.append((save(tmp_path / "coded 1.ogg", 0.8 * clips[1]), "c0", "h1", "train"))
    rows.append((save(tmp_path / "cut 2.wav", clips[2][RATE:]), "c0", "g2", "train"))
    return made(*rows)


def names(pairs) -> set[tuple[str, str]]:
    return {(pair.first.name, pair.second.name) for pair in pairs}


def test_copies_are_found_and_told_apart(leaky):
    leakage = check_leakage(leaky)
    assert names(leakage.duplicates) == {("0.wav", "copy of 0.flac"), ("1.wav", "coded 1.ogg"), ("2.wav", "cut 2.wav")}
    exact = next(pair for pair in leakage.duplicates if pair.exact)
    assert names([exact]) == {("0.wav", "copy of 0.flac")} and exact.straddles and not exact.relabelled
    wrong = next(pair for pair in leakage.duplicates if pair.relabelled)
    assert names([wrong]) == {("1.wav", "coded 1.ogg")} and not wrong.straddles and wrong.regrouped
    cut = next(pair for pair in leakage.duplicates if pair.first.name == "2.wav")
    assert cut.offset == pytest.approx(1.0, abs=0.02) and not cut.regrouped
    assert leakage.leaks and leakage.checked == 9
    assert leakage.sentences == (
        "1 pair of clips is the same recording in different parts, so test figures are too good: "
        "0.wav (train) and copy of 0.flac (test).",
        "1 pair of clips is the same recording with different labels, so one of each is wrong: "
        "1.wav (c1) and coded 1.ogg (c0).",
        "1 pair of clips is the same recording in different groups, which a split may tear apart: "
        "1.wav and coded 1.ogg.",
        "1 pair of clips is the same recording within one group: 2.wav and cut 2.wav.",
    )


def test_joined_groups_stay_together_in_a_split(leaky):
    bare = leaky.without_splits()
    leakage = check_leakage(bare)
    assert not leakage.leaks
    joined = join_duplicates(bare, leakage)
    assert {item.name: item.group for item in joined.items} == {
        **{f"{n}.wav": f"g{n}" for n in range(6)},
        "copy of 0.flac": "g0",
        "coded 1.ogg": "g1",
        "cut 2.wav": "g2",
    }
    assert joined.warnings == ("4 groups share recordings and were joined into 2.",)
    for seed in range(20):
        done = split(joined, seed=seed, test=0.4, validation=0.2)
        assert not check_straddling(done)
    assert join_duplicates(joined, leakage).warnings == joined.warnings


def check_straddling(dataset: LabelledSet) -> list[str]:
    where: dict[str, set[str]] = {}
    for item in dataset.items:
        where.setdefault(item.group, set()).add(item.split)
    return [group for group, parts in where.items() if len(parts) > 1]


def test_chains_of_copies_become_one_group(tmp_path, clips):
    long = np.concatenate([clips[7], clips[18], clips[29]])
    rows = [(save(tmp_path / f"{n}.wav", long[round(n * 3 * RATE) :][: 5 * RATE]), "c", f"g{n}") for n in range(3)]
    leakage = check_leakage(made(*rows))
    assert names(leakage.duplicates) == {("0.wav", "1.wav"), ("1.wav", "2.wav")}
    assert {item.group for item in join_duplicates(made(*rows), leakage).items} == {"g0"}


def test_parts_of_one_file_are_compared_too(tmp_path, clips):
    path = save(tmp_path / "long.wav", np.concatenate([clips[5], clips[5], clips[6]]))
    items = tuple(Item(path, "c", f"g{n}", "", 4.0 * n, 4.0) for n in range(3))
    leakage = check_leakage(LabelledSet("parts", "nowhere", ("c",), items))
    assert [(pair.first.start, pair.second.start, pair.exact) for pair in leakage.duplicates] == [(0.0, 4.0, True)]
    assert "long.wav from 0 s and" in leakage.sentences[0]


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path, clips):
    good, same = save(tmp_path / "a" / "x.wav", clips[0]), tmp_path / "b" / "x.wav"
    same.parent.mkdir()
    shutil.copy(good, same)
    damaged = tmp_path / "b" / "damaged.wav"
    damaged.write_bytes(b"RIFF and nothing more")
    silent = [save(tmp_path / f"silent {n}.wav", np.zeros(3 * RATE)) for n in (1, 2)]
    short = save(tmp_path / "short.wav", clips[0][:300])
    rows = [(path, "c", path.name + path.parent.name) for path in (good, same, damaged, *silent, short)]
    leakage = check_leakage(made(*rows, (tmp_path / "none.wav", "c", "none")))
    assert [(pair.first.path, pair.second.path) for pair in leakage.duplicates] == [(good, same)]
    assert "a/x.wav and b/x.wav" in leakage.sentences[0]
    assert len(leakage.unreadable) == 2 and leakage.unreadable[0].startswith("damaged.wav cannot be read")
    assert [item.path for item in leakage.silent] == silent
    assert leakage.checked == 5


def test_groups_and_artists_in_more_than_one_part_are_named(tmp_path, clips):
    paths = [save(tmp_path / f"{n}.wav", clips[n]) for n in range(5)]
    dataset = made(
        (paths[0], "c", "one", "train", "Nina"),
        (paths[1], "c", "two", "test", "NINA"),
        (paths[2], "c", "three", "train", "Bessie"),
        (paths[3], "c", "three", "validation", "Bessie"),
        (paths[4], "c", "four", "test"),
    )
    leakage = check_leakage(dataset)
    assert leakage.straddling == {"three": ("train", "validation")}
    assert leakage.artists == {"Nina": ("train", "test")}
    assert leakage.leaks and leakage.sentences == (
        "1 group in more than one part: three in train and validation.",
        "1 artist in more than one part: Nina in train and test; group by artist.",
    )
    assert not check_leakage(dataset.without_splits()).leaks


def test_a_clean_set_gets_one_sentence(tmp_path, clips):
    for n in range(4):
        save(tmp_path / f"c{n % 2}" / f"{n}.wav", clips[n])
    leakage = check_leakage(labelled_folder(tmp_path))
    assert leakage.sentences == ("No recording comes twice among 4 clips, and none leaks from one part into another.",)
    assert not leakage.leaks and not leakage.duplicates


def test_progress_runs_from_start_to_end(leaky):
    told = []
    check_leakage(leaky, lambda sentence, fraction: told.append((sentence, fraction)))
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert told[0] == ("Listening to 0.wav", pytest.approx(0.1))
    assert told[-1][0] == "Comparing all with all"


@pytest.mark.parametrize("after", [0, 3, 8])
def test_the_check_can_be_stopped(leaky, after):
    stop = threading.Event()
    heard = []

    def progress(sentence, _fraction):
        heard.append(sentence)
        if len(heard) > after:
            stop.set()

    if after == 0:
        stop.set()
    with pytest.raises(Cancelled):
        check_leakage(leaky, progress, stop)
    assert len(heard) <= after + 1


def test_the_number_of_threads_changes_nothing(leaky):
    assert check_leakage(leaky, workers=1) == check_leakage(leaky, workers=3)


def test_real_recordings(music, tmp_path):
    """Three excerpts of each: the first and the second overlap, the third does not, and the first comes as an MP3 too."""
    rows = []
    for number, path in enumerate(music):
        whole, rate = soundfile.read(path, dtype="float32", always_2d=True, frames=22 * 22050)
        if len(whole) < 20 * rate:
            continue
        for n, (start, stop) in enumerate(((0, 8), (5, 13), (14, 20))):
            rows.append(
                (save(tmp_path / f"{number} {n}.wav", whole[start * rate : stop * rate], rate), "c", f"{number} {n}")
            )
        coded = save(tmp_path / f"{number} 3.mp3", 0.5 * whole[: 8 * rate], rate, compression_level=0.7)
        rows.append((coded, "c", f"{number} 3"))
    expected = {(f"{n} {a}", f"{n} {b}") for n in {row[2][0] for row in rows} for a, b in ((0, 1), (0, 3), (1, 3))}
    leakage = check_leakage(made(*rows))
    assert {(pair.first.group, pair.second.group) for pair in leakage.duplicates} == expected
    assert len(expected) >= 9
