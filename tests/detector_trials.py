"""A model with clean, noisy and attacked sounds for detectors to be fitted on and held to; made once for all tests."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from nets import curved, sounds
from sklearn.metrics import roc_auc_score

from mirguard.clip import Clip
from mirguard.detectors.fitted import Fitted
from mirguard.detectors.fitting import PUT_ASIDE
from mirguard.detectors.sample import Sample
from mirguard.experiment.batch import attack_batch
from mirguard.experiment.detecting import disturbed
from mirguard.models.contract import Classifier, TorchClassifier
from mirguard.models.front_end import LogMel
from mirguard.models.networks.log_mel_cnn import LogMelCnn

RATE = 16_000


def sample(model: Classifier, clips: int, seed: int, windows: int = 2) -> Sample:
    """Clips of so many windows."""
    rows = sounds(clips, windows * model.window, seed)
    return Sample.of(model, [Clip(row.numpy()[None], RATE) for row in rows], "test")


@cache
def trial(task: str = "single-label", clips: int = 90) -> tuple[Sample, Sample, Sample]:
    """Clean, noisy and attacked, as `fit` takes them."""
    clean = sample(curved(seed=1, task=task), clips, 3)
    return clean, *disturbed(clean.divided(PUT_ASIDE)[0])


def made_up(model: Classifier, clips: int = 20, windows: int = 2) -> tuple[Sample, Sample, Sample]:
    """The same without attacks, which take their time: "attacked" is a change of level with noise."""
    clean = sample(model, clips, 5, windows)
    part = clean.divided(PUT_ASIDE)[0]
    x = part.waveforms()
    generator = torch.Generator().manual_seed(0)
    noise = 0.02 * torch.randn(x.shape, generator=generator)
    return clean, part.changed((x + noise).clamp(-1, 1)), part.changed((0.5 * x + noise).clamp(-1, 1))


def mel_model(task: str = "single-label") -> TorchClassifier:
    """An untrained network on a spectrogram, with maps for layers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = LogMelCnn(3, channels=(4, 6, 8), hidden=12)
    front_end = LogMel(RATE, n_fft=256, hop=128, n_mels=24, compression="log")
    return TorchClassifier(
        "mel",
        front_end,
        network,
        sample_rate=RATE,
        window=3200,
        labels=("a", "b", "c"),
        task=task,
        taps=network.taps,
    )


def scores(detector: Fitted, heard: Sample) -> np.ndarray:
    """Of every window by itself, held to the class it is heard as."""
    digests, said = torch.from_numpy(heard.digests(detector)), heard.logits.argmax(1)
    labels = detector.about.labels
    return np.array([detector.score(digests[[n]], labels[said[n]]) for n in range(len(said))])


def area(detector: Fitted, attack: str, snr: float, windows: int = 60, evading: bool = False, **values) -> float:
    """The area under the ROC curve on new sounds: clean ones and noisy ones at the same SNR against those that fool the model."""
    fresh = sample(trial(detector.about.task)[0].model, windows, 99, 1)
    x = fresh.waveforms()
    noisy = fresh.changed(attack_batch(fresh.model, x, "noise", snr=snr).adversarial)
    evade = (detector.evadable(),) if evading else ()
    found = attack_batch(fresh.model, x, attack, snr=snr, evade=evade, **values)
    assert found.success.float().mean() > 0.5
    high = scores(detector, fresh.changed(found.adversarial))[found.success.numpy()]
    low = np.concatenate([scores(detector, fresh), scores(detector, noisy)])
    return float(roc_auc_score(np.repeat([0, 1], [len(low), len(high)]), np.concatenate([low, high])))
