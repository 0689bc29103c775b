"""A place: the process in which one or several ranks of a run live.

Rules:
- It does what the runner's lines say: set up, begin, grant steps, open, tell facts, finish.
- When the runner's socket closes it ends at once: a rank without a runner is of no use.
- It serves one run and is then ended by the runner; the next run gets a fresh one.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import pickle
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from eplb_model.scenario import Scenario
from eplb_real.drivers.registry import DRIVERS
from eplb_real.gates import Gates
from eplb_real.observe import Observer
from eplb_real.perform import Performer

Message = dict[str, Any]

SCENARIO = "scenario.pickle"
RUNNER_GONE = 3


def serve(control: socket.socket) -> None:
    """Serve one run, then wait to be ended."""
    lines = control.makefile("rb")
    order = _next(lines)
    if order is not None:
        folder = Path(order["folder"])
        _keep_output(folder, order["ranks"][0])
        place = _Place(control, order)
        threading.Thread(target=place.set_up, name="set-up", daemon=True).start()
        while (message := _next(lines)) is not None:
            place.obey(message)
    os._exit(RUNNER_GONE)


def _next(lines: Any) -> Message | None:
    try:
        line = lines.readline()
    except OSError:
        return None
    found: Message | None = json.loads(line) if line else None
    return found


def _keep_output(folder: Path, rank: int) -> None:
    """Let libraries write where they disturb nobody, and stacks where the runner finds them."""
    output = os.open(folder / f"output-{rank}.txt", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    stacks = os.open(folder / f"stacks-{rank}.txt", os.O_WRONLY | os.O_CREAT, 0o600)
    faulthandler.register(signal.SIGUSR1, file=stacks, all_threads=True)


class _Place:
    def __init__(self, control: socket.socket, order: Message) -> None:
        self._control = control
        self._outbox: SimpleQueue[Message] = SimpleQueue()
        self._order = order
        self._ready = threading.Event()
        self._performers: list[Performer] = []
        self._devices: Any = None  # the driver says of which module
        self._obedience: Mapping[str, Callable[[Message], None]] = {
            "begin": self._begin,
            "go": self._go,
            "open": self._open,
            "extend": lambda message: self._gates.extend(message["more"]),
            "fact": lambda message: self._devices.tell(message["fact"]),
            "status": self._status,
            "finish": self._finish,
            "abort": self._abort,
        }

    # --- setting up --------------------------------------------------------------------------

    def set_up(self) -> None:
        """Bind the ranks to those of other places, and say that all is ready."""
        threading.Thread(target=self._deliver, name="deliver", daemon=True).start()
        try:
            self._build()
        except Exception as error:  # noqa: BLE001 (the runner has to hear of it, whatever it is)
            traceback.print_exc()
            self._ready.set()
            self._send({"t": "failed", "text": f"{type(error).__name__}: {error}"})
            return
        self._send({"t": "ready"})

    def _build(self) -> None:
        folder, ranks = Path(self._order["folder"]), self._order["ranks"]
        scenario: Scenario = pickle.loads((folder / SCENARIO).read_bytes())
        world = scenario.world
        closed = self._order["closed"]
        self._observer = Observer(folder, ranks)
        self._gates = Gates(closed, self._did, self._order["budget"])
        driver = DRIVERS[self._order["driver"]]
        self._devices = importlib.import_module(driver.devices).Devices(
            world,
            ranks,
            self._observer,
            closed,
            self._order["seed"],
            self._tell,
            driver.event_class,
            folder,
        )
        self._ready.set()
        ties = driver.ties(world, ranks, folder)
        self._performers = [
            Performer(
                world,
                rank,
                ties,
                self._devices.calls(rank, self._gates),
                self._gates,
                self._observer,
            )
            for rank in ranks
        ]

    # --- obeying -----------------------------------------------------------------------------

    def obey(self, message: Message) -> None:
        """Do what one line of the runner says."""
        self._ready.wait()
        self._obedience[message["t"]](message)

    def _begin(self, message: Message) -> None:
        for performer in self._performers:
            performer.start()
        threading.Thread(target=self._await_end, name="await-end", daemon=True).start()
        self._send({"t": "begun"})

    def _go(self, message: Message) -> None:
        actor = message["actor"]
        if not message["stream"]:
            self._gates.grant(actor)
            return
        why = self._devices.step(actor, message["choice"])
        if why is None:
            self._did(actor)
        else:
            self._send({"t": "cannot", "actor": actor, "why": why})

    def _open(self, message: Message) -> None:
        self._devices.open()
        self._gates.open()

    def _status(self, message: Message) -> None:
        status = {
            "operations": self._gates.operations(),
            "parked": self._gates.parked(),
            "streams": self._devices.snapshot(),
        }
        self._send({"t": "status", **status})

    def _finish(self, message: Message) -> None:
        for performer in self._performers:
            self._observer.final(performer.rank.rank, performer.rank.values())
        self._observer.close()
        self._send({"t": "finished"})

    def _abort(self, message: Message) -> None:
        """Call off what runs on devices; in a thread, because that may take a while."""

        def call_off() -> None:
            if self._devices is not None:  # it could not start
                self._devices.abort()
            self._send({"t": "aborted"})

        threading.Thread(target=call_off, name="abort", daemon=True).start()

    # --- telling -----------------------------------------------------------------------------

    def _await_end(self) -> None:
        for performer in self._performers:
            performer.rank.join_all()
        self._devices.await_idle()
        self._send({"t": "ended"})

    def _did(self, actor: str) -> None:
        self._send({"t": "did", "actor": actor})

    def _tell(self, fact: Any) -> None:
        self._send({"t": "fact", "fact": fact})

    def _send(self, message: Message) -> None:
        """Say something to the runner, in order and without waiting: devices tell facts so."""
        self._outbox.put(message)

    def _deliver(self) -> None:
        while True:
            line = json.dumps(self._outbox.get()).encode() + b"\n"
            try:
                self._control.sendall(line)
            except OSError:
                os._exit(RUNNER_GONE)
