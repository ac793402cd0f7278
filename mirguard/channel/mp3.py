"""Encoded as MP3 and decoded, straight through.

Forwards the sound really goes through the codec (LAME in libsndfile); it has no useful gradient, so backwards it is taken for
what it is meant to be, the identity (the straight-through estimator of Bengio et al. 2013; BPDA, Athalye et al. 2018).

So that any length can be heard piece by piece, blocks of fixed place are encoded each for itself, with some sound on either
side of them that is cut off again. What comes back lies at the same samples as what went in: the decoder takes the codec's
delay off where LAME has written it into a header, which it leaves out at low bitrates; so the delay is measured. LAME also makes
sounds softer by 0.45 dB, which is left as it is.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import soundfile
import torch

from mirguard.channel.transform import choice
from mirguard.errors import UsageError

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
BITRATES = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbit/s of two channels
BLOCK = 1 << 16
AROUND = 4 * 1152  # samples on either side: filter bank, look-ahead and bit reservoir


class Mp3:
    """At `bitrate` kbit/s for the one channel."""

    reach = (BLOCK + AROUND, BLOCK + AROUND)

    def __init__(self, bitrate: float, sample_rate: int) -> None:
        if sample_rate not in RATES:
            raise UsageError(
                f"MP3 has no sample rate of {sample_rate} Hz; resample the clip to one of {', '.join(map(str, RATES))} Hz."
            )
        if "MP3" not in soundfile.available_formats():
            raise UsageError("libsndfile cannot write MP3 here; install libsndfile 1.1 or newer, or leave out mp3.")
        self.bitrate, self.sample_rate = bitrate, sample_rate

    def __call__(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        return _StraightThrough.apply(signal, self, start)

    def heard(self, samples: np.ndarray, start: int) -> np.ndarray:
        """`(n,)` that begin at `start` of the clip, as they come out."""
        out, n = np.empty_like(samples), len(samples)
        for number in range(start // BLOCK, -(-(start + n) // BLOCK)):
            a, b = max(number * BLOCK - start, 0), min((number + 1) * BLOCK - start, n)
            left, right = max(a - AROUND, 0), min(b + AROUND, n)
            out[a:b] = self.coded(samples[left:right])[a - left : b - left]
        return out

    def coded(self, samples: np.ndarray) -> np.ndarray:
        """One block `(n,)` encoded and decoded."""
        lag = _delay(self.bitrate, self.sample_rate)
        return _coded(np.pad(samples, (0, lag)), self.bitrate, self.sample_rate)[lag:]


def _coded(samples: np.ndarray, bitrate: float, sample_rate: int) -> np.ndarray:
    """As libsndfile gives it back, cut to the same length."""
    file = io.BytesIO()
    with soundfile.SoundFile(
        *(file, "w", sample_rate, 1, "MPEG_LAYER_III"),
        format="MP3",
        bitrate_mode="CONSTANT",
        compression_level=_compression(bitrate, sample_rate),
    ) as encoder:
        encoder.write(samples)
    file.seek(0)
    return soundfile.read(file, len(samples), dtype="float32", fill_value=0.0)[0]


@lru_cache(maxsize=128)
def _delay(bitrate: float, sample_rate: int) -> int:
    """In samples: where a short burst of noise comes out again."""
    burst = np.zeros(1 << 14, np.float32)
    burst[4096:8192] = 0.3 * np.random.default_rng(0).standard_normal(4096)
    burst = np.convolve(burst, np.ones(8, np.float32) / 8.0, "same").astype(np.float32)  # what low bitrates keep
    spectra = np.fft.rfft([burst, _coded(burst, bitrate, sample_rate)])
    return int(np.fft.irfft(spectra[0].conj() * spectra[1])[:4096].argmax())


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, signal, codec, start):
        rows = signal.detach().float().cpu().reshape(-1, signal.shape[-1]).numpy()
        out = np.stack([codec.heard(row, start) for row in rows])
        return torch.from_numpy(out).view(signal.shape).to(signal)

    @staticmethod
    def backward(ctx, slope):
        return slope, None, None


def _compression(bitrate: float, sample_rate: int) -> float:
    """libsndfile's scale, from 0 at the highest bitrate of an MPEG version to 1 at its lowest."""
    low, high = (8, 64) if sample_rate <= 12_000 else (8, 160) if sample_rate <= 24_000 else (32, 320)
    return float(np.clip((high - bitrate) / (high - low), 0.0, 0.99))


def mp3(sample_rate: int, generator: torch.Generator, low: float, high: float) -> Mp3:
    """One of the usual bitrates from `low` to `high` kbit/s, which are a stereo file's: half of it for the channel heard."""
    rates = [rate for rate in BITRATES if low <= rate <= high] or [high]
    return Mp3(rates[choice(len(rates), generator)] / 2.0, sample_rate)
