"""The transfer matrix in the window: made as a long job, shown, cancelled, exported."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import torch
from nets import curved, sounds

from mirguard.clip import Clip
from mirguard.errors import UsageError
from mirguard.experiment.insight.transfer_sounds import COLUMNS, as_csv, windows_of
from mirguard.experiment.transfer import Cell, TransferMatrix


def matrix() -> TransferMatrix:
    cells = (
        Cell((), "a", 0, 10),
        Cell((), "b", 1, 0 + 8),
        Cell(("a",), "a", 10, 10),
        Cell(("a",), "b", 6, 8),
        Cell(("a", "b"), "a", 9, 10),
        Cell(("a", "b"), "b", 0, 0),
    )
    return TransferMatrix("pgd", "untargeted", 30.0, 10, 0, ((), ("a",), ("a", "b")), ("a", "b"), cells)


def test_the_table_has_a_line_for_each_cell():
    lines = list(csv.DictReader(io.StringIO(as_csv(matrix()))))
    assert tuple(lines[0]) == COLUMNS and len(lines) == 6
    assert [line["made_on"] for line in lines[::2]] == ["white noise", "a", "a+b"]
    low, high = Cell(("a",), "b", 6, 8).interval
    assert (float(lines[3]["rate"]), float(lines[3]["low"]), float(lines[3]["high"])) == (0.75, low, high)
    assert (lines[2]["attacked_itself"], lines[3]["attacked_itself"]) == ("1", "0")
    assert (lines[5]["clips"], lines[5]["rate"]) == ("0", "")


def test_windows_are_shared_among_clips_and_silence_is_left_out():
    model = curved()
    long, short = (Clip(sounds(1, n, seed=n).numpy(), 16_000) for n in (5 * 1600, 2 * 1600))
    silent = Clip(np.zeros((1, 1600), np.float32), 16_000)
    x, truth = windows_of((long, short, silent), model, 6)
    assert x.shape == (6, 1600) and len(truth) == 6
    torch.testing.assert_close(x[1], torch.tensor(short.samples[0, :1600]))
    torch.testing.assert_close(x[2], torch.tensor(long.samples[0, 1600:3200]))
    assert truth == tuple(model.labels[k] for k in model.logits(x).argmax(1).tolist())
    with pytest.raises(UsageError, match="silent"):
        windows_of((silent,), model, 3)


# -- in the window -----------------------------------------------------------------------------------------------------


def test_cells_take_the_room_there_is_within_limits(qtbot):
    from mirguard.workbench.views.transfer_table import HEIGHT, LOW, NARROW, WIDTH, TransferTable

    table = TransferTable()
    qtbot.addWidget(table)
    table.show_matrix(matrix(), {})
    table.show()
    for size, width, height in (((900, 600), WIDTH, HEIGHT), ((300, 150), None, None), ((150, 80), NARROW, LOW)):
        table.resize(*size)
        assert NARROW <= table.columnWidth(0) <= WIDTH and LOW <= table.rowHeight(0) <= HEIGHT
        assert (width is None) or (table.columnWidth(1), table.rowHeight(1)) == (width, height)
        if size[0] >= 300:
            bars = table.horizontalScrollBar(), table.verticalScrollBar()
            qtbot.waitUntil(lambda bars=bars: all(bar.maximum() == 0 for bar in bars))


@pytest.fixture
def bench(qtbot, tmp_path):
    from workbench import Bench

    bench = Bench(qtbot, tmp_path)
    bench.start()
    bench.window.deeds.bring("transfer")
    panel = bench.window.transfer
    bench.until(lambda: len(panel.boxes) > 3)
    for name, box in panel.boxes.items():
        box.setChecked(name in ("toy-instruments", "toy-magnitude-mlp"))
    panel.attack.setCurrentIndex(panel.attack.findData("fgsm"))
    panel.sounds.setValue(10)
    panel.snr.setValue(20)
    yield bench
    bench.close()


def test_a_matrix_is_counted_shown_and_exported(bench, tmp_path, monkeypatch):
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QFileDialog

    panel = bench.window.transfer
    assert panel.empty.isVisible() and not panel.export_button.isEnabled()
    panel.run_button.click()
    assert panel.run_button.text() == "Cancel" and not panel.attack.isEnabled()
    bench.until(lambda: bench.window.carrying.matrix is not None)
    found = bench.window.carrying.matrix
    assert found.sources == ((), ("toy-instruments",), ("toy-magnitude-mlp",)) and found.sounds == 10
    assert panel.run_button.text() == "Run" and not panel.empty.isVisible()
    assert panel.attack.isEnabled() and not panel.state.isVisible()
    assert "untargeted, SNR 20 dB, 10 sounds. Rows: what the attack was made on" in panel.legend.text()
    table = panel.table
    assert (table.rowCount(), table.columnCount()) == (3, 2)
    assert table.verticalHeaderItem(0).text() == "White noise"
    own = found.cell(("toy-instruments",), "toy-instruments")
    tip = table.item(1, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert f"{own.hits} of {own.clips} clips" in tip and "95 % interval" in tip and "attacked itself" in tip
    assert own.rate > found.cell((), "toy-instruments").rate

    path = tmp_path / "matrix.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    panel.export_button.click()
    assert path.read_text() == as_csv(found)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "matrix.csv" / "x.csv"), ""))
    panel.export_button.click()
    assert any("cannot be written" in sentence for sentence in bench.sentences("error"))


def test_it_can_be_cancelled_and_needs_two_models(bench):
    panel = bench.window.transfer
    panel.attack.setCurrentIndex(panel.attack.findData("pgd"))
    panel.sounds.setValue(200)
    panel.run_button.click()
    bench.until(lambda: "sound" in panel.state.text())
    bench.window.actions_by_name["cancel"].trigger()
    bench.until(lambda: panel.run_button.text() == "Run")
    assert bench.window.carrying.matrix is None and panel.empty.isVisible()
    panel.boxes["toy-magnitude-mlp"].setChecked(False)
    assert not panel.run_button.isEnabled() and "two models" in panel.state.text()


def test_a_clip_that_is_open_can_be_carried_over(bench, tmp_path, noise):
    from mirguard.clip import save_clip

    panel = bench.window.transfer
    panel.source.setCurrentIndex(1)
    panel.run_button.click()
    assert bench.heard("Load the clips first")
    bench.load(save_clip(noise(seconds=4.0, level=0.2), tmp_path / "noise.wav"))
    panel.run_button.click()
    bench.until(lambda: bench.window.carrying.matrix is not None)
    assert bench.window.carrying.matrix.sounds == 2
