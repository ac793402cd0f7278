"""Are the sounds what they are taken for, and what is counted: windows or files? SC-18 and SC-19."""

from __future__ import annotations

from collections import Counter

from mirguard.checks.files import logits_of
from mirguard.checks.finding import PASS, WARN, Judgement, not_applicable, table
from mirguard.checks.record import Record
from mirguard.checks.statistics import Rate, rate
from mirguard.datasets.fingerprint import fingerprint, matches
from mirguard.datasets.labelled import some
from mirguard.datasets.leakage import check_leakage
from mirguard.models.decision import decide
from mirguard.models.tracks import Track, window_logits
from mirguard.words import counted

VOTE = "the mean of the windows' probabilities"


def nothing_leaks(record: Record) -> Judgement:
    """SC-18: of a labelled set, all its items and its split; of clips alone, whether a recording comes twice."""
    dataset = record.sounds.dataset
    if dataset is None:
        return _repeated(record)
    found = check_leakage(dataset, lambda sentence, _done: record.tell(sentence), record.cancel)
    rows = [
        ("items", found.checked),
        (
            "parts",
            ", ".join(f"{part} {len(dataset.of(part))}" for part in ("train", "validation", "test") if dataset.of(part))
            or "not split",
        ),
        ("repeated recordings", len(found.duplicates)),
        ("of them in different parts", sum(pair.straddles for pair in found.duplicates)),
        ("groups in more than one part", len(found.straddling)),
        ("artists in more than one part", len(found.artists)),
    ]
    evidence = table(("", "found"), rows)
    trouble = found.leaks or found.duplicates or found.silent or found.unreadable
    return Judgement(WARN if trouble else PASS, found.sentences[0], evidence)


def _repeated(record: Record) -> Judgement:
    clips = record.sounds.clips
    if len(clips) < 2:
        return not_applicable("There is one clip, so no recording can come twice.")
    record.tell("looking for recordings that come twice")
    prints = [fingerprint(clip.mono(), clip.sample_rate) for clip in clips]
    found = [match for _done, part in matches(prints, record.cancel) for match in part]
    rows = [(clips[one.first].name, clips[one.second].name, f"{one.similarity:.2f}") for one in found]
    evidence = table(("clip", "is also", "similarity"), rows)
    if found:
        pairs = some(f"{rows[0]} and {rows[1]}" for rows in evidence.rows)
        return Judgement(WARN, f"Recordings that come twice, {counted(len(found), 'pair')}: {pairs}.", evidence)
    sentence = (
        f"No recording comes twice among {counted(len(clips), 'clip')}; whether the model has trained on one of "
        "them, only the split that it was trained with can say."
    )
    return Judgement(PASS, sentence, evidence)


def windows_and_files(record: Record) -> Judgement:
    """SC-19: the same counted in windows and in files, before the attack and after it, each window having its own δ."""
    model, sounds = record.model, record.sounds
    tracks = [Track(clip, model) for clip in sounds.clips]
    if all(track.windows == 1 for track in tracks):
        return not_applicable("Every clip is one window of this model, so windows and files are the same.")
    if not record.files.rows:
        return not_applicable("The model hears no whole file rightly, only windows, so no file can be attacked.")
    counts = Counter()
    for clip, truth in zip(sounds.clips, sounds.truths, strict=True):
        said = decide(window_logits(model, clip, record.pause), model.labels, model.task)
        truth = truth or said.label
        counts["windows"] += len(said.windows)
        counts["windows right"] += sum(label == truth for label in said.windows)
        counts["files"] += 1
        counts["files right"] += said.label == truth
        counts["majority right"] += Counter(said.windows).most_common(1)[0][0] == truth
    attacked = record.files
    z = logits_of(record, record.files_attacked())
    windows, files = rate(z.argmax(1) == attacked.labels), rate(attacked.right(z, record))
    before = Rate(counts["windows right"], counts["windows"]), Rate(counts["files right"], counts["files"])
    rows = [
        ("right before the attack", *map(str, before)),
        ("right before, by the most frequent window", "", str(Rate(counts["majority right"], counts["files"]))),
        (f"right at {record.snr:g} dB, of files that were right", str(windows), str(files)),
    ]
    sentence = (
        f"Counted in windows, accuracy falls from {before[0].value:.0%} to {windows.value:.0%}; in files, which vote by "
        f"{VOTE}, from {before[1].value:.0%} to {files.value:.0%}."
    )
    return Judgement(PASS, sentence, table(("", "of windows", "of files"), rows))
