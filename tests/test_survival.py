"""What stays of adversarial sounds after a channel, counted as Kurakin et al. do."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from nets import curved, sounds

from mirguard import cli
from mirguard.channel.chain import parse
from mirguard.clip import Clip, rms, save_clip
from mirguard.errors import Cancelled, UsageError
from mirguard.experiment import survival as module
from mirguard.experiment.survival import Pair, Survived, ladder, survival, through
from mirguard.intervals import wilson

RATE = 16_000


def clip(level: float, n: int = 4000, seed: int = 0) -> Clip:
    noise = np.random.default_rng(seed).standard_normal((1, n))
    return Clip((level * noise / rms(noise)).astype(np.float32), RATE)


@pytest.fixture
def by_level(monkeypatch):
    """A model that hears only whether a sound is loud."""

    class Said:
        def __init__(self, label: str) -> None:
            self.label = label

    monkeypatch.setattr(
        module, "classify", lambda _model, heard, _rest: Said("loud" if rms(heard.samples) > 0.1 else "soft")
    )
    model = curved(2)
    model.labels = ("loud", "soft")
    return model


def louder(decibels: float):
    return through((parse(f"gain:low={decibels},high={decibels}"),))


def test_the_rate_is_that_of_kurakin(by_level):
    """0.2 and 0.08 at ±6 dB: the adversarial sound is undone by the gain, neither by none, the original lost by the cut."""
    pairs = [Pair(clip(0.2), clip(0.08))]
    up, same, down = survival(by_level, pairs, [louder(6), louder(0), louder(-7)], draws=3).rows
    assert (up.destruction, up.original_right, up.adversarial_right, up.fooled) == (1.0, 3, 3, 0)
    assert (same.destruction, same.original_right, same.adversarial_right, same.fooled) == (0.0, 3, 0, 3)
    assert (down.destruction, down.original_right, down.fooled) == (0.0, 0, 3)


def test_only_pairs_count_that_were_right_and_went_wrong(by_level):
    pairs = [
        Pair(clip(0.2), clip(0.08)),
        Pair(clip(0.2), clip(0.19)),  # the attack failed
        Pair(clip(0.2), clip(0.08), truth="soft"),  # the model was wrong from the start
        Pair(clip(0.2), clip(0.01), truth="loud", target="soft"),
    ]
    found = survival(by_level, pairs, [louder(6)], draws=5)
    (row,) = found.rows
    assert found.labels[2] == ("soft", "loud", "soft")
    assert (row.draws, row.counted, row.destroyed) == (20, 10, 5)
    assert row.interval == wilson(5, 10)
    assert row.original_right == 15
    assert row.fooled == 5 + 5, "0.08 made 0.16 is loud to the one whose truth is soft; 0.01 stays soft"
    nothing = survival(by_level, pairs[1:2], [louder(6)], draws=1).rows[0]
    assert nothing.destruction is None and nothing.interval == (0.0, 1.0)


def test_the_noise_of_the_ladder_has_its_snr():
    for strength in ladder():
        if strength.effect == "noise":
            (one,) = strength.channel(-17.0)
            assert dict(one.values)["low"] == -17.0 - float(strength.strength.split()[0])


def test_every_strength_is_heard_and_told(monkeypatch):
    model = curved(seed=1)
    original = Clip(sounds(1, 3200, 1).numpy(), RATE)
    adversarial = Clip(original.samples + 0.02 * sounds(1, 3200, 2).numpy(), RATE)
    told, rests = [], []
    found = survival(
        *(model, [Pair(original, adversarial)]),
        draws=1,
        progress=lambda word, part: told.append((word, part)),
        rest=lambda: rests.append(1),
    )
    assert [(row.effect, row.strength) for row in found.rows] == [(s.effect, s.strength) for s in ladder()]
    assert all(isinstance(row, Survived) and row.draws == 1 for row in found.rows)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["effects"][0].keys() >= {"destruction_rate", "interval", "fooled", "original_right"}
    assert [part for _word, part in told] == sorted(part for _word, part in told) and 0 <= told[-1][1] < 1
    assert len(rests) >= 2 * len(ladder())
    again = survival(model, [Pair(original, adversarial)], draws=1)
    assert again == found


def test_what_cannot_be_compared_is_refused(by_level):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        survival(by_level, [Pair(clip(0.2), clip(0.08))], cancel=stop)
    with pytest.raises(UsageError, match="at least one pair"):
        survival(by_level, [])
    with pytest.raises(UsageError, match="the rate of its original"):
        survival(by_level, [Pair(clip(0.2), Clip(clip(0.1).samples, 8_000))])
    with pytest.raises(UsageError, match="no label"):
        survival(by_level, [Pair(clip(0.2), clip(0.1), truth="shrill")])


def test_the_terminal_shows_a_table_and_a_document(tmp_path, capsys):
    for name, seed in (("a.wav", 1), ("b.wav", 2)):
        save_clip(Clip(sounds(1, RATE, seed).numpy(), RATE), tmp_path / name)
    line = ["survive", str(tmp_path / "a.wav"), str(tmp_path / "b.wav"), "--model", "toy-instruments", "--draws", "2"]
    assert cli.main([*line, "--channel", "gain", "noise:low=-40,high=-40", "--channel", "shift:most=3"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert (
        "→" in out[0] and any("gain → noise low=-6" in row for row in out) and any("shift most=3" in row for row in out)
    )
    assert cli.main([*line, "--channel", "gain", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["effects"][0]["draws"] == 2 and document["original"].endswith("a.wav")
    assert cli.main([*line, "--channel", "echo"]) == 2
    assert "no effect 'echo'" in capsys.readouterr().err
    assert cli.main([*line, "--draws", "0"]) == 2


def test_what_mp3_does_not_know_is_left_out(monkeypatch):
    """Sounds at 96 kHz have a ladder too, without the one effect that knows no such rate."""
    monkeypatch.setattr(module, "ladder", lambda: tuple(s for s in ladder() if s.effect in ("gain", "mp3")))
    model = curved()
    sound = Clip(0.1 * np.random.default_rng(0).standard_normal((1, 4000), np.float32), 96_000)
    found = survival(model, [Pair(sound, sound)], draws=1)
    assert {row.effect for row in found.rows} == {"gain"}
