"""What identifies a model that is kept in files."""

from __future__ import annotations

import hashlib
import json

from mirguard.errors import FileError
from mirguard.models.model_file import ModelFile

_DECIDING = ("sample_rate", "window", "task", "labels", "representation", "output", "features", "network")


def file_hash(file: ModelFile) -> str:
    """SHA-256 of the weights' file and of what else in the model.toml decides the output; names and notes do not count."""
    document = file.document()
    deciding = {key: document[key] for key in _DECIDING if key in document}
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True, default=str).encode())
    try:
        with file.weights_path.open("rb") as weights:
            while piece := weights.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise FileError(f"{file.name}: {file.weights} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()
