"""What the window remembers between starts. A version number says in what shape it was kept, so that it can be migrated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QSettings

VERSION = 4  # 2: the dataset browser is among the docks; 3: trace, response and transfer matrix are; 4: the checks are
MOST_RECENT = 10
GEOMETRY, DOCKS = "window/geometry", "window/docks"


@dataclass(frozen=True)
class Ear:
    """The SNR in dB that a listener could just not tell from the original, how uncertain it is, and on which clip it was found."""

    snr_db: float
    spread: float
    clip: str


class Settings:
    """The person's settings, in an INI file of their own in the user's configuration folder."""

    def __init__(self, store: QSettings | None = None) -> None:
        self._store = store or QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "MIRGuard", "workbench")
        self._migrate()

    def _migrate(self) -> None:
        """Bring what an older version kept into today's shape; what a newer one kept is left alone but for the docks,
        whose arrangement nobody else understands."""
        kept = self._number("version", VERSION)
        if kept != VERSION:
            self._store.remove(DOCKS)
        self._store.setValue("version", max(kept, VERSION))

    def _text(self, key: str, default: str = "") -> str:
        value = self._store.value(key, default)
        return value if isinstance(value, str) else default

    def _number(self, key: str, default: float) -> Any:
        try:
            return type(default)(self._store.value(key, default))
        except (TypeError, ValueError):
            return default

    def _bytes(self, key: str) -> QByteArray:
        value = self._store.value(key, QByteArray())
        return value if isinstance(value, QByteArray) else QByteArray()

    def sync(self) -> None:
        self._store.sync()

    # --- the window ---

    @property
    def geometry(self) -> QByteArray:
        return self._bytes(GEOMETRY)

    @geometry.setter
    def geometry(self, value: QByteArray) -> None:
        self._store.setValue(GEOMETRY, value)

    @property
    def docks(self) -> QByteArray:
        return self._bytes(DOCKS)

    @docks.setter
    def docks(self, value: QByteArray) -> None:
        self._store.setValue(DOCKS, value)

    @property
    def theme(self) -> str:
        chosen = self._text("window/theme", "system")
        return chosen if chosen in ("system", "dark", "light") else "system"

    @theme.setter
    def theme(self, value: str) -> None:
        self._store.setValue("window/theme", value)

    # --- files ---

    @property
    def recent(self) -> list[Path]:
        """Files opened last, the latest first, those that are still there."""
        kept = self._store.value("files/recent", [])
        names = [kept] if isinstance(kept, str) else list(kept or [])
        return [Path(name) for name in names if isinstance(name, str) and Path(name).is_file()]

    def add_recent(self, path: str | Path) -> None:
        self._keep_recent([path, *(kept for kept in self.recent if kept != Path(path))])

    def forget_recent(self, path: str | Path) -> None:
        self._keep_recent([kept for kept in self.recent if kept != Path(path)])

    def clear_recent(self) -> None:
        self._keep_recent([])

    def _keep_recent(self, paths: list) -> None:
        self._store.setValue("files/recent", [str(path) for path in paths[:MOST_RECENT]])

    def folder(self, what: str) -> str:
        """The folder last used for opening, exporting or references; "" for none that still exists."""
        kept = self._text(f"folders/{what}")
        return kept if kept and Path(kept).is_dir() else ""

    def set_folder(self, what: str, folder: str | Path) -> None:
        self._store.setValue(f"folders/{what}", str(folder))

    # --- work ---

    @property
    def model(self) -> str:
        return self._text("model")

    @model.setter
    def model(self, value: str) -> None:
        self._store.setValue("model", value)

    @property
    def device(self) -> str | None:
        return self._text("sound/device") or None

    @device.setter
    def device(self, value: str | None) -> None:
        self._store.setValue("sound/device", value or "")

    @property
    def volume(self) -> float:
        return min(1.0, max(0.0, self._number("sound/volume", 0.8)))

    @volume.setter
    def volume(self, value: float) -> None:
        self._store.setValue("sound/volume", float(value))

    @property
    def fpr(self) -> float:
        return min(0.5, max(0.001, self._number("detector/fpr", 0.05)))

    @fpr.setter
    def fpr(self, value: float) -> None:
        self._store.setValue("detector/fpr", float(value))

    @property
    def ear(self) -> Ear | None:
        """What the last listening test found; None before the first."""
        snr_db, spread = self._number("ear/snr", math.nan), self._number("ear/spread", math.nan)
        return Ear(snr_db, spread, self._text("ear/clip")) if math.isfinite(snr_db) and math.isfinite(spread) else None

    @ear.setter
    def ear(self, value: Ear) -> None:
        for name, kept in (("snr", value.snr_db), ("spread", value.spread), ("clip", value.clip)):
            self._store.setValue(f"ear/{name}", kept)

    @property
    def unfinished(self) -> dict[str, str]:
        """What was asked for of models whose making was begun and is not over, by their names."""
        self._store.beginGroup("unfinished")
        names = self._store.childKeys()
        self._store.endGroup()
        return {name: self._text(f"unfinished/{name}") for name in names}

    def keep_unfinished(self, name: str, asked: str) -> None:
        self._store.setValue(f"unfinished/{name}", asked)

    def forget_unfinished(self, name: str) -> None:
        self._store.remove(f"unfinished/{name}")

    def spectrogram(self, name: str, default: str | float) -> Any:
        """One setting of the display ("scale", "colours", "floor_db", "ceiling_db")."""
        return (
            self._text(f"spectrogram/{name}", default)
            if isinstance(default, str)
            else self._number(f"spectrogram/{name}", default)
        )

    def set_spectrogram(self, name: str, value: str | float) -> None:
        self._store.setValue(f"spectrogram/{name}", value)
