"""A NIXL wrapper without RDMA: READs of another process's memory, by a call of the kernel.

Rule: only registered memory is read or written, as NIXL would have it; what is not released is
known (`open_handles`).
"""

import ctypes
import itertools
import os
import pickle

from eplb_real.communicators.nixl import LOCAL

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PTRACER, _ANY = 0x59616D61, ctypes.c_ulong(-1).value


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class FakeNixl:
    """The wrapper's methods; `states` are answers to come about transfers, then all are done."""

    def __init__(self, states=(), refuses=False):
        _libc.prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)
        self.states = list(states)
        self.refuses = refuses
        self.registered = []
        self.peers = {}
        self.open_handles = {}
        self._numbers = itertools.count(1)

    def get_agent_metadata(self):
        return pickle.dumps((os.getpid(), self.registered))

    def add_remote_agent(self, metadata):
        pid, regions = pickle.loads(metadata)  # of our own ranks
        self.peers[f"agent {pid}"] = (pid, regions)
        return f"agent {pid}"

    def remove_remote_agent(self, agent):
        del self.peers[agent]

    def get_reg_descs(self, regions, memory):
        assert memory == "DRAM"
        return regions

    def register_memory(self, descs):
        self.registered += [(address, size) for address, size, _, _ in descs]

    def deregister_memory(self, descs):
        self.registered = []

    def get_xfer_descs(self, regions, memory):
        return regions

    def prep_xfer_dlist(self, agent, descs):
        pid, known = (os.getpid(), self.registered) if agent == LOCAL else self.peers[agent]
        for address, size, _ in descs:
            assert any(a <= address and address + size <= a + s for a, s in known), "unregistered"
        return self._opened((pid, descs))

    def make_prepped_xfer(self, operation, local, local_ids, remote, remote_ids):
        assert operation == "READ"
        return self._opened((local, local_ids, remote, remote_ids))

    def transfer(self, handle):
        if self.refuses:
            return "ERR"
        local, local_ids, remote, remote_ids = self.open_handles[handle]
        here, (pid, there) = self.open_handles[local][1], self.open_handles[remote]
        for mine, theirs in zip(local_ids, remote_ids, strict=True):
            _read(pid, there[theirs][0], here[mine][0], there[theirs][1])
        return "PROC"

    def check_xfer_state(self, handle):
        assert handle in self.open_handles
        return self.states.pop(0) if self.states else "DONE"

    def release_xfer_handle(self, handle):
        del self.open_handles[handle]

    def release_dlist_handle(self, handle):
        del self.open_handles[handle]

    def _opened(self, what):
        number = next(self._numbers)
        self.open_handles[number] = what
        return number


def _read(pid, remote, local, size):
    here, there = _Vector(local, size), _Vector(remote, size)
    if _libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) != size:
        raise OSError(ctypes.get_errno(), "process_vm_readv")


def can_read_another_process():
    """Whether the kernel lets one process read another one's memory, as containers may forbid."""
    value = ctypes.c_int(7)
    seen = ctypes.c_int(0)
    pid = os.fork()
    if pid == 0:
        try:
            _read(os.getppid(), ctypes.addressof(value), ctypes.addressof(seen), 4)
            os._exit(seen.value)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
