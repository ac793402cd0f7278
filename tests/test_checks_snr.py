"""SC-16: the SNR reads 20.00 dB where it is, and nothing is exported with a formula that does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from nets import curved, sounds

import mirguard as mg
from mirguard.analysis import measures
from mirguard.clip import Clip
from mirguard.errors import MirguardError
from mirguard.experiment import export

# What stands in programs of the literature under the name of SNR, as functions of x and x̂ (channels, n).
WRONG = {
    "the mean is squared": lambda x, y: 10 * math.log10(np.square(x).mean() / max(float((y - x).mean()) ** 2, 1e-300)),
    "difference of levels": lambda x, y: (
        20 * math.log10(measures.rms(x) / max(abs(measures.rms(x) - measures.rms(y)), 1e-300))
    ),
    "sounds in 0 to 1": lambda x, y: 10 * math.log10(np.square((x + 1) / 2).mean() / np.square((y - x) / 2).mean()),
    "ratio of peaks": lambda x, y: 20 * math.log10(np.abs(x).max() / np.abs(y - x).max()),
    "without the edges": lambda x, y: measures.power_ratio_db(
        measures.energy(x[:, measures.TRIM : -measures.TRIM]),
        measures.energy((y - x)[:, measures.TRIM : -measures.TRIM]),
    ),
    "twice the logarithm": lambda x, y: 20 * math.log10(np.square(x).sum() / np.square(y - x).sum()),
}


@pytest.fixture(autouse=True)
def _asked_again():
    """Whether it has been tested once in this process must not reach from one test to another."""
    measures.require_snr.cache_clear()
    yield
    measures.require_snr.cache_clear()


def test_the_formula_here_reads_20_dB_of_all_four():
    read = measures.snr_self_test()
    assert list(read) == ["white noise", "noise without a mean", "a single impulse", "a sound of equal energy"]
    assert all(value == pytest.approx(20.0, abs=1e-6) for value in read.values())
    measures.require_snr()


@pytest.mark.parametrize("formula", WRONG)
def test_a_wrong_formula_exports_nothing(formula, monkeypatch, tmp_path):
    model = curved()
    clip = Clip(sounds(1, model.window).numpy(), model.sample_rate)
    before = mg.attack(model, clip, "pgd", snr=20, steps=2)
    measures.require_snr.cache_clear()
    monkeypatch.setattr(measures, "snr_db", WRONG[formula])
    with pytest.raises(MirguardError, match=r"The SNR is computed wrongly: .* so nothing is exported; install") as said:
        mg.attack(model, clip, "pgd", snr=20, steps=2, export_to=tmp_path / "a.wav")
    assert "\n" not in str(said.value)
    with pytest.raises(MirguardError, match="nothing is exported"):
        export(before, tmp_path / "b.wav", model)
    assert not list(tmp_path.iterdir())


def test_it_is_tried_once_in_a_process(monkeypatch):
    calls = []
    test = measures.snr_self_test
    monkeypatch.setattr(measures, "snr_self_test", lambda: calls.append(1) or test())
    measures.require_snr()
    measures.require_snr()
    assert calls == [1]
