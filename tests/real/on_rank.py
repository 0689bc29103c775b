"""What ranks do in tests; every function runs on all ranks of the pool at the same time.

`members` are the global ranks of a group, in its order; a rank outside returns None.
"""

from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

import torch
import torch.distributed as dist

from eplb_model.communicators.plan import plan
from eplb_real.communicators.factory import create_eplb_communicator
from eplb_real.communicators.nixl_staged import NixlStagedEplbCommunicator
from eplb_real.communicators.nixl_zero_copy import NixlEplbCommunicator
from eplb_real.communicators.torch_gloo import TorchDistGlooStagedEplbCommunicator
from eplb_real.exchange import move_from_buffer, rearrange, transfer_layer
from eplb_real.streams import HostStream
from tests.real.nixl_fake import FakeNixl

STALE = 100  # what a buffer holds before an exchange, plus the row


def error_of(function, *args, **kwargs):
    """The error of a call, as type and text, or None."""
    try:
        function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - what a test compares
        return type(error).__name__, str(error)
    return None


def coordinator(group):
    return SimpleNamespace(cpu_group=group, device_group=group, device_communicator=None)


def communicator(context, members, backend, weights, buffer, **switches):
    """A communicator on the group of some members; on all ranks, as groups are."""
    group = context.group(members)
    if context.rank not in members:
        return None
    if backend == "torch_gloo staged":
        return TorchDistGlooStagedEplbCommunicator(group, always_stage=True, **switches)
    if backend == "nixl staged":
        return NixlStagedEplbCommunicator(group, weights[0], open_wrapper=FakeNixl, **switches)
    if backend == "nixl":
        return NixlEplbCommunicator(group, weights, buffer, open_wrapper=FakeNixl, **switches)
    return create_eplb_communicator(coordinator(group), backend, weights[0], **switches)


def tagged(tags, dtypes):
    """A layer whose rows are filled with tags, one tensor per dtype, of different shapes."""
    shapes = [(3,), (), (2, 2), (0,)]
    return [
        torch.stack([torch.full(shapes[place % 4], tag).to(dtype) for tag in tags])
        for place, dtype in enumerate(dtypes)
    ]


def tags_of(layer):
    """The tags of each tensor's rows; None for a row of different ones."""
    return [[_tag(row) for row in tensor] for tensor in layer]


def _tag(row):
    values = {float(value) for value in row.reshape(-1)}
    return int(values.pop()) if len(values) == 1 else None


def exchange(context, members, backend, old, new, tags, dtypes, batched=False):
    """One layer, from tags by group rank; the tags after transfer and commit."""
    rank = members.index(context.rank) if context.rank in members else None
    weights = tagged(tags[rank or 0], dtypes)
    buffer = tagged([STALE + row for row in range(len(tags[0]))], dtypes)
    made = communicator(context, members, backend, [weights], buffer)
    if rank is None:
        return None
    planned = plan(old, new, len(members))
    transfer_layer(planned, rank, old, weights, buffer, made, batched=batched)
    move_from_buffer(planned.shares[rank], weights, buffer)
    if hasattr(made, "close"):
        dist.barrier(context.group(members))
        made.close()
    return tags_of(weights)


def exchange_layers(context, members, backend, old, new, strict):
    """All layers of a model, each row tagged with its expert; the tags, or the error."""
    rank = members.index(context.rank) if context.rank in members else None
    rows = len(old[0]) // len(members)
    mine = slice((rank or 0) * rows, (rank or 0) * rows + rows)
    weights = [tagged(row[mine], [torch.float32, torch.int64]) for row in old]
    buffer = tagged([STALE] * rows, [torch.float32, torch.int64])
    made = communicator(context, members, backend, weights, buffer)
    if rank is None:
        return None
    error = error_of(
        rearrange, old, new, weights, buffer, made, rank=rank, ranks=len(members), strict=strict
    )
    if error is not None:
        return error
    return [tags_of(layer)[0] for layer in weights]


def swap(context, members, backend, steps, **switches):
    """Pairs of group ranks (0,1), (2,3) send each other their rank, after `steps` that may fail.

    Each step is (method, keyword arguments) on the communicator, with a row of ones for a tensor.
    Returns the errors of the steps, then that of the exchange, then what arrived.
    """
    weights = [tagged([0, 0], [torch.float32])]
    made = communicator(context, members, backend, weights, weights[0], **switches)
    if made is None:
        return None
    errors = [error_of(getattr(made, name), *args) for name, args in steps]
    rank = members.index(context.rank)
    arrived = torch.full((3,), -1.0)

    def exchanged():
        made.add_send(torch.full((3,), float(rank)), rank ^ 1)
        made.add_recv(arrived, rank ^ 1)
        made.execute()

    return [*errors, error_of(exchanged), _tag(arrived)]


def legacy_swap(context, members, backend, steps):
    return swap(context, members, backend, steps, legacy_global_peer=True)


def legacy_errors(context, members, backend):
    """The errors of adding one send and of executing it, with ranks taken for global ones."""
    weights = [tagged([0], [torch.float32])]
    made = communicator(context, members, backend, weights, weights[0], legacy_global_peer=True)
    if made is None:
        return None
    added = error_of(made.add_send, weights[0][0][0], 1 - members.index(context.rank))
    return added, error_of(made.execute)


def lonely(context, method):
    """Rank 0 alone asks for a transfer, on a group that gives up soon; its error."""
    group = dist.new_group([0, 1], timeout=timedelta(seconds=0.3), backend="gloo")
    made = TorchDistGlooStagedEplbCommunicator(group)
    if context.rank:
        return None
    getattr(made, method)(torch.zeros(3), 1, 4)
    return error_of(made.execute)


def made_on_cpu(context, backend, with_tensors):
    weights = [torch.zeros(2, 3)] if with_tensors else []
    return _made(context, backend, weights)


def made_on_device(context, backend):
    return _made(context, backend, [torch.zeros(2, 3, device="meta")])


def connects(context, legacy_lazy):
    """How often a communicator on a group that says it is NCCL's reduces over it when made."""
    group = context.group([0, 1, 2, 3])
    both = SimpleNamespace(cpu_group=None, device_group=group, device_communicator=None)
    weights = [torch.zeros(2, 3, device="meta")]
    with (
        patch.object(dist, "get_backend", return_value="nccl"),
        patch.object(dist, "all_reduce") as reduced,
    ):
        create_eplb_communicator(both, "torch_nccl", weights, legacy_lazy=legacy_lazy)
    assert all(call.kwargs["group"] is group for call in reduced.call_args_list)
    return reduced.call_count


def _made(context, backend, weights):
    """What a communicator is and which of two groups it uses."""
    groups = {"cpu": context.group([0, 1, 2, 3]), "device": context.group([3, 2, 1, 0])}
    both = SimpleNamespace(
        cpu_group=groups["cpu"], device_group=groups["device"], device_communicator=None
    )
    made = create_eplb_communicator(both, backend, weights)
    used = next(name for name, group in groups.items() if group is vars(made)["_group"])
    return f"{type(made).__name__} on the {used} group"


def broken_nixl(context):
    """A wrapper that cannot be opened; the error and the type of its cause."""

    def broken():
        raise OSError("no device")

    both = coordinator(context.group([0, 1, 2, 3]))
    try:
        create_eplb_communicator(both, "nixl", [torch.zeros(2, 3)], open_wrapper=broken)
    except RuntimeError as error:
        return str(error), type(error.__cause__).__name__


def staged_order(context, fails):
    """What a rank of a pair sees done in a staged exchange, and what the row holds afterwards."""
    group = dist.new_group([0, 1], timeout=timedelta(seconds=0.3), backend="gloo")
    if context.rank > 1:
        return None
    done = []
    row = torch.full((2,), 7.0)

    class Watched(HostStream):
        def synchronize(self):
            done.append("synchronize")

    class Posting(TorchDistGlooStagedEplbCommunicator):
        def _post(self, transfer, staged):
            done.append(transfer.direction)
            assert staged.data_ptr() != transfer.tensor.data_ptr()
            return super()._post(transfer, staged)

    made = Posting(group, Watched(), always_stage=True)
    made.add_send(torch.full((2,), float(context.rank)), 1 - context.rank)
    made.add_recv(row, 1 - context.rank)
    if fails and context.rank == 0:
        made.add_recv(torch.zeros(2), 1)  # rank 1 sends one row only
    error = error_of(made.execute)
    return done, None if error is None else error[0], _tag(row)
