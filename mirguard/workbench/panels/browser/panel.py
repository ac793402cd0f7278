"""The dataset browser: a labelled dataset with what the model makes of it, or a queue of unknown clips to be decided on."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QContextMenuEvent, QDragEnterEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import QMenu, QStackedWidget, QVBoxLayout, QWidget

from mirguard.workbench.collection.collection import LABELLED, REVIEW, Collection
from mirguard.workbench.collection.filter import DECIDED, UNDECIDED, Filter
from mirguard.workbench.collection.order import FLAGGED_FIRST, MISPREDICTED_FIRST, Order
from mirguard.workbench.collection.row import COLUMNS, RELABEL, Row
from mirguard.workbench.document import Document
from mirguard.workbench.panels.browser.confusion_page import ConfusionPage
from mirguard.workbench.panels.browser.filter_bar import FilterBar
from mirguard.workbench.panels.browser.head import Head
from mirguard.workbench.panels.browser.hearing_bar import HearingBar
from mirguard.workbench.panels.browser.nothing_open import NothingOpen
from mirguard.workbench.panels.browser.review_bar import ReviewBar
from mirguard.workbench.panels.browser.row_menu import row_menu
from mirguard.workbench.panels.browser.rows_table import RowsTable
from mirguard.workbench.panels.browser.summary import Summary
from mirguard.workbench.panels.parts import check

RESORT_MS = 1000  # while clips are being heard, rows change their places no more often
FIGURES_MS = 250
NARROW = 600  # pixels
LARGEST_FIRST = ("confidence", "score")


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
        self.nothing_open = NothingOpen()
        self.head = Head()
        self.filters = FilterBar()
        self.table = RowsTable()
        self.confusion = ConfusionPage()
        self.summary = Summary()
        self.hearing = HearingBar()
        self.review = ReviewBar()
        self.inner = QStackedWidget()
        self.inner.addWidget(self.table)
        self.inner.addWidget(self.confusion)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(10, 6, 10, 8)
        column.setSpacing(6)
        column.addWidget(self.head)
        column.addWidget(self.filters)
        column.addWidget(self.inner, 1)
        column.addWidget(self.summary)
        column.addWidget(self.hearing)
        column.addWidget(self.review)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.nothing_open)
        self.pages.addWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.pages)
        self._resort = QTimer(self, singleShot=True, interval=RESORT_MS)
        self._resort.timeout.connect(self.show_rows)
        self._figures = QTimer(self, singleShot=True, interval=FIGURES_MS)
        self._figures.timeout.connect(self.show_figures)
        self._connect()
        self.setAcceptDrops(True)

    def _connect(self) -> None:
        self.nothing_open.open_wanted.connect(self.open_wanted)
        self.head.open_wanted.connect(self.open_wanted)
        self.head.confusion_button.toggled.connect(self.show_confusion)
        self.head.export_button.clicked.connect(self.export_wanted)
        self.head.close_button.clicked.connect(self.close_wanted)
        self.filters.narrowed.connect(lambda changes: self.set_filter(**changes))
        self.filters.ordered.connect(self.set_order)
        self.filters.left.connect(self.table.setFocus)
        self.summary.clear_button.clicked.connect(self.clear_filter)
        self.confusion.cell_chosen.connect(self._show_pair)
        self.hearing.stop_button.clicked.connect(self.cancel_wanted)
        self.hearing.resume_button.clicked.connect(self.resume_wanted)
        self.table.horizontalHeader().sectionClicked.connect(self._sort_by)
        self.table.asked.connect(self.do)
        self.table.touched.connect(self._touch)
        self.table.doubleClicked.connect(lambda _index: self.do("row-send"))
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._row_chosen())
        self.table.selectionModel().currentChanged.connect(lambda *_: self._row_chosen())
        self.review.asked.connect(self.do)
        self.review.relabelled.connect(self._relabel)
        self.review.note_typed.connect(self.finish_note)
        self.review.left.connect(self.table.setFocus)

    # --- how large it is ---

    def minimumSizeHint(self) -> QSize:
        """Narrower than its parts are at their widest."""
        return QSize(400, 240)

    def resizeEvent(self, event: QResizeEvent) -> None:
        narrow = event.size().width() < NARROW
        self.review.set_narrow(narrow)
        self.filters.set_narrow(narrow)
        super().resizeEvent(event)

    # --- what is shown ---

    def show_opening(self, sentence: str, fraction: float | None) -> None:
        """A collection is being opened; "" when that is over."""
        self.nothing_open.show_opening(sentence, fraction)
        self.head.show_opening(sentence, self._collection)

    def show_collection(self, collection: Collection | None, labels: tuple[str, ...], document: Document) -> None:
        """Another collection, or none. `labels` are what a clip can be relabelled as."""
        self._collection, self._document = collection, document
        self.review.forget_note()
        self._resort.stop()
        self._untouched = True
        self.pages.setCurrentIndex(0 if collection is None else 1)
        check(self.head.confusion_button, False)
        self.show_confusion(False)
        if collection is None:
            self.table.put(None, [], keep=False)
            return
        self._filter = Filter()
        self.filters.begin(collection.splits())
        self.show_labels(labels)
        self.head.show_collection(collection)
        self.set_order(Order(FLAGGED_FIRST if collection.mode == REVIEW else MISPREDICTED_FIRST))
        self.show_figures()

    def show_labels(self, labels: tuple[str, ...]) -> None:
        """What a clip can be relabelled as; with another model's labels, filters in the words of the one before end."""
        if labels == self._labels:
            return
        self._labels = labels
        if self._collection is not None:
            self.set_filter(pair=None, **({"label": ""} if self._collection.mode == REVIEW else {}))
        self.review.show_labels(labels)

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
        self.filters.show_classes(collection.classes(), self._filter.label)
        order = collection.view(self._filter, self._order)
        if order != self.table.rows.order or self.table.rows.collection is not collection:
            self.table.put(collection, order, keep=not self._untouched)
        if order and (self._untouched or self.table.current_number is None):
            self.table.choose(self._beginning(order))
        self.table.set_empty_text("No clip passes the filter." if collection.rows else "There are no clips.")
        self._show_row()
        pair = self._filter.pair
        heard_as = f"{pair[0]} heard as {pair[1]}: " if pair else ""
        self.summary.show_shown(f"{heard_as}{len(order)} shown" if self._filter != Filter() else "")
        if self.head.confusion_button.isChecked():
            self.confusion.show_collection(collection)

    def _beginning(self, order: list[int]) -> int:
        """The row to begin with: the first; in a review queue that was worked on before, the first that is undecided."""
        if self._collection.mode == LABELLED:
            return order[0]
        following = self._collection.next_undecided(order, -1)
        return order[0] if following is None else following

    def show_figures(self) -> None:
        """The line of figures below the table, and the columns that have something to say."""
        collection = self._collection
        if collection is None:
            return
        facts = self._document.reference
        self.summary.show_figures(collection, self._document)
        self.table.show_columns(collection, facts is None or bool(facts.clean_scores))
        self.head.export_button.setEnabled(any(row.record is not None for row in collection.rows))

    def show_progress(self, progress) -> None:
        """How far hearing is (control.row_hearing.Progress)."""
        if self._collection is None:
            return
        self.hearing.show_progress(progress)
        if progress.state != "hearing" and self._resort.isActive():
            self._resort.stop()
            self.show_rows()
            self.show_figures()

    def show_played(self, number: int | None, playing: bool) -> None:
        """The row that the player has."""
        self.table.rows.set_played(number if playing else None)
        self.review.show_played(playing and number == self.table.current_number)

    def _current_row(self) -> Row | None:
        number = self.table.current_number
        return None if number is None or self._collection is None else self._collection.rows[number]

    def _show_row(self) -> None:
        self.review.show_row(self._current_row(), len(self.table.numbers()), self._collection)

    # --- filter, order and matrix ---

    def set_filter(self, **changes) -> None:
        """Change the filter and show what passes."""
        changed = Filter(**{**vars(self._filter), **changes})
        if changed != self._filter:
            self._filter = changed
            self.filters.show_filter(changed)
            self.show_rows()

    def clear_filter(self) -> None:
        self.set_filter(**vars(Filter()))

    def set_order(self, order: Order) -> None:
        """Sort anew."""
        self._order = order
        self.filters.show_order(order)
        header = self.table.horizontalHeader()
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

    def show_confusion(self, on: bool) -> None:
        """The matrix in the table's place, or the table again."""
        check(self.head.confusion_button, on)
        self.inner.setCurrentIndex(1 if on else 0)
        self.filters.setVisible(not on)
        self.review.setVisible(not on)
        if on:
            self.confusion.show_collection(self._collection)
            self.confusion.matrix.setFocus()

    def _show_pair(self, true: str, heard: str) -> None:
        """A cell of the matrix was chosen: its clips, and no other filter."""
        self._filter = Filter(pair=(true, heard))
        self.show_confusion(False)
        self.filters.show_filter(self._filter)
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
            self.review.begin_relabelling()
        elif name == "row-undecide":
            self.undecided.emit(numbers)
            self._show_row()
        elif name == "row-next":
            self._go_to(self._next(numbers))
        else:
            self._decide(name.removeprefix("row-"))

    def _relabel(self, label: str) -> None:
        self.table.setFocus()
        if label:
            self._decide(RELABEL, label)
        else:
            self._show_row()

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
        number, typed = self.review.note
        if number is not None and self._collection is not None and typed != self._collection.rows[number].note:
            self.noted.emit(number, typed)

    def _touch(self) -> None:
        self._untouched = False

    def _row_chosen(self) -> None:
        if self._collection is None:
            return
        if self.review.remark.hasFocus():
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
        return row_menu(self, self.table.current_number is not None, self.do)

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
