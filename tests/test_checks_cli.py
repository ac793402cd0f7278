"""`mirguard check`: what it prints, and how it ends."""

from __future__ import annotations

import json

import pytest
from checked_models import clips
from nets import curved

from mirguard import cli
from mirguard.checks import check as room
from mirguard.checks.finding import FAIL, NOT_APPLICABLE, PASS, WARN, Finding, table
from mirguard.clip import save_clip

FOUND = [
    Finding("SC-01", "One", PASS, "All is well.", table(("attack", "p"), [("fgsm", 0.123456), ("pgd", 1.0)]), 0.5),
    Finding("SC-02", "Two", WARN, "Look at it.", table(("much",), [("word " * 60,)])),
    Finding("SC-03", "Three", NOT_APPLICABLE, "It gives no gradient.", table((), ())),
]


@pytest.fixture
def asked(monkeypatch):
    """What the command asks of the room, which answers with the findings given."""
    calls, answer = [], list(FOUND)

    def check(model, clips, **options):
        calls.append((model.name, clips, options))
        for found in answer:
            if options["each"] is not None:
                options["each"](found)
        return answer

    monkeypatch.setattr(room, "check", check)
    return calls, answer


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["check", *arguments])
    return (status, *capsys.readouterr())


def test_it_prints_verdicts_sentences_and_evidence(asked, capsys):
    status, out, err = run(capsys, "toy-instruments")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[:5] == [
        "SC-01  pass  One",
        "        All is well.",
        "          attack   p",
        "          fgsm     0.12",
        "          pgd      1",
    ]
    assert "SC-02  WARN  Two" in lines and "SC-03  –     Three" in lines
    assert max(map(len, lines)) <= 122, "long cells go on in the next line"
    assert lines[-1].startswith("toy-instruments: 1 passed, 1 to be looked at, 1 not applicable; ") and lines[
        -1
    ].endswith(" s")


def test_a_failed_check_is_status_1(asked, capsys):
    asked[1].append(Finding("SC-10", "Ten", FAIL, "It is wrong.", table((), ())))
    status, out, err = run(capsys, "toy-instruments")
    assert status == 1 and err == "" and "SC-10  FAIL  Ten" in out and "1 FAILED" in out


def test_options_reach_the_room(asked, capsys, tmp_path):
    options = ["--only", "SC-03", "1", "--snr", "20", "--count", "5", "--seed", "4", "--surrogate", "toy-instruments-b"]
    assert run(capsys, "toy-instruments", "--clips", str(tmp_path), *options)[0] == 0
    ((model, where, given),) = asked[0]
    assert (model, where) == ("toy-instruments", str(tmp_path))
    assert given["ids"] == ["SC-01", "SC-03"] and (given["snr"], given["count"], given["seed"]) == (20.0, 5, 4)
    assert [one.name for one in given["surrogates"]] == ["toy-instruments-b"]


def test_json_is_one_document(asked, capsys):
    status, out, err = run(capsys, "toy-instruments", "--json")
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert [found["id"] for found in document["findings"]] == ["SC-01", "SC-02", "SC-03"]
    assert document["findings"][0]["evidence"] == {
        "columns": ["attack", "p"],
        "rows": [["fgsm", 0.123456], ["pgd", 1.0]],
    }
    assert {"model", "model_hash", "snr_db", "count", "seed", "seconds"} < set(document)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["toy-instruments", "--only", "SC-99"], "There is no check"),
        (["toy-instruments", "--count", "0"], "at least one window"),
        (["no-such-model"], "There is no model"),
        (["toy-instruments", "--clips", "/no/such/folder"], "There is no folder"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments, words, capsys):
    status, out, err = run(capsys, *arguments)
    assert status in (1, 2) and out == "" and words in err and err.count("\n") == 1


def test_a_few_checks_on_a_folder(capsys, tmp_path):
    """The whole way, on a bundled model and a person's sounds."""
    model = curved(window=32_000)
    for number, clip in enumerate(clips(2, model)):
        save_clip(clip, tmp_path / f"{number}.wav")
    status, out, _err = run(
        capsys, "toy-instruments", "--clips", str(tmp_path), "--only", "13", "15", "16", "18", "--json"
    )
    found = {one["id"]: one for one in json.loads(out)["findings"]}
    assert status == 0
    assert [one["verdict"] for one in found.values()] == [PASS, NOT_APPLICABLE, PASS, PASS]
    assert found["SC-13"]["evidence"]["rows"][0] == ["right, attacked and counted", 2]
