/* Kernels compete for SMs; one CTA per SM.  specs/semantics.md#distributor */

/* Whether the kernel of stream x, the a-th to arrive, keeps that of stream y, the b-th, waiting. */
#define bars(x, a, y, b)                                                                \
        (a < b && (gang(head(x)) ||                                                     \
                   (cluster(head(x)) > 1 && gang(head(y)) && CLUSTERED_WAITER_BLOCKS_GANGS)))

/* Whether the regular kernel of stream x keeps SMs from that of stream y: every group in which one
 * of its clusters could be. */
#define keeps(x, y)                                                                     \
        (!gang(head(x)) && !gang(head(y)) && (stream[x].started > 0 || EMPTY_WAITER_BLOCKS))

/* Serve the kernels that wait for seats: in order of arrival up to and including the first gang,
 * of these the most urgent; then the rest in the same way.  Who gets too little may bar others. */
inline place(r)
{       a_ = 0;
        do
        :: a_ < STREAMS -> turn[a_] = 0; a_++
        :: else -> break
        od;
        do
        :: true ->
                best_ = NOBODY;
                a_ = 0;
                do
                :: a_ < gpu[r].kernels ->
                        s_ = gpu[r].arrived[a_] - 1;
                        if
                        :: turn[a_] == 0 && stream[s_].started < ctas(head(s_)) ->
                                if
                                :: best_ == NOBODY -> best_ = a_
                                :: else ->
                                        if
                                        :: urgency(s_) < urgency(gpu[r].arrived[best_] - 1) ->
                                                best_ = a_
                                        :: else
                                        fi
                                fi;
                                if
                                :: gang(head(s_)) -> break
                                :: else
                                fi
                        :: else
                        fi;
                        a_++
                :: else -> break
                od;
                if
                :: best_ == NOBODY -> break
                :: else
                fi;
                turn[best_] = SERVED;
                s_ = gpu[r].arrived[best_] - 1;
                barred_ = false;
                below_ = SMS + 1;
                a_ = 0;
                do
                :: a_ < gpu[r].kernels ->
                        if
                        :: turn[a_] == WAITS && bars(gpu[r].arrived[a_] - 1, a_, s_, best_) ->
                                barred_ = true
                        :: else
                        fi;
                        if
                        :: turn[a_] == WAITS && keeps(gpu[r].arrived[a_] - 1, s_) &&
                           cluster(head(gpu[r].arrived[a_] - 1)) < below_ ->
                                below_ = cluster(head(gpu[r].arrived[a_] - 1))
                        :: else
                        fi;
                        a_++
                :: else -> break
                od;
                if
                :: roomy(r) -> stream[s_].started = ctas(head(s_))  /* counted, without numbers */
                :: !roomy(r) && !barred_ -> give_seats(r, s_)
                :: else
                fi;
                if
                :: stream[s_].started < ctas(head(s_)) -> turn[best_] = WAITS
                :: else
                fi
        od
}

/* Seats for the next CTAs of a kernel: whole clusters, each in one group; a gang all or none.
 * specs/semantics.md#placement */
inline give_seats(r, s)
{       g_ = 0;
        do
        :: g_ < GROUPS ->
                taken[g_] = 0;
                second[g_] = 0;
                in_use[g_] = 0;
                both[g_] = 0;
                m_ = group_start(g_);
                do
                :: m_ < group_start(g_ + 1) ->  /* the TPCs that are in use, by whomever */
                        if
                        :: gpu[r].held[m_] == TAKEN || gpu[r].held[mate(m_)] == TAKEN ->
                                in_use[g_] = in_use[g_] + 1
                        :: else
                        fi;
                        if
                        :: gpu[r].held[m_] == TAKEN && gpu[r].held[mate(m_)] == TAKEN ->
                                both[g_] = both[g_] + 1
                        :: else
                        fi;
                        m_ = m_ + 2
                :: else -> break
                od;
                g_++
        :: else -> break
        od;
        c_ = stream[s].started;
        do
        :: c_ < ctas(head(s)) ->
                best_g_ = NOBODY;
                g_ = 0;
                do
                :: g_ < GROUPS ->              /* look for a group with room */
                        open_ = 0;
                        pair_ = false;
                        m_ = group_start(g_);
                        do
                        :: m_ < group_start(g_ + 1) ->
                                if
                                :: gpu[r].held[m_] == FREE ->
                                        open_++;
                                        pair_ = pair_ || gpu[r].held[mate(m_)] == FREE
                                :: else
                                fi;
                                m_++
                        :: else -> break
                        od;
                        if
                        :: open_ >= cluster(head(s)) &&
                           group_start(g_ + 1) - group_start(g_) < below_ ->
                                rank_ = group_rank(s, g_);
                                if
                                :: best_g_ == NOBODY || rank_ < best_rank_ ->
                                        best_g_ = g_;
                                        best_rank_ = rank_
                                :: else
                                fi
                        :: else
                        fi;
                        g_++
                :: else -> break
                od;
                if
                :: best_g_ == NOBODY -> break
                :: else
                fi;
                k_cta_ = 0;
                do
                :: k_cta_ < cluster(head(s)) ->   /* whole TPCs first, then single SMs */
                        m_ = group_start(best_g_);
                        single_ = NOBODY;
                        do
                        :: m_ < group_start(best_g_ + 1) ->
                                if
                                :: gpu[r].held[m_] == FREE &&
                                   gpu[r].held[mate(m_)] != TAKEN -> break
                                :: gpu[r].held[m_] == FREE && single_ == NOBODY &&
                                   gpu[r].held[mate(m_)] == TAKEN ->
                                        single_ = m_;
                                        m_++
                                :: else -> m_++
                                fi
                        :: else ->
                                m_ = single_;
                                second[best_g_] = second[best_g_] + 1;
                                break
                        od;
                        gpu[r].held[m_] = THIS_CLUSTER;
                        stream[s].seat[c_ + k_cta_] = m_ + 1;
                        k_cta_++
                :: else -> break
                od;
                k_cta_ = 0;
                do
                :: k_cta_ < cluster(head(s)) ->
                        gpu[r].held[stream[s].seat[c_ + k_cta_] - 1] = TAKEN;
                        k_cta_++
                :: else -> break
                od;
                taken[best_g_] = taken[best_g_] + cluster(head(s));
                c_ = c_ + cluster(head(s))
        :: else -> break
        od;
        if
        :: gang(head(s)) && c_ < ctas(head(s)) -> /* not enough for all: give everything back */
                do
                :: c_ > 0 ->
                        c_--;
                        gpu[r].held[stream[s].seat[c_] - 1] = FREE;
                        stream[s].seat[c_] = 0
                :: else -> break
                od
        :: else -> stream[s].started = c_
        fi
}

/* The CTA at position p of a kernel ends: its SM is free.  Its seat stays on record. */
inline give_back(r, s, p)
{       if
        :: roomy(r) -> skip
        :: else -> gpu[r].held[stream[s].seat[p] - 1] = FREE
        fi
}

inline forget_seats(s)
{       i_ = 0;
        do
        :: i_ < SEATS ->
                stream[s].seat[i_] = 0;
                i_++
        :: else -> break
        od
}
