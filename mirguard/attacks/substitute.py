"""Attack a copy: a small network learns the model's answers, and what fools the network is tried on the model."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mirguard.attacks.gradient import pgd
from mirguard.attacks.ledger import Ledger
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.view import View
from mirguard.clip import load_clip
from mirguard.errors import FileError, UsageError
from mirguard.models.contract import TorchClassifier
from mirguard.models.front_end import LogMel
from mirguard.models.tracks import Track
from mirguard.sound_files import unlabelled_folder

SHARES = (0.5, 1.0)  # of the perturbation's full size that are tried on the model
STEPS = 40  # of the attack on the substitute
BATCH, LEARNING_RATE = 32, 3e-3
BANDS, HIDDEN = 48, 32
TILES = 12  # bands whose levels vary between first examples


def substitute(oracle: Oracle, *, seeds: str | None, answers: str, rounds: int, step: float, epochs: int) -> None:
    """Train F on the model's answers, S ← S ∪ {x + λ·sign(∂F_Õ(x)/∂x) : x ∈ S}, and again (Papernot et al. 2017, alg. 1); then
    δ from F's gradients.

    λ = `step`·ε and changes its sign from round to round (Papernot, McDaniel & Goodfellow 2016, §4.1, with τ = 1). Õ(x) is the top
    label; with `answers` "scores" F learns the model's softmax. Each row has an F of its own. After every training what fools F
    most is tried on the model."""
    problem, ledger = oracle.problem, oracle.ledger
    first = ((ledger.max_queries or 1000) - len(SHARES) * (rounds + 1)) >> rounds
    if first < 1:
        least = (1 << rounds) + len(SHARES) * (rounds + 1)
        raise UsageError(f"To double the examples {rounds} times, the attack needs at least {least} queries.")
    pupils = [
        Pupil(oracle, row, _examples(oracle, row, first, seeds), answers, step, epochs) for row in range(problem.rows)
    ]
    for number in range(rounds + 1):
        delta = problem.zeros()
        for row in ledger.active.nonzero()[:, 0].tolist():
            if number:
                pupils[row].augment(1.0 if number % 2 else -1.0)
            pupils[row].learn()
            delta[row] = _crafted(oracle, row, pupils[row].classifier)
        for share in SHARES:
            oracle.logits(share * delta)


class Network(nn.Module):
    """Log-mel frames `(m, frames, bands)` -> logits: their mean over time and one hidden layer."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(BANDS)
        self.hidden, self.out = nn.Linear(BANDS, HIDDEN), nn.Linear(HIDDEN, labels)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.hidden(self.norm(frames.mean(1)))))


class Pupil:
    """The substitute F of one row, and the windows `x (m, window)` it has learned from."""

    def __init__(self, oracle: Oracle, row: int, x: torch.Tensor, answers: str, step: float, epochs: int) -> None:
        model, view = oracle.view.models[0], oracle.view
        self.oracle, self.row, self.answers, self.epochs = oracle, row, answers, epochs
        self.step = step * float(oracle.problem.epsilon[row])
        self.generator = oracle.problem.generators[row]
        n_fft = 1 << max(4, min(model.sample_rate // 16, model.window // 4).bit_length() - 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(1 << 30, (), generator=self.generator)))
            network = Network(len(view.labels))
        self.classifier = TorchClassifier(
            "substitute",
            LogMel(model.sample_rate, n_fft, n_fft // 2, n_mels=BANDS),
            network,
            sample_rate=model.sample_rate,
            window=model.window,
            labels=view.labels,
            task=view.task,
        )
        self.x = x[:0]
        self.heard, self.target = [], []
        self.ask(x)

    def ask(self, x: torch.Tensor) -> None:
        """Take in new windows with what the model says of them."""
        z = self.oracle.ask(x, self.row)
        said = F.one_hot(z.argmax(1), z.shape[1]).float() if self.answers == "labels" else z.softmax(1)
        self.x = torch.cat([self.x, x])
        self.heard += self.classifier.represent(x)
        self.target += said

    def learn(self) -> None:
        """Some epochs more of what has been heard up to now."""
        network = self.classifier.network.train().requires_grad_(True)
        heard, target = torch.stack(self.heard), torch.stack(self.target)
        adam = torch.optim.Adam(network.parameters(), LEARNING_RATE)
        for _ in range(self.epochs):
            for some in torch.randperm(len(heard), generator=self.generator).split(BATCH):
                self.oracle.ledger.pause()
                if len(some) == 1:  # one alone has no variance to be normalised by
                    some = some.repeat(2)
                loss = F.cross_entropy(network(heard[some]), target[some])
                adam.zero_grad()
                loss.backward()
                adam.step()
        network.eval().requires_grad_(False)

    def augment(self, sign: float) -> None:
        """Jacobian-based augmentation: a step from every window along what F has to say of its label there."""
        fresh = []
        for x, said in zip(self.x.split(BATCH), torch.stack(self.target).split(BATCH), strict=True):
            self.oracle.ledger.pause()
            leaf = x.clone().requires_grad_()
            of_label = self.classifier.logits(leaf).gather(1, said.argmax(1, keepdim=True)).sum()
            slope = torch.autograd.grad(of_label, leaf)[0]
            fresh.append((x + sign * self.step * slope.sign()).clamp(-1.0, 1.0))
        self.ask(torch.cat(fresh))


def _crafted(oracle: Oracle, row: int, classifier: TorchClassifier) -> torch.Tensor:
    """δ `(n,)` of one row that fools the substitute most; for this the model is asked nothing."""
    ledger = Ledger(oracle.problem, stop_early=False, rest=oracle.ledger.pause)
    ledger.active[:] = False
    ledger.active[row] = True
    inner = Oracle(oracle.problem, View(classifier, draws=oracle.view.draws), ledger)
    size = 2.5 * float(oracle.problem.epsilon[row] / oracle.problem.scale[row]) / STEPS
    pgd(inner, steps=STEPS, step_size=size, restarts=1, random_start=False, momentum=0.0, loss="margin")
    return ledger.best[row]


def _examples(oracle: Oracle, row: int, count: int, seeds: str | None) -> torch.Tensor:
    """`count` windows to begin with: the row's own, then those of the folder `seeds`, then all of these varied."""
    problem, model, generator = oracle.problem, oracle.view.models[0], oracle.problem.generators[row]
    zeros, here = problem.zeros(), torch.tensor([row])
    own = [piece.windows(zeros[piece.index]) for piece in problem.pieces(here, model, oracle.view.micro_batch)]
    known = torch.cat(own).cpu()
    if seeds is not None:
        files = unlabelled_folder(seeds)
        if not files:
            raise FileError(f"{seeds} holds no WAV, FLAC, OGG, MP3 or AIFF file.")
        for number in torch.randperm(len(files), generator=generator)[:count].tolist():
            oracle.ledger.pause()
            track = Track(load_clip(files[number]), model)
            place = int(torch.randint(track.windows, (), generator=generator))
            known = torch.cat([known, track.piece(place, place + 1).cpu()])
    if len(known) >= count:
        return known[torch.randperm(len(known), generator=generator)[:count]]
    again = known[torch.arange(count - len(known)) % len(known)]
    return torch.cat([known, _varied(again, float(problem.epsilon[row]), generator)])


def _varied(x: torch.Tensor, least: float, generator: torch.Generator) -> torch.Tensor:
    """Windows with the sound's own bands made louder and softer and coloured noise added, by `least` (RMS) up to their level."""
    m, n = x.shape

    def coloured(sound: torch.Tensor) -> torch.Tensor:
        spectrum, levels = torch.fft.rfft(sound), torch.randn(m, 1, TILES, generator=generator)
        gains = F.interpolate(levels, spectrum.shape[1], mode="linear", align_corners=True)[:, 0]
        found = torch.fft.irfft(spectrum * gains, n)
        return found / found.square().mean(1, keepdim=True).sqrt().clamp_min(1e-9)

    share = torch.rand(m, 1, generator=generator)
    towards = share * coloured(x) + (1.0 - share) * coloured(torch.randn(m, n, generator=generator))
    level = x.square().mean(1, keepdim=True).sqrt().clamp_min(least)
    return (x + least * (level / least) ** torch.rand(m, 1, generator=generator) * towards).clamp(-1.0, 1.0)
