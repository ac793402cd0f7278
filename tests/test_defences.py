"""Hardened models: what is learned from, what comes out, and that a training can stop and go on."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace

import nets
import numpy as np
import pytest
import torch
from hardening import LABELS, QUICK, WINDOW, arrays, cache, files, job_of, kept, parent, same, tones
from labelled_sounds import RATE

import mirguard as mg
from mirguard.defences import perturbing
from mirguard.defences.adversarial_training import adversarial_training
from mirguard.defences.catalogue import find_defence, list_defences
from mirguard.defences.checkpoint import Unfinished
from mirguard.defences.defend import defend
from mirguard.defences.distillation import distillation, last_layer
from mirguard.defences.robustness import CROSS_ENTROPY, MARGIN, NOISE, SMALLEST, WORST, robustness
from mirguard.errors import Cancelled, FileError, UsageError
from mirguard.models import catalogue
from mirguard.models.architectures import find_architecture
from mirguard.models.contract import Classifier
from mirguard.models.model_file import read_model_file
from mirguard.models.training.loop import window_accuracy
from mirguard.parameters import resolve

__all__ = ["cache", "files", "parent"]  # fixtures


# -- What is declared --------------------------------------------------------------------------------------------------


def test_every_defence_says_what_it_is_and_can_be_called():
    for defence in list_defences():
        module, name = defence.function.split(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name)), defence.name
        assert defence.help.endswith(".") and defence.knowledge.endswith(".") and defence.reference
        values = resolve(defence.parameters, {})
        assert values["epochs"] > 0


def test_an_unknown_defence_is_answered_with_a_close_one():
    with pytest.raises(UsageError, match="did you mean distillation"):
        find_defence("destillation")


# -- Perturbations in training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["l2", "linf", "both"])
@pytest.mark.parametrize("steps", [1, 4])
def test_a_training_perturbation_raises_the_loss_and_keeps_its_budget(parent, norm, steps):
    sounds, labels = tones(6, 100)
    x, own = torch.from_numpy(sounds[:, :WINDOW]), torch.from_numpy(labels)
    draw = torch.Generator().manual_seed(0)
    epsilon, sign = perturbing.draw_sizes(x, {"snr": 40.0, "spread": 2.0, "norm": norm}, draw)
    assert {"l2": not sign.any(), "linf": sign.all(), "both": 0 < sign.sum() < len(x)}[norm]
    loss = perturbing.class_loss(parent.front_end, parent.network, own)
    start = draw if steps > 1 else None
    changed = perturbing.perturb(x, perturbing.uphill(loss, sign), epsilon, sign, steps=steps, draw=start)
    with torch.no_grad():
        assert (loss(changed) > loss(x)).all()
        assert loss(changed).mean() > loss(x + perturbing.noise_like(x, epsilon, sign, draw)).mean()
    delta = changed - x
    size = torch.where(sign[:, 0], delta.abs().amax(1), delta.square().mean(1).sqrt())
    assert (size <= epsilon[:, 0] * (1 + 1e-4)).all()
    snr = 10 * torch.log10(x.square().sum(1) / delta.square().sum(1))
    assert (snr >= 38.0 - 1e-3).all()
    if steps == 1:
        assert (size >= epsilon[:, 0] * 0.999).all() and (snr <= 42.0 + 1e-3).all()


def test_perturbations_are_made_in_evaluation_mode_and_leave_the_mode_as_it_was(parent):
    network = copy.deepcopy(parent.network).train()
    before = arrays(network)
    with perturbing.evaluating(network):
        network(parent.represent(torch.from_numpy(tones(2)[0][:, :WINDOW])))
        assert not network.training
    assert network.training and same(before, arrays(network)), "no running statistic has moved"


def test_silence_gets_no_perturbation_that_is_not_a_number(parent):
    x = torch.zeros(2, WINDOW)
    draw = torch.Generator().manual_seed(0)
    epsilon, sign = perturbing.draw_sizes(x, {"snr": 30.0, "spread": 0.0, "norm": "l2"}, draw)
    loss = perturbing.class_loss(parent.front_end, parent.network, torch.tensor([0, 1]))
    assert torch.equal(perturbing.perturb(x, perturbing.uphill(loss, sign), epsilon, sign, steps=2, draw=draw), x)


# -- The defences ------------------------------------------------------------------------------------------------------


def test_adversarial_training_makes_the_network_more_robust(parent, tmp_path):
    sounds, labels = tones(6, 200)
    x, y = torch.from_numpy(sounds[:, :WINDOW]), torch.from_numpy(labels)
    plain = robustness(parent, x, y, (20.0,), steps=10)
    made = adversarial_training(job_of(parent, "adversarial-training", 16, snr=20.0, epochs=8, method="pgd", steps=2))
    hardened = robustness(kept(tmp_path, "hard", made.network), x, y, (20.0,), steps=10)
    assert hardened.smallest_db < plain.smallest_db - 1.0, "a louder perturbation is needed"
    assert hardened.clean >= 16


def test_the_parent_stays_as_it_is(parent):
    before = arrays(parent.network)
    made = adversarial_training(job_of(parent, "adversarial-training"))
    assert same(before, arrays(parent.network)) and not same(before, arrays(made.network))
    assert not any(parameter.requires_grad for parameter in parent.network.parameters())


def test_a_distilled_network_is_its_student_at_the_temperature_and_tested_at_one(parent, tmp_path):
    at_one, at_hundred = (
        distillation(job_of(parent, "distillation", temperature=t, start="parent")).network.eval() for t in (1.0, 100.0)
    )
    x = parent.represent(torch.from_numpy(tones(6, 300)[0][:, :WINDOW]))
    with torch.no_grad():
        z, distilled = at_one(x), kept(tmp_path, "distilled", at_hundred).decide(x)
        teacher = parent.decide(x)
    assert torch.allclose(distilled, 100 * z, rtol=1e-3, atol=1e-2), "what comes out is Z, at T = 1"
    assert (distilled / 100).softmax(1).sub(teacher.softmax(1)).abs().mean() < 0.1, "softmax(Z/T) is the teacher's"


def test_distillation_hides_the_gradient_of_the_cross_entropy_and_not_that_of_the_margin(parent, tmp_path):
    network = distillation(job_of(parent, "distillation", temperature=300.0, start="parent")).network
    model = kept(tmp_path, "distilled", network)
    sounds, labels = tones(8, 400)
    x, y = torch.from_numpy(sounds[:, :WINDOW]), torch.from_numpy(labels)
    found = robustness(model, x, y, (15.0,), steps=10).right[15.0]
    assert found[CROSS_ENTROPY] >= found[MARGIN] + 4, "it seems robust where the gradient vanishes"
    assert found[WORST] <= found[MARGIN]


def test_a_network_that_ends_in_no_linear_layer_cannot_be_distilled(tmp_path):
    network = find_architecture("magnitude-mlp").build(3, {"bins": 65, "hidden": [8], "voting": "posteriors"})
    with pytest.raises(UsageError, match="temperature means nothing"):
        last_layer(network, "Magnitude MLP")


@pytest.mark.parametrize("name", ["adversarial-training", "distillation"])
def test_a_tagger_can_be_hardened(name, parent, tmp_path):
    tagger = kept(tmp_path, "tagger", copy.deepcopy(parent.network), task="tagging")
    job = job_of(tagger, name, start="parent")
    job = replace(job, targets=np.eye(3, dtype=np.int64)[job.targets])
    made = kept(tmp_path, "hard", find_defence(name).call(job).network, task="tagging")
    sounds, labels = tones(4, 500)
    rows = np.eye(3, dtype=np.int64)[labels]
    right = window_accuracy(made.front_end, made.network, sounds[:, :WINDOW], rows, window=WINDOW, task="tagging")
    assert right > 0.6


# -- Stopping and going on ---------------------------------------------------------------------------------------------


class Stop(Exception):
    """The power goes."""


@pytest.mark.parametrize("name", [*(defence.name for defence in list_defences()), "dropout"])
def test_what_was_stopped_goes_on_to_the_same_weights(name, parent, files, tmp_path, cache, own_data):
    """Also where chance is drawn in training: windows, levels, noise, random starts, and units that drop out."""
    options = QUICK | {"epochs": 3}
    if name == "dropout":
        network = find_architecture("magnitude-mlp").build(3, {"bins": 129, "hidden": [8], "dropout": 0.5})
        heard = {"kind": "magnitude", "n_fft": 256, "hop": 256}
        parent = kept(tmp_path, "mlp", network, architecture="magnitude-mlp", representation=heard)
        name, options["start"] = "distillation", "parent"
    if name == "adversarial-training":
        options |= {"method": "pgd", "steps": 2, "norm": "both"}

    def run(name_of_it: str, resume: bool, progress=None):
        return defend(
            parent, files, name_of_it, name, seed=3, folder=tmp_path / "models", cache=cache, resume=resume,
            progress=progress, **options,
        )  # fmt: skip

    whole = run("whole", False)

    def stop(told) -> None:
        if told.epoch and told.epoch.number == 2:
            raise Stop

    with pytest.raises(Stop):
        run("stopped", False, stop)
    assert (own_data / "unfinished" / "stopped").is_dir()
    epochs = []
    going_on = run("stopped", True, lambda told: told.epoch and epochs.append(told.epoch.number))
    assert epochs == [3], "the first two are not done again"
    assert same(arrays(whole.classifier.network), arrays(going_on.classifier.network))
    assert not (own_data / "unfinished").exists(), "nothing is left of what is finished"


def test_going_on_asks_for_the_same_request(own_data):
    Unfinished("it", {"seed": 0, "model": "a"}).begin(resume=False)
    assert Unfinished("it", {"seed": 0, "model": "a"}).begin(resume=True)
    with pytest.raises(UsageError, match="another model"):
        Unfinished("it", {"seed": 0, "model": "b"}).begin(resume=True)
    assert not Unfinished("it", {"seed": 1, "model": "b"}).begin(resume=False), "beginning anew forgets the other"
    assert not Unfinished("new", {"seed": 1}).begin(resume=True), "there is nothing to go on from"


def test_a_damaged_state_is_named(own_data):
    unfinished = Unfinished("it", {"seed": 0})
    unfinished.begin(resume=False)
    (unfinished.folder / "network.json").write_text('{"tensors": "network-1.safetensors", "state": {}}')
    (unfinished.folder / "network-1.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(FileError, match="damaged; begin anew"):
        unfinished.stage("network").load()
    (unfinished.folder / "network.json").write_text("{")
    with pytest.raises(FileError, match="damaged; begin anew"):
        unfinished.stage("network").load()


# -- In the catalogue --------------------------------------------------------------------------------------------------


def test_the_new_model_tells_its_lineage_and_how_good_it_is(parent, files, tmp_path, cache, own_data):
    made = mg.defend(parent, files, "hard", "adversarial-training", cache=cache, seed=5, title="Hard", **QUICK)
    info = catalogue.find_model("hard")
    assert (info.kind, info.title, info.labels) == (catalogue.YOURS, "Hard", LABELS)
    card = read_model_file(own_data / "models" / "hard").card
    assert card["defence"]["name"] == "adversarial-training"
    assert (card["defence"]["parent"], card["defence"]["parent_hash"]) == (parent.name, parent.hash)
    assert card["seed"] == 5 and card["parameters"]["epochs"] == 2 and parent.hash[:12] in card["lineage"][0]
    assert card["test"]["clips"] == 6 == made.report.clips
    assert card["data"]["learned_from"] == ["train"] and card["gradient"]["reaches"]
    assert mg.load_model("hard").hash == made.classifier.hash != parent.hash
    again = defend("hard", files, "harder", "distillation", cache=cache, **QUICK)
    assert "hard (" in again.file.card["lineage"][0]


def test_cancelling_leaves_nothing_in_the_catalogue(parent, files, cache, own_data):
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        defend(
            parent, files, "never", "adversarial-training", cache=cache, cancel=cancel,
            progress=lambda told: told.epoch and cancel.set(), **QUICK,
        )  # fmt: skip
    assert "never" not in {info.name for info in catalogue.list_models()}
    assert not list((own_data / "models").glob("*")) if (own_data / "models").exists() else True
    assert (own_data / "unfinished" / "never" / "network.json").is_file(), "but it can go on"


class Whistle(Classifier):
    """A model without a network."""

    name, sample_rate, window, labels = "whistle", RATE, WINDOW, LABELS


def test_what_cannot_be_hardened_is_answered_with_a_sentence(parent, files, cache, own_data):
    with pytest.raises(UsageError, match="whistle cannot be hardened: only networks that can be trained here"):
        defend(Whistle(), files, "new", "distillation", cache=cache)
    with pytest.raises(UsageError, match="cannot be hardened"):
        defend(nets.linear(), files, "new", "distillation", cache=cache)
    with pytest.raises(UsageError, match="no defence 'armour'"):
        defend(parent, files, "new", "armour", cache=cache)
    with pytest.raises(UsageError, match="from 1 to 1000"):
        defend(parent, files, "new", "distillation", cache=cache, temperature=0.5)
    with pytest.raises(UsageError, match="There is no parameter 'snr'"):
        defend(parent, files, "new", "distillation", cache=cache, snr=20)
    with pytest.raises(UsageError, match="name of a model that comes with MIRGuard"):
        defend(parent, files, "toy-instruments", "distillation", cache=cache)
    other = replace(files, labels=("low", "middle", "top"))
    with pytest.raises(UsageError, match="The class top has no clip"):
        defend(parent, other, "new", "distillation", cache=cache)
    fewer = replace(files, labels=LABELS[:2], items=tuple(i for i in files.items if i.label != "high"))
    with pytest.raises(UsageError, match="would forget"):
        defend(parent, fewer, "new", "distillation", cache=cache)
    assert not (own_data / "unfinished").exists()


# -- How robust --------------------------------------------------------------------------------------------------------


def test_the_worst_case_is_taken_sound_by_sound(parent):
    sounds, labels = tones(6, 600)
    x, y = torch.from_numpy(sounds[:, :WINDOW]), torch.from_numpy(labels)
    found = robustness(parent, x, y, (0.0, 60.0), steps=8)
    assert found.windows == 18 and 0 < found.clean <= 18
    for row in found.right.values():
        assert row[WORST] <= min(row[SMALLEST], row[CROSS_ENTROPY], row[MARGIN])
        assert max(row.values()) <= found.clean or row[NOISE] <= 18
    assert found.right[0.0][WORST] < found.right[60.0][WORST], "a budget of 0 dB fools more than one of 60 dB"
    assert set(found.card()["at_snr_db"]) == {"0", "60"}


def test_robustness_of_nothing_is_refused(parent):
    with pytest.raises(UsageError, match="no sound to attack"):
        robustness(parent, torch.zeros(0, WINDOW), torch.zeros(0, dtype=torch.long))
