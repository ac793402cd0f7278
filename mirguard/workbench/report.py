"""A result on one page of HTML that holds everything it shows: picture and sounds are inside the file."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Iterable
from pathlib import Path

from mirguard import __version__
from mirguard.analysis.measures import compare
from mirguard.errors import FileError
from mirguard.workbench.document import Document
from mirguard.workbench.facts import Entry

MOST_SOUND_BYTES = 12_000_000  # a longer sound stays beside the page

STYLE = """
:root { color-scheme: light dark; --muted: #667; --line: #8884; --good: #146c3c; --bad: #b81d24; }
@media (prefers-color-scheme: dark) { :root { --muted: #a3aab5; --good: #6bd693; --bad: #ff8080; } }
body { font: 15px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.2rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p.lead { color: var(--muted); margin-top: 0; } img { max-width: 100%; border-radius: 6px; }
table { border-collapse: collapse; } td, th { padding: 0.25rem 1.2rem 0.25rem 0; text-align: left; }
tr + tr { border-top: 1px solid var(--line); } th { color: var(--muted); font-weight: 500; }
.good { color: var(--good); } .bad { color: var(--bad); } audio { width: 24rem; max-width: 100%; }
pre { overflow-x: auto; font-size: 13px; }
"""


def write_report(path: Path, document: Document, entry: Entry, exports: Iterable, picture: Path) -> Path:
    """Write the page on a clip's result; raises FileError."""
    page = _page(document, entry, list(exports), picture)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _page(document: Document, entry: Entry, exports: list, picture: Path) -> str:
    outcome = entry.outcome
    heard = outcome.exported.decision
    verdict = (
        f"<p class=good>The exported sound is heard as <b>{_text(heard.label)}</b> instead of "
        f"<b>{_text(outcome.clean.label)}</b>.</p>"
        if outcome.success
        else f"<p class=bad>The exported sound is still heard as <b>{_text(heard.label)}</b>.</p>"
    )
    figures = {name: value for name, value in compare(entry.clip, outcome.clip).items() if value is not None}
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{_text(entry.name)} · MIRGuard</title><style>{STYLE}</style>",
        f"<h1>{_text(entry.name)}</h1>",
        f"<p class=lead>{_text(outcome.experiment.attack)} on {_text(document.model.title)}, MIRGuard {__version__}</p>",
        verdict,
        f"<img alt='The workbench with this result' src='{_data(picture, 'image/png')}'>",
        "<h2>Labels</h2>",
        _labels(outcome),
        "<h2>Detector</h2>",
        _readings(document, entry),
        "<h2>Measures of the exported sound</h2>",
        _table((name, _figure(value)) for name, value in figures.items()),
        "<h2>Sounds</h2>",
        "".join(_sound(export) for export in exports),
        "<h2>What made it</h2>",
        f"<pre>{_text(json.dumps(outcome.to_json(), indent=2, ensure_ascii=False, default=str))}</pre>",
    ]
    return "\n".join(parts) + "\n"


def _labels(outcome) -> str:
    after = dict(zip(outcome.exported.decision.labels, outcome.exported.decision.probabilities, strict=True))
    names = dict.fromkeys([name for name, _ in outcome.clean.top(5)] + [n for n, _ in outcome.exported.decision.top(5)])
    before = dict(zip(outcome.clean.labels, outcome.clean.probabilities, strict=True))
    rows = "".join(f"<tr><td>{_text(n)}<td>{before[n]:.1%}<td>{after[n]:.1%}" for n in names)
    return f"<table><tr><th>label<th>original<th>adversarial{rows}</table>"


def _readings(document: Document, entry: Entry) -> str:
    facts = document.reference
    if not entry.readings:
        return f"<p>{_text(facts.trouble if facts else 'There is no reading.')}</p>"
    rows = []
    for side, reading in entry.readings.items():
        verdict = "<b class=bad>flagged</b>" if reading.flagged else "<b class=good>passes</b>"
        rows.append(
            f"<tr><td>{side}<td>{reading.score:.3f}<td>{reading.threshold:.3f}<td>{reading.percentile:.0f}<td>{verdict}"
        )
    head = "<tr><th>sound<th>score<th>threshold<th>percentile<th>verdict"
    about = (
        f"Kernel density of layer {_text(facts.layer)} against {facts.size} clean clips; "
        f"threshold at {document.fpr:.1%} false positives. {_text(next(iter(entry.readings.values())).note)}"
    )
    return f"<table>{head}{''.join(rows)}</table><p>{about}</p>"


def _sound(export) -> str:
    line = f"{export.what.capitalize()}: {_text(export.path.name)}"
    if export.label:
        line += f", heard as {_text(export.label)} ({export.confidence:.0%})"
    if export.path.stat().st_size > MOST_SOUND_BYTES:
        return f"<p>{line}</p>"
    return f"<p>{line}<br><audio controls src='{_data(export.path, 'audio/wav')}'></audio></p>"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{_text(name)}<td>{_text(value)}" for name, value in rows) + "</table>"


def _figure(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.4g}"


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _text(value: object) -> str:
    return html.escape(str(value))
