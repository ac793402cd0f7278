"""The main window: panels in docks, menus, status bar, messages. It shows the document and computes nothing."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, QChildEvent, QEvent, QSize, Qt, QTimer
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent, QDragEnterEvent, QDropEvent, QPaintEvent
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow, QMenu, QProgressBar, QTabBar, QTabWidget

from mirguard.analysis.spectrogram import SpectrogramSettings
from mirguard.errors import UsageError
from mirguard.playback.player import Player
from mirguard.workbench import layout
from mirguard.workbench.actions import KeyManners, fill_menus, make_actions
from mirguard.workbench.bench import Bench
from mirguard.workbench.control.adding import Adding, models_among
from mirguard.workbench.control.attacking import Attacking
from mirguard.workbench.control.browsing import Browsing
from mirguard.workbench.control.carrying import Carrying
from mirguard.workbench.control.checking import Checking
from mirguard.workbench.control.comparing import Comparing
from mirguard.workbench.control.detecting import Detecting
from mirguard.workbench.control.exporting import Exporting
from mirguard.workbench.control.generalising import Generalising
from mirguard.workbench.control.hardening import Hardening
from mirguard.workbench.control.learning import Learning
from mirguard.workbench.control.listening import Listening
from mirguard.workbench.control.loading import Loading
from mirguard.workbench.control.measuring import Measuring
from mirguard.workbench.control.modelling import Modelling
from mirguard.workbench.control.picturing import Picturing
from mirguard.workbench.control.probing import Probing
from mirguard.workbench.control.stepping import Stepping
from mirguard.workbench.control.transmitting import Transmitting
from mirguard.workbench.control.weighing import Weighing
from mirguard.workbench.deeds import Deeds
from mirguard.workbench.dialogs.new_classifier import stop_wanted
from mirguard.workbench.messages import Messages
from mirguard.workbench.panels.browser.panel import BrowserPanel
from mirguard.workbench.panels.channel import ChannelPanel
from mirguard.workbench.panels.checks import ChecksPanel
from mirguard.workbench.panels.clips import ClipsPanel
from mirguard.workbench.panels.designer import DesignerPanel
from mirguard.workbench.panels.detectors import DetectorsPanel
from mirguard.workbench.panels.labels import LabelsPanel
from mirguard.workbench.panels.parts import Elided, named
from mirguard.workbench.panels.playback import PlaybackPanel
from mirguard.workbench.panels.response import ResponsePanel
from mirguard.workbench.panels.spectrograms import SpectrogramsPanel
from mirguard.workbench.panels.trace import TracePanel
from mirguard.workbench.panels.transfer import TransferPanel
from mirguard.workbench.settings import Settings
from mirguard.workbench.theme import THEMES, app_icon, apply_theme, notifier
from mirguard.workbench.wiring import wire

SIZE = QSize(1600, 1000)
SMALLEST = QSize(960, 620)
FRAME = QSize(8, 44)  # what a desktop's own frame and title may take, about


class Window(QMainWindow):
    """Made once. `start` begins the work behind it, so that it can be on the screen before."""

    def __init__(self, settings: Settings | None = None, player: Player | None = None) -> None:
        super().__init__()
        self._soon = None
        self.settings = settings or Settings()
        self.bench = Bench(player, self)
        self.document = self.bench.document
        self.loading = Loading(self.bench, self.settings)
        self.modelling = Modelling(self.bench, self.settings, self)
        self.picturing = Picturing(self.bench, self)
        self.listening = Listening(self.bench, self.settings, self)
        self.attacking = Attacking(self.bench, self)
        self.transmitting = Transmitting(self.bench, self.listening, self)
        self.detecting = Detecting(self.bench, self)
        self.stepping = Stepping(self.bench, self)
        self.weighing = Weighing(self.bench, self)
        self.probing = Probing(self.bench, self)
        self.comparing = Comparing(self.bench, self)
        self.carrying = Carrying(self.bench, self)
        self.checking = Checking(self.bench, self)
        self.measuring = Measuring(self.bench, self)
        self.exporting = Exporting(self.bench, self)
        self.browsing = Browsing(self.bench, self.loading, self.listening, self)
        self.learning = Learning(self.bench, self)
        self.hardening = Hardening(self.bench, self.settings, self)
        self.generalising = Generalising(self.bench, self)
        self.adding = Adding(self.bench, self.modelling, self)

        self.clips = ClipsPanel()
        self.labels = LabelsPanel()
        self.detectors = DetectorsPanel()
        self.spectrograms = SpectrogramsPanel(self._kept_spectrogram_settings())
        self.designer = DesignerPanel()
        self.channel = ChannelPanel()
        self.playback = PlaybackPanel()
        self.browser = BrowserPanel()
        self.trace = TracePanel()
        self.response = ResponsePanel()
        self.transfer = TransferPanel()
        self.checks = ChecksPanel()
        panels = {place.name: getattr(self, place.name) for place in layout.PLACES}
        self.docks = layout.make_docks(self, panels)
        self.messages = Messages(self)
        self.deeds = Deeds(self)
        self._build_frame()
        self.actions_by_name = make_actions(self, self.deeds.table())
        self._build_menus()
        self.manners = KeyManners(QApplication.instance(), self)
        wire(self)
        self.setAcceptDrops(True)
        self._restore()

    def start(self, files: list[str] | None = None, model: str | None = None) -> None:
        """Load the model and the files named; look for sound devices."""
        self.modelling.start(model)
        self.listening.find_devices()
        if files:
            self.loading.open(files)

    def start_soon(self, files: list[str] | None = None, model: str | None = None) -> None:
        """The same once the window has been painted, so that nothing delays its first picture."""
        self._soon = lambda: self.start(files, model)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._soon is not None:
            work, self._soon = self._soon, None
            QTimer.singleShot(0, self, work)

    # --- the frame ---

    def _build_frame(self) -> None:
        self.setObjectName("workbench")
        self.setWindowIcon(app_icon())
        self.setMinimumSize(SMALLEST)
        self.setDockOptions(
            QMainWindow.DockOption.AllowNestedDocks
            | QMainWindow.DockOption.AllowTabbedDocks
            | QMainWindow.DockOption.AnimatedDocks
        )
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        bar = self.statusBar()
        bar.setSizeGripEnabled(False)
        self.status = Elided()
        named(self.status, "Status")
        self.status.setContentsMargins(8, 0, 8, 0)
        self.busy = QProgressBar()
        self.busy.setFixedSize(130, 8)
        self.busy.setTextVisible(False)
        named(self.busy, "Progress")
        self.busy.hide()
        self.model_status, self.device_status = QLabel(), QLabel()
        named(self.model_status, "Model in use")
        named(self.device_status, "Sound device in use")
        bar.addWidget(self.status, 1)
        for part in (self.busy, self.model_status, self.device_status):
            part.setContentsMargins(8, 0, 8, 0)
            bar.addPermanentWidget(part)
        self.show_title()

    def _build_menus(self) -> None:
        self.recent_menu = QMenu("Open &recent", self)
        self.recent_menu.aboutToShow.connect(self._fill_recent)
        theme_menu = QMenu("&Theme", self)
        group = QActionGroup(self)
        for name in THEMES:
            action = QAction({"system": "As the desktop"}.get(name, name.capitalize()), self)
            action.setCheckable(True)
            action.setChecked(name == self.settings.theme)
            action.triggered.connect(lambda _checked=False, name=name: self.set_theme(name))
            group.addAction(action)
            theme_menu.addAction(action)
        panels_menu = QMenu("&Panels", self)
        for dock in self.docks.values():
            panels_menu.addAction(dock.toggleViewAction())
        submenus = {"recent": self.recent_menu, "theme": theme_menu, "panels": panels_menu}
        fill_menus(self, self.actions_by_name, submenus)

    def _fill_recent(self) -> None:
        self.recent_menu.clear()
        for path in self.settings.recent:
            action = self.recent_menu.addAction(path.name)
            action.setToolTip(str(path))
            action.triggered.connect(lambda _checked=False, path=path: self.loading.open([path]))
        if self.recent_menu.isEmpty():
            self.recent_menu.addAction("No files yet").setEnabled(False)
        else:
            self.recent_menu.addSeparator()
            self.recent_menu.addAction("Clear the list").triggered.connect(self.settings.clear_recent)

    def show_title(self) -> None:
        entry = self.document.current
        self.setWindowTitle(f"{entry.name} · MIRGuard" if entry else "MIRGuard")

    def set_theme(self, name: str) -> None:
        self.settings.theme = name
        apply_theme(QApplication.instance(), name)

    def _kept_spectrogram_settings(self) -> SpectrogramSettings:
        plain = SpectrogramSettings()
        kept = {
            name: self.settings.spectrogram(name, getattr(plain, name))
            for name in ("scale", "colours", "floor_db", "ceiling_db")
        }
        try:
            return SpectrogramSettings(**kept)
        except UsageError:
            return plain

    # --- size and docks between starts ---

    def arrange(self) -> None:
        """Every panel in the place where it began."""
        layout.arrange(self, self.docks, self.width(), self.height())

    def _restore(self) -> None:
        geometry: QByteArray = self.settings.geometry
        if geometry.isEmpty() or not self.restoreGeometry(geometry):
            room = self.screen().availableGeometry().size() - FRAME
            self.resize(room.boundedTo(SIZE).expandedTo(SMALLEST))
        docks: QByteArray = self.settings.docks
        self.arrange()
        if not docks.isEmpty():
            self.restoreState(docks)
            self._arranged = True
        else:
            # Once more when the window has the size that it really gets.
            self._arranged = False

    def childEvent(self, event: QChildEvent) -> None:
        # Qt makes the tabs of docks that share a place as they are needed.
        if event.polished() and isinstance(event.child(), QTabBar):
            named(event.child(), "Panels in one place")
        super().childEvent(event)

    def showEvent(self, event: QEvent) -> None:
        super().showEvent(event)
        if not self._arranged:
            self._arranged = True
            QTimer.singleShot(0, self, self.arrange)

    # --- files dropped ---

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            models, sounds = models_among(paths)
            for model in models[:1]:
                self.adding.add(model)
            if len(models) > 1:
                self.bench.say(f"Models are added one at a time; drop {models[1].name} again when this one is there.")
            if sounds:
                self.loading.open(sounds)

    # --- the end ---

    def quit(self) -> None:
        """Close, unless a training is running that the person wants to keep."""
        if self._may_close():
            self.close()

    def _may_close(self) -> bool:
        course = self.learning.course
        return not course.training or course.cancelling or stop_wanted(self)

    def closeEvent(self, event: QCloseEvent) -> None:
        if event.spontaneous() and not self._may_close():  # by its frame
            event.ignore()
            return
        if not self.isFullScreen():
            self.settings.geometry = self.saveGeometry()
        self.settings.docks = self.saveState()
        self.settings.sync()
        self.manners.end()
        notifier().changed.disconnect(self.playback.restyle)
        notifier().changed.disconnect(self.checks.restyle)
        self.browser.finish_note()
        self.bench.close()
        self.browsing.finish()
        event.accept()
