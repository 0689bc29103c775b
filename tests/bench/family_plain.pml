/* coop_vs_nccl_all_at_once with one channel, as one writes it at first: a process for every host
   thread and every stream of a rank.  The states are those of family_expert.pml.
   -DN=ranks -DL=layers. */
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

proctype main_thread(byte r) {
end:    do
        :: atomic { main_pc[r] < 2 * L -> main_pc[r]++;
                if
                :: main_pc[r] == compute_done[r] + 1 -> arrive(r, COMPUTE)
                :: else
                fi }
        od
}

proctype eplb_thread(byte r) {
end:    do
        :: atomic { eplb_pc[r] < L -> eplb_pc[r]++;
                if
                :: eplb_pc[r] == side_done[r] + 1 -> arrive(r, SIDE)
                :: else
                fi }
        od
}

proctype compute_stream(byte r) {
        do
        :: atomic { holder[r] == COMPUTE && all_started(r, compute_done, COMPUTE) ->
                leave(r, compute_done, main_pc, eplb_pc, side_done, COMPUTE, SIDE) }
        od
}

proctype side_stream(byte r) {
        do
        :: atomic { holder[r] == SIDE && all_started(r, side_done, SIDE) ->
                leave(r, side_done, eplb_pc, main_pc, compute_done, SIDE, COMPUTE) }
        od
}

init {
        byte r;
        atomic {
                do
                :: r < N ->
                        run main_thread(r); run eplb_thread(r);
                        run compute_stream(r); run side_stream(r);
                        r++
                :: else -> break
                od
        }
}
