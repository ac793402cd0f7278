"""Does the decision stay when the model or the sound is shaken?"""

from __future__ import annotations

from mirguard.detectors.detector import ADVERSARIAL, NOISY, Detector
from mirguard.parameters import Parameter

_COPIES = (
    Parameter(
        "rate", "Share of the last hidden layer that is missing in a pass.", default=0.2, minimum=0.01, maximum=0.95
    ),
    Parameter("passes", "Fixed copies of the network.", kind=int, default=50, minimum=2, maximum=1000),
    Parameter("seed", "Draws what is missing in which copy.", kind=int, default=0, minimum=0, maximum=2**31 - 1),
)

DETECTORS: tuple[Detector, ...] = (
    Detector(
        "dropout",
        "Dropout uncertainty",
        "Do copies of the network that each lack some units agree on what they hear?",
        "Feinman et al. 2017",
        "mirguard.detectors.dropout:Dropout",
        _COPIES,
        of_tags="The variance of the tags' own probabilities, averaged over tags.",
    ),
    Detector(
        "kde-dropout",
        "Density and dropout",
        "Kernel density and dropout uncertainty together, weighed by what attacked sounds look like.",
        "Feinman et al. 2017",
        "mirguard.detectors.kde_dropout:KdeDropout",
        _COPIES,
        needs=(NOISY, ADVERSARIAL),
        of_tags="One density of all clean windows, and the variance averaged over tags.",
    ),
    Detector(
        "consistency",
        "Consistency",
        "Does the decision stay when the sound is encoded as MP3, or with a little noise?",
        "Xu et al. 2018; Rajaratnam et al. 2018",
        "mirguard.detectors.consistency:Consistency",
        (
            Parameter("mp3", "Encode it as MP3.", kind=bool, default=True, label="MP3"),
            Parameter("noise", "Add white noise.", kind=bool, default=True),
            Parameter("resample", "Take it to three quarters of the sample rate and back.", kind=bool, default=False),
            Parameter(
                "band_pass", "Leave out what is lowest and highest.", kind=bool, default=False, label="Band-pass"
            ),
            Parameter(
                "combine",
                "What the distances of all changes make together.",
                kind=str,
                default="mean",
                choices=("mean", "largest"),
            ),
            Parameter(
                "bitrate",
                "Of the MP3, as of a stereo file.",
                default=64.0,
                minimum=16.0,
                maximum=320.0,
                unit="kbit/s",
                label="Bitrate",
            ),
            Parameter(
                "snr",
                "How far the noise lies below the sound.",
                default=17.5,
                minimum=0.0,
                maximum=60.0,
                unit="dB",
                label="SNR",
            ),
        ),
        of_tags="The distance is the sum over tags.",
    ),
)
