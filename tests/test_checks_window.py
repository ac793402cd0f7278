"""The checks in the window: made as a long job, shown one by one, cancelled."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from mirguard.checks import check as room
from mirguard.checks.catalogue import CHECKS
from mirguard.checks.finding import FAIL, NOT_APPLICABLE, PASS, WARN, Finding, table
from mirguard.clip import save_clip
from mirguard.errors import UsageError
from mirguard.workbench.panels.checks import NOT_YET, ChecksPanel
from mirguard.workbench.theme import colours

FOUND = (
    Finding("SC-01", "One", PASS, "All is well.", table(("attack", "p"), [("fgsm", 0.123456), ("pgd", 1.0)])),
    Finding("SC-02", "Two", WARN, "Look at it.", table(("much",), [("word " * 60,)])),
    Finding("SC-03", "Three", FAIL, "It is broken.", table(("", "fooled"), [("pgd", "0 of 4")])),
    Finding("SC-05", "Five", NOT_APPLICABLE, "It gives no gradient.", table((), ())),
)


@pytest.fixture
def panel(qtbot):
    made = ChecksPanel()
    qtbot.addWidget(made)
    made.resize(700, 420)
    made.show()
    made.begin("Toy", 30.0, 32)
    return made


def colour(panel: ChecksPanel, row: int) -> QColor:
    return panel.list.item(row).foreground().color()


def test_all_checks_are_there_before_any_is_made(panel):
    assert [panel.list.item(row).text().split()[0] for row in range(panel.list.count())] == [one.id for one in CHECKS]
    panel.list.setCurrentRow(4)
    assert panel.asks.text() == CHECKS[4].asks and panel.sentence.text() == NOT_YET
    assert not panel.evidence.isVisible() and not panel.run_button.isEnabled()


def test_findings_are_coloured_by_verdict_and_show_their_evidence(panel):
    for found in FOUND:
        panel.add(found)
    chosen = colours()
    wanted = (chosen.text, chosen.warning, chosen.danger, chosen.muted)
    rows = [next(row for row, one in enumerate(CHECKS) if one.id == found.id) for found in FOUND]
    assert [colour(panel, row) for row in rows] == [QColor(name) for name in wanted]
    assert panel.list.currentRow() == rows[2], "what fails comes into sight"
    assert panel.sentence.text() == "It is broken." and panel.sentence.property("role") == "danger"
    assert panel.evidence.isVisible() and panel.evidence.item(0, 1).text() == "0 of 4"
    panel.list.setCurrentRow(rows[0])
    assert panel.evidence.item(0, 1).text() == "0.12" and panel.evidence.horizontalHeaderItem(0).text() == "attack"
    panel.list.setCurrentRow(rows[3])
    assert not panel.evidence.isVisible()
    said = panel.list.item(rows[1]).data(Qt.ItemDataRole.AccessibleDescriptionRole)
    assert said == "to be looked at. Look at it."
    panel.show_progress("", None)
    assert panel.state.text() == (
        f"Toy at 30 dB, 32 windows: 1 failed, 1 to be looked at, 1 passed, 1 not applicable, {len(CHECKS) - 4} not checked"
    )
    panel.begin("Toy", 20.0, 8)
    assert not panel.findings and panel.sentence.text() == NOT_YET


# -- in the window -----------------------------------------------------------------------------------------------------


@pytest.fixture
def bench(qtbot, tmp_path):
    from workbench import Bench

    bench = Bench(qtbot, tmp_path)
    bench.start()
    bench.window.actions_by_name["checks"].trigger()
    yield bench
    bench.close()


@pytest.fixture
def answered(monkeypatch):
    """What the engine is asked for, answered with the findings above."""
    asked = []

    def check(model, clips, **options):
        asked.append((model.name, clips, options))
        options["progress"]("SC-01 One: fgsm", 0.1)
        for found in FOUND:
            options["each"](found)
        return list(FOUND)

    monkeypatch.setattr(room, "check", check)
    return asked


def test_a_check_is_made_and_shown(bench, answered):
    panel = bench.window.checks
    bench.until(panel.run_button.isEnabled)
    panel.snr.setValue(20)
    panel.count.setValue(4)
    panel.run_button.click()
    assert panel.run_button.text() == "Cancel" and not panel.snr.isEnabled()
    bench.until(lambda: panel.run_button.text() == "Run")
    assert tuple(panel.findings.values()) == FOUND and panel.snr.isEnabled()
    ((model, clips, options),) = answered
    assert (model, clips, options["snr"], options["count"]) == ("toy-instruments", None, 20.0, 4)
    assert panel.state.text().startswith("Toy instruments at 20 dB, 4 windows: 1 failed")


def test_open_clips_can_be_what_is_attacked(bench, answered, tmp_path, noise):
    panel = bench.window.checks
    panel.source.setCurrentIndex(1)
    panel.run_button.click()
    assert bench.heard("Load the clips first") and not answered
    bench.load(save_clip(noise(seconds=3.0, level=0.2), tmp_path / "noise.wav"))
    panel.run_button.click()
    bench.until(lambda: answered)
    assert [clip.name for clip in answered[0][1]] == ["noise.wav"]


def test_what_cannot_be_checked_is_a_sentence(bench, monkeypatch):
    def check(*_arguments, **_options):
        raise UsageError("There is no sound to check with.")

    monkeypatch.setattr(room, "check", check)
    panel = bench.window.checks
    panel.run_button.click()
    bench.until(lambda: bench.sentences("error"))
    assert bench.sentences("error") == ["There is no sound to check with."]
    assert panel.run_button.text() == "Run" and panel.run_button.isEnabled()


def test_esc_stops_and_what_was_found_stays(bench):
    """The real checks: the first one is enough to see that they run, and that they stop."""
    panel = bench.window.checks
    panel.count.setValue(4)
    panel.run_button.click()
    bench.until(lambda: "SC-01" in panel.findings)
    bench.window.actions_by_name["cancel"].trigger()
    bench.until(lambda: panel.run_button.text() == "Run")
    assert "SC-01" in panel.findings and len(panel.findings) < len(CHECKS) and not panel.progress.isVisible()
    assert "Underpowered, 4 clips" in panel.findings["SC-01"].sentence
    assert "not checked" in panel.state.text() and not bench.sentences("error")
