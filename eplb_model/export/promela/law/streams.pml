/* Streams: work in order of submission, and marks that count down to DONE as it leaves.
 * specs/semantics.md#state, #record, #await */

inline enqueue(s, w, n, o, a)
{       assert(stream[s].items < CAPACITY);      /* the bound of this model, not of the machine */
        stream[s].work[stream[s].items] = w;
        stream[s].nr[stream[s].items] = n;
        stream[s].on[stream[s].items] = o;
        stream[s].ahead[stream[s].items] = a;
        stream[s].items++;
        join_queue(s)
}

/* The head of a stream is over: everybody who waits for this stream is one item closer. */
inline pop(r, s)
{       leave_queue(s);
        i_ = 1;
        do
        :: i_ < stream[s].items ->
                stream[s].work[i_ - 1] = stream[s].work[i_];
                stream[s].nr[i_ - 1] = stream[s].nr[i_];
                stream[s].on[i_ - 1] = stream[s].on[i_];
                stream[s].ahead[i_ - 1] = stream[s].ahead[i_];
                i_++
        :: else -> break
        od;
        stream[s].items--;
        stream[s].work[stream[s].items] = 0;
        stream[s].nr[stream[s].items] = 0;
        stream[s].on[stream[s].items] = 0;
        stream[s].ahead[stream[s].items] = 0;
        tell(r, s)
}

inline tell(r, s)
{       j_ = first_stream(r);
        do
        :: j_ < first_stream(r + 1) ->
                i_ = 0;
                do
                :: i_ < stream[j_].items ->
                        if
                        :: stream[j_].on[i_] == s + 1 ->
                                stream[j_].ahead[i_]--;
                                if
                                :: stream[j_].ahead[i_] == 0 -> stream[j_].on[i_] = DONE
                                :: else
                                fi
                        :: else
                        fi;
                        i_++
                :: else -> break
                od;
                j_++
        :: else -> break
        od;
        i_ = first_mark(r);
        do
        :: i_ < first_mark(r + 1) ->
                if
                :: mark[i_].on == s + 1 ->
                        mark[i_].ahead--;
                        if
                        :: mark[i_].ahead == 0 -> mark[i_].on = DONE
                        :: else
                        fi
                :: else
                fi;
                i_++
        :: else -> break
        od;
        i_ = first_thread(r);
        do
        :: i_ < first_thread(r + 1) ->
                if
                :: thread[i_].pending[s - first_stream(r)] > 0 ->
                        thread[i_].pending[s - first_stream(r)]--
                :: else
                fi;
                i_++
        :: else -> break
        od
}

/* A host call remembers what a stream holds now; it waits until all of that is over. */
inline capture(r, t, s)
{       thread[t].pending[s - first_stream(r)] = stream[s].items
}

inline capture_mark(r, t, m)
{       thread[t].pending[mark[m].on - 1 - first_stream(r)] = mark[m].ahead
}

/* What the legacy default stream and the blocking ones do to each other: a wait for all of x. */
inline wait_for_all_of(s, x, w)
{       if
        :: stream[x].items > 0 ->
                x_ = x + 1;
                y_ = stream[x].items;
                enqueue(s, w, 0, x_, y_)
        :: else
        fi
}

/* Launches that meet are numbered from the first one that some rank has not completed. */
inline renumber(is_of_family)
{       i_ = 0;
        do
        :: i_ < STREAMS ->
                j_ = 0;
                do
                :: j_ < stream[i_].items ->
                        if
                        :: is_of_family -> stream[i_].nr[j_]--
                        :: else
                        fi;
                        j_++
                :: else -> break
                od;
                i_++
        :: else -> break
        od
}

/* What the GPU of a rank does by itself.  specs/semantics.md#distributor */
inline flow(r)
{       pass_waits(r);                          /* 1. satisfied waits are passed until none is left */
        k_ = first_stream(r);
        do
        :: k_ <= first_stream(r + 1) ->        /* 2. ready kernels arrive, in the order of streams */
                new_ = k_ < first_stream(r + 1) && is_kernel(head(k_)) && !stream[k_].arrived &&
                       !is_blocked(k_);
                if
                :: new_ ->
                        gpu[r].arrived[gpu[r].kernels] = k_ + 1;
                        gpu[r].kernels++;
                        stream[k_].arrived = true
                :: else
                fi;
                if
                :: new_ || k_ == first_stream(r + 1) -> place(r)   /* 3. to 5. kernels get seats */
                :: else
                fi;
                if
                :: new_ && gpu[r].kernels > 1 && stream[k_].started < ctas(head(k_)) ->
                        waited = true
                :: else
                fi;
                k_++
        :: else -> break
        od;
        skip                                    /* a d_step may not end in a loop */
}

/* A kernel has ended: it leaves the GPU and its stream. */
inline leave(r, s)
{       i_ = 0;
        do
        :: gpu[r].arrived[i_] != s + 1 -> i_++
        :: else -> break
        od;
        do
        :: i_ < gpu[r].kernels - 1 ->
                gpu[r].arrived[i_] = gpu[r].arrived[i_ + 1];
                i_++
        :: else -> break
        od;
        gpu[r].kernels--;
        gpu[r].arrived[gpu[r].kernels] = 0;
        stream[s].arrived = false;
        stream[s].started = 0;
        stream[s].handed = 0;
        i_ = 0;
        do
        :: i_ < CLASSES ->
                stream[s].ended[i_] = 0;
                i_++
        :: else -> break
        od;
        pop(r, s)
}
