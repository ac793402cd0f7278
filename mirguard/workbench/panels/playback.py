"""Transport: play, stop, loop; which of the three sounds is heard; how loud, and on what device."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from mirguard.playback.levels import MAX_GAIN_DB
from mirguard.workbench.actions import key_text, tip
from mirguard.workbench.facts import SIDES
from mirguard.workbench.panels.parts import check, combo, keyboard_only, label, named, silently, tool_button
from mirguard.workbench.theme import bind_icon, pixmap
from mirguard.workbench.views.formats import format_number, format_time

DEFAULT_DEVICE = "Default device"


class PlaybackPanel(QWidget):
    """Shows what the player does and asks for something else."""

    play_wanted = Signal()
    stop_wanted = Signal()
    loop_wanted = Signal(bool)
    source_chosen = Signal(str)
    gain_chosen = Signal(float)
    gain_suggestion_wanted = Signal()
    volume_chosen = Signal(float)
    device_chosen = Signal(object)  # a name, None for the default
    rescan_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._playing, self._devices = False, ()
        self.stop_button = tool_button("stop", "Stop", tip("stop"))
        self.play_button = tool_button("play", "Play", tip("play"))
        self.loop_button = tool_button("loop", "Loop", tip("loop"), checkable=True)
        self.stop_button.clicked.connect(self.stop_wanted)
        self.play_button.clicked.connect(self.play_wanted)
        self.loop_button.clicked.connect(self.loop_wanted)
        self.time = QLabel("0:00.0 / 0:00.0")
        self.time.setMinimumWidth(self.time.fontMetrics().horizontalAdvance("00:00.0 / 00:00.0"))
        self.time.setAlignment(Qt.AlignmentFlag.AlignCenter)
        named(self.time, "Position")

        self.sources = QButtonGroup(self)
        segments = QHBoxLayout()
        segments.setSpacing(2)
        for number, side in enumerate(SIDES, 1):
            button = QToolButton()
            button.setText(side.capitalize())
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setCheckable(True)
            bind_icon(button, side, side)
            keyboard_only(button)
            named(button, f"Hear the {side}", f"{tip(f'hear-{side}')}; {key_text('swap')} switches")
            button.clicked.connect(lambda _checked=False, side=side: self.source_chosen.emit(side))
            self.sources.addButton(button, number - 1)
            segments.addWidget(button)

        self.gain_label = label("Gain +0 dB")
        self.gain_label.setMinimumWidth(self.gain_label.fontMetrics().horizontalAdvance("Gain +80 dB "))
        self.gain_label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.gain = self._slider("Gain of the perturbation", -20, round(MAX_GAIN_DB))
        self.gain.setToolTip(
            "How much louder the perturbation is played than it is; double-click for the suggested gain"
        )
        self.gain.setMinimumWidth(64)
        self.gain.setMaximumWidth(150)
        self.gain.valueChanged.connect(lambda value: self.gain_chosen.emit(float(value)))
        self.auto_button = QToolButton()
        self.auto_button.setText("Auto")
        self.auto_button.setCheckable(True)
        keyboard_only(self.auto_button)
        named(self.auto_button, "Suggested gain", "Play the perturbation about as loud as the original")
        self.auto_button.clicked.connect(self._auto)

        self.volume_icon = QLabel()
        self.volume = self._slider("Volume", 0, 100)
        self.volume.setMinimumWidth(56)
        self.volume.setMaximumWidth(110)
        self.volume.valueChanged.connect(lambda value: self.volume_chosen.emit(value / 100.0))
        self.device = combo("Output device", "Where the sound is played", 10)
        self.device.setMaximumWidth(220)
        self.device.activated.connect(self._device)
        self.rescan_button = tool_button("device", "Look for devices again", "Look for sound devices again")
        self.rescan_button.clicked.connect(self.rescan_wanted)

        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 8, 6)
        row.setSpacing(4)
        for part in (self.stop_button, self.play_button, self.loop_button):
            row.addWidget(part)
        row.addSpacing(4)
        row.addWidget(self.time)
        row.addStretch(1)
        row.addLayout(segments)
        row.addWidget(self.gain_label)
        row.addWidget(self.gain, 2)
        row.addWidget(self.auto_button)
        row.addStretch(1)
        row.addWidget(self.volume_icon)
        row.addWidget(self.volume, 1)
        row.addSpacing(4)
        row.addWidget(self.device, 2)
        row.addWidget(self.rescan_button)
        self.set_devices(())
        self.restyle()

    def showEvent(self, event) -> None:
        """One row is all it needs: what a window grows by belongs to the pictures."""
        self.setMaximumHeight(self.layout().sizeHint().height())
        super().showEvent(event)

    @staticmethod
    def _slider(name: str, low: int, high: int) -> QSlider:
        made = QSlider(Qt.Orientation.Horizontal)
        made.setRange(low, high)
        made.setPageStep(5)
        keyboard_only(made)
        return named(made, name)

    def restyle(self) -> None:
        self.volume_icon.setPixmap(pixmap("volume", 18))

    def set_devices(self, names: tuple[str, ...], chosen: str | None = None) -> None:
        """The outputs there are; a chosen one that is not there is shown as such."""
        self._devices = names
        entries: list[tuple[str, str | None]] = [(DEFAULT_DEVICE if names else "No sound device", None)]
        entries += [(name, name) for name in names]
        if chosen is not None and chosen not in names:
            entries.append((f"{chosen} (not connected)", chosen))
        self.device.blockSignals(True)
        self.device.clear()
        for text, name in entries:
            self.device.addItem(text, name)
        self.device.setCurrentIndex(next((i for i, (_, name) in enumerate(entries) if name == chosen), 0))
        self.device.blockSignals(False)

    def show_player(self, player, names: tuple[str, ...], gain_is_suggested: bool) -> None:
        """The state of a playback.player.Player with these sounds to switch between."""
        there = bool(names)
        if player.playing != self._playing:
            self._playing = player.playing
            bind_icon(self.play_button, "pause" if self._playing else "play")
            self.play_button.setAccessibleName("Pause" if self._playing else "Play")
        for button in (self.stop_button, self.play_button, self.loop_button):
            button.setEnabled(there)
        check(self.loop_button, player.loop is not None)
        self.sources.setExclusive(False)
        for number, side in enumerate(SIDES):
            button = self.sources.button(number)
            button.setEnabled(side in names)
            check(button, there and side == player.selected)
        self.sources.setExclusive(there)
        gain = player.perturbation_gain_db
        silently(self.gain, self.gain.setValue, round(gain))
        self.gain_label.setText(f"Gain {'+' if gain >= 0 else ''}{format_number(gain, 0)} dB")
        self.gain_label.setEnabled(len(names) > 1)
        self.gain.setEnabled(len(names) > 1)
        self.auto_button.setEnabled(len(names) > 1)
        check(self.auto_button, gain_is_suggested)
        silently(self.volume, self.volume.setValue, round(100 * player.volume))

    def show_position(self, seconds: float, duration: float) -> None:
        text = f"{format_time(min(seconds, duration), 0.1)} / {format_time(duration, 0.1)}"
        if text != self.time.text():
            self.time.setText(text)

    def _auto(self, on: bool) -> None:
        if on:
            self.gain_suggestion_wanted.emit()
        else:
            self.gain_chosen.emit(float(self.gain.value()))

    def _device(self, index: int) -> None:
        self.device_chosen.emit(self.device.itemData(index))
