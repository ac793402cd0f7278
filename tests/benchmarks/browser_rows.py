"""How late the window's event loop is while thousands of rows of the dataset browser are heard, and how long its table takes
to sort, to filter and to keep decisions.

    python tests/benchmarks/browser_rows.py [--rows 5000] [--seconds 10] [--folder DIR]

Results arrive as they would from a fast model: 20 every 100 ms. A timer of 10 ms says by how much each of its calls came
late; the target is 50 ms at the 99th percentile. With --folder, the sounds of a real folder are heard by the bundled model
instead. Qt draws off-screen where no screen is named.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEventLoop, QSettings, Qt, QTimer
from workbench import TOY, silent_player

from mirguard.datasets.labelled import Item
from mirguard.workbench.app import make_application
from mirguard.workbench.collection.collection import LABELLED, Collection
from mirguard.workbench.collection.filter import WRONG
from mirguard.workbench.collection.order import MISPREDICTED_FIRST, Order
from mirguard.workbench.collection.row import UNSURE, Heard
from mirguard.workbench.reviews import write_records
from mirguard.workbench.settings import Settings
from mirguard.workbench.window import Window

TICK_MS = 10
LABELS = tuple(f"class {number}" for number in range(10))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MIRGUARD_DATA"] = folder
        app = make_application()
        window = Window(Settings(QSettings(str(Path(folder, "s.ini")), QSettings.Format.IniFormat)), silent_player())
        window.resize(1600, 1000)
        window.show()
        window.deeds.datasets.raise_browser()
        app.processEvents()
        if options.folder:
            hear(window, options.folder, options.seconds)
        else:
            stream(window, options.rows, options.seconds)
            measure(app, window, options.rows, Path(folder))
        window.close()
    return 0


def wait(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def lateness(seconds: float) -> str:
    """Let the window live and say how late the ticks came."""
    late, last = [], [time.perf_counter()]

    def tick() -> None:
        now = time.perf_counter()
        late.append(max(0.0, 1000 * (now - last[0]) - TICK_MS))
        last[0] = now

    timer = QTimer(interval=TICK_MS, timerType=Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start()
    wait(round(1000 * seconds))
    timer.stop()
    half, most, worst = np.percentile(late, [50, 99, 100])
    return f"{half:.1f} ms at the median, {most:.1f} ms at the 99th percentile, {worst:.1f} ms at the worst"


def made(rows: int) -> Collection:
    items = [
        Item(Path(f"/music/{LABELS[n % 10]}/clip {n}.wav"), LABELS[n % 10], f"artist {n % 99}") for n in range(rows)
    ]
    collection = Collection.of("music", "/music", LABELLED, items, root=Path("/music"), labels=LABELS)
    collection.forget_heard(LABELS)
    collection.set_reference(50.0, tuple(map(float, range(300))))
    return collection


def result(number: int) -> Heard:
    label = LABELS[(number * 7 + number // 10) % 10]
    return Heard(label, (number % 997) / 997, ((label, 0.5), (LABELS[0], 0.2)), float(number % 101))


def stream(window: Window, rows: int, seconds: float) -> None:
    collection, panel = made(rows), window.browser
    panel.show_collection(collection, LABELS, window.document)
    numbers = iter(np.random.default_rng(0).permutation(rows).tolist())

    def arrive() -> None:
        news = {number for number, _ in zip(numbers, range(20), strict=False)}
        for number in news:
            collection.set_heard(number, result(number))
        panel.show_news(news)

    timer = QTimer(interval=100)
    timer.timeout.connect(arrive)
    timer.start()
    print(f"event loop late while {rows} rows are heard: {lateness(seconds)}")
    timer.stop()
    panel.show_collection(None, (), window.document)


def measure(app, window: Window, rows: int, folder: Path) -> None:
    collection, panel = made(rows), window.browser
    for number in range(rows):
        collection.set_heard(number, result(number))
    panel.show_collection(collection, LABELS, window.document)
    table = {
        "sort by surprise": lambda: panel.set_order(Order(MISPREDICTED_FIRST)),
        "sort by name": lambda: panel.set_order(Order("name")),
        "show mispredicted ones": lambda: panel.set_filter(status=WRONG),
        "show all again": panel.clear_filter,
        "count": collection.counts,
    }
    for words, work in table.items():
        began = time.perf_counter()
        work()
        app.processEvents()
        print(f"{words}: {1000 * (time.perf_counter() - began):.0f} ms")
    collection.decisions.decide(range(rows), UNSURE)
    began = time.perf_counter()
    write_records(folder / "decisions.json", "/music", collection.decisions.records())
    print(f"keep {rows} decisions (in the background): {1000 * (time.perf_counter() - began):.0f} ms")
    panel.show_collection(None, (), window.document)


def hear(window: Window, folder: Path, seconds: float) -> None:
    window.start([], TOY)
    while window.document.model is None:
        wait(20)
    window.deeds.datasets.show(folder)
    while window.browsing.collection is None or not window.browsing.collection.counts().heard:
        wait(20)
    began, before = time.perf_counter(), window.browsing.collection.counts().heard
    print(f"event loop late while {folder.name} is heard: {lateness(seconds)}")
    heard = window.browsing.collection.counts().heard - before
    print(f"{heard / (time.perf_counter() - began):.1f} clips heard a second")


if __name__ == "__main__":
    sys.exit(main())
