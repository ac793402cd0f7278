"""Loading, saving and refusing sounds."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mirguard import clip as clip_module
from mirguard.clip import Clip, check_export, energy, load_clip, peak, quantise, rms, save_clip, step_of
from mirguard.errors import FileError, UsageError

LOSSLESS = [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16"), ("flac", "PCM_24")]


def sound(frames: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Band-limited noise `(frames, channels)`, which lossy codecs keep recognisable."""
    noise = np.random.default_rng(seed).standard_normal((frames + 64, channels))
    kernel = np.hanning(66)[1:-1]
    smooth = np.apply_along_axis(np.convolve, 0, noise, kernel / kernel.sum(), mode="valid")[:frames]
    return 0.5 * smooth / np.abs(smooth).max()


def write_sound(path: Path, samples: np.ndarray, rate: int, subtype: str | None = None) -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A folder anybody may enter, with the rights of an ordinary user even where the tests run as root."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        if root:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


# -- What a clip is ----------------------------------------------------------------------------------------------------


def test_one_row_becomes_one_channel_and_cannot_be_written():
    mine = np.zeros(100, np.float32)
    clip = Clip(mine, 8000)
    assert clip.samples.shape == (1, 100)
    assert (clip.channels, clip.frames, clip.duration) == (1, 100, 100 / 8000)
    with pytest.raises(ValueError, match="read-only"):
        clip.samples[0, 0] = 1.0
    mine[0] = 1.0  # the caller's own array stays the caller's
    assert np.shares_memory(mine, clip.samples)


@pytest.mark.parametrize(
    ("samples", "rate", "says"),
    [
        (np.zeros((1, 0), np.float32), 8000, "shape"),
        (np.zeros((0, 5), np.float32), 8000, "shape"),
        (np.zeros((1, 2, 3), np.float32), 8000, "shape"),
        (np.array([0.0, np.nan]), 8000, "NaN"),
        (np.array([0.0, -np.inf]), 8000, "infinite"),
        (np.array([1, 2, 3], np.int16), 8000, "int16"),
        (np.zeros(4), 0, "rate"),
        (np.zeros(4), -1, "rate"),
    ],
)
def test_what_is_no_sound_is_refused(samples, rate, says):
    with pytest.raises(UsageError, match=says):
        Clip(samples, rate)


def test_the_hash_is_of_sound_rate_and_shape_alone(tmp_path):
    samples = sound(4000, 2).T
    clip = Clip(samples, 16000)
    assert clip.hash == Clip(samples.copy(), 16000, tmp_path / "elsewhere.wav").hash
    others = [Clip(samples, 8000), Clip(samples.reshape(1, -1), 16000), Clip(samples * 0.5, 16000)]
    assert len({clip.hash, *(other.hash for other in others)}) == 4


def test_the_name_is_the_files_else_what_made_it(tmp_path):
    assert Clip(np.zeros(4), 8000, tmp_path / "song.flac").name == "song.flac"
    assert Clip(np.zeros(4), 8000, provenance={"name": "noise"}).name == "noise"
    assert Clip(np.zeros(4), 8000).name == "untitled"


def test_mono_is_the_mean_of_the_channels():
    samples = sound(1000, 3).T.astype(np.float32)
    assert np.allclose(Clip(samples, 8000).mono(), samples.mean(0), atol=1e-7)
    assert np.array_equal(Clip(samples[:1], 8000).mono(), samples[0])


def test_level_measures_keep_double_precision():
    samples = np.full((2, 600_000), 1e-4, np.float32)
    assert energy(samples) == pytest.approx(1.2e6 * float(np.float32(1e-4)) ** 2, rel=1e-12)
    assert rms(samples) == pytest.approx(1e-4, rel=1e-6)
    assert peak(np.array([[0.25, -0.5], [0.1, 0.4]])) == 0.5


# -- Reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize(("suffix", "subtype"), [*LOSSLESS, ("aiff", "PCM_16"), ("aiff", "PCM_24"), ("wav", "PCM_U8")])
def test_every_number_of_channels_is_read_as_it_is(tmp_path, suffix, subtype, channels):
    samples = sound(3000, channels)
    clip = load_clip(write_sound(tmp_path / f"a.{suffix}", samples, 44100, subtype))
    assert clip.samples.shape == (channels, 3000)
    assert clip.samples.dtype == np.float32
    assert clip.sample_rate == 44100
    # libsndfile's float writer scales by 2^(b-1) - 1 where its reader divides by 2^(b-1)
    coarse = {"PCM_U8": 2.0**-6, "PCM_16": 2.0**-14, "PCM_24": 2.0**-22, "FLOAT": 2.0**-24}[subtype]
    assert np.abs(clip.samples - samples.T).max() <= coarse


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_every_rate_is_read(tmp_path, suffix, rate):
    clip = load_clip(write_sound(tmp_path / f"a.{suffix}", sound(rate // 10), rate))
    assert (clip.sample_rate, clip.frames) == (rate, rate // 10)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_lossy_formats_are_read_at_their_place(tmp_path, suffix, rate, channels):
    samples = sound(rate, channels)
    clip = load_clip(write_sound(tmp_path / f"a.{suffix}", samples, rate))
    assert clip.samples.shape == (channels, rate)
    for heard, meant in zip(clip.samples, samples.T, strict=True):
        assert np.corrcoef(heard, meant)[0, 1] > 0.95  # a shift by a few frames would undo this


def test_a_few_samples_are_a_clip(tmp_path):
    assert load_clip(write_sound(tmp_path / "a.wav", np.array([0.25]), 8000)).duration == 1 / 8000
    assert load_clip(write_sound(tmp_path / "a.flac", sound(800), 8000)).duration == 0.1


def test_the_recordings_can_be_read(music):
    for path in music:
        clip = load_clip(path)
        assert (clip.channels, clip.sample_rate) == (1, 22050)
        assert 0.01 < rms(clip.samples) < 1.0


def test_long_files_are_read_whole(tmp_path, monkeypatch):
    """Blocks join without a gap: with blocks of 1,000 frames the result is the same."""
    path = write_sound(tmp_path / "a.flac", sound(12_345, 2), 44100)
    whole = load_clip(path)
    monkeypatch.setattr(clip_module, "BLOCK", 1000)
    assert load_clip(path).hash == whole.hash


def test_names_in_any_script_and_encoding_are_opened(tmp_path):
    folder = os.fsencode(tmp_path)
    for name in ("días – ε.wav".encode(), b"old\xe9.wav", b"it's 100 % #1.wav"):
        path = Path(os.fsdecode(folder + b"/" + name))
        try:
            path.touch()
        except OSError:
            continue  # some file systems take only UTF-8
        save_clip(Clip(sound(100).T, 8000), path)
        assert load_clip(path).frames == 100


def test_samples_beyond_full_scale_are_clipped_and_counted(tmp_path):
    samples = np.array([0.5, 1.5, -2.0, 1.0, -1.0])
    clip = load_clip(write_sound(tmp_path / "a.wav", samples, 8000, "FLOAT"))
    assert clip.samples.tolist() == [[0.5, 1.0, -1.0, 1.0, -1.0]]
    assert clip.provenance["clipped_samples"] == 2
    assert "clipped_samples" not in load_clip(write_sound(tmp_path / "b.wav", samples[:1], 8000)).provenance


MEASURE = """
import resource, sys
import mirguard.clip
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
clip = mirguard.clip.load_clip(sys.argv[1])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(clip.samples.nbytes, (after - before) * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_long_file_is_held_once(tmp_path, subtype):
    """The memory that loading takes is that of the samples, not twice that."""
    path = tmp_path / "long.wav"
    block = sound(8000, 2)
    with soundfile.SoundFile(path, "w", 8000, 2, subtype) as file:
        for _ in range(20 * 60):
            file.write(block)
    done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    samples, grown = map(int, done.stdout.split())
    assert samples == 20 * 60 * 8000 * 2 * 4
    assert grown < 1.3 * samples


# -- Refusing ----------------------------------------------------------------------------------------------------------


def _torn(path: Path, share: float = 0.5) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def _changed(path: Path, start: int, change: Callable[[bytes], bytes], size: int) -> Path:
    data = bytearray(path.read_bytes())
    data[start : start + size] = change(bytes(data[start : start + size]))
    path.write_bytes(data)
    return path


def _filled(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _length_unknown(field: bytes) -> bytes:
    """STREAMINFO's number of samples, 36 bits, set to "unknown"."""
    return (int.from_bytes(field, "big") >> 36 << 36).to_bytes(8, "big")


# What is wrong -> how to make such a file in a folder, and a word of what must be said of it.
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "missing.wav", "no file"),
    "in the home of nobody": (lambda _: Path("~nobody-of-that-name/a.wav"), "no file"),
    "folder": (lambda folder: folder, "folder"),
    "name too long": (lambda folder: folder / ("a" * 300 + ".wav"), "long"),
    "impossible name": (lambda _: Path("a\0b.wav"), "null"),
    "empty": (lambda folder: _filled(folder / "a.wav", b""), "empty"),
    "text": (lambda folder: _filled(folder / "a.wav", b"Dear diary, " * 200), "as WAV, FLAC, OGG, MP3 or AIFF"),
    "half a header": (lambda folder: _filled(folder / "a.wav", b"RIFF\x24\0\0\0WAVEfmt "), "cannot be read|no samples"),
    "raw": (lambda folder: _filled(folder / "a.raw", bytes(1000)), "raw"),
    "no samples": (lambda folder: write_sound(folder / "a.wav", np.zeros((0, 1)), 8000), "no samples"),
    "nan": (lambda folder: write_sound(folder / "a.wav", np.array([0.0, np.nan]), 8000, "FLOAT"), "NaN"),
    "infinite": (lambda folder: write_sound(folder / "a.wav", np.array([0.0, np.inf]), 8000, "FLOAT"), "infinite"),
    "beyond float32": (
        lambda folder: write_sound(folder / "a.wav", np.array([0.0, 1e300]), 8000, "DOUBLE"),
        "infinite",
    ),
    "nine channels": (lambda folder: write_sound(folder / "a.wav", np.zeros((9, 9)), 8000), "9 channels"),
    "rate too low": (lambda folder: write_sound(folder / "a.wav", sound(100), 7999), "7999 Hz"),
    "rate too high": (lambda folder: write_sound(folder / "a.wav", sound(100), 192_001), "192001 Hz"),
    "torn flac": (lambda folder: _torn(write_sound(folder / "a.flac", sound(100_000), 44100)), "ends early"),
    "torn wav": (lambda folder: _torn(write_sound(folder / "a.wav", sound(2000), 8000)), "ends early"),
    "slightly torn wav": (lambda folder: _torn(write_sound(folder / "a.wav", sound(2000), 8000), 0.99), "ends early"),
    "torn aiff": (lambda folder: _torn(write_sound(folder / "a.aiff", sound(2000), 8000)), "ends early"),
    "torn mp3": (lambda folder: _torn(write_sound(folder / "a.mp3", sound(100_000), 44100)), "ends early"),
    "damaged flac": (
        lambda folder: _changed(
            write_sound(folder / "a.flac", sound(100_000), 44100), 20_000, lambda _: bytes(9000), 9000
        ),
        "damaged",
    ),
    "streamed flac": (
        lambda folder: _changed(write_sound(folder / "a.flac", sound(5000), 8000), 18, _length_unknown, 8),
        "how long",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_in_one_sentence(tmp_path, case):
    make, says = BAD[case]
    with pytest.raises(FileError, match=says) as caught:
        load_clip(make(tmp_path))
    sentence = str(caught.value)
    assert caught.value.status == 1
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert not sentence.endswith((": .", ".."))


def test_a_file_that_may_not_be_read_says_so(ordinary_user):
    path = write_sound(ordinary_user / "secret.wav", sound(100), 8000)
    path.chmod(0)
    with pytest.raises(FileError, match="permissions"):
        load_clip(path)


def test_a_wav_whose_length_was_not_known_beforehand_is_read(tmp_path):
    """Programs that write into a pipe leave the largest number there is as length."""
    path = write_sound(tmp_path / "piped.wav", sound(2000), 8000)
    data = bytearray(path.read_bytes())
    for size in (0xFFFFFFFF, 0x7FFFF000):
        data[40:44] = size.to_bytes(4, "little")
        path.write_bytes(data)
        assert load_clip(path).frames == 2000


# -- Writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "subtype"), LOSSLESS)
def test_loaded_and_saved_is_the_same_to_the_bit(tmp_path, suffix, subtype):
    """Every integer of the format, the ends of its range included, comes back; in a second round the whole file does."""
    if subtype == "FLOAT":
        steps = sound(5000, 2).astype(np.float32)
    else:
        kind, shift = (np.int16, 0) if subtype == "PCM_16" else (np.int32, 8)
        top = 1 << (15 if subtype == "PCM_16" else 23)
        steps = np.random.default_rng(0).integers(-top, top, (5000, 2))
        steps[:4, 0] = -top, top - 1, 0, 1
        steps = (steps << shift).astype(kind)
    first = write_sound(tmp_path / f"a.{suffix}", steps, 44100, subtype)
    clip = load_clip(first)
    second = save_clip(clip, tmp_path / f"b.{suffix}", subtype)
    back, _ = soundfile.read(second, dtype=steps.dtype.name)
    assert np.array_equal(back, steps)
    assert load_clip(second).hash == clip.hash
    if subtype != "FLOAT":  # float files carry the time they were written
        assert second.read_bytes() == first.read_bytes()


@given(
    st.lists(st.floats(-1.5, 1.5, width=32), min_size=1, max_size=50),
    st.sampled_from(["PCM_16", "PCM_24"]),
)
def test_quantising_moves_a_sample_by_half_a_step_at_most(values, subtype):
    samples = np.array(values, np.float32)
    shift = {"PCM_16": 0, "PCM_24": 8}[subtype]
    read = (quantise(samples, subtype).astype(np.int64) >> shift) * step_of(subtype)
    inside = np.clip(samples.astype(np.float64), -1.0, 1.0 - step_of(subtype))
    assert np.abs(read - inside).max() <= step_of(subtype) / 2


@pytest.mark.parametrize(("suffix", "subtype"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_what_is_saved_is_what_quantise_says(tmp_path, suffix, subtype, channels):
    clip = Clip(sound(70_000, channels).T, 48000)
    again = load_clip(save_clip(clip, tmp_path / f"a.{suffix}", subtype))
    stored = quantise(clip.samples, subtype)
    scale = {"PCM_16": 2.0**-15, "PCM_24": 2.0**-31, "FLOAT": 1.0}[subtype]
    assert again.provenance["subtype"] == subtype
    assert np.array_equal(again.samples, (stored * scale).astype(np.float32))


def test_beyond_full_scale_is_clipped_not_wrapped(tmp_path):
    clip = Clip(np.array([1.5, -1.5, 1.0, -1.0]), 8000)
    for subtype in ("PCM_16", "PCM_24", "FLOAT"):
        read = load_clip(save_clip(clip, tmp_path / "a.wav", subtype)).samples[0]
        top = 1.0 - step_of(subtype)
        assert read.tolist() == [np.float32(top), -1.0, np.float32(top), -1.0]


def test_a_wav_beyond_four_gigabytes_gets_sizes_of_64_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(clip_module, "WAV_LIMIT", 1000)
    path = save_clip(Clip(sound(2000).T, 8000), tmp_path / "a.wav")
    assert path.read_bytes()[:4] == b"RF64"
    assert load_clip(path).frames == 2000
    with pytest.raises(FileError, match="ends early"):
        load_clip(_torn(path))


def test_what_made_a_sound_travels_in_its_file(tmp_path):
    made_by = {
        "version": "1",
        "attack": "pgd",
        "parameters": {"epsilon": 0.002, "norm": "l2"},
        "target": "Flöte",
        "seed": 3,
    }
    clip = Clip(sound(500).T, 8000, provenance=made_by)
    for name, subtype in (("a.wav", "PCM_16"), ("a.wav", "FLOAT"), ("a.flac", "PCM_24")):
        assert load_clip(save_clip(clip, tmp_path / name, subtype)).provenance["made_by"] == made_by


@pytest.mark.parametrize("comment", ["ripped by me", "{", '{"version"', '"version"', '["version"]', "{}", "[" * 2000])
def test_other_peoples_comments_are_left_alone(tmp_path, comment):
    path = tmp_path / "a.wav"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        file.comment = comment
        file.write(sound(100))
    assert "made_by" not in load_clip(path).provenance


# -- Whole or not at all -----------------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path) -> Path:
    return save_clip(Clip(sound(100).T, 8000), tmp_path / "old.wav")


def _break_writing(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    if how == "while encoding":
        monkeypatch.setattr(soundfile.SoundFile, "write", full)
    elif how == "while syncing":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)


@pytest.mark.parametrize("how", ["while encoding", "while syncing", "while renaming"])
def test_a_failure_leaves_the_old_file_and_nothing_else(old, monkeypatch, how):
    before = old.read_bytes()
    _break_writing(monkeypatch, how)
    for path in (old, old.with_name("new.wav")):
        with pytest.raises(FileError, match="No space left on device"):
            save_clip(Clip(sound(200).T, 8000), path)
    assert old.read_bytes() == before
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("name", ["new.wav", "new.flac"])
def test_a_full_disk_is_noticed_while_libsndfile_writes(tmp_path, name):
    """A limit on the size of files is as good as a full disk, and needs no disk to fill."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    clip = Clip(sound(300_000, 2, seed=1).T, 44100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(FileError, match="cannot be written") as caught:
            save_clip(clip, tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value).endswith(".")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(soundfile.SoundFile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_clip(Clip(sound(200).T, 8000), tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "subtype", "kind", "says"),
    [
        ("a.mp3", "PCM_16", UsageError, "wav or .flac"),
        ("a", "PCM_16", UsageError, "wav or .flac"),
        ("a.flac", "FLOAT", UsageError, "FLAC cannot hold FLOAT"),
        ("a.wav", "PCM_8", UsageError, "PCM_8"),
        ("nowhere/a.wav", "PCM_16", FileError, "no folder"),
        ("folder.wav", "PCM_16", FileError, "is a folder"),
        ("a" * 300 + ".wav", "PCM_16", FileError, "long"),
    ],
)
def test_what_cannot_be_exported_is_said_beforehand(tmp_path, name, subtype, kind, says):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(kind, match=says):
        check_export(tmp_path / name, subtype)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.wav"]


def test_checking_leaves_no_trace(tmp_path):
    assert check_export(tmp_path / "a.WAV") == tmp_path / "a.WAV"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_said_beforehand(ordinary_user):
    folder = ordinary_user / "mine"
    folder.mkdir()
    folder.chmod(0o555)
    for attempt in (check_export, lambda path: save_clip(Clip(sound(10).T, 8000), path)):
        with pytest.raises(FileError, match="Permission denied"):
            attempt(folder / "a.wav")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_a_folder_where_even_root_can_make_no_file_is_said_beforehand():
    with pytest.raises(FileError, match="Choose another folder"):
        check_export("/proc/a.wav")


def test_a_write_protected_file_stays(tmp_path, monkeypatch):
    path = save_clip(Clip(sound(10).T, 8000), tmp_path / "a.wav")
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(FileError, match="write-protected"):
        check_export(path)


def test_saved_files_have_the_rights_that_the_user_has_chosen(tmp_path):
    before = os.umask(0o027)
    try:
        path = save_clip(Clip(sound(10).T, 8000), tmp_path / "a.wav")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
