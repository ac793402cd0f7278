"""A result on one page of HTML that holds everything it shows: picture and sounds are inside the file."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mirguard.analysis.measures import compare
from mirguard.attacks.catalogue import find_attack
from mirguard.errors import FileError
from mirguard.words import counted
from mirguard.workbench.document import Document
from mirguard.workbench.facts import PERTURBATION, Entry
from mirguard.workbench.views.formats import MINUS
from mirguard.workbench.wording import looks, where

if TYPE_CHECKING:
    from mirguard.experiment import Experiment

MOST_SOUND_BYTES = 12_000_000  # a longer sound stays beside the page

# By their names in `mirguard compare`: title, unit, definition. d is what was added to the original x.
MEASURES = {
    "snr_db": ("Signal-to-noise ratio", "dB", "10·log₁₀(Σx²/Σd²) over all channels of the whole clip"),
    "snr_trimmed_db": ("SNR, trimmed", "dB", "the same without the first and last 2,048 samples"),
    "segmental_snr_db": (
        "SNR, segmental",
        "dB",
        "mean over frames of 25 ms, each limited to −10 … 35 dB, silent ones left out",
    ),
    "dbx_db": ("Loudest sample, relative", "dB", "20·log₁₀(max|d|/max|x|)"),
    "l2": ("L2", "", "√Σd², full scale being 1"),
    "rms": ("RMS", "", "√mean d², full scale being 1"),
    "linf": ("L∞", "", "max|d|, full scale being 1"),
    "masking_excess": ("Above the masking threshold", "dB", "by how much, over the time-frequency bins that are above"),
    "masking_share": ("Bins above the threshold", "", "share of all time-frequency bins"),
}

STYLE = """
:root { color-scheme: light dark; --muted: #667; --line: #8884; --good: #146c3c; --bad: #b81d24; }
@media (prefers-color-scheme: dark) { :root { --muted: #a3aab5; --good: #6bd693; --bad: #ff8080; } }
body { font: 15px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.2rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p.lead { color: var(--muted); margin-top: 0; } img { max-width: 100%; border-radius: 6px; }
table { border-collapse: collapse; } td, th { padding: 0.25rem 1.2rem 0.25rem 0; text-align: left; }
tr + tr { border-top: 1px solid var(--line); } th { color: var(--muted); font-weight: 500; }
.good { color: var(--good); } .bad { color: var(--bad); } audio { width: 24rem; max-width: 100%; }
.scroll { overflow-x: auto; } .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.about, figcaption { color: var(--muted); } figure { margin: 1rem 0; } code, pre { font-size: 13px; }
pre { overflow-x: auto; } td.hash { word-break: break-all; } summary { cursor: pointer; }
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
    attack = find_attack(outcome.experiment.attack)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{_text(entry.name)} · MIRGuard</title><style>{STYLE}</style>",
        f"<h1>{_text(entry.name)}</h1>",
        f"<p class=lead>{_text(attack.title)} ({_text(attack.reference)}) on {_text(document.model.title)}</p>",
        verdict,
        f"<figure><img alt='The workbench with this result' src='{_data(picture, 'image/png')}'></figure>",
        "<h2>Labels</h2>",
        _labels(outcome),
        "<h2>Detector</h2>",
        _readings(document, entry),
        "<h2>Measures of the exported sound</h2>",
        _measures(compare(entry.clip, outcome.clip)),
        "<h2>Sounds</h2>",
        "".join(_sound(export) for export in exports),
        "<h2>What made it</h2>",
        _made(document, entry),
        "<details><summary>All of it as JSON, as <code>mirguard attack --json</code> prints it</summary>",
        f"<pre>{_text(json.dumps(outcome.to_json(), indent=2, ensure_ascii=False, default=str))}</pre></details></html>",
    ]
    return "\n".join(parts) + "\n"


def _labels(outcome) -> str:
    after = dict(zip(outcome.exported.decision.labels, outcome.exported.decision.probabilities, strict=True))
    names = dict.fromkeys([name for name, _ in outcome.clean.top(5)] + [n for n, _ in outcome.exported.decision.top(5)])
    before = dict(zip(outcome.clean.labels, outcome.clean.probabilities, strict=True))
    rows = "".join(f"<tr><td>{_text(n)}<td class=number>{before[n]:.1%}<td class=number>{after[n]:.1%}" for n in names)
    return f"<table><tr><th>label<th>original<th>adversarial{rows}</table>"


def _readings(document: Document, entry: Entry) -> str:
    facts = document.reference
    if not entry.readings:
        return f"<p>{_text(facts.trouble if facts else 'There is no reading.')}</p>"
    rows = []
    for side, reading in ((side, one) for side, readings in entry.readings.items() for one in readings):
        if reading.score is None:
            rows.append(
                f"<tr><td>{side}<td>{reading.detector}<td><td><td><td>cannot tell<td class=about>{_text(reading.note)}"
            )
            continue
        verdict = "<b class=bad>flagged</b>" if reading.flagged else "<b class=good>passes</b>"
        rows.append(
            f"<tr><td>{side}<td>{reading.detector}<td class=number>{reading.score:.2f}<td class=number>{reading.threshold:.2f}"
            f"<td class=number>{reading.percentile:.0f}<td>{verdict}<td class=about>{_text(reading.note)}"
        )
    head = "<tr><th>sound<th>detector<th>score<th>threshold<th>percentile<th>verdict<th>compared with"
    about = (
        f"Scores against {facts.size} clean clips: the higher, the less like them. A threshold is where "
        f"{document.fpr:.1%} of the clean clips would be flagged, the percentile the share of clean scores below this one."
    )
    return f"<div class=scroll><table>{head}{''.join(rows)}</table></div><p class=about>{about}</p>"


def _measures(figures: dict[str, float | None]) -> str:
    rows = []
    for name, value in figures.items():
        title, unit, definition = MEASURES[name]
        shown = "none: the clip is silent" if value is None else f"{_figure(value)} {unit}"
        rows.append(
            f"<tr><td>{title}<td class=number>{shown}<td class=about>{_text(definition)}<td><code>{name}</code>"
        )
    head = "<tr><th>measure<th>value<th>definition<th>name"
    return f"<div class=scroll><table>{head}{''.join(rows)}</table></div>"


def _made(document: Document, entry: Entry) -> str:
    """Everything that it takes to make the same again."""
    outcome, clip, model = entry.outcome, entry.clip, document.model
    made = outcome.to_json()
    work = looks(outcome.gradients, outcome.forwards)
    channels = {1: "mono", 2: "stereo"}.get(clip.channels, f"{clip.channels} channels")
    aim = f"to be heard as {outcome.target}" if outcome.target else "to be heard as anything else"
    rows = [
        ("Clip", f"{entry.name}, {clip.duration:.2f} s, {clip.sample_rate} Hz, {channels}"),
        ("Hash of the clip", made["clip_hash"]),
        ("Model", f"{model.title} ({model.name}), {model.sample_rate} Hz, windows of {model.window} samples"),
        ("Hash of the model", made["model_hash"]),
        ("Attack", f"{outcome.experiment.attack}, {aim}"),
        *_conditions(outcome.experiment),
        ("Parameters", ", ".join(f"{name} {_value(value)}" for name, value in made["parameters"].items())),
        ("Seed", made["seed"]),
        ("Work", f"{work} in {outcome.seconds:.1f} s on {counted(made['threads'], 'thread')}"),
        ("Format", made["exported"]["subtype"]),
        ("Program", f"MIRGuard {made['version']}"),
    ]
    return "<table>" + "".join(f"<tr><th>{name}<td class=hash>{_text(value)}" for name, value in rows) + "</table>"


def _conditions(experiment: Experiment) -> list[tuple[str, str]]:
    """What the attacker knew, and what the perturbation was held to."""
    rows = [("Knowledge", experiment.knowledge)]
    if experiment.surrogates:
        rows.append(("Seen through", ", ".join(name for name, _hash in experiment.surrogates)))
    if experiment.restriction:
        rows.append(("Only in", where(experiment.restriction)))
    if experiment.channel:
        chain = " ".join(map(str, experiment.channel))
        rows.append(("Trained through", f"{chain}, {counted(experiment.draws, 'draw')}"))
    return rows


def _sound(export) -> str:
    line = f"{export.what.capitalize()}: {_text(export.path.name)}"
    if export.label:
        line += f", {'alone ' if export.what == PERTURBATION else ''}heard as {_text(export.label)} ({export.confidence:.0%})"
    if export.path.stat().st_size > MOST_SOUND_BYTES:
        return f"<p>{line}</p>"
    return f"<p>{line}<br><audio controls src='{_data(export.path, 'audio/wav')}'></audio></p>"


def _figure(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.4g}".replace("-", MINUS)


def _value(value: object) -> str:
    """A parameter in words; the JSON has every digit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _text(value: object) -> str:
    return html.escape(str(value))
