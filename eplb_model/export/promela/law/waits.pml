/* Satisfied waits are passed, one after the other: each may satisfy another. */

inline pass_waits(r)
{       do
        :: true ->
                note_who_is_blocked(r);
                k_ = first_stream(r);
                do
                :: k_ < first_stream(r + 1) && !(is_wait(head(k_)) &&
                   stream[k_].on[0] == DONE && !is_blocked(k_)) -> k_++
                :: else -> break
                od;
                if
                :: k_ < first_stream(r + 1) -> pop(r, k_)
                :: else -> break
                fi
        od
}
