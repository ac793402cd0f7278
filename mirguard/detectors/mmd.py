"""Maximum mean discrepancy: do the windows of a track, or of several, together come from where clean windows come from?

Grosse et al. 2017 (arXiv:1702.06280, sec. 4) with the test of Gretton et al. 2012 (see `two_sample`), on the last hidden layer,
standardised per dimension. It is a test of sets: below LEAST_WINDOWS windows it cannot tell, and says so.

Windows of one track resemble each other more than those of different tracks. Against a reference of other tracks, each clean
track would come out as "from elsewhere" in a test that takes windows for independent. So

- one track is compared with *clean tracks*: its MMD²_u against the reference must exceed those that the reference's own tracks of
  at least LEAST_WINDOWS windows have, each against the others (a threshold counted in clips, no permutation). Of longer ones so
  many windows are taken, evenly spread, as of the reference's (`LONGEST`). That needs LEAST_TRACKS such tracks;
- several clips together are tested by permuting whole clips (`test_set`), which needs no long ones. Every clip gives the same
  number of windows, so that clips can be exchanged;
- with a reference of short clips one long track has nothing to be compared with, and no verdict is given. The clean scores are
  then those of sets of several reference clips with at least LEAST_WINDOWS windows against the rest: what an attack that evades
  the detector aims at.

A track's MMD²_u is the mean over its windows w of 1/(m−1) Σ_{j≠w} k(x_w, x_j) + c − 2/n Σ k(x_w, y), with the constant c the mean
of k within the reference, so it can be evaded window by window. Where a row has one window, c stands for the first term: what is
left is twice the witness function. The model's classes play no part, so a tagger is like any other model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch

from mirguard.detectors.fitted import About, Fitted, standardisation
from mirguard.detectors.reading import Reading, SetReading
from mirguard.detectors.sample import LONGEST, Sample
from mirguard.detectors.two_sample import block_sums, kernel, median_distance, mmd_test, statistics
from mirguard.errors import UsageError
from mirguard.models.contract import Classifier
from mirguard.models.decision import Decision

LEAST_WINDOWS = 50  # Grosse et al. 2017: with fewer the test has no power
LEAST_TRACKS = 19  # long enough ones: for a threshold at 5 %
MOST = 1000  # windows of the reference that are kept
SETS = 200  # of several clips, where tracks are short
PART = 512  # windows compared at a time


class Mmd(Fitted):
    """`features (n, d)` of the reference's windows, as the layer gives them, and the clip `(n,)` of each; `tracks` says whether the
    clean scores are those of tracks, or else of sets of several clips."""

    name = "mmd"
    set_level = True
    leaves_one_out = True

    def __init__(self, layer: str, features: np.ndarray, clip_of: np.ndarray, tracks: bool) -> None:
        self.layers, self.tracks, self._features, self._clip_of = (layer,), tracks, features, clip_of
        mean, scale = standardisation(features)
        self._mean, self._scale = torch.from_numpy(mean), torch.from_numpy(scale)
        self._points = (torch.from_numpy(features) - self._mean) / self._scale
        self.sigma = median_distance(self._points.numpy())
        self._sums = block_sums(self._points.numpy(), clip_of, self.sigma)
        n = len(features)
        self._within = float((self._sums.sum() - n) / (n * (n - 1)))

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        total, layer = len(clean.windows), clean.model.layers[-1]
        if total < 2 * LEAST_WINDOWS:
            raise UsageError(
                f"mmd compares sets of at least {LEAST_WINDOWS} windows, so it needs {2 * LEAST_WINDOWS} clean ones and this "
                f"reference has {total}; use a folder with more, or longer, clean music."
            )
        # In the precision they are kept in, so that a detector scores the same before and after saving.
        features = clean.activations(layer).reshape(total, -1).astype(np.float16).astype(np.float64)
        chosen = _evenly(total, MOST)
        long = np.flatnonzero(np.bincount(clean.clip_of) >= LEAST_WINDOWS)
        made = cls(layer, features[chosen], clean.clip_of[chosen], len(long) >= LEAST_TRACKS)
        if made.tracks:
            scores = []
            for clip in long:
                clean.pause()
                scores.append(made._against_others(features[clean.clip_of == clip], clip))
        else:
            scores = made._of_sets()
        made.clean_scores = tuple(scores)
        return made

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        return heard[self.layers[0]].flatten(1)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        points = (digests.double() - self._mean) / self._scale
        return torch.stack([self._terms(row) for row in points])

    def _terms(self, points: torch.Tensor) -> torch.Tensor:
        """`(windows, d)` -> `(windows,)`, of which the mean is MMD²_u."""
        count, found = len(points), []
        for part in points.split(PART):
            among = (kernel(part, points, self.sigma).sum(1) - 1.0) / (count - 1) if count > 1 else self._within
            found.append(among + self._within - 2.0 * kernel(part, self._points, self.sigma).mean(1))
        return torch.cat(found)

    def score(self, digests: torch.Tensor, label: str) -> float:
        return super().score(digests[_evenly(len(digests), LONGEST)], label)

    def read(self, digests: torch.Tensor, decision: Decision, fpr: float = 0.05, known: bool = False) -> Reading:
        reading = super().read(digests, decision, fpr, known)
        why = self._cannot_tell(len(digests))
        if not why:
            return reading
        return Reading(self.name, None, reading.threshold, None, None, self.set_level, fpr, self.clean_scores, why)

    def note(self, label: str) -> str:
        return f"Compared with {len(self.clean_scores)} clean tracks of at least {LEAST_WINDOWS} windows, as a whole."

    def _cannot_tell(self, windows: int) -> str:
        if windows < LEAST_WINDOWS:
            return (
                f"This clip has {windows} window{'s' * (windows != 1)}; mmd is a test of sets and cannot tell below "
                f"{LEAST_WINDOWS}. Test several clips together."
            )
        if not self.tracks:
            return (
                f"The reference has too few tracks of {LEAST_WINDOWS} windows or more ({LEAST_TRACKS} are needed), so mmd cannot "
                "tell what is usual for one: windows of one track always resemble each other. Fit it on longer clean music, or "
                "test several clips together."
            )
        return ""

    # -- Clean scores --------------------------------------------------------------------------------------------------

    def _against_others(self, features: np.ndarray, clip: int) -> float:
        """MMD²_u of one of the reference's own clips, with these windows `(m, d)`, against the windows of the others."""
        points = (torch.from_numpy(features) - self._mean) / self._scale
        others = self._points[torch.from_numpy(self._clip_of != clip)]
        m, n = len(points), len(others)
        rest = np.arange(len(self._sums)) != clip
        within = float(kernel(points, points, self.sigma).sum() - m) / (m * (m - 1))
        among = float(self._sums[np.ix_(rest, rest)].sum() - n) / (n * (n - 1))
        return within + among - 2.0 * float(kernel(points, others, self.sigma).mean())

    def _of_sets(self) -> list[float]:
        """MMD²_u of sets of whole clips against the rest of the reference, drawn by chance."""
        rng = np.random.default_rng(0)
        sizes = np.bincount(self._clip_of, minlength=len(self._sums)).astype(float)
        present = np.flatnonzero(sizes)
        chosen = np.zeros((len(sizes), SETS))
        for column in range(SETS):
            order = rng.permutation(present)
            count = int(np.searchsorted(sizes[order].cumsum(), LEAST_WINDOWS)) + 1
            chosen[order[: min(count, len(order) - 1)], column] = 1.0
        return statistics(self._sums, sizes, chosen).tolist()

    # -- Several clips together ----------------------------------------------------------------------------------------

    def points_of(self, digests: torch.Tensor) -> np.ndarray:
        """Windows `(windows, d)` in the space they are compared in."""
        return ((digests.double() - self._mean) / self._scale).numpy()

    def reference(self) -> list[np.ndarray]:
        """The points `(windows, d)` of each of the reference's clips that any are kept of."""
        points = self._points.numpy()
        return [points[self._clip_of == clip] for clip in np.unique(self._clip_of)]

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "features": self._features.astype(np.float16),
            "clip_of": self._clip_of.astype(np.int32),
            "tracks": np.array([self.tracks]),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        features, clip_of = arrays["features"].astype(np.float64), arrays["clip_of"].astype(np.int64)
        return cls(model.layers[-1], features, clip_of, bool(arrays["tracks"][0]))


def test_set(
    detector: Mmd,
    digests_by_clip: Sequence[torch.Tensor],
    *,
    permutations: int = 1000,  # noqa: PT028 (this is no test of pytest's)
    seed: int = 0,  # noqa: PT028
) -> SetReading:
    """Test whether several clips, each with its windows `(windows, d)` as the detector digests them, come from where the reference
    comes from. Clips are permuted as a whole, and each gives the same number of windows, evenly spread: as many as are typical
    of the side with shorter clips. UsageError where there are no clips."""
    clips = [detector.points_of(digests) for digests in digests_by_clip if len(digests)]
    if not clips:
        raise UsageError("There are no clips to be tested.")
    clean = detector.reference()
    each = max(1, int(min(np.median([len(points) for points in side]) for side in (clips, clean))))
    x, y = ([points[_evenly(len(points), each)] for points in side] for side in (clips, clean))
    windows = sum(map(len, x))
    if windows < LEAST_WINDOWS:
        note = (
            f"{windows} windows of {len(clips)} clips can be compared ({each} of each), and mmd cannot tell below {LEAST_WINDOWS}; "
            "give more clips."
        )
        return SetReading(detector.name, None, None, windows, len(clips), note)
    blocks = tuple(np.repeat(np.arange(len(side)), [len(points) for points in side]) for side in (x, y))
    found = mmd_test(np.concatenate(x), np.concatenate(y), permutations, blocks, seed, sigma=detector.sigma)
    note = f"Whole clips permuted {permutations} times, {each} windows of each, against {len(y)} clean ones."
    return SetReading(detector.name, found.p_value, found.statistic, windows, len(clips), note)


def _evenly(count: int, most: int) -> np.ndarray:
    """Numbers of at most `most` of `count`, evenly spread; those that `Sample` chooses of a clip."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
