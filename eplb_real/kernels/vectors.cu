// A kernel that does what a kernel of a vector does: takes its seats, meets its peers, ends.
// Compiled at run time, behind the #defines of cuda/layout.py and REGISTERS.
//
// Rules:
// - It can always leave: it polls an abort word and the device's clock, and says why it left.
// - The words of a launch are counted up by its own GPU only; host memory needs no more than that.
// - A CTA meets the peers in its mask, then waits for its flag and, while the rank is closed, for a
//   grant.  Only then it ends.
// - REGISTERS more registers are kept alive across the waits, so that the kernel has a footprint.

// Wait until *at is at least value; WHY_DONE, or why the wait was given up.
__device__ static word wait_for(volatile word *at, word value, volatile word *page,
                                nanoseconds deadline) {
  while (*at < value) {
    if (page[ABORT]) return WHY_ABORTED;
    if (now() > deadline) return WHY_LATE;
    __nanosleep(200);
  }
  return WHY_DONE;
}

__device__ static word meet(volatile word *page, volatile word *mine, word place,
                            nanoseconds deadline) {
  word grain = mine[GRAIN], mask = mine[MASKS + place], why = WHY_DONE;
  if (grain == GRAIN_GRID) why = wait_for(mine + STARTED, gridDim.x, page, deadline);
  for (word peer = 0; peer < mine[PEERS] && why == WHY_DONE; ++peer) {
    if (!(mask >> peer & 1)) continue;
    volatile word *theirs = page + mine[PEER_BLOCKS + peer];
    if (grain == GRAIN_FIRST) why = wait_for(theirs + SEATS, 1, page, deadline);
    if (grain == GRAIN_GRID)
      why = wait_for(theirs + STARTED, mine[PEER_CTAS + peer], page, deadline);
    if (grain == GRAIN_CHANNEL) why = wait_for(theirs + SEATS + place, 1, page, deadline);
    if (grain == GRAIN_END) why = wait_for(theirs + COMPLETE, 1, page, deadline);
  }
  return why;
}

// Wait for the grant of this CTA, or until the rank is open.
__device__ static word granted(volatile word *page, volatile word *mine, volatile word *closed,
                               word place, word ticket, nanoseconds deadline) {
  word at = mine[PLACES + place];
  while (*closed) {
    if (mine[AS_ONE] ? mine[GRANTED] > ticket : mine[GRANTS + (at >> 16)] > (at & 0xffff)) break;
    if (page[ABORT]) return WHY_ABORTED;
    if (now() > deadline) return WHY_LATE;
    __nanosleep(200);
  }
  return WHY_DONE;
}

// Marks its SM with the number of the census.  CTAs that find no room wait like any others.
extern "C" __global__ void census(volatile word *page, word marks, word ended, word number,
                                  nanoseconds linger) {
  if (threadIdx.x == 0) {
    nanoseconds until = now() + linger;
    page[marks + sm_id()] = number;
    __threadfence_system();
    atomicAdd_system((word *)page + ended, 1u);
    while (now() < until && !page[ABORT]) __nanosleep(200);
  }
  __syncthreads();
}

extern "C" __global__ void act(volatile word *page, word block, word closed, word flag,
                               nanoseconds patience) {
#if REGISTERS
  __shared__ volatile word anything[32];
  word kept[REGISTERS];
#pragma unroll
  for (int i = 0; i < REGISTERS; ++i) kept[i] = anything[(threadIdx.x + i) & 31];
#endif
  if (threadIdx.x == 0) {
    volatile word *mine = page + block;
    nanoseconds deadline = now() + patience;
    mine[SEATS + blockIdx.x] = sm_id() + 1;
    __threadfence_system();
    word ticket = atomicAdd_system((word *)mine + STARTED, 1u);
    word why = meet(page, mine, blockIdx.x, deadline);
    if (why == WHY_DONE && flag) why = wait_for(page + flag, 1, page, deadline);
    if (why == WHY_DONE) why = granted(page, mine, page + closed, blockIdx.x, ticket, deadline);
    if (why != WHY_DONE) mine[WHY] = why;
    __threadfence_system();
    if (atomicAdd_system((word *)mine + ENDED, 1u) + 1 == gridDim.x) {
      __threadfence_system();
      mine[COMPLETE] = 1;
    }
  }
  __syncthreads();
#if REGISTERS
#pragma unroll
  for (int i = 0; i < REGISTERS; ++i)
    if (!patience) page[block + i] = kept[i];  // never, but no compiler knows
#endif
}
