"""`mirguard models` in the terminal: list, show, add, remove."""

import json
import sys
from pathlib import Path

import pytest
from foreign_models import LABELS, RATE, WINDOW, describe, network, one_thread, onnx_of, packed, torchscript

from mirguard.cli import main
from mirguard.errors import UsageError
from mirguard.models import catalogue
from mirguard.models.catalogue import ModelInfo
from mirguard.models.contract import Classifier
from mirguard.models.published.crepe_facts import LABELS as LABELS_OF_CREPE

pytestmark = pytest.mark.usefixtures(one_thread.__name__, "own_data")
TOY = "toy-instruments"


@pytest.fixture
def say(capsys):
    def run(*arguments) -> tuple[int, str, str]:
        status = main([str(argument) for argument in ("models", *arguments)])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def brought(tmp_path) -> Path:
    folder = tmp_path / "brought"
    folder.mkdir()
    torchscript(network(), folder / "w.pt")
    describe(folder, "w.pt", title="A title", note="A note.")
    return folder


def assert_told(result: tuple[int, str, str], status: int, words: str) -> None:
    assert result[0] == status
    assert result[1] == ""
    assert result[2].startswith("mirguard: ") and result[2].count("\n") == 1 and words in result[2], result[2]


def test_a_model_is_added_shown_and_removed(say, brought, own_data):
    status, out, err = say("add", brought, "--name", "mine")
    assert (status, err) == (0, "")
    assert out.splitlines()[0].split() == ["mine", "A", "title"]
    assert "Gradient: passes. The gradient reaches the waveform" in " ".join(out.split())
    assert [info["name"] for info in json.loads(say("list", "--json")[1])["models"] if info["kind"] == "yours"] == [
        "mine"
    ]
    status, out, err = say("show", "mine")
    assert (status, err) == (0, "")
    words = " ".join(out.split())
    for part in (
        "mine A title", "yours, single-label, 3 labels, windows of 0.2 s at 8000 Hz; ready", "A note.", "low, middle, high",
        "Made: added.", "Gradient: passes.", "Made of: TorchScript, SHA-256", f"Kept as {own_data}",
    ):  # fmt: skip
        assert part in words
    assert say("remove", "mine") == (0, "mine is removed.\n", "")
    assert_told(say("show", "mine"), 2, "There is no model 'mine'")
    assert_told(say("remove", "mine"), 2, "There is no model 'mine'")


def test_as_json(say, brought, tmp_path):
    archive = tmp_path / "m.zip"
    archive.write_bytes(packed({path.name: path.read_bytes() for path in brought.iterdir()}))
    status, out, err = say("add", archive, "--json")
    added = json.loads(out)
    assert (status, err) == (0, "")
    assert (added["name"], added["kind"], added["gradients"]) == ("foreign", "yours", True)
    assert (added["sample_rate"], added["window"], tuple(added["labels"])) == (RATE, WINDOW, LABELS)
    assert added["card"]["gradient"]["verdict"] == "pass"
    assert json.loads(say("show", "foreign", "--json")[1]) == added
    assert json.loads(say("remove", "foreign", "--json")[1]) == {"removed": "foreign"}


def test_a_black_box_is_shown_as_one(say, tmp_path):
    onnx_of(network(), tmp_path / "w.onnx")
    describe(tmp_path, "w.onnx")
    words = " ".join(say("add", tmp_path)[1].split())
    assert "no gradients" in words
    assert "Gradient: No gradient reaches the waveform: only attacks that need none can be used on this model." in words


def test_what_goes_wrong_is_one_line(say, brought, tmp_path):
    assert_told(say("add", tmp_path / "nowhere"), 1, "There is no ")
    assert_told(say("add", brought / "w.pt"), 1, "needs a model.toml beside it")
    assert_told(say("add", brought, "--name", TOY), 2, "bundled model called toy-instruments")
    assert_told(say("add", brought, "--name", "a/b"), 1, "'a/b' cannot be a model's name")
    say("add", brought)
    assert_told(say("add", brought), 2, "You have a model called foreign already")
    assert say("add", brought, "--replace")[0] == 0
    (brought / "w.pt").write_bytes(b"\x80\x04")
    assert_told(say("add", brought, "--replace"), 1, "is a pickle")
    assert json.loads(say("show", "foreign", "--json")[1])["state"] == "ready"  # the former one is still there
    assert_told(say("remove", TOY), 2, "not one of your models")
    assert_told(say("add"), 2, "SOURCE")
    assert_told(say("remove"), 2, "required: M")
    assert_told(say("list", "what"), 2, "what")


def test_a_person_watching_sees_progress(say, brought, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    err = say("add", brought)[2]
    assert "Loading the model ..." in err and "Checking its gradient ..." in err
    assert err.endswith("\r\033[K")


CARD = {
    "made": "trained",
    "method": "musicnn-msd",
    "seconds": 12.3,
    "data": {
        "name": "genres", "source": "/music/genres", "clips": {"train": 1000, "validation": 20, "test": 30}, "groups": 90,
        "split": "by artist", "skipped": 2, "warnings": ["Two artists have one clip alone."],
    },
    "lineage": ["musicnn-msd", "genres"],
    "test": {
        "clips": 30, "clips_right": 24, "clip_accuracy": 0.8, "clip_interval": [0.6269, 0.905], "windows": 120,
        "window_accuracy": 0.75, "window_interval": [0.56, 0.87], "confusion": [[9, 1, 0], [2, 8, 0], [0, 3, 7]],
    },
    "gradient": {
        "reaches": True, "verdict": "fail", "sentence": "It does not.", "parity_verdict": "pass", "parity_sentence": "It fits.",
    },
}  # fmt: skip


def shown(monkeypatch, say, card, labels=LABELS) -> str:
    info = ModelInfo("mine", "Mine", "single-label", 16_000, 16_000, labels, kind="yours", card=card)
    monkeypatch.setattr(catalogue, "find_model", lambda name: info)
    return say("show", "mine")[1]


def test_a_card_is_shown_in_words(say, monkeypatch):
    out = shown(monkeypatch, say, CARD)
    words = " ".join(out.split())
    for part in (
        "Made: trained by musicnn-msd, in 12 s.",
        "Data: genres (/music/genres): 1,000 train, 20 validation, 30 test clips, split by artist.",
        "2 files could not be used.", "Two artists have one clip alone.",
        "Accuracy: 80.0 % of 30 test clips (95 % interval 62.7 to 90.5 %).",
        "Accuracy: 75.0 % of 120 test windows (95 % interval 56.0 to 87.0 %).",
        "Gradient: FAILS. It does not.", "Parity: passes. It fits.", "Made of: musicnn-msd; genres.",
    ):  # fmt: skip
        assert part in words
    rows = [line.split() for line in out.splitlines()]
    assert rows[rows.index(["(1)", "(2)", "(3)"]) + 1 :][:3] == [
        ["low", "(1)", "9", "1", "."],
        ["middle", "(2)", "2", "8", "."],
        ["high", "(3)", ".", "3", "7"],
    ]


def test_of_many_labels_the_worst_confusions_are_shown(say, monkeypatch):
    labels = tuple(f"label {k}" for k in range(20))
    confusion = [[5 if k == j else 0 for j in range(20)] for k in range(20)]
    confusion[3][7], confusion[1][2] = 4, 1
    out = shown(monkeypatch, say, {"test": {"confusion": confusion}}, labels)
    words = " ".join(out.split())
    assert "Most confused: 4 x label 3 taken for label 7 1 x label 1 taken for label 2" in words
    assert "(20)" not in words


@pytest.mark.parametrize(
    "card",
    [
        {},
        {"data": "words", "test": [1], "gradient": 3, "lineage": "x"},
        {
            "data": {"clips": 3, "warnings": "w"},
            "test": {"clip_accuracy": "good", "clip_interval": [1], "confusion": [[1]]},
        },
        {"test": {"confusion": [["a"] * 3] * 3, "clip_accuracy": True}, "made": 3, "seconds": "long"},
    ],
)
def test_a_card_that_anybody_wrote_is_shown_as_far_as_it_goes(say, monkeypatch, card):
    assert "mine" in shown(monkeypatch, say, card)


def test_published_models_name_their_source_licence_and_figures(say):
    words = " ".join(say("show", "musicnn-mtt")[1].split())
    for part in (
        "Licence: ISC; Copyright",
        "Citation: J. Pons, X. Serra",
        "Source: musicnn 0.1.0",
        "Tested: ROC AUC 0.907, PR",
    ):
        assert part in words
    assert "choral" in words and "Made: published" not in words


def test_of_very_many_labels_a_few_are_shown(say):
    out = say("show", "crepe-tiny")[1]
    assert "B0 +46 cents, C1 -34 cents" in out and "… B6 +26 cents (360 labels; --json names all)" in " ".join(
        out.split()
    )
    assert len(out) < 3000
    assert len(json.loads(say("show", "crepe-tiny", "--json")[1])["labels"]) == 360


def test_an_unknown_label_is_no_reason_to_list_hundreds():
    model = Classifier()
    model.name, model.labels = "crepe-tiny", LABELS_OF_CREPE
    with pytest.raises(UsageError, match=r"no label '440'; it knows B0 \+46 cents, .*, … \(360 labels\)\.$") as caught:
        model.index("440")
    assert str(caught.value).count("cents") == 10
    with pytest.raises(UsageError, match=r"did you mean A4 .* or A4"):
        model.index("a4")
    assert repr(one := catalogue.load_model(TOY)).startswith(
        f"<{type(one).__name__} {TOY}: single-label, 10 labels, windows of"
    )
