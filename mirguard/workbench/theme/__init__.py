"""How the window looks: colours, style sheet, icons."""

from mirguard.workbench.theme.apply import THEMES, apply_theme, effective_theme, notifier
from mirguard.workbench.theme.colours import Colours, colours, contrast
from mirguard.workbench.theme.icons import ICONS, app_icon, bind_icon, icon, pixmap

__all__ = [
    "ICONS",
    "THEMES",
    "Colours",
    "app_icon",
    "apply_theme",
    "bind_icon",
    "colours",
    "contrast",
    "effective_theme",
    "icon",
    "notifier",
    "pixmap",
]
