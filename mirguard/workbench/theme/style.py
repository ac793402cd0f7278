"""The style sheet: spacing and edges on top of Fusion, no more."""

from __future__ import annotations

from string import Template

from mirguard.resources import resource
from mirguard.workbench.theme.colours import Colours

_SHEET = Template("""
QToolTip { background: $raised; color: $text; border: 1px solid $border; padding: 4px 6px; }

QMainWindow::separator { background: $window; width: 6px; height: 6px; }
QMainWindow::separator:hover { background: $accent; }
QSplitter::handle { background: $window; }
QSplitter::handle:hover { background: $accent; }

QMenuBar { background: $window; color: $text; padding: 2px 4px; }
QMenuBar::item { background: transparent; padding: 4px 9px; border-radius: 4px; }
QMenuBar::item:selected, QMenuBar::item:pressed { background: $hover; }
QMenu { background: $raised; color: $text; border: 1px solid $border; padding: 4px; }
QMenu::item { padding: 5px 26px 5px 10px; border-radius: 4px; }
QMenu::icon { padding-left: 8px; }
QMenu::item:selected { background: $accent; color: $accent_text; }
QMenu::item:disabled { color: $disabled; background: transparent; }
QMenu::separator { height: 1px; background: $border; margin: 4px 8px; }

QToolBar { background: $window; border: none; border-bottom: 1px solid $border; padding: 3px 6px; spacing: 3px; }
QToolBar::separator { width: 1px; background: $border; margin: 5px 2px; }
QStatusBar { background: $window; color: $muted; border-top: 1px solid $border; }
QStatusBar::item { border: none; }

QCheckBox, QRadioButton { color: $text; spacing: 7px; }
QCheckBox:disabled, QRadioButton:disabled { color: $disabled; }
QCheckBox::indicator, QRadioButton::indicator, QMenu::indicator, QGroupBox::indicator {
    width: 14px; height: 14px; background: $base; border: 1px solid $edge; border-radius: 4px; }
QRadioButton::indicator { border-radius: 8px; }
QMenu::indicator { margin-left: 7px; }
QMenu::indicator:non-exclusive:unchecked, QMenu::indicator:exclusive:unchecked {
    background: transparent; border-color: transparent; }
QMenu[boxes="true"]::indicator:non-exclusive:unchecked { background: $base; border-color: $edge; }
QMenu[boxes="true"]::indicator:non-exclusive:unchecked:disabled { background: $raised; border-color: $border; }
QCheckBox::indicator:hover, QRadioButton::indicator:hover { border-color: $accent; }
QCheckBox::indicator:focus, QRadioButton::indicator:focus { border-color: $accent; }
QCheckBox::indicator:checked, QMenu::indicator:checked, QGroupBox::indicator:checked {
    background: $accent; border-color: $accent; image: url("$tick"); }
QCheckBox::indicator:checked:disabled { background: $disabled; border-color: $disabled; }
QRadioButton::indicator:checked { border: 5px solid $accent; width: 6px; height: 6px; background: $accent_text; }
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled { background: $window; border-color: $border; }

QDockWidget { color: $text; font-weight: 600; titlebar-close-icon: url("$dock_close");
              titlebar-normal-icon: url("$dock_float"); icon-size: 14px; }
QDockWidget::close-button, QDockWidget::float-button { border: none; border-radius: 4px; padding: 1px; }
QDockWidget::close-button:hover, QDockWidget::float-button:hover { background: $hover; }
QDockWidget::title { background: $window; text-align: left; padding: 6px 8px; border-bottom: 1px solid $border; }

QToolButton { background: transparent; color: $text; border: 1px solid transparent; border-radius: 5px; padding: 4px; }
QToolButton:hover { background: $hover; }
QToolButton:pressed { background: $pressed; }
QToolButton:checked { background: $checked; border-color: $accent; }
QToolButton:focus { border-color: $accent; }
QToolButton:disabled { color: $disabled; }
QToolButton[small="true"] { padding: 0px 5px; }
QToolButton[folds="true"] { padding: 3px 4px 3px 0px; }
QToolButton[folds="true"]:checked { background: transparent; border-color: transparent; }
QToolButton[folds="true"]:focus { border-color: $accent; }
QToolButton[popupMode="1"] { padding-right: 16px; }
QToolButton::menu-button { border: none; width: 14px; }

QPushButton { background: $raised; color: $text; border: 1px solid $border; border-radius: 5px;
              padding: 5px 14px; min-height: 16px; }
QPushButton:hover { background: $hover; }
QPushButton:pressed { background: $pressed; }
QPushButton:focus { border-color: $accent; outline: none; }
QPushButton::menu-indicator { image: url("$chevron_down"); width: 10px; height: 10px;
                              subcontrol-origin: padding; subcontrol-position: right center; right: 7px; }
QPushButton[menu="true"] { padding-right: 24px; }
QPushButton:checked { background: $checked; border-color: $accent; }
QPushButton:disabled { color: $disabled; background: $window; }
QPushButton[primary="true"] { background: $accent; color: $accent_text; border-color: $accent; font-weight: 600; }
QPushButton[primary="true"]:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton[primary="true"]:focus { border-color: $text; }
QPushButton[primary="true"]:disabled { background: $window; color: $disabled; border-color: $border; }

QLineEdit, QPlainTextEdit, QTextEdit, QAbstractSpinBox, QComboBox {
    background: $base; color: $text; border: 1px solid $border; border-radius: 5px; padding: 3px 6px;
    selection-background-color: $accent; selection-color: $accent_text; }
QLineEdit, QPlainTextEdit, QTextEdit { placeholder-text-color: $muted; }
QAbstractSpinBox, QComboBox, QLineEdit { min-height: 18px; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QAbstractSpinBox:focus, QComboBox:focus {
    border-color: $accent; }
QLineEdit:disabled, QAbstractSpinBox:disabled, QComboBox:disabled { color: $disabled; background: $window; }
QComboBox { padding-right: 2px; }
QComboBox::drop-down { border: none; width: 20px; }
QComboBox::down-arrow { image: url("$chevron_down"); width: 12px; height: 12px; }
QComboBox QAbstractItemView { background: $raised; color: $text; border: 1px solid $border; outline: none;
    selection-background-color: $accent; selection-color: $accent_text; }
QAbstractSpinBox { padding-right: 4px; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { border: none; background: transparent; width: 16px; }
QAbstractSpinBox::up-button:hover, QAbstractSpinBox::down-button:hover { background: $hover; border-radius: 3px; }
QAbstractSpinBox::up-arrow { image: url("$chevron_up"); width: 10px; height: 10px; }
QAbstractSpinBox::down-arrow { image: url("$chevron_down"); width: 10px; height: 10px; }

QSlider { min-height: 20px; }
QSlider::groove:horizontal { height: 4px; border-radius: 2px; background: $border; }
QSlider::sub-page:horizontal { height: 4px; border-radius: 2px; background: $accent; }
QSlider::handle:horizontal { width: 14px; height: 14px; margin: -5px 0; border-radius: 7px;
                             background: $text; border: none; }
QSlider::handle:horizontal:hover, QSlider::handle:horizontal:focus { background: $accent; }
QSlider::sub-page:horizontal:disabled { background: $border; }
QSlider::handle:horizontal:disabled { background: $disabled; }

QProgressBar { background: $base; border: 1px solid $border; border-radius: 5px; height: 14px;
               text-align: center; color: $text; }
QProgressBar::chunk { background: $accent_dim; border-radius: 4px; }

QTabWidget::pane { border: none; border-top: 1px solid $border; }
QTabBar::tab { background: transparent; color: $muted; padding: 6px 12px; border: none;
               border-bottom: 2px solid transparent; }
QTabBar::tab:hover { color: $text; }
QTabBar::tab:selected { color: $text; border-bottom: 2px solid $accent; }

QAbstractItemView { background: $base; color: $text; border: 1px solid $border; border-radius: 5px; outline: none;
                    alternate-background-color: $window; }
QListView::item, QTreeView::item { padding: 4px 6px; }
QListView::item:hover, QTreeView::item:hover, QTableView::item:hover { background: $hover; }
QListView::item:selected, QTreeView::item:selected, QTableView::item:selected {
    background: $accent; color: $accent_text; }
QHeaderView { background: $window; border: none; border-radius: 0; }
QTableCornerButton::section { background: $window; border: none; }
QHeaderView::section { background: $window; color: $muted; border: none; border-bottom: 1px solid $border;
                       padding: 4px 8px; }

QGroupBox { border: none; border-top: 1px solid $border; margin-top: 14px; padding-top: 8px; font-weight: 600; }
QGroupBox::title { subcontrol-origin: margin; left: 0px; padding: 0 6px 0 0; color: $muted; }

QScrollArea { border: none; background: transparent; }
QScrollBar:vertical { background: transparent; width: 11px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 11px; margin: 0; }
QScrollBar::handle { background: $scroll; border-radius: 4px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 28px; }
QScrollBar::handle:horizontal { min-width: 28px; }
QScrollBar::handle:hover { background: $muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }

QTableView[matrix="true"] { background: $window; border: none; border-radius: 0; }
QFrame[rule="true"] { background: $border; color: $border; border: none; max-height: 1px; }

QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }

QLabel[role="muted"] { color: $muted; }
QLabel[role="heading"] { font-weight: 600; }
QLabel[role="good"] { color: $good; }
QLabel[role="warning"] { color: $warning; }
QLabel[role="danger"] { color: $danger; }
QLabel[role="original"] { color: $original; }
QLabel[role="adversarial"] { color: $adversarial; }
""")


def style_sheet(chosen: Colours) -> str:
    """The style sheet in a set of colours."""
    values = {name: getattr(chosen, name) for name in chosen.__dataclass_fields__}
    values |= {
        "checked": mixed(chosen.accent, chosen.window, 0.22),
        "accent_hover": mixed(chosen.accent, chosen.text if chosen.name == "dark" else "#000000", 0.85),
        "accent_dim": mixed(chosen.accent, chosen.base, 0.45),
        "scroll": mixed(chosen.muted, chosen.window, 0.45),
        "edge": mixed(chosen.muted, chosen.window, 0.6),
        "tick": resource("icons", f"tick-on-{chosen.name}.svg").as_posix(),
        "dock_close": resource("icons", "dock-close.svg").as_posix(),
        "dock_float": resource("icons", "dock-float.svg").as_posix(),
        "chevron_down": resource("icons", "chevron-down.svg").as_posix(),
        "chevron_up": resource("icons", "chevron-up.svg").as_posix(),
    }
    return _SHEET.substitute(values)


def mixed(first: str, second: str, share: float) -> str:
    """`share` of the first colour in the second."""
    parts = [
        round(share * int(first[index : index + 2], 16) + (1 - share) * int(second[index : index + 2], 16))
        for index in (1, 3, 5)
    ]
    return "#" + "".join(f"{part:02x}" for part in parts)
