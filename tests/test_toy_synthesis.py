"""The toy dataset: seeded, in tune, balanced, with splits that share nothing."""

from __future__ import annotations

import numpy as np
import pytest

from mirguard.clip import load_clip
from mirguard.datasets.demonstration import demonstration
from mirguard.datasets.oscillators import harmonics, hertz, oscillate, tables
from mirguard.datasets.phrases import beat, phrase
from mirguard.datasets.styles import SCALES, STYLES, TONICS, any_music
from mirguard.datasets.synthesis import (
    INSTRUMENTS,
    LABELS,
    SPLITS,
    compose,
    dataset,
    example,
    individual,
    perform,
    render,
    synthesise,
)
from mirguard.errors import UsageError
from mirguard.resources import resource

PITCHED = [label for label in LABELS if label != "drums"]


@pytest.mark.parametrize("instrument", LABELS)
def test_the_same_seed_gives_the_same_sound_and_another_seed_another(instrument):
    first, again = (synthesise(instrument, 5, 16_000, 1.5) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, synthesise(instrument, 6, 16_000, 1.5), atol=1e-3)
    assert not np.allclose(first, synthesise(instrument, 5, 16_000, 1.5, split="test"), atol=1e-3)


@pytest.mark.parametrize(("rate", "seconds"), [(8_000, 0.1), (22_050, 4.0), (44_100, 2.5)])
def test_clips_have_the_asked_length_and_are_heard(rate, seconds):
    for instrument in LABELS:
        samples = synthesise(instrument, 3, rate, seconds)
        assert samples.dtype == np.float32
        assert samples.shape == (round(seconds * rate),)
        assert np.isfinite(samples).all()
        assert 0.05 < np.abs(samples).max() <= 1.0


def test_levels_vary_by_more_than_ten_decibels():
    peaks = [np.abs(synthesise("mallet", seed, 16_000, 1.0)).max() for seed in range(24)]
    assert 20 * np.log10(max(peaks) / min(peaks)) > 10


@pytest.mark.parametrize("instrument", PITCHED)
def test_every_voice_is_in_tune(instrument):
    voice, manner = INSTRUMENTS[instrument]
    rate = 44_100
    for seed in range(3):
        rng = np.random.default_rng(seed)
        traits = tuple(rng.random(8).tolist())
        wanted = float(hertz(manner.low + (manner.high - manner.low) * (0.2 + 0.3 * seed)))
        sound = voice(wanted, 1.2, 0.7, traits, rng, rate)
        assert sound.dtype == np.float32
        # After the attack (where brass scoops) but before a xylophone has died away.
        part = sound[int(0.12 * rate) : int(1.0 * rate)]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 18))
        bins = np.fft.rfftfreq(1 << 18, 1 / rate)
        near = (bins > wanted * 0.92) & (bins < wanted * 1.08)
        heard = bins[near][spectrum[near].argmax()]
        assert abs(1200 * np.log2(heard / wanted)) < 25, f"{heard:.1f} Hz instead of {wanted:.1f} Hz"
        assert spectrum[near].max() > 10 * np.median(spectrum)


def test_wavetables_do_not_alias():
    rate, frequency = 16_000, 1_234.5
    k = harmonics(frequency, rate)
    assert k[-1] * frequency < 0.45 * rate < (k[-1] + 1) * frequency
    sound = oscillate(tables(1.0 / k, np.random.default_rng(0)), frequency, rate, rate)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    bins = np.arange(len(spectrum))  # 1 Hz each
    between = np.abs((bins / frequency) - np.rint(bins / frequency)) * frequency > 30
    assert 20 * np.log10(spectrum[between].max() / spectrum.max()) < -70


def test_a_position_between_two_tables_mixes_them():
    rng = np.random.default_rng(1)
    pair = tables(np.array([[1.0, 0.0], [0.0, 1.0]]), rng)
    half = oscillate(pair, 100.0, 8_000, 800, np.full(800, 0.5))
    spectrum = np.abs(np.fft.rfft(half))
    assert spectrum[10] == pytest.approx(spectrum[20], rel=0.02)
    assert spectrum[10] > 100 * spectrum[15]


@pytest.mark.parametrize("instrument", PITCHED)
def test_phrases_stay_in_range_and_fill_the_time(instrument):
    manner = INSTRUMENTS[instrument][1]
    for seed in range(12):
        rng = np.random.default_rng(seed)
        notes = phrase(manner, any_music(rng), rng, 4.0)
        assert all(manner.low <= note.pitch <= manner.high for note in notes)
        assert all(0 <= note.start < 4.05 and note.seconds > 0 and 0 < note.velocity <= 1 for note in notes)
        assert max(note.start + note.seconds for note in notes) > 2.0


@pytest.mark.parametrize("style", STYLES)
def test_every_bar_of_a_style_is_full(style):
    manners = STYLES[style]
    assert all(sum(rhythm) == manners.bar for rhythm in manners.rhythms)
    written = [*manners.bass, *manners.chords]
    assert all(place >= 0 and place + length <= manners.bar for place, length in written)
    assert all(0 <= place < manners.bar for pattern in manners.beats for places in pattern.values() for place in places)


@pytest.mark.parametrize("style", STYLES)
def test_a_clip_says_what_was_played_in_it(style):
    for seed in range(4):
        clip = compose("clarinet", seed, 8_000, 3.0, style=style)
        assert clip.style == style
        assert STYLES[style].tempo[0] <= clip.bpm <= STYLES[style].tempo[1]
        assert clip.scale in STYLES[style].scales
        tones = {(TONICS.index(clip.key) + step) % 12 for step in SCALES[clip.scale]}
        assert {round(note.pitch) % 12 for note in clip.notes} <= tones
        assert clip.notes and clip.label not in clip.band and len(set(clip.band)) == len(clip.band) <= 3


def test_the_melody_that_is_told_is_the_one_that_sounds():
    for seed in range(12):
        clip = compose("flute", seed, 16_000, 3.0)
        if clip.band or len(clip.notes) < 3:
            continue
        for note in clip.notes[1:4]:
            part = clip.samples[int((note.start + 0.06) * 16_000) : int((note.start + note.seconds) * 16_000)]
            if len(part) < 2_000 or note.start + note.seconds > 2.8:
                continue
            spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 16))
            bins = np.fft.rfftfreq(1 << 16, 1 / 16_000)
            wanted = float(hertz(note.pitch))
            near = (bins > wanted * 0.96) & (bins < wanted * 1.04)
            assert spectrum[near].max() > 5 * np.median(spectrum), (seed, note)


def test_drums_alone_have_no_key():
    alone = [clip for seed in range(12) if not (clip := compose("drums", seed, 8_000, 0.5)).band]
    assert alone and all(clip.key == clip.scale == "" for clip in alone)


def test_drums_keep_the_tempo():
    rng = np.random.default_rng(2)
    music = any_music(rng)
    notes = beat(music, rng, 4.0)
    assert {note.pitch for note in notes} <= set(range(6))
    late = [note.start / music.sixteenth % 1.0 for note in notes]
    assert np.median(np.minimum(late, 1 - np.array(late))) < 0.34


def test_a_note_beyond_the_end_is_cut_off():
    from mirguard.datasets.phrases import Note

    sound = perform(
        "organ", [Note(0.4, 1.0, 60, 0.8)], individual("organ", "test", 0), np.random.default_rng(0), 8_000, 4_000
    )
    assert sound.shape == (4_000,)
    assert not sound[:3_200].any()
    assert sound[3_300:].std() > 0.05


@pytest.mark.parametrize("instrument", LABELS)
def test_splits_share_no_individual(instrument):
    seen: dict[tuple, str] = {}
    for split, count in SPLITS.items():
        for number in range(count):
            traits = individual(instrument, split, number)
            assert len(traits) == 8
            assert seen.setdefault(traits, split) == split
    assert len(seen) == sum(SPLITS.values())


def test_the_dataset_is_balanced_and_every_clip_can_be_made_alone():
    clips = list(dataset(20, 1, "validation", 8_000, 0.5))
    assert [clip.label for clip in clips] == list(LABELS) * 2
    assert np.array_equal(clips[13].samples, example(13, 1, "validation", 8_000, 0.5).samples)
    assert not np.array_equal(clips[3].samples, clips[13].samples)


def test_processes_give_what_one_process_gives():
    alone, labels = render(20, 4, "test", 8_000, 0.5)
    together, same_labels = render(20, 4, "test", 8_000, 0.5, workers=2)
    assert np.array_equal(alone, together)
    assert labels.tolist() == same_labels.tolist() == list(range(10)) * 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"instrument": "kazoo"}, "kazoo.*plucked string"),
        ({"split": "holdout"}, "holdout.*validation"),
        ({"style": "polka"}, "polka.*waltz"),
        ({"rate": 4_000}, "8 to 192 kHz"),
        ({"seconds": 0.0}, "0.1 to 600 seconds"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(arguments, says):
    with pytest.raises(UsageError, match=says):
        compose(**{"instrument": "flute", "seed": 0, **arguments})


def test_the_shipped_demonstration_is_the_one_that_is_made():
    made, shipped = demonstration(), load_clip(resource("demo", "demo.flac"))
    assert (shipped.channels, shipped.sample_rate) == (2, 44_100)
    assert 8 <= shipped.duration <= 12
    # Not bit for bit: another processor may round sines differently.
    assert np.abs(made.samples - shipped.samples).max() < 1e-3
    assert np.abs(shipped.samples).max() == pytest.approx(0.7, abs=1e-3)
    assert np.abs(shipped.samples[:, -50:]).max() < 1e-3
    left, right = shipped.samples
    assert not np.allclose(left, right, atol=0.01)
