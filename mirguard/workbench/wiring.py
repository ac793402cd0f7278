"""What leads where: panels' wishes to controllers, the document's changes to panels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mirguard.errors import MirguardError, UsageError
from mirguard.workbench import chains
from mirguard.workbench.bench import ERROR, WARNING
from mirguard.workbench.dataset_deeds import wire_browser
from mirguard.workbench.detector_deeds import wire_detectors
from mirguard.workbench.dialogs.sheets import DetailsDialog
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL, PERTURBATION
from mirguard.workbench.theme import notifier
from mirguard.workbench.views.area import Area

if TYPE_CHECKING:
    from mirguard.workbench.window import Window


def wire(window: Window) -> None:
    """Connect everything; panels, controllers and actions are there already."""
    _wishes(window)
    _news(window)
    _sound(window)
    _pictures(window)
    _channel(window)
    wire_browser(window, window.deeds.datasets)
    wire_detectors(window, window.deeds.detectors)
    for topic, callbacks in _shown(window).items():
        window.document.watch(topic, *callbacks)
    for show in (window.clips.show_clips, window.labels.show_labels, window.detectors.show_readings):
        show(window.document)
    window.designer.show_models(window.document)
    window.designer.show_design(window.document)
    window.channel.show_design(window.document)
    window.designer.show_run(window.document)
    window.document.set_fpr(window.settings.fpr)
    window.detectors.show_fpr(window.document)
    _enable(window)


def _wishes(window: Window) -> None:
    document, clips, designer = window.document, window.clips, window.designer
    clips.chosen.connect(document.choose)
    clips.removed.connect(document.remove)
    clips.open_wanted.connect(window.deeds.open)
    clips.demo_wanted.connect(window.loading.open_demo)

    designer.model_chosen.connect(window.modelling.choose)
    designer.card_wanted.connect(window.deeds.model_card)
    designer.attack_chosen.connect(lambda name: document.change_design(attack=name))
    designer.target_chosen.connect(lambda label: document.change_design(target=label))
    designer.surrogates_chosen.connect(lambda names: document.change_design(surrogates=names))
    designer.evasion_chosen.connect(lambda names: document.change_design(evade=names))
    designer.budget.ear_wanted.connect(window.deeds.ear_budget)
    designer.limited.connect(lambda on: document.change_design(limited=on))
    designer.restricted.connect(lambda restriction: document.change_design(restriction=restriction))
    designer.restriction.drawing.connect(window.deeds.restrict)
    window.spectrograms.drawing_wanted.connect(window.deeds.restrict)
    window.spectrograms.stack.areaDrawn.connect(lambda area: _restrict(window, area))
    designer.budget_changed.connect(lambda held, level: document.change_design(held=held, level=level))
    designer.value_changed.connect(document.set_value)
    designer.run_row.run_wanted.connect(window.attacking.run)
    designer.run_row.cancel_wanted.connect(window.attacking.cancel)
    designer.run_row.live_chosen.connect(window.deeds.live)

    window.trace.step_wanted.connect(window.stepping.to_look)
    window.trace.back_wanted.connect(window.stepping.back)
    window.transfer.run_wanted.connect(window.carrying.run)
    window.transfer.cancel_wanted.connect(window.carrying.cancel)
    window.transfer.export_wanted.connect(window.deeds.export_transfer)
    window.carrying.progressed.connect(window.transfer.show_progress)
    window.carrying.counted.connect(window.transfer.show_matrix)
    window.checks.run_wanted.connect(window.checking.run)
    window.checks.cancel_wanted.connect(window.checking.cancel)
    window.checking.begun.connect(window.checks.begin)
    window.checking.found.connect(window.checks.add)
    window.checking.progressed.connect(window.checks.show_progress)
    response, probing = window.response, window.probing
    window.docks["response"].visibilityChanged.connect(probing.show)
    window.docks["trace"].visibilityChanged.connect(window.trace.set_in_sight)
    response.reach_chosen.connect(probing.set_reach)
    response.surface_wanted.connect(probing.map)
    response.cancel_wanted.connect(probing.cancel)
    response.scale_wanted.connect(window.stepping.to_scale)
    probing.responded.connect(response.show_response)
    probing.mapped.connect(response.show_surface)

    window.detectors.fpr_chosen.connect(lambda fpr: _set_fpr(window, fpr))
    window.detectors.reference_wanted.connect(window.deeds.reference)
    window.detectors.cancel_wanted.connect(window.detecting.cancel_building)


def _set_fpr(window: Window, fpr: float) -> None:
    try:
        window.document.set_fpr(fpr)
    except UsageError as error:
        window.bench.say(str(error), ERROR)
    window.settings.fpr = window.document.fpr


def _news(window: Window) -> None:
    window.bench.said.connect(window.messages.say)
    browser = window.browser
    window.messages.keep_within(
        window.spectrograms.stack, browser.inner, browser.nothing_open, window.transfer.table, window.checks.split
    )
    window.messages.details_wanted.connect(
        lambda sentence, details: window.deeds.show(DetailsDialog(sentence, details, window))
    )
    window.modelling.loading.connect(lambda sentence, fraction: _show_busy(window, sentence, fraction))
    window.adding.working.connect(lambda sentence, fraction: _show_busy(window, sentence, fraction))
    window.generalising.working.connect(lambda sentence, fraction: _show_busy(window, sentence, fraction))
    window.adding.added.connect(window.deeds.show_card)
    window.detecting.building.connect(window.detectors.show_building)


def _show_busy(window: Window, sentence: str, fraction: float | None) -> None:
    window.status.setText(sentence)
    window.busy.setVisible(bool(sentence))
    window.busy.setRange(0, 0 if fraction is None else 1000)
    window.busy.setValue(round(1000 * (fraction or 0.0)))


def _sound(window: Window) -> None:
    listening, panel, player = window.listening, window.playback, window.bench.player
    panel.play_wanted.connect(listening.toggle)
    panel.stop_wanted.connect(listening.stop)
    panel.loop_wanted.connect(window.deeds.loop)
    panel.source_chosen.connect(listening.select)
    panel.gain_chosen.connect(listening.set_gain)
    panel.gain_suggestion_wanted.connect(listening.suggest_gain)
    panel.volume_chosen.connect(listening.set_volume)
    panel.device_chosen.connect(listening.set_device)
    panel.rescan_wanted.connect(listening.rescan)
    listening.devices_found.connect(lambda names: panel.set_devices(names, player.device))
    notifier().changed.connect(panel.restyle)

    def moved(seconds: float) -> None:
        there = window.document.current is not None
        heard = there or listening.auditioning
        panel.show_position(seconds if heard else 0.0, player.duration if heard else 0.0)
        window.spectrograms.show_playhead(seconds if there and not listening.auditioning else None)

    def changed() -> None:
        panel.show_player(player, listening.names, listening.gain_is_suggested)
        loop = player.loop if window.document.current is not None and not listening.auditioning else None
        window.spectrograms.show_loop(loop)
        window.actions_by_name["loop"].setChecked(loop is not None)
        limited = " · limited" if player.limiting else ""
        said = [f"Sound: {player.output}{limited}"] if player.output else []
        if window.transmitting.on:
            said.append("heard through the channel")
        window.device_status.setText(" · ".join(said))
        _enable(window)

    def begun() -> None:
        if player.selected == ORIGINAL:  # which is the same at every moment
            listening.select(ADVERSARIAL)

    window.stepping.begun.connect(begun)
    listening.moved.connect(moved)
    listening.changed.connect(changed)
    changed()


def _pictures(window: Window) -> None:
    panel, picturing = window.spectrograms, window.picturing
    panel.seek_wanted.connect(window.listening.seek)
    panel.loop_chosen.connect(window.listening.set_loop)
    panel.window_chosen.connect(picturing.set_window)
    panel.settings_changed.connect(lambda settings: _keep_spectrogram(window, settings))
    panel.window_chosen.connect(window.weighing.set_window)
    panel.saliency_wanted.connect(window.weighing.show)
    panel.saliency.chosen.connect(window.weighing.choose)
    window.weighing.weighed.connect(panel.show_saliency)
    picturing.pictured.connect(panel.show_picture)
    picturing.stale.connect(panel.stack.set_stale)
    picturing.outlined.connect(panel.show_outline)
    picturing.sounded.connect(window.listening.put)


def _keep_spectrogram(window: Window, settings) -> None:
    for name in ("scale", "colours", "floor_db", "ceiling_db"):
        window.settings.set_spectrogram(name, getattr(settings, name))


def _shown(window: Window) -> dict[str, tuple]:
    """By topic of the document, what has to be shown again."""
    document = window.document

    def with_document(*shows):
        return tuple(lambda show=show: show(document) for show in shows)

    clips, labels = window.clips.show_clips, window.labels.show_labels
    readings, design = window.detectors.show_readings, window.designer.show_design
    trace, result = window.trace.show_trace, window.response.show_result
    models, run, progress = window.designer.show_models, window.designer.show_run, window.designer.show_progress

    def frame() -> None:
        _enable(window)
        model = document.model
        window.model_status.setText(model.title if model else "")
        window.spectrograms.saliency.set_labels(model.labels if model else ())
        window.show_title()
        _waiting(window)

    return {
        "clips": (*with_document(clips), frame),
        "current": (*with_document(clips, labels, design, readings, run, trace, result), frame),
        "labels": with_document(clips, labels),
        "models": (*with_document(models, window.transfer.show_models), window.deeds.show_models, frame),
        "model": (
            *with_document(models, design, clips, labels, readings, run, trace, window.transfer.show_models),
            *with_document(window.checks.show_model),
            frame,
        ),
        "design": (lambda: _show_area(window), *with_document(design, run, labels, readings), frame),
        "run": (*with_document(run, labels, readings, trace), frame),
        "live": with_document(progress, labels, trace),
        "outcome": (*with_document(clips, labels, run, readings, trace, result), frame),
        "moment": (
            *with_document(labels, window.trace.show_moment, window.response.show_moment),
            lambda: _show_moment(window),
        ),
        "baseline": with_document(labels),
        "readings": with_document(readings),
        "reference": (*with_document(readings, design), frame),
        "fpr": with_document(window.detectors.show_fpr, readings),
    }


def _show_moment(window: Window) -> None:
    moment = window.document.moment
    for side in (ADVERSARIAL, PERTURBATION):
        window.spectrograms.stack.views[side].set_moment(moment.words if moment else "")


def _channel(window: Window) -> None:
    panel, transmitting, document = window.channel, window.transmitting, window.document

    def change(how, *arguments, **values) -> None:
        try:
            document.change_design(chain=how(document.design.chain, *arguments, **values))
        except MirguardError as error:
            window.bench.say(str(error), WARNING)
            panel.show_design(document)

    panel.added.connect(lambda effect, values: change(chains.added, effect, **values))
    panel.removed.connect(lambda place: change(chains.removed, place))
    panel.moved.connect(lambda place, by: change(chains.moved, place, by))
    panel.value_changed.connect(lambda place, name, value: change(chains.changed, place, name, value))
    panel.robust_chosen.connect(lambda on: document.change_design(robust=on))
    panel.draws_chosen.connect(lambda draws: document.change_design(draws=draws))
    panel.hearing_wanted.connect(transmitting.set_on)
    panel.draw_wanted.connect(transmitting.draw_anew)
    panel.count_wanted.connect(transmitting.measure)
    transmitting.switched.connect(panel.show_hearing)
    transmitting.passed.connect(panel.show_passed)
    transmitting.counting.connect(panel.show_counting)
    transmitting.counted.connect(panel.show_survived)
    document.watch("design", lambda: panel.show_design(document))


def _restrict(window: Window, area: Area | None) -> None:
    """A finished drag, None for one that went nowhere: either way the panes show again what holds."""
    document = window.document
    if area is not None:
        document.change_design(restriction=replace(document.design.restriction, time=area.time, band=area.band))
    _show_area(window)


def _show_area(window: Window) -> None:
    restriction = window.document.design.restriction
    window.spectrograms.stack.set_area(Area(restriction.time, restriction.band))


def _waiting(window: Window) -> None:
    """What the panes without a picture say."""
    entry = window.document.current
    if window.document.run is not None:
        texts = {ADVERSARIAL: "The attack has begun …", PERTURBATION: "The attack has begun …"}
    else:
        texts = {
            ADVERSARIAL: "Run an attack to see what it does to the sound",
            PERTURBATION: "The difference between adversarial and original appears here",
        }
    texts["original"] = "Drop a song here" if entry is None else "Drawing …"
    window.spectrograms.set_waiting(texts)


def _enable(window: Window) -> None:
    """Actions that make no sense now are greyed."""
    document, actions = window.document, window.actions_by_name
    entry = document.current
    names = window.listening.names
    there = entry is not None
    possible = {
        "export": there and entry.outcome is not None,
        "close-clip": there,
        "run": there and document.model is not None and not document.attack_trouble,
        "model-card": bool(document.models),
        "universal": document.model is not None,
        "reference": document.model is not None,
        "measure-detectors": document.reference is not None and bool(document.reference.detectors),
        "listening-test": there and entry.outcome is not None,
        "swap": "adversarial" in names,
        "hear-adversarial": "adversarial" in names,
        "hear-perturbation": "perturbation" in names,
    }
    heard = there or window.listening.auditioning
    possible |= {"play": heard, "stop": heard}
    for name in ("loop", "loop-start", "loop-end", "start", "end", "hear-original"):
        possible[name] = there
    for name, on in possible.items():
        actions[name].setEnabled(on)
