"""The three steps that make a checkout ready to run: system libraries, a virtual environment, the packages in it."""

from __future__ import annotations

import contextlib
import os
import queue
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import system_libraries
from environment import CannotPrepare, Environment, base_python
from progress import REFRESH, Console, PipReader

# A person's own pip configuration (indexes, caches, certificates) holds; only what breaks environments is undone.
_PIP_SETTINGS = {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def prepare(environment: Environment, extras: Sequence[str] = (), pip_options: Sequence[str] = ()) -> None:
    """Install what is missing. Raises CannotPrepare; KeyboardInterrupt leaves something that the next start mends."""
    console = Console(steps=3)
    with (
        _ended_like_interrupted(),
        environment.locked(lambda: console.line("Another start is installing; waiting for it to finish.")) as lock,
    ):
        if environment.is_ready(extras, pip_options):
            return
        if environment.has_packages(extras, pip_options):
            # Only system libraries were missing last time; perhaps somebody has installed them since.
            libraries = add_system_libraries(Console(steps=1), "test" in extras)
            environment.write_stamp(**environment.installed(), libraries=libraries)
            return
        began = time.monotonic()
        patience = "; this takes some minutes" if environment.state() != "usable" else ""
        console.line(f"Making MIRGuard ready in {environment.folder}{patience}.")
        before = environment.installed()
        libraries = add_system_libraries(console, "test" in extras)
        make_environment(console, environment)
        # An environment once made fit for the tests stays so, and a build of torch once chosen is kept.
        extras = sorted({*extras, *before["extras"]})
        pip_options = list(pip_options) or before["pip_options"]
        install_packages(console, environment, extras, pip_options, lock)
        environment.write_stamp(extras, pip_options, libraries)
        console.line(f"Ready after {time.monotonic() - began:.0f} s.")


def add_system_libraries(console: Console, for_tests: bool) -> list[str]:
    """Install the missing ones where that is allowed, else say how. What all is there for in the end: program, test."""
    console.step("System libraries")
    missing = system_libraries.missing(for_tests)
    if missing and system_libraries.has_apt() and system_libraries.may_install():
        console.detail(f"installing {', '.join(missing)}")
        for command in system_libraries.install_commands(missing):
            status, output = _watch(console, command)
        missing = system_libraries.missing(for_tests)
        if missing and status:
            console.line("      " + "\n      ".join(output[-3:]))
    if missing:
        console.line(f"      Not found, so that the window, the sound or tests may fail: {', '.join(missing)}")
        if system_libraries.has_apt():
            command = shlex.join(system_libraries.command_for_people(missing))
            console.line(f"      Install them with: {command}")
        else:
            console.line("      These are Debian's names; install what your system calls them.")
    return [purpose for purpose, tests in (("program", False), ("test", True)) if not system_libraries.missing(tests)]


def make_environment(console: Console, environment: Environment) -> None:
    """A virtual environment that works: the one that is there, or a new one in its place."""
    console.step("Python environment")
    state = environment.state()
    if state == "usable":
        return
    if state == "foreign":
        raise CannotPrepare(f"{environment.folder} is no Python environment; move it away and start again.")
    if state == "broken":
        console.detail("removing what an interrupted start or another Python has left")
        _discard(environment)
    if not system_libraries.has_pip():
        package = system_libraries.venv_package()
        raise CannotPrepare(f"This Python cannot make environments; install {package} and start again.")
    console.detail("creating")
    try:
        environment.folder.mkdir(exist_ok=True)
        environment.unfinished.touch()
    except OSError as error:
        raise CannotPrepare(f"{environment.folder} cannot be written: {error.strerror}.") from error
    status, output = _watch(console, [base_python(), "-m", "venv", str(environment.folder)])
    if status:
        raise CannotPrepare(f"No Python environment could be made: {_last(output)}")
    environment.unfinished.unlink()


def install_packages(
    console: Console, environment: Environment, extras: Sequence[str], pip_options: Sequence[str], lock: int
) -> None:
    """MIRGuard itself, editable, with everything it needs at the exact versions of the constraints file; for the tests also
    the peers, without what they require."""
    console.step("Python packages")
    reader = PipReader(total=environment.pinned("test" in extras))
    pip = [str(environment.python), "-Iu", "-m", "pip", "install", "--progress-bar", "off"]
    own = ["--editable", f".[{','.join(extras)}]" if extras else ".", "--constraint", str(environment.constraints)]
    commands = [[*pip, *own, *pip_options]]
    if "test" in extras:
        commands.append([*pip, "--no-deps", "--requirement", str(environment.peers), *pip_options])

    def read(line: str) -> None:
        news = reader.read(line)
        if reader.installing:
            # From here on an end before the stamp leaves half of something.
            environment.unfinished.touch()
        if news:
            console.detail(news)

    settings = {**os.environ, **_PIP_SETTINGS}
    output = []
    for command in commands:
        status, said = _watch(console, command, read, cwd=environment.root, env=settings, **_holding(lock))
        output += said
        if status:
            break
    with contextlib.suppress(OSError):  # a full disk must not hide why pip failed
        environment.log.write_text("\n".join(output) + "\n", encoding="utf-8")
    if status:
        reason = reader.errors[-1] if reader.errors else _last(output)
        if any("Retrying (" in line or "Connection" in line for line in output):
            reason = "the package index does not answer. Connect to the network and start again."
        raise CannotPrepare(
            f"The packages could not be installed: {reason}\nAll that pip said is in {environment.log}."
        )
    environment.unfinished.unlink(missing_ok=True)


def _discard(environment: Environment) -> None:
    """Remove the environment. Renaming comes first: an interrupted removal then leaves nothing that looks like one."""
    try:
        if environment.discarded.exists():
            shutil.rmtree(environment.discarded)
        environment.folder.rename(environment.discarded)
        if environment.discarded.is_symlink():
            environment.discarded.unlink()
        else:
            shutil.rmtree(environment.discarded)
    except OSError as error:
        raise CannotPrepare(
            f"{environment.folder} no longer works and cannot be removed: {error.strerror}. Remove it and start again."
        ) from error


def _watch(
    console: Console, command: Sequence[str], on_line: Callable[[str], None] = lambda line: None, **options
) -> tuple[int, list[str]]:
    """Run a command, keeping the console's clock going; its exit status and the lines of both its streams."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        **options,
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def collect() -> None:
        for line in process.stdout:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    reader = threading.Thread(target=collect, daemon=True)
    reader.start()
    output: list[str] = []
    try:
        while True:
            try:
                line = lines.get(timeout=REFRESH)
            except queue.Empty:
                console.tick()
                continue
            if line is None:
                break
            if line.strip():
                output.append(line)
                on_line(line)
    except BaseException:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    finally:
        reader.join(10)
        process.stdout.close()
    return process.wait(), output


def _holding(lock: int) -> dict[str, tuple[int, ...]]:
    """Options with which a child holds the lock too, so that a child that outlives us keeps other starts waiting."""
    return {} if os.name == "nt" else {"pass_fds": (lock,)}


def _last(output: Sequence[str]) -> str:
    return output[-1].strip() if output else "it gave no reason."


@contextlib.contextmanager
def _ended_like_interrupted() -> Iterator[None]:
    """Being told to end (a closed terminal, a shutdown) acts like Ctrl+C, so that children end with us."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
