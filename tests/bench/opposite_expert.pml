/* coop_vs_nccl_capped with its four channels, as somebody writes it who knows Spin and the answers
   to all questions about seats: one process, one d_step for each step, bytes only.

   Rank 0 starts the exchange first, the others the cooperative kernel.  The kernel of rank 0 finds
   room beside the exchange; on the others the exchange waits until the kernel has left.  Both
   threads wait for both kernels before the next of K rounds.  States and steps are those of the
   vector.  With -DHANG there is no room on rank 0 either: coop_vs_nccl_opposite_order, where no
   channel ever ends.  -DN=ranks -DK=rounds (steps * layers). */
#define ENDS 2                          /* where both threads begin to wait for both kernels */

byte main_at[N], eplb_at[N];            /* where the threads are in their round */
byte main_k[N], eplb_k[N];              /* and in which */
byte moe[N], moe_done[N];               /* kernels launched, completed */
byte x[N], x_done[N];                   /* exchanges launched, completed */
byte ended[N];                          /* channels of the exchange that have ended */
bool waited;                            /* some kernel could not start at once */

#define resident(q) (x[q] > x_done[q] && (q == 0 || moe[q] == moe_done[q]))
/* Whether rank q has started the exchange that rank r is at. */
#define here(r, q) (x_done[q] > x_done[r] || (x_done[q] == x_done[r] && resident(q)))

#ifdef HANG
#define seated(q) (q != 0 || x[q] == x_done[q])
#else
#define seated(q) true
#endif
/* Whether rank q has started the kernel that rank r is at. */
#define started(r, q) \
        (moe_done[q] > moe_done[r] || (moe[q] > moe_done[r] && seated(q)))
#define two_started(r) (started(r, 0) && started(r, 1))

#define end_channel(r, bit) \
        ended[r] = ended[r] + bit; \
        if \
        :: ended[r] == ALL -> ended[r] = 0; x_done[r]++ \
        :: else \
        fi

#if N == 2
#define all_started(r) two_started(r)
#define ALL 4                           /* alike: they end in the order in which they started */
#define channels(r) :: d_step { resident(r) && here(r, 1 - r) -> end_channel(r, 1) }
#elif N == 3
#define all_started(r) (two_started(r) && started(r, 2))
#define ALL 21                          /* 0 and 1 serve a round each, 2 and 3 both */
#define all_here(r) (here(r, ((r + 1) % 3)) && here(r, ((r + 2) % 3)))
#define channels(r) \
        :: d_step { resident(r) && !(ended[r] & 1) && all_here(r) -> end_channel(r, 1) } \
        :: d_step { resident(r) && !(ended[r] & 4) && all_here(r) -> end_channel(r, 4) } \
        :: d_step { resident(r) && ended[r] < 16 && all_here(r) -> end_channel(r, 8) }
#else
#define all_started(r) (two_started(r) && started(r, 2) && started(r, 3))
#define ALL 15                          /* rounds 3; 2; 1 and 2; 1 and 3 */
#define next_here(r) (here(r, ((r + 1) % 4)) && here(r, ((r + 3) % 4)))
#define opposite_here(r) here(r, ((r + 2) % 4))
#define channels(r) \
        :: d_step { resident(r) && !(ended[r] & 1) && next_here(r) -> end_channel(r, 1) } \
        :: d_step { resident(r) && !(ended[r] & 2) && opposite_here(r) -> end_channel(r, 2) } \
        :: d_step { resident(r) && !(ended[r] & 4) && next_here(r) && opposite_here(r) -> \
                end_channel(r, 4) } \
        :: d_step { resident(r) && !(ended[r] & 8) && next_here(r) -> end_channel(r, 8) }
#endif

#define both_waits(r, at, k) \
        :: d_step { at[r] == ENDS && moe_done[r] > k[r] -> at[r]++ } \
        :: d_step { at[r] == ENDS + 1 && x_done[r] > k[r] -> at[r] = 0; k[r]++ }

#define streams(r) \
        :: d_step { moe[r] > moe_done[r] && seated(r) && all_started(r) -> moe_done[r]++ } \
        channels(r)

#define first(r) \
        :: d_step { main_at[r] == 0 && main_k[r] < K && x[r] > main_k[r] -> main_at[r] = 1 } \
        :: d_step { main_at[r] == 1 -> main_at[r] = ENDS; moe[r]++; \
                waited = waited || !seated(r) } \
        both_waits(r, main_at, main_k) \
        :: d_step { eplb_at[r] == 0 && eplb_k[r] < K -> eplb_at[r] = ENDS; x[r]++ } \
        both_waits(r, eplb_at, eplb_k) \
        streams(r)

#define rest(r) \
        :: d_step { main_at[r] == 0 && main_k[r] < K -> main_at[r] = ENDS; moe[r]++ } \
        both_waits(r, main_at, main_k) \
        :: d_step { eplb_at[r] == 0 && eplb_k[r] < K && moe[r] > eplb_k[r] -> eplb_at[r] = 1 } \
        :: d_step { eplb_at[r] == 1 -> eplb_at[r] = ENDS; x[r]++; \
                waited = waited || moe[r] > moe_done[r] } \
        both_waits(r, eplb_at, eplb_k) \
        streams(r)

active proctype machine() {
        do
        first(0)
        rest(1)
#if N > 2
        rest(2)
#endif
#if N > 3
        rest(3)
#endif
        od
}
