// Kernels that stand in for others.  Compiled at run time, behind the #defines of gpu/words.py.
//
// Rules:
// - Every kernel can leave: it polls an abort word and the device's clock, and says which of
//   "done", "aborted" and "late" ended it.
// - Counters of a rank are counted up by its own GPU only; host memory needs no more than that.
// - A kernel decides first and synchronises afterwards, so that no CTA waits for one that has left.

__device__ static volatile word *of_rank(volatile word *page, int rank) {
  return page + RANK_BASE + rank * RANK_WORDS;
}

__device__ static word left_early(volatile word *page, nanoseconds deadline) {
  if (page[ABORT]) return WHY_ABORTED;
  return now() > deadline ? WHY_LATE : 0;
}

// Wait until *at has come to value; WHY_DONE, or why the wait was given up.
__device__ static word wait_for(volatile word *at, word value, volatile word *page,
                                nanoseconds deadline) {
  while ((int)(*at - value) < 0) {
    word early = left_early(page, deadline);
    if (early) return early;
    __nanosleep(200);
  }
  return WHY_DONE;
}

__device__ static void count(volatile word *at) { atomicAdd_system((word *)at, 1u); }

__device__ static void stamp_first(volatile word *mine) {
  nanoseconds t = now();
  mine[STAMP_LOW] = (word)t;
  mine[STAMP_HIGH] = (word)(t >> 32);
  __threadfence_system();
}

// The cooperative all-to-all: ranks meet by one flag each.  grain 0: CTA 0 meets the peers' CTA 0,
// the others wait for it.  grain 1: all CTAs of the grid come first.  grain 2: it meets nobody and
// stays until the release word has come to this generation.
extern "C" __global__ void gang(volatile word *page, volatile word *local, int rank, int ranks,
                                word generation, nanoseconds patience, int grain) {
  if (threadIdx.x == 0) {
    volatile word *mine = of_rank(page, rank);
    nanoseconds deadline = now() + patience;
    mine[GANG_SEATS + blockIdx.x] = sm_id() + 1;
    count(mine + GANG_STARTED);
    if (grain == 1) atomicAdd((word *)local + 1, 1u);
    word why = WHY_DONE;
    if (blockIdx.x == 0) {
      stamp_first(mine);
      if (grain == 1) why = wait_for(local + 1, gridDim.x, page, deadline);
      if (grain == 2) {
        why = wait_for(mine + RELEASE, generation, page, deadline);
      } else if (why == WHY_DONE) {
        mine[FLAG] = generation;
        __threadfence_system();
        for (int peer = 0; peer < ranks && why == WHY_DONE; ++peer)
          why = wait_for(of_rank(page, peer) + FLAG, generation, page, deadline);
      }
      local[2] = why;
      __threadfence();
      local[0] = generation;
    } else {
      word waited = wait_for(local, generation, page, deadline);
      why = waited == WHY_DONE ? local[2] : waited;
    }
    if (why != WHY_DONE) mine[WHY] = why;
    __threadfence_system();
    count(mine + GANG_ENDED);
  }
  __syncthreads();
}

// Synthetic channels: CTA c meets CTA c of every rank in the mask, as the CTAs of an exchange do.
extern "C" __global__ void channels(volatile word *page, int rank, word peers, word generation,
                                    nanoseconds patience) {
  if (threadIdx.x == 0) {
    volatile word *mine = of_rank(page, rank);
    nanoseconds deadline = now() + patience;
    mine[CHANNEL_SEATS + blockIdx.x] = sm_id() + 1;
    count(mine + CHANNELS_STARTED);
    mine[CHANNEL_FLAGS + blockIdx.x] = generation;
    __threadfence_system();
    word why = WHY_DONE;
    for (int peer = 0; peer < MOST_RANKS && why == WHY_DONE; ++peer)
      if (peers >> peer & 1)
        why = wait_for(of_rank(page, peer) + CHANNEL_FLAGS + blockIdx.x, generation, page, deadline);
    if (why != WHY_DONE) mine[WHY] = why;
    __threadfence_system();
    count(mine + CHANNELS_ENDED);
  }
  __syncthreads();
}

// Holds its SMs until it is released.
extern "C" __global__ void spinner(volatile word *page, int rank, int slot, word generation,
                                   nanoseconds patience) {
  if (threadIdx.x == 0) {
    volatile word *mine = of_rank(page, rank);
    nanoseconds deadline = now() + patience;
    mine[SPINNER_SEATS + blockIdx.x] = sm_id() + 1;
    count(mine + SPINNERS_STARTED + slot);
    word why = wait_for(mine + SPINNER_RELEASE + slot, generation, page, deadline);
    if (why != WHY_DONE) mine[WHY] = why;
    __threadfence_system();
    count(mine + SPINNERS_ENDED + slot);
  }
  __syncthreads();
}

// Says that it ran, and where: marks its SM.  CTAs that find no room wait like any others.
extern "C" __global__ void census(volatile word *page, int rank, word generation,
                                  nanoseconds linger) {
  if (threadIdx.x == 0) {
    volatile word *mine = of_rank(page, rank);
    nanoseconds until = now() + linger;
    mine[CENSUS_SEATS + blockIdx.x] = sm_id() + 1;
    mine[CENSUS + sm_id()] = generation;
    __threadfence_system();
    count(mine + CENSUS_ENDED);
    while (now() < until && !page[ABORT]) __nanosleep(200);
  }
  __syncthreads();
}

// The smallest kernel that leaves a trace.
extern "C" __global__ void stamp(volatile word *page, int rank, int slot, word generation) {
  if (threadIdx.x == 0) {
    of_rank(page, rank)[STAMPS + slot] = generation;
    __threadfence_system();
  }
}
