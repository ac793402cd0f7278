"""The designer for every attack: families, knowledge, stand-ins, targets, budgets that are none, queries."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from workbench import Bench

from mirguard.attacks import catalogue
from mirguard.attacks.attack import CONFIDENCE, GOAL, LIMIT, QUERIES, STEPS, Attack
from mirguard.attacks.catalogue import list_attacks
from mirguard.attacks.knowledge import LEVELS, LIMITED, ZERO
from mirguard.attacks.restriction import Restriction
from mirguard.channel.chain import link
from mirguard.clip import Clip, save_clip
from mirguard.models.catalogue import ModelInfo
from mirguard.workbench.design import Design
from mirguard.workbench.document import Document
from mirguard.workbench.facts import ModelFacts, Run, Snapshot
from mirguard.workbench.families import OTHERS, family, in_families
from mirguard.workbench.panels.designer import ANY, NEEDED, DesignerPanel
from mirguard.workbench.panels.run_row import words
from mirguard.workbench.panels.seen_through import ITSELF

SMALLEST = Attack(
    "smallest", "Smallest", "Help.", "Ref 2020", "mirguard.attacks.minimal:x", (LIMIT, STEPS, CONFIDENCE), norm="l2"
)
ASKING = Attack(
    "asking", "Asking", "Help.", "Ref 2021", "mirguard.attacks.score:x", (LIMIT, QUERIES), LIMITED, "linf", False, False
)
AIMED = Attack(
    "aimed", "Aimed", "Help.", "Ref 2013", "mirguard.attacks.lbfgs:x", (LIMIT, GOAL), norm="l2", untargeted=False
)
FACTS = ModelFacts("toy", "Toy", "A note.", "single-label", ("a", "b", "c"), 16000, 16000, (), "0")


@pytest.fixture
def more_attacks(monkeypatch):
    """Three made-up declarations besides those of the catalogue."""
    everything = (*list_attacks(), SMALLEST, ASKING, AIMED)
    monkeypatch.setattr(catalogue, "list_attacks", lambda: everything)
    return everything


@pytest.fixture
def document(more_attacks) -> Document:
    made = Document()
    made.attacks = more_attacks
    made.set_models(
        (
            ModelInfo("toy", "Toy", "single-label", 16000, 16000, ("a", "b", "c")),
            ModelInfo("twin", "Twin", "single-label", 22050, 22050, ("c", "b", "a")),
            ModelInfo("blind", "Blind", "single-label", 16000, 16000, ("a", "b", "c"), gradients=False),
            ModelInfo("other", "Other", "single-label", 16000, 16000, ("x", "y")),
            ModelInfo("broken", "Broken", "single-label", 16000, 16000, ("a", "b", "c"), state="unusable"),
        )
    )
    made.set_model(FACTS)
    return made


@pytest.fixture
def panel(qtbot, document) -> DesignerPanel:
    made = DesignerPanel()
    qtbot.addWidget(made)
    made.show_models(document)
    made.show_design(document)
    document.watch("design", lambda: made.show_design(document))
    return made


# --- the state ---


def test_every_attack_of_the_catalogue_has_a_family():
    assert [attack.name for attack in catalogue.ATTACKS if family(attack) == OTHERS] == []
    listed = [attack.name for _family, members in in_families(list_attacks()) for attack in members]
    assert sorted(listed) == sorted(attack.name for attack in list_attacks())
    assert all(attack.knowledge in LEVELS for attack in list_attacks())


def test_an_attack_that_seeks_the_smallest_has_no_budget_until_one_is_set(more_attacks):
    design = Design(attack="smallest", level=40.0)
    assert design.unlimited and "snr" not in design.options(0.1)
    assert design.resolved(0.1)["epsilon"] == LIMIT.default
    held = Design(attack="smallest", level=40.0, limited=True)
    assert held.options(0.1)["snr"] == 40.0 and held.resolved(0.1)["epsilon"] == pytest.approx(1e-3)
    assert Design(attack="pgd", level=40.0).options(0.1)["snr"] == 40.0


def test_an_l1_budget_goes_as_an_amplitude(more_attacks):
    design = Design(attack="pgd", level=40.0, values={"norm": "l1"})
    assert not design.has_snr and Design(attack="pgd").has_snr
    options = design.options(0.1)
    assert "snr" not in options and options["epsilon"] == pytest.approx(1e-3)


def test_options_hold_what_was_designed_and_nothing_that_the_attack_ignores(more_attacks):
    chain, restriction = (link("gain"),), Restriction((1.0, 2.0), (100.0, 200.0))
    design = Design(attack="pgd", target="b", restriction=restriction, chain=chain, draws=4, values={"steps": 7})
    options = design.options(0.1)
    assert (options["target"], options["restriction"], options["steps"]) == ("b", restriction, 7)
    assert "channel" not in options
    through = Design(attack="pgd", chain=chain, draws=4, robust=True).options(0.1)
    assert (through["channel"], through["draws"]) == (chain, 4)
    assert Design(attack="asking", target="b").options(0.1)["target"] is None  # it knows no target


def test_live_does_not_run_again_for_a_chain_that_the_attack_does_not_reckon_with(qtbot, tmp_path, tone):
    bench = Bench(qtbot, tmp_path)
    try:
        bench.start()
        bench.load(save_clip(tone(seconds=1.0, level=0.3), tmp_path / "song.wav"))
        bench.document.change_design(attack="noise", level=20.0)
        bench.window.deeds.live(True)
        bench.until(lambda: bench.document.current.outcome is not None and bench.document.run is None)
        first = bench.document.current.outcome
        bench.document.change_design(chain=(link("gain"),))
        qtbot.wait(300)
        assert bench.document.current.outcome is first and bench.document.run is None
        bench.document.change_design(restriction=Restriction((0.2, 0.6)))
        bench.until(lambda: bench.document.current.outcome is not first and bench.document.run is None)
        assert bench.document.current.outcome.experiment.restriction == Restriction((0.2, 0.6))
    finally:
        bench.close()


def test_a_chain_that_the_attack_does_not_reckon_with_leaves_its_result_fresh():
    plain = Design()
    assert plain.same_attack(Design(chain=(link("gain"),), draws=3))
    assert not plain.same_attack(Design(chain=(link("gain"),), robust=True))
    assert not plain.same_attack(Design(restriction=Restriction(masked=True)))
    assert not plain.same_attack(Design(surrogates=("twin",)))


def test_stand_ins_share_task_and_labels_and_go_when_the_model_changes(document):
    assert [info.name for info in document.stand_ins] == ["twin", "blind"]
    document.change_design(surrogates=("twin", "blind"))
    assert document.design.knowledge == ZERO
    document.set_model(ModelFacts("twin", "Twin", "", "single-label", ("c", "b", "a"), 22050, 22050, (), "1"))
    assert document.design.surrogates == ("blind",)
    document.set_model(ModelFacts("other", "Other", "", "single-label", ("x", "y"), 16000, 16000, (), "2"))
    assert document.design.surrogates == ()


def test_stand_ins_let_a_model_without_gradients_be_attacked(document):
    document.set_model(ModelFacts("blind", "Blind", "", "single-label", ("a", "b", "c"), 16000, 16000, (), "3", False))
    assert "gives no gradients" in document.attack_trouble
    document.change_design(surrogates=("twin",))
    assert document.attack_trouble == ""
    document.set_model(FACTS)
    document.change_design(attack="asking", surrogates=("twin", "blind"))
    assert document.attack_trouble == ""
    document.change_design(attack="pgd")
    assert "Blind gives no gradients" in document.attack_trouble


def test_an_attack_that_needs_a_target_says_so_until_it_has_one_or_finds_its_own(document):
    document.change_design(attack="aimed")
    assert "needs a target" in document.attack_trouble
    document.change_design(target="b")
    assert document.attack_trouble == ""
    document.change_design(target=None, values={"goal": "least-likely"})
    assert document.attack_trouble == ""
    document.change_design(target="b")
    assert document.design.aim is None  # the goal chooses


def test_progress_counts_queries_where_there_are_no_gradients(more_attacks):
    run = Run(1, 1, Design(attack="asking", values={"queries": 200}), "toy")
    assert run.fraction is None
    run.last = Snapshot(0, None, 0.0, 0.0, 0.0, False, None, 2.0, (), forwards=50)
    assert run.fraction == 0.25 and run.seconds_left == pytest.approx(6.0)
    assert words(run) == "50 of 200 queries · about 6 s left"
    run = Run(1, 1, Design(attack="pgd"), "toy")
    run.last = Snapshot(10, 40, 0.0, 0.0, 0.0, False, None, 1.0, (), forwards=11)
    assert words(run) == "10 of 40 gradients · about 3 s left"


# --- the panel ---


def test_the_menu_lists_families_and_says_what_each_attack_assumes(panel, document):
    menu = panel.attack
    heads = [menu.itemText(row) for row in range(menu.count()) if menu.itemData(row) is None]
    assert heads == [name for name, _ in in_families(document.attacks)]
    assert all(not menu.model().item(menu.findText(head)).isEnabled() for head in heads)
    for attack in document.attacks:
        about = menu.itemData(menu.findData(attack.name), Qt.ItemDataRole.ToolTipRole)
        assert attack.help in about and attack.reference in about and LEVELS[attack.knowledge] in about


def test_each_attack_of_the_catalogue_shows_a_row_for_every_parameter(panel, document):
    for attack in document.attacks:
        document.change_design(attack=attack.name, values={})
        rows = {parameter.name for parameter in attack.parameters} - {"epsilon"}
        assert set(panel.parameters.rows) == rows, attack.name
        assert panel.budget.limit.isHidden() == (not document.design.seeks_smallest)
        assert panel.target.isEnabled() == attack.targeted


def test_a_limit_brings_the_budget(panel, document):
    panel.limited.connect(lambda on: document.change_design(limited=on))
    document.change_design(attack="smallest")
    assert panel.budget.snr.isHidden() and panel.budget.epsilon.isHidden()
    assert "L2" in panel.measure.text()
    panel.budget.limit.click()
    assert document.design.limited and not panel.budget.snr.isHidden()
    document.change_design(attack="pgd")
    assert panel.budget.limit.isHidden() and not panel.budget.snr.isHidden()


def test_an_l1_norm_greys_the_snr(panel, document):
    document.set_value("norm", "l1")
    assert not panel.budget.snr.isEnabled() and "mean of |δ|" in panel.budget.note.text()
    document.set_value("norm", "linf")
    assert panel.budget.snr.isEnabled()


def test_the_target_menu_says_what_the_attack_does_with_a_target(panel, document):
    assert panel.target.itemText(0) == ANY
    document.change_design(attack="aimed")
    assert panel.target.itemText(0) == NEEDED and panel.target.lineEdit().text() == NEEDED
    document.change_design(values={"goal": "random"})
    assert not panel.target.isEnabled() and "chooses" in panel.target.toolTip()
    document.change_design(attack="asking", values={})
    assert not panel.target.isEnabled() and "knows no target" in panel.target.toolTip()
    document.change_design(attack="aimed")
    goals = panel.parameters.rows["goal"].menu
    assert [goals.itemData(row) for row in range(goals.count())] == ["as-set", "least-likely", "random"]


def test_stand_ins_are_ticked_in_a_menu_and_change_what_is_known(panel, document):
    panel.surrogates_chosen.connect(lambda names: document.change_design(surrogates=names))
    entries = {action.text(): action for action in panel.seen_through.menu.actions()}
    assert entries[ITSELF].isChecked() and panel.knowledge.text() == "Perfect knowledge"
    assert not entries["Blind"].isEnabled()  # pgd follows the gradient
    entries["Twin"].trigger()
    assert document.design.surrogates == ("twin",)
    assert panel.seen_through.currentText() == "Twin" and panel.knowledge.text() == "Zero knowledge"
    assert not entries[ITSELF].isChecked()
    document.change_design(attack="asking")
    entries = {action.text(): action for action in panel.seen_through.menu.actions()}
    entries["Blind"].trigger()
    assert document.design.surrogates == ("twin", "blind") and panel.seen_through.currentText() == "2 models"
    {action.text(): action for action in panel.seen_through.menu.actions()}[ITSELF].trigger()
    assert document.design.surrogates == () and panel.seen_through.currentText() == ITSELF


def test_a_file_is_typed_or_chosen(panel, document, monkeypatch, tmp_path):
    document.change_design(attack="boundary")
    panel.value_changed.connect(document.set_value)
    row, path = panel.parameters.rows["start"], str(tmp_path / "start.wav")
    answers = [("", ""), (path, "")]
    monkeypatch.setattr(
        "mirguard.workbench.panels.parameter_form.QFileDialog.getOpenFileName", lambda *_: answers.pop(0)
    )
    row.choose.click()
    assert "start" not in document.design.values  # nothing was chosen
    row.choose.click()
    assert document.design.values["start"] == path and row.field.text() == path
    row.field.clear()
    row.field.editingFinished.emit()
    assert "start" not in document.design.values


# --- the whole way ---


def test_an_attack_through_a_stand_in_inside_a_band_reaches_the_experiment(qtbot, tmp_path, tone, noise):
    bench = Bench(qtbot, tmp_path)
    song = save_clip(
        Clip(tone(seconds=2.0, level=0.3).samples + noise(seconds=2.0, level=0.01).samples, 22050),
        tmp_path / "song.wav",
    )
    try:
        bench.start()
        bench.load(song)
        stand_in = next(info.name for info in bench.document.stand_ins if info.gradients)
        restriction = Restriction((0.5, 1.5), (500.0, 4000.0))
        bench.document.change_design(
            level=15.0, surrogates=(stand_in,), restriction=restriction, chain=(link("gain"),), robust=True, draws=2,
            values={"steps": 3},
        )  # fmt: skip
        entry = bench.run()
        experiment = entry.outcome.experiment
        assert [name for name, _hash in experiment.surrogates] == [stand_in]
        assert experiment.knowledge == ZERO
        assert experiment.restriction == restriction
        assert (experiment.channel, experiment.draws) == ((link("gain"),), 2)
        delta = entry.outcome.perturbation.samples[0]
        assert delta[: round(0.49 * 22050)].max() == 0.0 and abs(delta).max() > 0.0
        assert not bench.document.stale(entry)
        bench.document.change_design(draws=3)
        assert bench.document.stale(entry)
        assert bench.sentences("error") == []
    finally:
        bench.close()


def test_the_report_names_knowledge_stand_ins_restriction_and_channel(document):
    from types import SimpleNamespace

    from mirguard.workbench.report import _conditions

    experiment = SimpleNamespace(
        knowledge=ZERO, surrogates=(("twin", "0"),), restriction=Restriction(band=(100.0, 200.0)),
        channel=(link("gain", low=-1.0, high=1.0),), draws=4,
    )  # fmt: skip
    assert _conditions(experiment) == [
        ("Knowledge", "zero knowledge"),
        ("Seen through", "twin"),
        ("Only in", "100–200 Hz"),
        ("Trained through", "gain:low=-1.0,high=1.0, 4 draws"),
    ]


def test_a_target_chosen_gives_the_keys_back(panel, document, qtbot):
    panel.show()
    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)
    chosen = []
    panel.target_chosen.connect(chosen.append)
    word = panel.target.itemText(1)
    panel.target.setFocus()
    panel.target.lineEdit().setText(word)
    assert panel.target.hasFocus()
    qtbot.keyClick(panel.target.lineEdit(), Qt.Key.Key_Return)
    assert chosen == [word] and not panel.target.hasFocus()
    panel.target.setFocus()
    panel.target.hidePopup()
    assert not panel.target.hasFocus()
