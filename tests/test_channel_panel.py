"""The channel: changes of a chain, its panel, hearing through it, counting what survives."""

from __future__ import annotations

import numpy as np
import pytest
from workbench import Bench

from mirguard.channel.chain import apply, link
from mirguard.channel.effect import list_effects
from mirguard.clip import Clip, save_clip
from mirguard.errors import UsageError
from mirguard.experiment.survival import Survived
from mirguard.workbench import chains
from mirguard.workbench.document import Document
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL
from mirguard.workbench.panels.channel import ChannelPanel

PLAIN = [effect.name for effect in list_effects() if not effect.files]


# --- chains ---


def test_effects_are_added_moved_and_removed():
    chain = chains.added(chains.added(chains.added((), "gain"), "shift"), "noise")
    assert [one.effect for one in chain] == ["gain", "shift", "noise"]
    assert [one.effect for one in chains.moved(chain, 0, 1)] == ["shift", "gain", "noise"]
    assert [one.effect for one in chains.moved(chain, 2, -1)] == ["gain", "noise", "shift"]
    assert chains.moved(chain, 0, -1) == chain and chains.moved(chain, 2, 1) == chain
    assert [one.effect for one in chains.removed(chain, 1)] == ["gain", "noise"]


def test_a_value_pushes_the_other_end_of_its_range():
    chain = chains.added((), "gain", low=-3.0, high=3.0)
    assert dict(chains.changed(chain, 0, "low", 5.0)[0].values) == {"low": 5.0, "high": 5.0}
    assert dict(chains.changed(chain, 0, "high", -10.0)[0].values) == {"low": -10.0, "high": -10.0}
    assert dict(chains.changed(chain, 0, "low", -5.0)[0].values) == {"low": -5.0, "high": 3.0}
    assert dict(chains.changed(chain, 0, "low", None)[0].values)["low"] == -6.0  # as declared
    band = chains.added((), "band-pass", low_least=20.0, low_most=300.0, high_least=3500.0, high_most=16000.0)
    pushed = dict(chains.changed(band, 0, "low_least", 5000.0)[0].values)
    assert pushed == {"low_least": 5000.0, "low_most": 5000.0, "high_least": 5000.0, "high_most": 16000.0}
    pushed = dict(chains.changed(band, 0, "high_most", 100.0)[0].values)
    assert pushed == {"low_least": 20.0, "low_most": 100.0, "high_least": 100.0, "high_most": 100.0}


def test_a_value_outside_its_range_is_refused():
    with pytest.raises(UsageError, match="Low"):
        chains.changed(chains.added((), "gain"), 0, "low", -1000.0)


# --- the panel ---


@pytest.fixture
def document() -> Document:
    return Document()


@pytest.fixture
def panel(qtbot, document) -> ChannelPanel:
    made = ChannelPanel()
    qtbot.addWidget(made)
    made.show_design(document)
    document.watch("design", lambda: made.show_design(document))
    return made


def test_every_effect_can_be_added_and_shows_its_sliders(panel, document):
    titles = [action.text() for action in panel.add_button.menu().actions()]
    assert titles == [effect.title for effect in list_effects()]
    wanted = []
    panel.added.connect(lambda name, values: wanted.append((name, values)))
    for effect, action in zip(list_effects(), panel.add_button.menu().actions(), strict=True):
        if not effect.files:
            action.trigger()
            document.change_design(chain=(link(effect.name),))
            assert set(panel.cards[0].form.rows) == {parameter.name for parameter in effect.parameters}
    assert wanted == [(name, {}) for name in PLAIN]


def test_an_effect_that_needs_a_file_asks_for_it_first(panel, monkeypatch, tmp_path):
    needing = next(effect for effect in list_effects() if effect.files)
    path = str(tmp_path / "a.wav")
    answers = [("", ""), (path, "")]
    monkeypatch.setattr("mirguard.workbench.panels.channel.QFileDialog.getOpenFileName", lambda *_: answers.pop(0))
    wanted = []
    panel.added.connect(lambda name, values: wanted.append((name, values)))
    action = next(a for a in panel.add_button.menu().actions() if a.text() == needing.title)
    action.trigger()
    assert wanted == []  # nothing was chosen
    action.trigger()
    assert wanted == [(needing.name, {needing.files[0]: path})]


def test_an_empty_channel_offers_nothing_but_effects(panel, document):
    assert panel.use.isHidden() and not panel.nothing.isHidden()
    document.change_design(chain=(link("gain"), link("shift")))
    assert not panel.use.isHidden() and panel.nothing.isHidden()
    first, last = panel.cards
    assert not first.up.isEnabled() and first.down.isEnabled()
    assert last.up.isEnabled() and not last.down.isEnabled()
    assert panel.draws.isHidden()  # as long as the attack does not reckon with it
    document.change_design(robust=True)
    assert not panel.draws.isHidden()


def test_survival_is_read_out(panel):
    panel.show_survived(Survived("room", "", 20, 18, 5, 14, 20, 5))
    assert "in 14 of 20 draws" in panel.survived.text() and "in 18." in panel.survived.text()
    assert "25" in panel.survived.text()  # per cent are undone
    panel.show_counting(0.4)
    assert not panel.count.isEnabled() and "40" in panel.survived.text()
    panel.show_counting(None)
    assert panel.count.isEnabled() and panel.survived.isHidden()


# --- in the window ---


@pytest.fixture
def bench(qtbot, tmp_path, tone, noise):
    bench = Bench(qtbot, tmp_path)
    bench.start()
    song = Clip(tone(seconds=2.0, level=0.3).samples + noise(seconds=2.0, level=0.01).samples, 22050)
    bench.load(save_clip(song, tmp_path / "song.wav"))
    yield bench
    bench.close()


def player_s(bench, side: str) -> np.ndarray:
    return bench.window.listening.player._transport.sounds[side]


def test_the_window_builds_the_chain_and_hears_through_it(bench):
    window, document = bench.window, bench.document
    panel, entry = window.channel, bench.document.current
    document.change_design(level=10.0)
    bench.run()
    panel.added.emit("noise", {})
    panel.value_changed.emit(0, "high", -20.0)
    panel.value_changed.emit(0, "low", -20.0)
    assert document.design.chain == (link("noise", low=-20.0, high=-20.0),)
    window.listening.seek(0.5)
    assert not panel.anew.isEnabled()
    panel.hear.click()
    assert panel.anew.isEnabled()
    bench.until(lambda: panel.heard[ADVERSARIAL].text())
    wanted = np.clip(apply(document.design.chain, entry.clip.samples, 22050, 0), -1.0, 1.0)
    np.testing.assert_array_equal(player_s(bench, ORIGINAL), wanted)
    assert not np.array_equal(player_s(bench, ADVERSARIAL), entry.outcome.clip.samples)
    assert window.listening.player.position == pytest.approx(0.5, abs=0.05)
    assert not document.stale(entry), "the attack did not go through the channel"
    assert "through the channel" in window.device_status.text()
    assert panel.heard[ORIGINAL].text().startswith("Original: ")
    # another draw, another noise
    panel.anew.click()
    bench.until(lambda: not np.array_equal(player_s(bench, ORIGINAL), wanted))
    # a sound auditioned meanwhile comes back to the channel
    held = player_s(bench, ORIGINAL)
    window.listening.audition(Clip(np.zeros((1, 800), np.float32), 8000))
    window.listening.end_audition()
    np.testing.assert_array_equal(player_s(bench, ORIGINAL), held)
    panel.hear.click()
    np.testing.assert_array_equal(player_s(bench, ORIGINAL), entry.clip.samples)
    np.testing.assert_array_equal(player_s(bench, ADVERSARIAL), entry.outcome.clip.samples)
    assert panel.heard[ORIGINAL].isHidden() and "channel" not in window.device_status.text()
    assert bench.sentences("error") == []


def test_survival_is_counted_and_forgotten_with_the_chain(bench):
    window, document = bench.window, bench.document
    panel = window.channel
    document.change_design(level=10.0, chain=(link("gain", low=0.0, high=0.0),))
    panel.count.click()
    assert bench.heard("run an attack first")
    bench.run()
    shares, found = [], []
    window.transmitting.counting.connect(shares.append)
    window.transmitting.counted.connect(lambda survived: found.append(survived) if survived else None)
    window.transmitting.measure(3)
    bench.until(lambda: found)
    assert shares[0] == 0.0 and shares[-1] is None and len(shares) > 2
    assert (found[0].draws, found[0].fooled, found[0].original_right) == (3, 3, 3), "a gain of 0 dB changes nothing"
    assert "3 of 3 draws" in panel.survived.text()
    document.change_design(chain=(link("gain"),))
    assert panel.survived.isHidden()


def test_what_is_wrong_with_a_value_is_said_and_the_chain_stays(bench):
    document, panel = bench.document, bench.window.channel
    panel.added.emit("gain", {})
    chain = document.design.chain
    panel.value_changed.emit(0, "low", -1000.0)
    assert document.design.chain == chain and bench.heard("Low")
    panel.hear.click()
    panel.removed.emit(0)  # nothing left to hear through
    assert not panel.hear.isChecked() and not bench.window.transmitting.on
