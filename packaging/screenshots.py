"""Make the pictures of the workbench that the README shows, from the program's own window.

    python packaging/screenshots.py               # resources/screenshots/workbench-dark.png and workbench-light.png
    python packaging/screenshots.py --all DIR     # besides, every state of the window at three sizes, to look at

To be run with the environment's Python (.venv/bin/python). It needs neither screen nor network: the bundled clip is
attacked off-screen with the bundled model.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["QT_QPA_PLATFORM"] = "offscreen"

import numpy as np  # noqa: E402
from PySide6.QtCore import QPoint, QRect  # noqa: E402
from PySide6.QtGui import QColor, QImage, QPainter  # noqa: E402
from PySide6.QtWidgets import QDialog, QWidget  # noqa: E402

from mirguard.attacks.restriction import FREE, Restriction  # noqa: E402
from mirguard.channel.chain import link  # noqa: E402
from mirguard.datasets.toy_files import make_toy  # noqa: E402
from mirguard.workbench.collection.collection import LABELLED, REVIEW  # noqa: E402
from mirguard.workbench.demonstration import BUDGETS, MODEL_OF_THE_DEMO_CLIP, SIZE  # noqa: E402
from mirguard.workbench.dialogs.detectors_measured import DetectorsMeasuredDialog  # noqa: E402
from mirguard.workbench.dialogs.harden import RESULT as HARDENED  # noqa: E402
from mirguard.workbench.dialogs.harden import HardenDialog  # noqa: E402
from mirguard.workbench.dialogs.model_card import ModelCard  # noqa: E402
from mirguard.workbench.dialogs.new_classifier import RESULT, NewClassifierDialog  # noqa: E402
from mirguard.workbench.dialogs.sheets import about, key_sheet  # noqa: E402
from mirguard.workbench.dialogs.sheets import guide as first_steps  # noqa: E402
from mirguard.workbench.guide import Guide, guided_window  # noqa: E402
from mirguard.workbench.theme import colours  # noqa: E402

THEMES = ("dark", "light")
SMALL = (1280, 720)
LOOKS = ((SIZE, 1), (SMALL, 1), (SMALL, 2))  # sizes in logical pixels, and scales
LOOP, PLAYHEAD = (2.4, 4.8), 3.3  # seconds
STEPS = 40
REPORT = 5.0, 20  # dB, clips: an attack that fools the model on enough of them
SHADE, EXACT = 8, 6  # steps between shades of a channel; colours that are left as they are


def main() -> int:
    options = _options()
    if options.states:
        for theme in THEMES:
            _write_states(options.all, theme, tuple(options.size), options.states)
        return 0
    folder = ROOT / "resources" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    for theme in THEMES:
        with tempfile.TemporaryDirectory() as kept, guided_window(Path(kept), theme, SIZE) as guide:
            _open_demo(guide)
            _finish_attack(guide)
            path = folder / f"workbench-{theme}.png"
            in_few_colours(picture(guide.window)).save(str(path), "PNG", 0)  # 0: as small as it gets
            print(f"{path.stat().st_size / 1024:5.0f} KiB  {path}", flush=True)
    if options.all:
        options.all.mkdir(parents=True, exist_ok=True)
        for size, scale in LOOKS:
            # The scale is fixed when Qt starts: a program of its own for each.
            command = [sys.executable, __file__, "--all", str(options.all), "--states", str(scale)]
            command += ["--size", *map(str, size)]
            subprocess.run(command, check=True, env={**os.environ, "QT_SCALE_FACTOR": str(scale)})
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", type=Path, metavar="DIR", help="write every state of the window into this folder too")
    parser.add_argument("--states", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def _open_demo(guide: Guide) -> None:
    guide.load_model(MODEL_OF_THE_DEMO_CLIP)
    guide.open(None)


def _finish_attack(guide: Guide) -> None:
    """The clip attacked, with a region looped and the playhead in it."""
    guide.window.document.set_value("steps", STEPS)
    for level in BUDGETS:
        if guide.attack(level).outcome.success:
            break
    guide.read_detector()
    guide.draw()
    guide.window.listening.set_loop(LOOP)
    guide.window.listening.seek(PLAYHEAD)
    guide.window.listening.select("adversarial")
    guide.live(0.5)


# --- every state ---


def _write_states(folder: Path, theme: str, size: tuple[int, int], scale: int) -> None:
    with tempfile.TemporaryDirectory() as kept, guided_window(Path(kept), theme, size) as guide:
        os.environ["MIRGUARD_DATA"] = kept  # what is made for the pictures is not for the person to keep
        for number, (name, shown) in enumerate(_states(guide, Path(kept))):
            path = folder / f"{size[0]}x{size[1]}@{scale}-{theme}-{number:02d}-{name}.png"
            shown.save(str(path))
            print(path, flush=True)


def _states(guide: Guide, scratch: Path) -> Iterator[tuple[str, QImage]]:
    """One after another, what a person gets to see from an empty window on."""
    window, document = guide.window, guide.window.document
    guide.live(0.3)
    yield "starting", picture(window)
    guide.load_model(MODEL_OF_THE_DEMO_CLIP)
    guide.live(0.5)
    yield "empty", picture(window)
    guide.open(None)
    guide.wait("the pictures", lambda: window.spectrograms.stack.spectrogram("original") is not None)
    guide.wait("the detector", lambda: "original" in document.current.readings)
    guide.live(0.3)
    yield "loaded", picture(window)
    document.set_value("steps", 1000)
    document.set_value("stop_early", False)
    document.change_design(held="snr", level=BUDGETS[0], target=document.model.labels[-1])
    window.attacking.run()
    guide.wait("the attack", lambda: document.run is None or (document.run.last and document.run.last.gradients > 25))
    guide.wait("the pictures", lambda: window.spectrograms.stack.spectrogram("perturbation") is not None)
    yield "attacking", picture(window)
    window.attacking.cancel()
    guide.wait("the attack", lambda: document.run is None)
    guide.draw()
    guide.live(0.5)
    yield "cancelled", picture(window)
    document.change_design(values={}, target=None)
    _finish_attack(guide)
    yield "done", picture(window)
    window.listening.select("perturbation")
    window.spectrograms.stack.show_times(1.5, 5.5)
    guide.live(0.5)
    yield "perturbation", picture(window)
    window.spectrograms.stack.fit()
    window.designer.parameters.more.setChecked(True)
    guide.live(0.3)
    yield "more-settings", picture(window)
    window.designer.parameters.more.setChecked(False)
    document.change_design(restriction=Restriction((1.2, 3.45), (500.0, 4000.0)))
    window.deeds.restrict(True)
    guide.live(0.3)
    yield "restricted", picture(window)
    window.deeds.restrict(False)
    window.designer.where.head.setChecked(False)
    document.change_design(restriction=FREE, chain=(link("room"), link("noise")))
    window.docks["channel"].raise_()
    window.channel.hear.click()
    guide.wait("the channel", lambda: window.channel.heard["adversarial"].text())
    yield "channel", picture(window)
    document.change_design(chain=())
    window.docks["designer"].raise_()
    document.change_design(attack="noise", level=50.0)
    guide.live(0.3)
    yield "stale", picture(window)
    document.change_design(attack="pgd", level=BUDGETS[0])
    yield from _sheets(guide, scratch)
    yield from _detectors(guide)
    bad = scratch / "shopping list.wav"
    bad.write_text("bread, butter, cheese\n")
    empty = scratch / "empty.flac"
    empty.touch()
    window.loading.open([bad, empty])
    guide.live(0.5)
    window.bench.say("The exported sound is shorter by one sample than the clip it was made from.", "warning")
    window.bench.say("The reference for musicnn-mtt holds 212 clips.")
    guide.live(0.3)
    guide.complaint = ""
    yield "messages", picture(window)
    window.messages.clear()
    other = next(info for info in document.models if info.name != document.model.name)
    window.detecting.building.emit("Hearing Aretha_Franklin_live_at_a_place_with_a_long_name.mp3 (12 of 212) …", 0.06)
    guide.live(0.2)
    window.docks["detectors"].raise_()
    guide.live(0.2)
    yield "building-reference", picture(window)
    window.detecting.building.emit("", None)
    window.modelling.loading.emit(f"Fetching the weights of {other.title} …", 0.4)
    guide.live(0.2)
    yield "fetching", picture(window)
    window.modelling.loading.emit("", None)
    sounds = make_toy(scratch / "toy", 60, 0, workers=1).folder
    yield from _browser(guide, sounds)
    yield from _wizard(guide, sounds)
    yield from _hardening(guide)


def _detectors(guide: Guide) -> Iterator[tuple[str, QImage]]:
    """What detectors say of an attack that evades two of them, and the report on all of them."""
    window, document = guide.window, guide.window.document
    document.change_design(evade=("kde", "mahalanobis"), level=BUDGETS[2])
    document.set_value("steps", STEPS * 4)
    window.docks["detectors"].raise_()
    guide.attack(BUDGETS[2])
    guide.wait("the detectors", lambda: len(document.current.readings.get("adversarial", ())) > 9)
    guide.live(0.5)
    yield "evaded", picture(window)
    table = window.detectors.table
    table.setCurrentItem(table.topLevelItem(table.topLevelItemCount() - 1))
    guide.live(0.3)
    yield "detector-of-sets", picture(window)
    document.change_design(evade=(), level=BUDGETS[0])
    document.set_value("steps", STEPS)
    window.actions_by_name["measure-detectors"].trigger()
    dialog = window.findChild(DetectorsMeasuredDialog)
    guide.live(0.3)
    yield "detectors-measured-empty", picture(window, dialog)
    form = dialog.form
    form.attack.setCurrentIndex(form.attack.findData("fgsm"))
    form.snr.setValue(REPORT[0])
    form.count.setValue(REPORT[1])
    dialog.run_button.click()
    guide.wait("the report", lambda: "evading" in dialog.state.text() or dialog.report)
    guide.live(0.2)
    yield "detectors-measuring", picture(window, dialog)
    guide.wait("the report", lambda: dialog.report)
    dialog.choose("kde")
    guide.live(0.3)
    yield "detectors-measured", picture(window, dialog)
    dialog.log.setChecked(True)
    guide.live(0.3)
    yield "detectors-measured-log", picture(window, dialog)
    dialog.close()
    guide.live(0.2)


def _hardening(guide: Guide) -> Iterator[tuple[str, QImage]]:
    """The dialog for a hardened model: begun, stopped, taken up again, done."""
    window = guide.window
    window.actions_by_name["harden"].trigger()
    dialog = window.findChild(HardenDialog)
    guide.live(0.4)
    yield "harden", picture(window, dialog)
    dialog.setup.toy.setValue(100)
    dialog.setup.form.changed.emit("epochs", 4)
    dialog.next_button.click()
    guide.wait("the training", lambda: len(window.hardening.course.epochs) > 1)
    yield "hardening", picture(window, dialog)
    dialog.reject()
    guide.wait("the training", lambda: not window.hardening.course.training)
    dialog.back_button.click()
    guide.live(0.3)
    yield "harden-interrupted", picture(window, dialog)
    dialog.setup.resume_button.click()
    guide.wait("the training", lambda: dialog.page == HARDENED)
    guide.live(0.4)
    yield "hardened", picture(window, dialog)
    dialog.close()
    guide.live(0.2)


def _browser(guide: Guide, sounds: Path) -> Iterator[tuple[str, QImage]]:
    """The dataset browser: what the model makes of labelled sounds, and a queue to decide on."""
    window, browsing = guide.window, guide.window.browsing
    window.docks["browser"].show()
    window.docks["browser"].raise_()
    guide.live(0.3)
    yield "browser-empty", picture(window)
    for mode, source in ((LABELLED, sounds), (REVIEW, sounds / "audio" / "test")):
        browsing.open(source, mode)
        guide.wait("the dataset", lambda mode=mode: browsing.collection and browsing.collection.mode == mode)
        guide.wait("its labels", lambda: browsing.hearing.progress.state == "done")
        guide.live(0.6)
        yield f"browser-{mode}", picture(window)
        if mode == LABELLED:
            window.browser.head.confusion_button.setChecked(True)
            guide.live(0.3)
            yield "browser-confusion", picture(window)
            window.browser.head.confusion_button.setChecked(False)
    browsing.close()
    window.docks["spectrograms"].raise_()
    guide.live(0.2)


def _wizard(guide: Guide, sounds: Path) -> Iterator[tuple[str, QImage]]:
    """The wizard for a new classifier, from the folder to the result, and the card of what it made."""
    window = guide.window
    window.deeds.new_classifier(sounds)
    dialog = window.findChild(NewClassifierDialog)
    guide.wait("the folder", lambda: dialog.next_button.isEnabled())
    guide.live(0.5)
    yield "wizard-data", picture(window, dialog)
    dialog.next_button.click()
    dialog.method.choose(MODEL_OF_THE_DEMO_CLIP)
    guide.wait("the split", lambda: dialog.next_button.isEnabled())
    guide.live(0.5)
    yield "wizard-method", picture(window, dialog)
    dialog.next_button.click()
    guide.wait("the training", lambda: dialog.page == RESULT)
    guide.live(0.5)
    yield "wizard-result", picture(window, dialog)
    dialog.close()
    guide.live(0.3)
    window.deeds.model_card(MODEL_OF_THE_DEMO_CLIP)
    card = window.findChild(ModelCard)
    guide.live(0.3)
    yield "model-card", picture(window, card)
    card.close()


def _sheets(guide: Guide, scratch: Path) -> Iterator[tuple[str, QImage]]:
    """The dialogs."""
    window = guide.window
    window.settings.set_folder("export", scratch)
    window.deeds.export()
    dialog = window.findChild(QDialog)
    guide.live(0.3)
    yield "export", picture(window, dialog)
    results: list = []
    window.exporting.exported.connect(results.append)
    dialog.export_button.click()
    guide.wait("a file", lambda: len(results) == 2)
    guide.live(0.3)
    yield "exported", picture(window, dialog)
    dialog.close()
    guide.live(0.2)
    for name, sheet in (
        ("keys", key_sheet),
        ("guide", first_steps),
        ("about", lambda parent: about("/home/ada", parent)),
    ):
        page = sheet(window)
        page.open()
        guide.live(0.2)
        yield name, picture(window, page)
        page.close()
        page.deleteLater()
        guide.live(0.1)


# --- pictures ---


def picture(window: QWidget, dialog: QWidget | None = None) -> QImage:
    """The window as it is, with the dialog in its middle."""
    shown = window.grab().toImage()
    if dialog is not None:
        above = dialog.grab().toImage()
        ratio = shown.devicePixelRatio()
        place = QPoint((window.width() - dialog.width()) // 2, (window.height() - dialog.height()) // 2)
        painter = QPainter(shown)
        painter.fillRect(QRect(QPoint(0, 0), window.size()), QColor(0, 0, 0, 70))
        painter.drawImage(place, above)
        painter.setPen(QColor(colours().border))
        painter.drawRect(QRect(place, dialog.size()))
        painter.end()
        shown.setDevicePixelRatio(ratio)
    return shown


def in_few_colours(image: QImage) -> QImage:
    """The same with the finer shades of the spectrograms left out, which halves the file: nobody sees them."""
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    height, width = image.height(), image.width()
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(height, image.bytesPerLine())[:, : 3 * width]
    found, which, counts = np.unique(rows.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    coarse = np.minimum(255, (found.astype(int) + SHADE // 2) // SHADE * SHADE).astype(np.uint8)
    # Flat surfaces and lines of the interface keep their exact colour.
    exact = np.argsort(-counts, kind="stable")[:EXACT]
    coarse[exact] = found[exact]
    pixels = np.ascontiguousarray(coarse[which.reshape(-1)].reshape(height, 3 * width))
    return QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


if __name__ == "__main__":
    sys.exit(main())
