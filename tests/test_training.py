"""From labelled sounds to a saved classifier: what is heard, learned from and kept, and what is said where that cannot be."""

from __future__ import annotations

import json
import math
import os
import threading
from dataclasses import replace
from pathlib import Path

import nets
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_sounds import RATE, Dataset, Item, make_tones
from torch import nn

import mirguard as mg
from mirguard.clip import Clip, load_clip, save_clip
from mirguard.errors import Cancelled, FileError, UsageError
from mirguard.intervals import wilson
from mirguard.models import catalogue
from mirguard.models.architectures import find_architecture
from mirguard.models.contract import TorchClassifier
from mirguard.models.model_file import read_model_file
from mirguard.models.tracks import Track, classify
from mirguard.models.training import from_nothing, make, on_backbone
from mirguard.models.training.cache import Cache, key_of
from mirguard.models.training.hearing import Ear, Sounds, blocks, hear_features
from mirguard.models.training.loop import Recipe, train
from mirguard.models.training.make import train_classifier
from mirguard.models.training.methods import find_method, layers_of, list_methods
from mirguard.models.training.report import Report
from mirguard.parameters import resolve

WINDOW = 4000


class Bands(nn.Module):
    """Log energies of a few bands, then a small layer: tones of different pitch come apart."""

    def __init__(self) -> None:
        super().__init__()
        n = torch.arange(64) * (2 * math.pi / RATE)
        pitches = torch.tensor([150.0, 400.0, 700.0, 1500.0, 3000.0, 6000.0])
        waves = torch.cat([torch.cos(pitches[:, None] * n), torch.sin(pitches[:, None] * n)])
        self.register_buffer("waves", waves[:, None])
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.hidden = nn.Linear(6, 8)
            self.out = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        energy = nn.functional.conv1d(x[:, None], self.waves, stride=16).square().mean(-1)
        return self.out(torch.tanh(self.hidden(0.3 * torch.log(energy[:, :6] + energy[:, 6:] + 1e-4))))


def bands_model() -> TorchClassifier:
    return TorchClassifier(
        "bands",
        nn.Identity(),
        Bands(),
        sample_rate=RATE,
        window=WINDOW,
        labels=("a", "b", "c", "d"),
        taps={"hidden": "hidden"},
        micro_batch=4,
    )


@pytest.fixture(autouse=True)
def backbone(monkeypatch) -> TorchClassifier:
    """The catalogue knows "bands" as well."""
    model = bands_model()
    load, models = catalogue.load_model, catalogue.list_models
    info = catalogue.ModelInfo("bands", "Bands", "single-label", RATE, WINDOW, model.labels)
    monkeypatch.setattr(catalogue, "load_model", lambda name, progress=None: model if name == "bands" else load(name))
    monkeypatch.setattr(catalogue, "list_models", lambda: [*models(), info])
    return model


@pytest.fixture(autouse=True)
def small_networks(monkeypatch) -> None:
    """Networks of our own hear a quarter of a second."""

    def small(name: str):
        return replace(find_architecture(name), window_seconds=WINDOW / RATE)

    monkeypatch.setattr(from_nothing, "find_architecture", small)


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Dataset:
    return make_tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache")


def some(dataset: Dataset, count: int) -> Dataset:
    """So many training clips of each class, and its last test clip."""
    parts = [[item for item in dataset.items if item.label == label] for label in dataset.labels]
    return replace(dataset, items=tuple(item for part in parts for item in (*part[:count], part[-1])))


def quick(dataset, tmp_path, cache, method="bands", **more):
    return train_classifier(dataset, more.pop("name", "new"), method, folder=tmp_path / "models", cache=cache, **more)


# -- What comes out -----------------------------------------------------------------------------------------------------


def test_a_folder_becomes_a_classifier_that_is_right(tones, tmp_path, cache):
    made = quick(tones, tmp_path, cache)
    assert made.report.clips == 9 and made.report.clips_right == 9
    model = made.classifier
    assert model.labels == tones.labels and model.differentiable and model.task == "single-label"
    for item in tones.items[-3:]:
        assert classify(model, load_clip(item.path)).label == item.label
    window = nets.sounds(1, WINDOW).requires_grad_()
    (gradient,) = torch.autograd.grad(model.logits(window)[0, 0], window)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("method", ["bands", "svm", "decision-tree", "nearest-neighbours", "logistic-regression"])
def test_the_report_is_what_classify_says_of_the_test_clips(method, tmp_path, cache):
    """By clip, with the classifier as loaded from its file, and with clips of several windows and a partial last one."""
    dataset = make_tones(tmp_path / "sounds", labels=("low", "middle", "high", "top"), train=2, test=1, seconds=5.3)
    made = quick(dataset, tmp_path, cache, method)
    model = mg.load_model(str(made.file.folder))
    confusion = np.zeros((4, 4), int)
    windows = 0
    for item in dataset.items:
        if item.split == "test":
            decision = classify(model, load_clip(item.path))
            confusion[model.index(item.label), model.index(decision.label)] += 1
            windows += sum(label == item.label for label in decision.windows)
    said = made.report
    if method == "bands":
        # 21 windows at most 20 of which are heard while training: the decision is the same here, the count is not.
        assert said.windows == 4 * 20
    else:
        assert said.windows == 4 * 3 and said.windows_right == windows
    assert np.array_equal(np.array(said.confusion), confusion)


def test_the_card_says_how_it_came_about(tones, tmp_path, cache):
    by_file = tuple(replace(item, group=f"{item.label}/{item.path.name}") for item in tones.items)
    odd = replace(
        tones, items=by_file, grouped_by="track", warnings=("A word of warning.",), skipped=("x.mp3 was cut short.",)
    )
    made = quick(odd, tmp_path, cache, seed=3, title="Tones")
    file = read_model_file(tmp_path / "models" / "new")
    card = file.card
    assert file.title == "Tones" and (file.sample_rate, file.window) == (RATE, WINDOW)
    assert (card["made"], card["method"], card["seed"], card["version"]) == ("trained", "bands", 3, mg.__version__)
    data = card["data"]
    assert data["clips"] == {"train": 18, "validation": 0, "test": 9}
    assert (data["name"], data["split"], data["groups"], data["skipped"]) == ("tones", "by track", 27, 1)
    assert data["warnings"][0] == "A word of warning."
    assert any("each file counts as a track" in sentence for sentence in data["warnings"])
    assert any("9 test clips are few" in sentence for sentence in data["warnings"])
    assert card["lineage"] == [f"bands {bands_model().hash}"]
    assert card["parameters"]["layers"] == "hidden" and card["parameters"]["strength"] > 0
    assert card["test"]["clip_accuracy"] == 1 and card["test"]["clip_interval"][0] == pytest.approx(0.7008, abs=1e-3)
    assert Report.from_card(file.labels, card["test"]) == made.report
    assert "18 clips of tones" in file.note and "100 % of 9 held-out clips (95 % interval 70–100 %)" in file.note
    assert "says nothing of other music" in file.note
    assert card["gradient"]["reaches"] is True
    json.dumps(card)
    blind = quick(tones, tmp_path, cache, "svm", name="blind")
    assert blind.file.card["gradient"]["reaches"] is False and not blind.classifier.differentiable


def test_cancelling_is_seen_between_batches(tones, tmp_path, cache):
    cancel, epochs = threading.Event(), []

    def progress(entry):
        if entry.epoch:
            epochs.append(entry.epoch)
            cancel.set()

    with pytest.raises(Cancelled):
        quick(some(tones, 2), tmp_path, cache, "log-mel-cnn", epochs=9, progress=progress, cancel=cancel)
    assert len(epochs) == 1 and not (tmp_path / "models").exists()


def test_the_same_seed_gives_the_same_classifier(tones, tmp_path, cache):
    tones = some(tones, 2)
    hashes = {
        quick(
            tones, tmp_path, Cache(tmp_path / f"cache {n}"), "log-mel-cnn", name=f"m{n}", epochs=1, seed=seed
        ).classifier.hash
        for n, seed in enumerate((0, 0, 1))
    }
    assert len(hashes) == 2


def test_what_was_heard_before_gives_the_same_without_hearing(tones, tmp_path, cache, monkeypatch):
    first = quick(tones, tmp_path, cache)
    monkeypatch.setattr("mirguard.models.training.hearing.load_clip", lambda path: pytest.fail("it was heard again"))
    again = quick(tones, tmp_path, cache, replace=True)
    assert again.classifier.hash == first.classifier.hash


def test_a_network_is_trained_from_nothing(tmp_path, cache):
    dataset = make_tones(tmp_path / "sounds", labels=("low", "top"), train=4, validation=1, test=1, seconds=0.8)
    epochs = []
    made = quick(
        dataset,
        tmp_path,
        cache,
        "log-mel-cnn",
        epochs=4,
        progress=lambda p: epochs.append(p.epoch) if p.epoch else None,
    )
    assert made.report.clips == 2 and made.classifier.differentiable
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4]
    assert all(epoch.validation is not None for epoch in epochs) and epochs[-1].loss < epochs[0].loss
    assert made.file.network["name"] == "log-mel-cnn"
    assert made.file.card["data"]["learned_from"] == ["train"] and "Trained on 8 clips" in made.file.note


def test_training_is_told_step_by_step(tones, tmp_path, cache):
    told, rests = [], []
    quick(tones, tmp_path, cache, progress=told.append, rest=lambda: rests.append(1))
    stages = list(dict.fromkeys(entry.stage for entry in told))
    assert stages == ["hearing", "learning", "testing", "saving"]
    assert all(entry.sentence and (entry.fraction is None or 0 <= entry.fraction <= 1) for entry in told)
    assert len(rests) >= 27


# -- Fine-tuning -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def halves(tmp_path_factory) -> Dataset:
    return make_tones(tmp_path_factory.mktemp("halves"), train=4, validation=2, test=2)


def test_fine_tuning_is_kept_only_where_validation_gets_better(halves, tmp_path, cache, backbone, monkeypatch):
    before = {key: value.clone() for key, value in backbone.network.state_dict().items()}
    made = quick(halves, tmp_path, cache, fine_tune=True, epochs=2)
    assert "not kept" in made.file.note, "everything was right before, so nothing can get better"
    # A last layer that knows nothing: any pass is better.
    monkeypatch.setattr(
        on_backbone,
        "make_head",
        lambda weight, bias: nn.Linear(weight.shape[1], weight.shape[0]).requires_grad_(False),
    )
    torch.manual_seed(0)
    made = quick(halves, tmp_path, cache, name="tuned", fine_tune=True, epochs=20, learning_rate=0.03)
    assert "were fine-tuned" in made.file.note
    model = mg.load_model(str(made.file.folder))
    assert not torch.equal(model.network.backbone.hidden.weight, backbone.network.hidden.weight)
    assert all(torch.equal(value, before[key]) for key, value in backbone.network.state_dict().items())
    right = sum(classify(model, load_clip(i.path)).label == i.label for i in halves.items if i.split == "test")
    assert made.report.clips_right == right


def test_fine_tuning_without_validation_clips_is_refused(tones, tmp_path, cache):
    with pytest.raises(UsageError, match="needs validation clips"):
        quick(tones, tmp_path, cache, fine_tune=True)


# -- Splits --------------------------------------------------------------------------------------------------------------


class Recording(Exception):
    """Ends a training once it is known what would be learned from."""


@settings(max_examples=15)
@given(st.lists(st.tuples(st.sampled_from(["train", "validation", "test"]), st.integers(1, 9)), min_size=2, max_size=9))
def test_no_window_of_a_test_clip_is_ever_learned_from(tmp_path_factory, parts):
    """Each clip carries its own number as its level; what the last layer is fitted on tells which clips were in it."""
    folder = tmp_path_factory.mktemp("clips")
    items = []
    forced = ["train", "train", "test", "test"]
    for number, (split, windows) in enumerate([(split, 2) for split in forced] + parts):
        path = folder / f"{number}.wav"
        level = (number + 1) / 100
        save_clip(Clip(np.full(WINDOW * windows - WINDOW // 4, level, np.float32), RATE), path, "FLOAT")
        items.append(Item(path, "ab"[number % 2], f"group {number // 2}", split))
    dataset = Dataset(("a", "b"), tuple(items))

    class Level(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.amax(1, keepdim=True)

    model = TorchClassifier(
        "bands", nn.Identity(), Level(), sample_rate=RATE, window=WINDOW, labels=("x", "y"), taps={"hidden": ""}
    )
    seen = {}

    def fit(features, labels, clip, groups, **_):
        seen.update(levels=features[:, 0], labels=labels)
        raise Recording

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "load_model", lambda name, progress=None: model)
        patch.setattr(on_backbone, "fit_linear", fit)
        with pytest.raises(Recording):
            train_classifier(dataset, "new", "bands", folder=folder / "m", cache=Cache(folder / "c"), layers="hidden")
    found = np.round(seen["levels"] * 100).astype(int) - 1
    learned = {number for number, item in enumerate(items) if item.split != "test"}
    assert set(found.tolist()) == learned
    assert all(seen["labels"][n] == clip % 2 for n, clip in enumerate(found.tolist()))


def test_excerpts_for_networks_lie_within_one_clip(tmp_path, cache):
    items = []
    for number, seconds in enumerate((0.2, 1.0, 2.6, 7.9)):
        path = tmp_path / f"{number}.wav"
        save_clip(Clip(np.full(round(seconds * RATE), (number + 1) / 10, np.float32), RATE), path, "FLOAT")
        items.append(Item(path, "a", str(number), "train"))
    sounds = Sounds(items, RATE, WINDOW, Ear(most=6, cache=cache))
    excerpts = sounds.excerpts([1, 2, 3])
    assert set(excerpts.clip.tolist()) == {1, 2, 3} and int(excerpts.lengths.min()) >= WINDOW
    assert int(excerpts.lengths.max()) <= 2 * WINDOW
    for index in range(len(excerpts)):
        length = int(excerpts.lengths[index])
        cut = excerpts.cut(index, length - WINDOW, WINDOW)
        np.testing.assert_allclose(cut, (excerpts.clip[index] + 1) / 10, rtol=1e-5)
    short = sounds.windows(0)
    assert short.shape == (1, WINDOW) and short[0, round(0.2 * RATE) :].max() == 0


def test_parts_of_one_file_in_two_splits_are_refused(tones, tmp_path, cache):
    first = tones.items[0]
    torn = replace(tones, items=(*tones.items, replace(first, split="test", start=0.5)))
    with pytest.raises(UsageError, match="parts of one file belong together"):
        quick(torn, tmp_path, cache)


def test_groups_that_straddle_are_told(tones, tmp_path, cache):
    torn = replace(
        tones, items=tuple(replace(item, group=item.group[-1]) for item in tones.items[:-1]) + tones.items[-1:]
    )
    torn = replace(
        torn, items=tuple(replace(item, group="one band") if item.label == "low" else item for item in torn.items)
    )
    made = quick(torn, tmp_path, cache)
    assert any("1 group has clips in training and in the test" in w for w in made.file.card["data"]["warnings"])


# -- Hearing -----------------------------------------------------------------------------------------------------------


def test_windows_are_those_of_classify(tmp_path, cache, backbone, noise):
    path = tmp_path / "stereo.wav"
    save_clip(noise(rate=44_100, seconds=1.37, channels=2), path, "FLOAT")
    item, clip = Item(path, "a", "g", "train"), load_clip(path)
    track = Track(clip, backbone)
    expected = track.piece(0, track.windows).numpy()
    for _ in range(2):  # heard, then from the cache
        sounds = Sounds([item], RATE, WINDOW, Ear(cache=cache))
        np.testing.assert_allclose(sounds.windows(0), expected, atol=1e-6)
        heard = hear_features([item], backbone, ("hidden",), Ear(cache=cache))
        features, _ = backbone.features(torch.from_numpy(expected), ("hidden",))
        np.testing.assert_allclose(heard.features, features["hidden"].numpy(), atol=1e-5)


@given(st.integers(1, 500), st.integers(1, 60))
def test_windows_of_long_clips_are_spread(windows, most):
    found = [window for first, last in blocks(windows, most) for window in range(first, last)]
    assert len(found) == len(set(found)) == min(windows, most) - (most % 2 if windows > most > 1 else 0)
    assert found == sorted(found) and found[0] == 0
    assert found[-1] == windows - 1 or len(blocks(windows, most)) == 1


def test_a_part_of_a_file_is_heard_alone(tmp_path, cache, backbone):
    path = tmp_path / "two.wav"
    sound = np.concatenate([np.full(2 * WINDOW, 0.1), np.full(2 * WINDOW, 0.2)]).astype(np.float32)
    save_clip(Clip(sound, RATE), path, "FLOAT")
    whole = Item(path, "a", "g", "train")
    halves = [replace(whole, seconds=0.5), replace(whole, start=0.5), replace(whole, start=0.5, seconds=9.0)]
    sounds = Sounds([*halves, replace(whole, start=7.0)], RATE, WINDOW, Ear(cache=cache))
    assert [round(float(sounds.windows(n).mean()), 3) for n in range(3)] == [0.1, 0.2, 0.2]
    assert len(sounds.items) == 3 and "nothing at 7 s" in sounds.skipped[0]


def test_files_that_cannot_be_used_are_named_and_the_rest_goes_on(tones, tmp_path, cache):
    broken, silent, gone = tmp_path / "broken.wav", tmp_path / "silent.wav", tmp_path / "gone.wav"
    broken.write_bytes(b"RIFF nothing of the kind")
    save_clip(Clip(np.zeros(RATE, np.float32), RATE), silent)
    more = tuple(Item(path, "low", path.stem, "train") for path in (broken, silent, gone))
    made = quick(replace(tones, items=(*more, *tones.items)), tmp_path, cache)
    data = made.file.card["data"]
    assert data["skipped"] == 3 and data["clips"]["train"] == 18
    assert any("3 files could not be used; the first: broken.wav" in sentence for sentence in data["warnings"])
    sounds = Sounds(more, RATE, WINDOW, Ear(cache=cache))
    names = [next(name for name in ("broken.wav", "silent.wav", "gone.wav") if name in said) for said in sounds.skipped]
    assert names == ["broken.wav", "silent.wav", "gone.wav"]


# -- Cache -------------------------------------------------------------------------------------------------------------


def entries(cache: Cache) -> list[Path]:
    return [path for path in cache.folder.rglob("*") if path.is_file()]


def test_the_cache_brings_back_and_rebuilds_what_is_damaged(cache):
    array = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    assert cache.get("k" * 64) is None and cache.put("k" * 64, array)
    assert np.array_equal(cache.get("k" * 64), array)
    (path,) = entries(cache)
    whole = path.read_bytes()
    for damaged in (whole[:-1], b"", whole[:20], whole[:-3] + b"abc", b"XXXX" + whole[4:]):
        path.write_bytes(damaged)
        assert cache.get("k" * 64) is None
        assert not path.exists()
        cache.put("k" * 64, array)


def test_a_damaged_entry_is_heard_again(tones, tmp_path, cache, backbone):
    items = tones.items[:2]
    first = hear_features(items, backbone, ("hidden",), Ear(cache=cache)).features
    for path in entries(cache):
        path.write_bytes(path.read_bytes()[:-7])
    assert np.array_equal(hear_features(items, backbone, ("hidden",), Ear(cache=cache)).features, first)
    sounds = Sounds(items, RATE, WINDOW, Ear(cache=cache))
    expected, excerpts = sounds.windows(1), sounds.excerpts()
    for path in entries(cache):
        path.unlink()
    assert np.array_equal(sounds.windows(1), expected)
    assert len(excerpts.cut(0, 5, 100)) == 100


def test_the_oldest_entries_make_room(tmp_path):
    cache = Cache(tmp_path / "c", limit=10_000)
    for number in range(8):
        cache.put(key_of(number), np.zeros(500, np.float32))
        os.utime(cache._path(key_of(number)), (number, number))
    assert cache.get(key_of(0)) is not None  # used just now
    cache.prune()
    kept = [number for number in range(8) if cache._path(key_of(number)).exists()]
    assert kept == [0, 5, 6, 7] and cache.size() <= 10_000


def test_another_file_of_that_name_is_heard_anew(tmp_path, cache, backbone):
    path = tmp_path / "x.wav"
    item = Item(path, "a", "g", "train")
    heard = []
    for number, pitch in enumerate((200.0, 3000.0)):
        time = np.arange(RATE) / RATE
        save_clip(Clip((0.2 * np.sin(2 * np.pi * pitch * time)).astype(np.float32), RATE), path)
        os.utime(path, (1000 + number, 1000 + number))
        heard.append(hear_features([item], backbone, ("hidden",), Ear(cache=cache)).features)
    assert not np.allclose(*heard)


def test_training_works_where_nothing_can_be_kept(tones, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    made = quick(some(tones, 2), tmp_path, Cache(blocked / "cache"), "log-mel-cnn", epochs=1)
    assert made.report.clips == 3


# -- What is refused -----------------------------------------------------------------------------------------------------


def test_degenerate_sets_get_a_sentence(tones, tmp_path, cache):
    def of(label):
        return tuple(item for item in tones.items if item.label == label)

    low, middle = of("low"), of("middle")
    cases = {
        "at least two classes; tones has only low": replace(tones, labels=("low",), items=low),
        "at least two classes; tones has none": replace(tones, labels=(), items=()),
        "middle has only one clip": replace(tones, labels=("low", "middle"), items=(*low, middle[0])),
        "high has no clip": replace(tones, items=(*low, *middle)),
        "has not been split": replace(tones, items=tuple(replace(item, split="") for item in tones.items)),
        "No clip of tones is left to test on": replace(
            tones, items=tuple(replace(item, split="train") for item in tones.items)
        ),
        "no training clip of low in tones": replace(
            tones, items=tuple(replace(item, split="test") if item.label == "low" else item for item in tones.items)
        ),
    }
    for sentence, dataset in cases.items():
        with pytest.raises(UsageError, match=sentence):
            quick(dataset, tmp_path, cache)
    assert not (tmp_path / "models").exists()


def test_silence_everywhere_gets_a_sentence(tmp_path, cache):
    items = []
    for number in range(8):
        path = tmp_path / f"{number}.wav"
        save_clip(Clip(np.zeros(RATE, np.float32), RATE), path)
        items.append(Item(path, "ab"[number % 2], str(number), "test" if number > 5 else "train"))
    with pytest.raises(UsageError, match=r"None of the 8 clips can be used \(0.wav is silent\)"):
        quick(Dataset(("a", "b"), tuple(items)), tmp_path, cache)
    for item in items[:6]:
        if item.label == "a":
            soundfile.write(item.path, np.full(RATE, 0.1), RATE)
    with pytest.raises(UsageError, match="None of the test clips can be used"):
        quick(Dataset(("a", "b"), tuple(items)), tmp_path, cache)
    for item in items[6:]:
        soundfile.write(item.path, np.full(RATE, 0.1), RATE)
    with pytest.raises(UsageError, match="no training clip of b that can be used"):
        quick(Dataset(("a", "b"), tuple(items)), tmp_path, cache)


@pytest.mark.parametrize("name", ["", " x", "../x", "a/b", ".hidden", "x" * 81, "nul", "COM1.model", "a:b", "x."])
def test_names_that_no_file_can_have_are_refused(tones, tmp_path, cache, name):
    with pytest.raises(UsageError, match="cannot be a model's name"):
        quick(tones, tmp_path, cache, name=name)


def test_of_two_trainings_under_one_name_the_slower_is_told(tones, tmp_path, cache, monkeypatch):
    rename = Path.rename

    def too_late(self, target):
        Path(target).mkdir()
        (Path(target) / "model.toml").write_text("another's")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", too_late)
    with pytest.raises(UsageError, match="a model called new already"):
        quick(tones, tmp_path, cache)
    models = tmp_path / "models"
    assert [path.name for path in models.iterdir()] == ["new"]
    assert (models / "new" / "model.toml").read_text() == "another's"


def test_names_that_are_taken_are_refused(tones, tmp_path, cache):
    for name in ("toy-instruments", "musicnn-msd"):
        with pytest.raises(UsageError, match="comes with MIRGuard"):
            quick(tones, tmp_path, cache, name=name, replace=True)
    first = quick(tones, tmp_path, cache)
    with pytest.raises(UsageError, match="a model called new already"):
        quick(tones, tmp_path, cache, "svm")
    second = quick(tones, tmp_path, cache, "svm", replace=True)
    assert second.file.network["name"] == "svm" != first.file.network["name"]
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["new"]


def test_a_model_replaced_in_the_catalogue_is_loaded_anew(tones, own_data, cache):
    train_classifier(tones, "mine", "nearest-neighbours", cache=cache)
    first = catalogue.load_model("mine")
    train_classifier(tones, "mine", "decision-tree", cache=cache, replace=True)
    second = catalogue.load_model("mine")
    assert second is not first and second.hash != first.hash
    (info,) = [info for info in catalogue.list_models() if info.name == "mine"]
    assert info.kind == "yours" and info.gradients is False and info.card["method"] == "decision-tree"


@pytest.mark.parametrize("stage", ["hearing", "learning", "testing", "saving"])
@pytest.mark.parametrize("method", ["bands", "nearest-neighbours"])
def test_cancelled_training_leaves_nothing_behind(tones, tmp_path, cache, method, stage):
    cancel = threading.Event()

    def progress(entry):
        if entry.stage == stage:
            cancel.set()

    if stage == "saving":  # too late to stop: whole, or not at all
        assert quick(tones, tmp_path, cache, method, progress=progress, cancel=cancel).file.weights_path.is_file()
        return
    with pytest.raises(Cancelled):
        quick(tones, tmp_path, cache, method, progress=progress, cancel=cancel)
    assert not list((tmp_path / "models").rglob("*"))


def test_a_failure_while_saving_leaves_the_old_model(tones, tmp_path, cache, monkeypatch):
    quick(tones, tmp_path, cache)
    before = {path.name: path.read_bytes() for path in (tmp_path / "models" / "new").iterdir()}
    rename = Path.rename

    def fail(self, target):
        if self.name.startswith(".making-"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(FileError, match="No space left on device"):
        quick(tones, tmp_path, cache, "svm", replace=True)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in (tmp_path / "models" / "new").iterdir()} == before
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["new"]


# -- Methods and report ---------------------------------------------------------------------------------------------------


def test_every_method_declares_itself_completely():
    names = [method.name for method in list_methods()]
    assert names[0] == "musicnn-msd" and len(set(names)) == len(names)
    for method in list_methods():
        values = resolve(method.parameters, {})
        assert method.title and method.help.endswith(".") and values["windows"] == 20
        assert method.gradients == (method.kind != "learner")
    assert find_method("bands").kind == "backbone"
    with pytest.raises(UsageError, match="did you mean svm"):
        find_method("svn")


def test_layers_are_named_or_the_usual_ones():
    assert layers_of("musicnn-mtt", None, ()) == layers_of("musicnn-mtt", "pools", ()) == ("max_pool", "mean_pool")
    assert layers_of("bands", None, ("a", "b")) == ("b",)
    assert layers_of("bands", "b, a", ("a", "b")) == ("b", "a")
    with pytest.raises(UsageError, match="no layer 'c'"):
        layers_of("bands", "a,c", ("a", "b"))


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_is_where_the_score_test_turns(pair):
    right, count = pair
    low, high = wilson(right, count)
    assert 0 <= low <= right / count <= high <= 1
    for bound in (low, high):
        if 0 < bound < 1 and bound != right / count:
            z = abs(right / count - bound) / math.sqrt(bound * (1 - bound) / count)
            assert z == pytest.approx(1.959964, abs=1e-4)


def test_the_report_counts_clips_and_windows():
    wanted, said = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    clip = np.array([0, 0, 1, 2, 2, 2, 3, 4])
    windows = np.array([0, 1, 1, 1, 1, 0, 1, 0])
    report = Report.of(("a", "b"), wanted, said, clip, windows)
    assert report.confusion == ((1, 1), (1, 2)) and (report.clips_right, report.windows_right) == (3, 4)
    assert [(e.label, e.clips, e.right) for e in report.by_label] == [("a", 2, 1), ("b", 3, 2)]
    assert report.window_interval == wilson(0.5 * 5, 5) and report.clip_interval == wilson(3, 5)
    assert wilson(0, 0) == (0, 1)


# -- The loop with sounds of different lengths ------------------------------------------------------------------------------


def test_the_loop_reads_uneven_sounds_as_it_needs_them(tones, cache):
    sounds = Sounds(tones.items, RATE, WINDOW, Ear(cache=cache))
    excerpts = sounds.excerpts()
    labels = np.array([tones.labels.index(item.label) for item in sounds.items])[excerpts.clip]
    network = Bands()
    rests = []
    recipe = Recipe(epochs=6, batch=16, learning_rate=0.03)
    history = train(
        nn.Identity(), network, excerpts, labels, window=WINDOW, recipe=recipe, rest=lambda: rests.append(1)
    )
    assert history[-1].accuracy > 0.9 > history[0].accuracy and len(rests) == 6 * (len(excerpts) // 16)
    with pytest.raises(UsageError, match="at least"):
        train(nn.Identity(), network, excerpts, labels, window=3 * WINDOW)


def test_it_is_offered_at_the_top():
    assert mg.train_classifier is make.train_classifier
