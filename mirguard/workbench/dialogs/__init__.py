"""Dialogs: exporting, the key sheet, help, and the details of what went wrong."""
