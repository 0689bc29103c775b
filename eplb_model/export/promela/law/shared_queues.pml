/* Some streams share a hardware queue: work stands behind what was submitted to it earlier.
 * specs/semantics.md#distributor, #await */

inline join_queue(s)
{       queue[queue_of(s)].who[queue[queue_of(s)].items] = s + 1;
        queue[queue_of(s)].items++
}

/* The first item of the stream leaves, whatever stands before it. */
inline leave_queue(s)
{       i_ = 0;
        do
        :: queue[queue_of(s)].who[i_] != s + 1 -> i_++
        :: else -> break
        od;
        do
        :: i_ < queue[queue_of(s)].items - 1 ->
                queue[queue_of(s)].who[i_] = queue[queue_of(s)].who[i_ + 1];
                i_++
        :: else -> break
        od;
        queue[queue_of(s)].items--;
        queue[queue_of(s)].who[queue[queue_of(s)].items] = 0
}

#define is_blocked(s) stream[s].blocked

/* Blocked: unsatisfied waits of so many other streams stand before the head of this one. */
inline note_who_is_blocked(r)
{       k_ = first_stream(r);
        do
        :: k_ < first_stream(r + 1) ->
                stream[k_].blocked = false;
                i_ = 0;
                do
                :: i_ < STREAMS -> seen[i_] = 0; waits[i_] = false; i_++
                :: else -> break
                od;
                i_ = 0;
                waiting_ = 0;
                do
                :: i_ < queue[queue_of(k_)].items && queue[queue_of(k_)].who[i_] != k_ + 1 ->
                        w_ = queue[queue_of(k_)].who[i_] - 1;
                        if
                        :: is_wait(stream[w_].work[seen[w_]]) && stream[w_].on[seen[w_]] != DONE &&
                           !waits[w_] ->
                                waits[w_] = true;
                                waiting_++;
                                stream[k_].blocked = waiting_ >= waits_that_hold(k_)
                        :: else
                        fi;
                        seen[w_] = seen[w_] + 1;
                        i_++
                :: else -> break
                od;
                k_++
        :: else -> break
        od
}
