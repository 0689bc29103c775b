/* coop_vs_nccl_all_at_once with one channel, as somebody writes it who knows Spin: one process, one
   d_step for each step, bytes only, nothing in the state that is not needed.

   Two cooperative kernels on all SMs and one exchange per layer; who holds the SMs keeps the other
   out.  -DN=ranks -DL=layers; pan needs -E, its ends are counted by the label. */
#define FREE 0
#define COMPUTE 1
#define SIDE 2

byte main_pc[N], compute_done[N];      /* cooperative kernels launched, completed */
byte eplb_pc[N], side_done[N];         /* exchanges launched, completed */
byte holder[N];                        /* the stream whose head has the SMs */
bool waited;                           /* some kernel could not start at once */

/* The head of a stream has just become one: it gets the SMs, or waits. */
#define arrive(r, stream) \
        if \
        :: holder[r] == FREE -> holder[r] = stream \
        :: else -> waited = true \
        fi

/* The holder is done: who waits gets the SMs, and the next of its own stream arrives behind. */
#define leave(r, done, pc, other_pc, other_done, stream, other) \
        done[r]++; \
        holder[r] = (other_pc[r] > other_done[r] -> other : FREE); \
        if \
        :: pc[r] > done[r] -> arrive(r, stream) \
        :: else \
        fi

/* Whether every rank has started the kernel that rank r is at. */
#define started(r, q, done, stream) \
        (done[q] > done[r] || (done[q] == done[r] && holder[q] == stream))

#define all_started_2(r, done, stream) \
        (started(r, 0, done, stream) && started(r, 1, done, stream))
#if N == 2
#define all_started(r, done, stream) all_started_2(r, done, stream)
#elif N == 3
#define all_started(r, done, stream) \
        (all_started_2(r, done, stream) && started(r, 2, done, stream))
#else
#define all_started(r, done, stream) \
        (all_started_2(r, done, stream) && started(r, 2, done, stream) \
         && started(r, 3, done, stream))
#endif

#define rank(r) \
        :: d_step { main_pc[r] < 2 * L -> main_pc[r]++; \
                if \
                :: main_pc[r] == compute_done[r] + 1 -> arrive(r, COMPUTE) \
                :: else \
                fi } \
        :: d_step { eplb_pc[r] < L -> eplb_pc[r]++; \
                if \
                :: eplb_pc[r] == side_done[r] + 1 -> arrive(r, SIDE) \
                :: else \
                fi } \
        :: d_step { holder[r] == COMPUTE && all_started(r, compute_done, COMPUTE) -> \
                leave(r, compute_done, main_pc, eplb_pc, side_done, COMPUTE, SIDE) } \
        :: d_step { holder[r] == SIDE && all_started(r, side_done, SIDE) -> \
                leave(r, side_done, eplb_pc, main_pc, compute_done, SIDE, COMPUTE) }

active proctype machine() {
        do
        rank(0)
        rank(1)
#if N > 2
        rank(2)
#endif
#if N > 3
        rank(3)
#endif
        od
}
