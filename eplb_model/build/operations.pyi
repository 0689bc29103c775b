"""A method per operation of the vocabulary.  Written by `python -m eplb_model.build.stub`."""

from typing import Literal

from eplb_model.build.words import Comparison, MoveList, Names, Parameter, Value, Var

class Operations:
    """The operations that a thread can be given."""

    def access(self, *, reads: Names = ..., writes: Names = ...) -> None:
        """Host: read or write memory that copies use (a pinned staging buffer)."""

    def acquire(self, lock: str) -> None:
        """Host: wait for a lock and take it; not reentrant."""

    def all_reduce(
        self,
        group: str,
        value: Value,
        into: str | Var,
        *,
        reduction: Literal["sum", "min", "max"] | Parameter = ...,
        timeout: bool | Parameter = ...,
        agree: Value = ...,
    ) -> None:
        """Host: combine one number of every member; everybody gets the result."""

    def alloc(self, tensor: str, stream: str) -> None:
        """Host: a tensor gets a block from the pool of a stream."""

    def assert_(self, condition: Comparison) -> None:
        """Host: raise unless a condition holds."""

    def await_complete(self, kernel: str) -> None:
        """Host: wait until a launch on this rank has ended all its CTAs (its ended-counter)."""

    def await_resident(self, kernel: str) -> None:
        """Host: wait until a launch on this rank has started all its CTAs (its started-counter)."""

    def barrier(self, group: str, *, timeout: bool | Parameter = ..., agree: Value = ...) -> None:
        """Host: wait until every member of the group has come."""

    def clear(self, flag: str) -> None:
        """Host: clear a flag."""

    def copy(
        self,
        direction: Literal["h2d", "d2h", "d2d"] | Parameter,
        stream: str,
        *,
        memory: Literal["pinned", "pageable"] | Parameter = ...,
        blocking: bool | Parameter = ...,
        reads: Names = ...,
        writes: Names = ...,
        moves: MoveList = ...,
    ) -> None:
        """Host: put a copy on a stream."""

    def cpu_gpu_event_record(
        self,
        event: str,
        stream: str,
        *,
        raises: Literal["", "b3"] | Parameter = ...,
    ) -> None:
        """Host: the producer's half, in steps b1 to b4."""

    def cpu_gpu_event_wait(
        self,
        event: str,
        stream: str,
        *,
        raises: Literal["", "a3"] | Parameter = ...,
    ) -> None:
        """Host: the consumer's half, in steps a1 to a4."""

    def device_synchronize(self, *, gil: bool | Parameter = ...) -> None:
        """Host: wait until every stream of the current device has done what it holds now."""

    def die(self) -> None:
        """Fault: the thread ends here, without an error and without handlers."""

    def drop(self, tensor: str) -> None:
        """Host: the last reference to a tensor goes; its block returns to its pool."""

    def empty_cache(self) -> None:
        """Host: the caching allocator gives its blocks back (`empty_cache`)."""

    def event_query(self, event: str, into: str | Var) -> None:
        """Host: put into a variable whether the latest record is done; true if there is none."""

    def event_synchronize(self, event: str, *, gil: bool | Parameter = ...) -> None:
        """Host: wait for the record that the event holds at the call."""

    def free(self) -> None:
        """Host: free device memory (`cudaFree`)."""

    def group_boundary(self) -> None:
        """Host: the boundary of a step or a layer; no group of this thread may be open here."""

    def group_end(self, *, drop: bool | Parameter = ...) -> None:
        """Host: close a level; the last one submits what was kept, launch by launch."""

    def group_start(self) -> None:
        """Host: open an NCCL group of this thread, or one more level of it."""

    def host_alloc(self) -> None:
        """Host: allocate pinned memory; returns under a spinning kernel."""

    def host_free(self) -> None:
        """Host: free pinned memory (`cudaFreeHost`)."""

    def irecv(
        self,
        group: str,
        peer: int | Parameter,
        into: str | Var,
        *,
        peer_is: Literal["group", "global"] | Parameter = ...,
    ) -> None:
        """Host: post a receive from a peer into a variable."""

    def is_set(self, flag: str, into: str | Var) -> None:
        """Host: put into a variable whether a flag is set."""

    def isend(
        self,
        group: str,
        peer: int | Parameter,
        value: Value,
        *,
        peer_is: Literal["group", "global"] | Parameter = ...,
    ) -> None:
        """Host: post the send of a value to a peer."""

    def join(self, thread: str) -> None:
        """Host: wait until a thread has ended, by itself or by dying; an error before its start."""

    def launch(
        self,
        kernel: str,
        stream: str,
        *,
        reads: Names = ...,
        writes: Names = ...,
        gil: bool | Parameter = ...,
        moves: MoveList = ...,
    ) -> None:
        """Host: put a kernel on a stream."""

    def load(self, module: str) -> None:
        """Host: load a module now instead of at first use (warm-up)."""

    def malloc(self) -> None:
        """Host: allocate device memory; returns under a spinning kernel."""

    def memset(self, stream: str, *, writes: Names = ...) -> None:
        """Host: put a memset on a stream; to the distributor it is a small kernel (G13)."""

    def put(self, variable: str | Var, value: Value) -> None:
        """Host: assign a value to a variable."""

    def raise_(self, *, message: str = ...) -> None:
        """Fault: an operation raises here; handlers apply."""

    def read(
        self,
        peer: int | Parameter,
        source: str,
        target: str,
        engine: str,
        *,
        moves: MoveList = ...,
    ) -> None:
        """Host: post a read of a peer's buffer into one of this rank, and go on."""

    def record_event(self, event: str, stream: str) -> None:
        """Host: capture the stream's contents in an event."""

    def record_stream(self, tensor: str, stream: str) -> None:
        """Host: the block of a tensor also waits, at the drop, for what a stream holds then."""

    def release(self, lock: str) -> None:
        """Host: give a lock back; an error if nobody holds it."""

    def set(self, flag: str) -> None:
        """Host: set a flag."""

    def set_device(self, device: int | Parameter) -> None:
        """Host: make a device the current one of this thread; an error if the rank has not got it."""

    def set_stream(self, stream: str) -> None:
        """Host: make a stream the current one of this thread, and its device the current device."""

    def start(self, thread: str) -> None:
        """Host: start a thread that was declared as not started; an error if it runs."""

    def stream_query(self, stream: str, into: str | Var) -> None:
        """Host: put into a variable whether the stream is empty."""

    def stream_synchronize(self, stream: str, *, gil: bool | Parameter = ...) -> None:
        """Host: wait until the stream has done what it holds now."""

    def stream_wait_event(self, stream: str, event: str) -> None:
        """Host: the stream waits for the record that the event holds now."""

    def take(self, variable: str | Var, into: str | Var) -> None:
        """Host: move a value out of a variable, which becomes null; an error if it was."""

    def test(self, condition: Comparison, into: str | Var) -> None:
        """Host: put into a variable whether a condition holds."""

    def try_acquire(self, lock: str, into: str | Var) -> None:
        """Host: take a lock if it is free; put into a variable whether it was."""

    def wait_flag(self, flag: str) -> None:
        """Host: wait until a flag is set; it stays set."""

    def wait_reads(self, engine: str) -> None:
        """Host: poll until an engine of this rank has done all the reads that it was given."""

    def wait_requests(self, *, timeout: bool | Parameter = ...) -> None:
        """Host: wait until every request that this thread has posted is complete."""
