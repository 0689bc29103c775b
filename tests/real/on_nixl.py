"""What ranks 0 and 1 do in tests of the NIXL communicators; the other ranks return None."""

import torch

from eplb_real.communicators.nixl_staged import NixlStagedEplbCommunicator
from eplb_real.communicators.nixl_zero_copy import NixlEplbCommunicator
from tests.real.nixl_fake import FakeNixl
from tests.real.on_rank import error_of

PAIR = [0, 1]


def mispaired(context):
    """Rank 1 expects a row that rank 0 doesn't send."""
    group = context.group(PAIR)
    if context.rank > 1:
        return None
    made = NixlStagedEplbCommunicator(group, [torch.zeros(2, 3)], open_wrapper=FakeNixl)
    if context.rank == 1:
        made.add_recv(torch.zeros(3), 0)
    return error_of(made.execute)


def overflow(context):
    """Rank 0 sends two rows out of buffers for one."""
    group = context.group(PAIR)
    if context.rank > 1:
        return None
    made = NixlStagedEplbCommunicator(group, [torch.zeros(1, 3)], open_wrapper=FakeNixl)
    if context.rank == 0:
        made.add_send([torch.zeros(3), torch.ones(3)], 1)
    return error_of(made.execute)


def failing_read(context, backend):
    """Each reads a row of the other, twice; the first READ of rank 1 fails.

    The first error, the second one, what arrived, the handles that were not released.
    """
    group = context.group(PAIR)
    if context.rank > 1:
        return None
    wrapper = FakeNixl(["PROC", "ERR"] if context.rank else [])
    weights, buffer = torch.full((1, 3), float(context.rank)), torch.full((1, 3), -1.0)
    made = _made(backend, group, weights, buffer, wrapper)
    errors = []
    for _ in range(2):
        _swap(made, context.rank, weights, buffer)
        errors.append(error_of(made.execute))
    return *errors, int(buffer[0, 0]), list(wrapper.open_handles)


def without_context(context):
    """The errors of rank 0, which asks too early, too little, or for what is not there."""
    group = context.group(PAIR)
    if context.rank > 1:
        return None
    weights, buffer = torch.zeros(1, 3), torch.zeros(1, 3)
    made = NixlEplbCommunicator(group, [[weights]], [buffer], open_wrapper=FakeNixl)
    errors = []
    if context.rank == 0:
        errors.append(error_of(made.add_recv, buffer[0], 1, 1))
        made.set_transfer_context([0, 1], 0)
        errors.append(error_of(made.add_recv, buffer[0], 1))
        made.set_transfer_context([0, 1], 0)
        errors.append(error_of(made.add_recv, buffer[0], 1, 7))
        made.set_transfer_context([0, 1], 0)
        made.add_recv(buffer[0], 1, 1)
        errors.append(error_of(made.set_transfer_context, [0, 1], 0))
    made.execute()
    errors.append(error_of(made.set_transfer_context, [0, 1], 1))
    return errors


def other_rows(context):
    """Rows of three and of four numbers."""
    group = context.group(PAIR)
    if context.rank > 1:
        return None
    weights = torch.zeros(1, 3 + context.rank)
    return error_of(NixlEplbCommunicator, group, [[weights]], [weights], open_wrapper=FakeNixl)


def endless_read(context, backend):
    """A READ of rank 1 never ends; the error, the handles that were not released."""
    group = context.group(PAIR)
    if context.rank > 1:
        return None
    wrapper = FakeNixl(["PROC"] * 1_000_000 if context.rank else [])
    weights, buffer = torch.zeros(1, 3), torch.zeros(1, 3)
    made = _made(backend, group, weights, buffer, wrapper, read_timeout=0.01)
    _swap(made, context.rank, weights, buffer)
    return error_of(made.execute), list(wrapper.open_handles)


def refused_read(context):
    """A READ of rank 0 is refused; its error, the handles that were not released."""
    group = context.group(PAIR)
    if context.rank > 1:
        return None
    wrapper = FakeNixl(refuses=context.rank == 0)
    weights, buffer = torch.zeros(1, 3), torch.zeros(1, 3)
    made = _made("nixl", group, weights, buffer, wrapper)
    error = error_of(_swap, made, context.rank, weights, buffer)
    made.execute()
    return error, list(wrapper.open_handles)


def _made(backend, group, weights, buffer, wrapper, **switches):
    """A communicator of one layer with one tensor."""
    if backend == "nixl":
        return NixlEplbCommunicator(
            group, [[weights]], [buffer], open_wrapper=lambda: wrapper, **switches
        )
    return NixlStagedEplbCommunicator(group, [weights], open_wrapper=lambda: wrapper, **switches)


def _swap(made, rank, weights, buffer):
    """Ask for the row of the other rank, and offer the own one."""
    made.set_transfer_context([0, 1], 0)
    made.add_send(weights[0], 1 - rank, rank)
    made.add_recv(buffer[0], 1 - rank, 1 - rank)
