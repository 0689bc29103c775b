"""Events, flags and streams whose steps a test can hold, and streams that work later."""

import threading

DEADLINE = 10.0


class Gate:
    """A point that says when somebody is there, and lets them pass when told."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()

    def hold(self):
        self.reached.set()
        assert self.opened.wait(DEADLINE), "nobody opened the gate"

    def wait_until_reached(self):
        assert self.reached.wait(DEADLINE), "nobody came to the gate"

    def open(self):
        self.opened.set()


class LoggedEvent:
    """An event that keeps what was asked of it, after calling what a test hooked in."""

    def __init__(self, on_record=None, on_wait=None):
        self.calls = []
        self._on_record, self._on_wait = on_record, on_wait

    def record(self, *stream):
        if self._on_record:
            self._on_record()
        self.calls.append(("record", *stream))

    def wait(self, *stream):
        if self._on_wait:
            self._on_wait()
        self.calls.append(("wait", *stream))


class Events:
    """A factory that hands out given events, then fresh ones, and keeps all of them."""

    def __init__(self, *given):
        self._given = list(given)
        self.made = []

    def __call__(self):
        self.made.append(self._given.pop(0) if self._given else LoggedEvent())
        return self.made[-1]

    @property
    def calls(self):
        return [event.calls for event in self.made]


class GatedFlag(threading.Event):
    """A flag that says when somebody blocks in it."""

    def __init__(self):
        super().__init__()
        self.waiting = threading.Event()

    def wait(self, timeout=None):
        self.waiting.set()
        return super().wait(timeout)


class QueuedStream:
    """A stream that works only when pumped: a device that is slow."""

    def __init__(self):
        self.queue = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def enqueue(self, work):
        """work() is done, or returns False for not yet."""
        self.queue.append(work)

    def pump(self):
        while self.queue and self.queue[0]() is not False:
            self.queue.pop(0)


class QueuedEvent:
    """An event of queued streams; a wait binds to the record before it."""

    def __init__(self):
        self.done = True  # also without a record, as on a GPU

    def record(self, stream=None):
        self.done = False
        stream.enqueue(lambda: setattr(self, "done", True))

    def wait(self, stream=None):
        stream.enqueue(lambda: self.done)


def started(name, function, *args):
    """A thread that runs a function, and its outcome: a value or the error."""
    outcome = []

    def run():
        try:
            outcome.append(function(*args))
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            outcome.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread, outcome


def ended(thread):
    thread.join(DEADLINE)
    return not thread.is_alive()


class FakeNccl:
    """An NCCL communicator of one thread that keeps its calls, and fails where told."""

    def __init__(self, fail_at=None, rank=None, world_size=None, disabled=False, available=True):
        self.calls = []
        self.depth = 0
        self.fail_at = fail_at
        self.rank, self.world_size = rank, world_size
        self.disabled, self.available = disabled, available

    def group_start(self):
        self.depth += 1
        self._call("start")

    def group_end(self):
        self.depth -= 1
        self._call("end")

    def send(self, tensor, dst, stream=None):
        self._call("send", tensor.tolist(), dst, stream)

    def recv(self, tensor, src, stream=None):
        self._call("recv", tensor.tolist(), src, stream)

    def _call(self, *call):
        self.calls.append(call)
        if call[0] == self.fail_at:
            raise OSError(f"NCCL refuses the {call[0]}")
