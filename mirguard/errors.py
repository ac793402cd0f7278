"""What can go wrong in ways that a person can mend: each error's text is one sentence that says what and how.

The terminal prints the sentence and leaves with `status`; the window shows the same sentence as a message.
"""


class MirguardError(Exception):
    """Anything that is the world's fault and not the program's; the text is for the person in front of it."""

    status = 1


class FileError(MirguardError):
    """A file that cannot be read or written."""


class UsageError(MirguardError):
    """A request that makes no sense: unknown name, value out of range, target equal to the label."""

    status = 2


class Cancelled(Exception):
    """Raised at the next point of rest after somebody asked a job to stop."""
