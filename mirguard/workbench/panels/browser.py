"""The dataset browser: a labelled dataset with what the model makes of it, or a queue of unknown clips to be decided on."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QContextMenuEvent, QDragEnterEvent, QDropEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QCompleter,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QProgressBar,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mirguard.workbench.actions import BROWSER_DEEDS, DEEDS, plain, tip
from mirguard.workbench.collection import (
    ACCEPT,
    ADVERSARIAL,
    ALL,
    AS_LISTED,
    COLUMNS,
    DECIDED,
    FLAGGED,
    FLAGGED_FIRST,
    LABELLED,
    MISPREDICTED_FIRST,
    RELABEL,
    REVIEW,
    RIGHT,
    UNDECIDED,
    UNHEARD,
    UNREAD,
    UNSURE,
    WRONG,
    Collection,
    Filter,
    Order,
)
from mirguard.workbench.document import Document
from mirguard.workbench.panels.browser_table import DECISION_ICONS, RowsTable, detection, saying, told
from mirguard.workbench.panels.parts import (
    Elided,
    check,
    combo,
    keyboard_only,
    label,
    named,
    push_button,
    set_role,
    silently,
    tool_button,
)
from mirguard.workbench.theme import bind_icon, colours, notifier, pixmap
from mirguard.workbench.views.confusion_table import ConfusionTable
from mirguard.workbench.views.formats import counted

RESORT_MS = 1000  # while clips are being heard, rows change their places no more often
FIGURES_MS = 250
NARROW = 600  # pixels
TYPING_MS = 150
STATUS_WORDS = {
    ALL: "All clips",
    WRONG: "Mispredicted",
    RIGHT: "Right",
    FLAGGED: "Flagged",
    UNDECIDED: "Undecided",
    DECIDED: "Decided",
    UNREAD: "Unreadable",
    UNHEARD: "Not heard yet",
}
ORDER_WORDS = {
    MISPREDICTED_FIRST: "Mispredicted first",
    FLAGGED_FIRST: "Flagged first",
    AS_LISTED: "As listed",
}
LARGEST_FIRST = ("confidence", "score")
FIGURES_HELP = (
    "Wilson's interval takes clips as independent of each other; clips of one artist or one track are not, so that it is "
    "then too narrow. The order in which clips are heard is random, so that early figures are fair."
)
EMPTY = (
    "Open labelled sounds, a folder with one sub-folder for each class or a CSV with the columns file and label, "
    "to see what the model mistakes for what.\n\n"
    "Or open a folder of unknown clips as a review queue: what the detector flags comes first, and you decide."
)


class BrowserPanel(QWidget):
    """Shows a collection and asks for everything else."""

    open_wanted = Signal(str)  # "dataset", "list" or "review"
    dropped = Signal(str)  # a folder or a CSV
    export_wanted = Signal()
    close_wanted = Signal()
    resume_wanted = Signal()
    cancel_wanted = Signal()
    preferred = Signal(int)  # a row that the person looks at
    audition_wanted = Signal(int)
    send_wanted = Signal(object)  # numbers of rows
    decided = Signal(object, str, str)  # numbers, decision, label
    undecided = Signal(object)
    noted = Signal(int, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._collection: Collection | None = None
        self._document: Document | None = None
        self._filter, self._order = Filter(), Order()
        self._untouched = True  # the person has not chosen a row yet
        self._labels: tuple[str, ...] = ()
        self._remark_of: int | None = None  # the row that the note on show belongs to
        self.table = RowsTable()
        self.confusion = ConfusionTable()
        self.pages = QStackedWidget()
        self.pages.addWidget(self._make_empty())
        self.pages.addWidget(self._make_content())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.pages)
        self._resort = QTimer(self, singleShot=True, interval=RESORT_MS)
        self._resort.timeout.connect(self.show_rows)
        self._figures = QTimer(self, singleShot=True, interval=FIGURES_MS)
        self._figures.timeout.connect(self.show_figures)
        self._typing = QTimer(self, singleShot=True, interval=TYPING_MS)
        self._typing.timeout.connect(lambda: self.set_filter(text=self.text.text()))
        self._connect()
        self.restyle()
        self.setAcceptDrops(True)

    # --- how large it is ---

    def minimumSizeHint(self) -> QSize:
        """Narrower than its parts are at their widest: where there is little room, decisions are signs without words."""
        return QSize(400, 240)

    def resizeEvent(self, event: QResizeEvent) -> None:
        narrow = event.size().width() < NARROW
        style = Qt.ToolButtonStyle.ToolButtonIconOnly if narrow else Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        for button in self.decision_buttons.values():
            button.setToolButtonStyle(style)
        for menu in (self.label_filter, self.status_filter, self.split_filter, self.order_menu):
            menu.setMinimumContentsLength(2 if narrow else 6)
        super().resizeEvent(event)

    # --- how it is made ---

    def _make_empty(self) -> QWidget:
        page = QWidget()
        self.sign = QLabel()
        self.sign.setAlignment(Qt.AlignmentFlag.AlignCenter)
        words = label(EMPTY, "muted", wrap=True)
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        words.setMaximumWidth(560)
        heading = label("No dataset is open", "heading")
        heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        self.open_buttons = {
            "dataset": push_button("Labelled folder …", "folder", tip("open-dataset")),
            "list": push_button("List …", "open", tip("open-list")),
            "review": push_button("Review queue …", "flag", tip("open-review")),
        }
        for kind, button in self.open_buttons.items():
            button.clicked.connect(lambda _checked=False, kind=kind: self.open_wanted.emit(kind))
            buttons.addWidget(button)
        buttons.addStretch(1)
        self.opening = Elided()
        named(self.opening, "What is being opened")
        self.opening.setProperty("role", "muted")
        column = QVBoxLayout()
        column.setSpacing(10)
        column.addStretch(2)
        column.addWidget(self.sign)
        column.addWidget(heading)
        centred = QHBoxLayout()
        centred.addStretch(1)
        centred.addWidget(words, 8)
        centred.addStretch(1)
        column.addLayout(centred)
        column.addSpacing(4)
        column.addLayout(buttons)
        column.addWidget(self.opening)
        column.addStretch(3)
        row = QHBoxLayout(page)
        row.setContentsMargins(16, 12, 16, 12)
        row.addLayout(column)
        return page

    def _make_content(self) -> QWidget:
        page = QWidget()
        self.inner = QStackedWidget()
        self.inner.addWidget(self.table)
        self.inner.addWidget(self._make_confusion())
        self.note = label("", "muted", wrap=True)
        column = QVBoxLayout(page)
        column.setContentsMargins(10, 6, 10, 8)
        column.setSpacing(6)
        column.addLayout(self._make_head())
        column.addWidget(self._make_filters())
        column.addWidget(self.inner, 1)
        column.addLayout(self._make_summary())
        column.addWidget(self.note)
        column.addWidget(self._make_progress())
        column.addWidget(self._make_detail())
        return page

    def _make_head(self) -> QHBoxLayout:
        self.title = Elided()
        self.title.setProperty("role", "heading")
        named(self.title, "Dataset")
        self.confusion_button = tool_button(
            "matrix", "Confusion matrix", "Which label was heard as which; a cell shows its clips", True
        )
        self.export_button = tool_button("export", plain_name("export-decisions"), tip("export-decisions"))
        self.open_button = tool_button("folder", "Open another", "Open another dataset, list or review queue")
        self.open_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.open_button)
        for kind, name in (("dataset", "open-dataset"), ("list", "open-list"), ("review", "open-review")):
            action = menu.addAction(plain_name(name) + " …")
            action.triggered.connect(lambda _checked=False, kind=kind: self.open_wanted.emit(kind))
        self.open_button.setMenu(menu)
        self.close_button = tool_button("close", "Close the dataset", "Put the dataset away; decisions are kept")
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.title, 1)
        for button in (self.confusion_button, self.export_button, self.open_button, self.close_button):
            row.addWidget(button)
        return row

    def _make_filters(self) -> QWidget:
        self.filters = QWidget()
        self.text = QLineEdit()
        self.text.setPlaceholderText("Search")
        self.text.setClearButtonEnabled(True)
        self.text.setMinimumWidth(56)
        named(self.text, "Search", "Words in name, artist, labels or notes; all of them must be there")
        clear = self.text.findChild(QToolButton)
        if clear is not None:
            named(clear, "Clear the search")
        self.label_filter = combo("Class", "Only clips of this class", 6)
        self.status_filter = combo("Status", "Only clips of this kind", 6)
        self.split_filter = combo("Split", "Only clips of this split", 6)
        self.order_menu = combo("Order", "Which clips come first; a column's heading sorts by it", 6)
        for status, words in STATUS_WORDS.items():
            self.status_filter.addItem(words, status)
        for by, words in ORDER_WORDS.items():
            self.order_menu.addItem(words, by)
        row = QHBoxLayout(self.filters)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.text, 3)
        for menu in (self.label_filter, self.status_filter, self.split_filter, self.order_menu):
            row.addWidget(menu, 2)
        return self.filters

    def _make_confusion(self) -> QWidget:
        page = QWidget()
        self.confusion_words = label("", "muted", wrap=True)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.confusion_words)
        column.addWidget(self.confusion, 100)
        column.addStretch(1)
        return page

    def _make_summary(self) -> QHBoxLayout:
        self.summary = label("", wrap=True)
        named(self.summary, "Figures of the dataset", FIGURES_HELP)
        self.shown = label("", "muted")
        self.clear_button = QToolButton()
        self.clear_button.setText("Show all")
        named(keyboard_only(self.clear_button), "Show all", "Take every filter away")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.summary, 1)
        row.addWidget(self.shown)
        row.addWidget(self.clear_button)
        return row

    def _make_progress(self) -> QWidget:
        self.progress_row = QWidget()
        self.progress_words = Elided()
        self.progress_words.setProperty("role", "muted")
        named(self.progress_words, "How far hearing is")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        named(self.progress, "Progress of hearing the clips")
        self.stop_button = tool_button("cancel", "Stop hearing the clips", "Stop hearing the clips (Esc)")
        self.resume_button = push_button("Go on", "run", "Hear the clips that are left")
        row = QHBoxLayout(self.progress_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.progress_words, 2)
        row.addWidget(self.progress, 1)
        row.addWidget(self.stop_button)
        row.addWidget(self.resume_button)
        self.progress_row.hide()
        return self.progress_row

    def _make_detail(self) -> QWidget:
        self.detail = QWidget()
        self.about = Elided()
        named(self.about, "The chosen clip")
        self.play_button = tool_button("play", "Listen", tip("row-play"))
        self.send_button = tool_button("send", plain_name("row-send"), tip("row-send"))
        self.decision_buttons: dict[str, QToolButton] = {}
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.play_button)
        row.addWidget(self.send_button)
        row.addSpacing(6)
        for decision in (ACCEPT, ADVERSARIAL, UNSURE):
            button = QToolButton()
            button.setText(decision.capitalize())
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setIconSize(QSize(14, 14))
            button.setCheckable(True)
            bind_icon(button, *DECISION_ICONS[decision])
            named(keyboard_only(button), decision.capitalize(), tip(f"row-{decision}"))
            button.clicked.connect(lambda on, decision=decision: self._press(decision, on))
            self.decision_buttons[decision] = button
            row.addWidget(button)
        self.relabel = combo("Relabel", tip("row-relabel"), 5)
        self.relabel.setEditable(True)
        self.relabel.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.relabel.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.relabel.lineEdit().setPlaceholderText("Relabel")
        named(self.relabel.lineEdit(), "New label", "Type to search; Return decides")
        completer = self.relabel.completer()
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        row.addWidget(self.relabel, 2)
        self.remark = QLineEdit()
        self.remark.setPlaceholderText("Note")
        self.remark.setMinimumWidth(60)
        named(self.remark, "Note", "A note on the clip, kept with your decisions")
        row.addWidget(self.remark, 3)
        column = QVBoxLayout(self.detail)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(5)
        column.addWidget(self.about)
        column.addLayout(row)
        return self.detail

    def _connect(self) -> None:
        self.text.textChanged.connect(lambda: self._typing.start())
        self.text.returnPressed.connect(self.table.setFocus)
        for menu, name in ((self.label_filter, "label"), (self.status_filter, "status"), (self.split_filter, "split")):
            menu.activated.connect(lambda _index, menu=menu, name=name: self.set_filter(**{name: menu.currentData()}))
        self.order_menu.activated.connect(lambda: self.set_order(Order(self.order_menu.currentData())))
        self.table.horizontalHeader().sectionClicked.connect(self._sort_by)
        self.clear_button.clicked.connect(self.clear_filter)
        self.confusion_button.toggled.connect(self.show_confusion)
        self.confusion.clicked.connect(self._choose_cell)
        self.confusion.activated.connect(self._choose_cell)
        self.export_button.clicked.connect(self.export_wanted)
        self.close_button.clicked.connect(self.close_wanted)
        self.stop_button.clicked.connect(self.cancel_wanted)
        self.resume_button.clicked.connect(self.resume_wanted)
        self.table.asked.connect(self.do)
        self.table.touched.connect(self._touch)
        self.table.doubleClicked.connect(lambda _index: self.do("row-send"))
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._row_chosen())
        self.table.selectionModel().currentChanged.connect(lambda *_: self._row_chosen())
        self.play_button.clicked.connect(lambda: self.do("row-play"))
        self.send_button.clicked.connect(lambda: self.do("row-send"))
        self.relabel.activated.connect(lambda _index: self._relabel())
        self.relabel.lineEdit().returnPressed.connect(self._relabel)
        self.remark.editingFinished.connect(self.finish_note)
        notifier().changed.connect(self.restyle)

    # --- what is shown ---

    def restyle(self) -> None:
        self.sign.setPixmap(pixmap("matrix", 32, colours().muted))

    def show_opening(self, sentence: str, fraction: float | None) -> None:
        """A collection is being opened; "" when that is over."""
        self.opening.setText(sentence if fraction is None else f"{sentence} {fraction:.0%}")
        for button in (*self.open_buttons.values(), self.open_button):
            button.setEnabled(not sentence)
        if self._collection is not None and sentence:
            self.title.setText(sentence)
        elif self._collection is not None:
            self._show_title()

    def show_collection(self, collection: Collection | None, labels: tuple[str, ...], document: Document) -> None:
        """Another collection, or none. `labels` are what a clip can be relabelled as."""
        self._collection, self._document, self._remark_of = collection, document, None
        self._resort.stop()
        self._untouched = True
        self.pages.setCurrentIndex(0 if collection is None else 1)
        check(self.confusion_button, False)
        self.show_confusion(False)
        if collection is None:
            self.table.put(None, [], keep=False)
            return
        self._filter = Filter()
        silently(self.text, self.text.clear)
        silently(self.status_filter, self.status_filter.setCurrentIndex, 0)
        self._fill(self.split_filter, "Every split", collection.splits())
        self.split_filter.setVisible(bool(collection.splits()))
        self.confusion_button.setVisible(collection.mode == LABELLED)
        self.show_labels(labels)
        self._show_title()
        self.set_order(Order(FLAGGED_FIRST if collection.mode == REVIEW else MISPREDICTED_FIRST))
        self.show_figures()

    def _show_title(self) -> None:
        collection = self._collection
        clips = counted(len(collection.rows), "clip")
        if collection.mode == REVIEW:
            self.title.setText(f"{collection.name} · review queue · {clips}")
        else:
            classes = f"{len(collection.labels)} class{'' if len(collection.labels) == 1 else 'es'}"
            self.title.setText(f"{collection.name} · {clips} in {classes}")
        self.title.setToolTip("\n".join((collection.source, *collection.remarks[:20])))

    def show_labels(self, labels: tuple[str, ...]) -> None:
        """What a clip can be relabelled as; with another model's labels, filters in the words of the one before end."""
        if labels == self._labels:
            return
        self._labels = labels
        if self._collection is not None:
            self.set_filter(pair=None, **({"label": ""} if self._collection.mode == REVIEW else {}))
        silently(self.relabel, self.relabel.clear)
        silently(self.relabel, self.relabel.addItems, list(labels))
        silently(self.relabel, self.relabel.setCurrentIndex, -1)

    def show_news(self, numbers: set[int] | None) -> None:
        """Rows have changed: their cells at once, their places after a while."""
        if self._collection is None:
            return
        self.table.rows.refresh(numbers)
        if not self._figures.isActive():
            self._figures.start()
        if numbers is None or self.table.current_number in numbers:
            self._show_row()
        if not self._resort.isActive():
            self._resort.start()

    def show_rows(self) -> None:
        """Filter and sort anew."""
        collection = self._collection
        if collection is None:
            return
        self._fill(self.label_filter, "Every class", collection.classes(), self._filter.label)
        order = collection.view(self._filter, self._order)
        if order != self.table.rows.order or self.table.rows.collection is not collection:
            self.table.put(collection, order, keep=not self._untouched)
        if order and (self._untouched or self.table.current_number is None):
            self.table.choose(self._beginning(order))
        self.table.set_empty_text("No clip passes the filter." if collection.rows else "There are no clips.")
        self._show_row()
        filtered = self._filter != Filter()
        self.shown.setText(f"{self._pair_words()}{len(order)} shown" if filtered else "")
        self.shown.setVisible(filtered)
        self.clear_button.setVisible(filtered)
        if self.confusion_button.isChecked():
            self._show_matrix()

    def _beginning(self, order: list[int]) -> int:
        """The row to begin with: the first; in a review queue that was worked on before, the first that is undecided."""
        if self._collection.mode == LABELLED:
            return order[0]
        following = self._collection.next_undecided(order, -1)
        return order[0] if following is None else following

    def _pair_words(self) -> str:
        pair = self._filter.pair
        return f"{pair[0]} heard as {pair[1]}: " if pair else ""

    def show_figures(self) -> None:
        """The line of figures below the table, and what has to be known to read them."""
        collection, document = self._collection, self._document
        if collection is None:
            return
        counts = collection.counts()
        parts = [f"{counts.heard} of {counted(counts.total, 'clip')} heard"]
        if counts.judged:
            low, high = counts.interval
            span = f"95 % interval {100 * low:.0f}–{100 * high:.0f} %"
            parts.append(f"{100 * counts.accuracy:.1f} % right ({span})".replace(" ", "\u00a0"))
        if counts.scored and collection.threshold is not None:
            parts.append(f"{counts.flagged} flagged")
        if counts.failed:
            parts.append(f"{counts.failed} unreadable")
        if counts.decided or collection.mode == REVIEW:
            parts.append(f"{counts.decided} decided")
        self.summary.setText(" · ".join(part.replace(" ", "\u00a0") for part in parts))
        notes = []
        facts, model = document.reference, document.model
        self.table.show_columns(collection, facts is None or bool(facts.clean_scores))
        if model is not None and collection.mode == LABELLED and not collection.comparable:
            notes.append(
                f"None of its classes is among the labels of {model.title}, so no clip counts as right or wrong."
            )
        if facts is not None and facts.trouble:
            remedy = "" if facts.clean_scores else " Build one in the Detector panel."
            notes.append(f"Nothing is flagged: {facts.trouble[:1].lower()}{facts.trouble[1:]}{remedy}")
        self.note.setText(" ".join(notes))
        self.note.setVisible(bool(notes))
        self.export_button.setEnabled(any(row.record is not None for row in collection.rows))

    def show_progress(self, progress) -> None:
        """How far hearing is (control.browsing.Progress)."""
        if self._collection is None:
            return
        self.progress_row.setVisible(progress.state != "done" and progress.total > 0)
        self.progress.setValue(round(1000 * progress.done / max(1, progress.total)))
        self.stop_button.setVisible(progress.state == "hearing")
        self.resume_button.setVisible(progress.state == "stopped")
        words = f"{progress.done} of {counted(progress.total, 'clip')}"
        if progress.state == "hearing":
            left = "" if progress.seconds_left is None else f" · {about_time(progress.seconds_left)} left"
            words = f"Hearing: {words}{left}"
        elif progress.state == "stopped":
            words = f"Stopped after {words}"
        else:
            words = f"{progress.why[:1].upper()}{progress.why[1:]}"
        self.progress_words.setText(words)
        if progress.state != "hearing" and self._resort.isActive():
            self._resort.stop()
            self.show_rows()
            self.show_figures()

    def show_played(self, number: int | None, playing: bool) -> None:
        """The row that the player has."""
        self.table.rows.set_played(number if playing else None)
        bind_icon(self.play_button, "pause" if playing and number == self.table.current_number else "play")

    def _show_row(self) -> None:
        number = self.table.current_number
        chosen = self.table.numbers()
        there = number is not None and self._collection is not None
        for widget in (self.play_button, self.send_button, *self.decision_buttons.values(), self.relabel, self.remark):
            widget.setEnabled(there)
        if not there:
            self.about.setText("")
            self.about.setToolTip("")
            return
        row = self._collection.rows[number]
        if len(chosen) > 1:
            words = f"{len(chosen)} clips chosen"
        elif row.trouble:
            words = row.trouble
        elif row.heard is None:
            words = "Not heard yet"
        else:
            words = " · ".join(filter(None, (f"Heard as {saying(row)}", detection(row, self._collection))))
        self.about.setText(words)
        self.about.setToolTip(told(row, self._collection) if len(chosen) <= 1 else words)
        set_role(self.about, "danger" if row.trouble else "")
        for decision, button in self.decision_buttons.items():
            check(button, row.decision == decision)
        relabelled = row.record.label if row.decision == RELABEL else ""
        if not self.relabel.lineEdit().hasFocus():
            silently(
                self.relabel, self.relabel.setCurrentIndex, self.relabel.findText(relabelled) if relabelled else -1
            )
            silently(self.relabel.lineEdit(), self.relabel.lineEdit().setText, relabelled)
        if not self.remark.hasFocus() or self._remark_of != number:
            self._remark_of = number
            silently(self.remark, self.remark.setText, row.note)
        self.remark.setEnabled(len(chosen) <= 1)

    # --- filter and order ---

    def set_filter(self, **changes) -> None:
        """Change the filter and show what passes."""
        changed = Filter(**{**vars(self._filter), **changes})
        if changed != self._filter:
            self._filter = changed
            self._show_filter()
            self.show_rows()

    def clear_filter(self) -> None:
        self.set_filter(**vars(Filter()))

    def _show_filter(self) -> None:
        wanted = self._filter
        if not self._typing.isActive() and self.text.text() != wanted.text:
            silently(self.text, self.text.setText, wanted.text)
        for menu, value in (
            (self.label_filter, wanted.label),
            (self.status_filter, wanted.status),
            (self.split_filter, wanted.split),
        ):
            silently(menu, menu.setCurrentIndex, max(0, menu.findData(value)))

    def _fill(self, menu: QComboBox, first: str, names: tuple[str, ...], chosen: str = "") -> None:
        if [menu.itemData(index) for index in range(1, menu.count())] == list(names) and menu.count():
            return
        blocked = menu.blockSignals(True)
        menu.clear()
        menu.addItem(first, "")
        for name in names:
            menu.addItem(name, name)
        menu.setCurrentIndex(max(0, menu.findData(chosen)))
        menu.blockSignals(blocked)

    def set_order(self, order: Order) -> None:
        """Sort anew."""
        self._order = order
        header = self.table.horizontalHeader()
        place = self.order_menu.findData(order.by)
        silently(self.order_menu, self.order_menu.setCurrentIndex, place)
        if place < 0:
            self.order_menu.setPlaceholderText("By column")
        header.setSortIndicatorShown(order.by in COLUMNS)
        if order.by in COLUMNS:
            direction = Qt.SortOrder.DescendingOrder if order.descending else Qt.SortOrder.AscendingOrder
            header.setSortIndicator(COLUMNS.index(order.by), direction)
        self.show_rows()

    def _sort_by(self, section: int) -> None:
        """A heading was pressed: by that column, the second time the other way round."""
        column = COLUMNS[section]
        first = column in LARGEST_FIRST
        self.set_order(Order(column, not self._order.descending if self._order.by == column else first))

    # --- confusion ---

    def show_confusion(self, on: bool) -> None:
        """The matrix in the table's place, or the table again."""
        check(self.confusion_button, on)
        self.inner.setCurrentIndex(1 if on else 0)
        self.filters.setVisible(not on)
        self.detail.setVisible(not on)
        if on:
            self._show_matrix()
            self.confusion.setFocus()

    def _show_matrix(self) -> None:
        labels, counts = self._collection.confusion()
        if labels:
            self.confusion_words.setText("Rows are true labels, columns what was heard. A cell shows its clips.")
        else:
            self.confusion_words.setText("There is nothing to compare: the model knows none of these classes.")
        self.confusion.setVisible(bool(labels))
        if (labels, tuple(map(tuple, counts))) != (self.confusion.counts.labels, self.confusion.counts.confusion):
            self.confusion.set_matrix(labels, counts)
            rows, columns = self.confusion.verticalHeader(), self.confusion.horizontalHeader()
            self.confusion.setMaximumSize(rows.width() + columns.length() + 16, columns.height() + rows.length() + 16)

    def _choose_cell(self, index) -> None:
        labels, counts = self.confusion.counts.labels, self.confusion.counts.confusion
        if index.isValid() and counts[index.row()][index.column()]:
            self._filter = Filter(pair=(labels[index.row()], labels[index.column()]))
            self.show_confusion(False)
            self._show_filter()
            self.show_rows()
            self.table.setFocus()

    # --- what the person does ---

    def do(self, name: str) -> None:
        """One of BROWSER_DEEDS, on the chosen rows."""
        number, numbers = self.table.current_number, self.table.numbers()
        if number is None or self._collection is None:
            return
        self._untouched = False
        numbers = numbers or [number]
        if name == "row-play":
            self.audition_wanted.emit(number)
        elif name == "row-send":
            self.send_wanted.emit(numbers)
        elif name == "row-relabel":
            self.relabel.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self.relabel.lineEdit().selectAll()
            self._offer_labels("")
        elif name == "row-undecide":
            self.undecided.emit(numbers)
            self._show_row()
        elif name == "row-next":
            self._go_to(self._next(numbers))
        else:
            self._decide(name.removeprefix("row-"))

    def _press(self, decision: str, on: bool) -> None:
        if on:
            self._decide(decision)
        else:
            self.do("row-undecide")

    def _relabel(self) -> None:
        """What was typed: a label, what only one label has in it, or else a label of the person's own."""
        typed = self.relabel.lineEdit().text().strip()
        known = [self.relabel.itemText(index) for index in range(self.relabel.count())]
        same = [name for name in known if name.casefold() == typed.casefold()]
        alike = [name for name in known if typed.casefold() in name.casefold()]
        if typed and not same and len(alike) > 1:
            self._offer_labels(typed)
            return
        self.table.setFocus()
        if typed:
            self._decide(RELABEL, (same or alike or [typed])[0])
        else:
            self._show_row()

    def _offer_labels(self, typed: str) -> None:
        completer = self.relabel.completer()
        completer.setCompletionPrefix(typed)
        completer.complete()

    def _decide(self, decision: str, label: str = "") -> None:
        """Decide on the chosen rows and go to the next one that is undecided."""
        number, numbers = self.table.current_number, self.table.numbers()
        if number is None:
            return
        self._untouched = False
        numbers = numbers or [number]
        following = self._next(numbers)
        self.decided.emit(numbers, decision, label)
        if self._filter.status in (UNDECIDED, DECIDED):
            self.show_rows()
        if following is not None:
            self._go_to(following)
        self._show_row()

    def _next(self, numbers: list[int]) -> int | None:
        """The row to go to after these: undecided, and none of them."""
        order = self.table.rows.order
        place = order.index(numbers[-1]) if numbers[-1] in order else -1
        rows, done = self._collection.rows, set(numbers)
        trip = (*order[place + 1 :], *order[: max(0, place)])
        return next((number for number in trip if number not in done and not rows[number].decision), None)

    def _go_to(self, number: int | None) -> None:
        if number is not None:
            self.table.choose(number)

    def finish_note(self) -> None:
        """Hand in what was typed, before the row or the collection is left."""
        number, typed = self._remark_of, self.remark.text().strip()
        if number is not None and self._collection is not None and typed != self._collection.rows[number].note:
            self.noted.emit(number, typed)

    def _touch(self) -> None:
        self._untouched = False

    def _row_chosen(self) -> None:
        if self._collection is None:
            return
        if self.remark.hasFocus():
            self.finish_note()  # what was typed belongs to the row before
        self._show_row()
        number = self.table.current_number
        if number is not None and not self._untouched:
            self.preferred.emit(number)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if (
            self._collection is None
            or self.inner.currentIndex()
            or not self.table.geometry().contains(self.inner.mapFrom(self, event.pos()))
        ):
            return
        self.menu().popup(event.globalPos())

    def menu(self) -> QMenu:
        """What can be done with the chosen rows."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for name, deed in BROWSER_DEEDS.items():
            if name in ("row-accept", "row-undecide"):
                menu.addSeparator()
            action = QAction(deed.text, menu)
            action.setEnabled(self.table.current_number is not None)
            if deed.keys:
                # Shown only: the table hears its keys itself.
                action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
                action.setShortcut(QKeySequence(deed.keys[0]))
                action.setShortcutVisibleInContextMenu(True)
            if deed.icon:
                bind_icon(action, deed.icon)
            action.triggered.connect(lambda _checked=False, name=name: self.do(name))
            menu.addAction(action)
        return menu

    # --- folders dropped ---

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = _dropped(event)
        if path:
            event.acceptProposedAction()
            self.dropped.emit(path)


def _dropped(event: QDropEvent) -> str:
    """The folder or table that is dropped; "" for anything else, which the window may take."""
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    fitting = [path for path in paths if path.is_dir() or path.suffix.lower() in (".csv", ".tsv")]
    return str(fitting[0]) if len(paths) == 1 and fitting else ""


def plain_name(deed: str) -> str:
    """The words of a deed without dots and mnemonics."""
    return plain((DEEDS | BROWSER_DEEDS)[deed].text)


def about_time(seconds: float) -> str:
    """A length of time as it is said: "about 20 s", "about 3 min"."""
    if seconds < 60:
        return f"about {max(1, round(seconds / 5) * 5 if seconds > 5 else round(seconds))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
