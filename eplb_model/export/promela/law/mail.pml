/* Sends and receives between hosts: for each ordered pair of ranks, the n-th send meets the n-th
 * receive.  specs/semantics.md#isend, #irecv, #wait-requests */

inline stays_open(p, t, is_send, x)
{       assert(pair[p].open < OPEN);           /* the bound of this model, not of the library */
        pair[p].sends = is_send;
        pair[p].who[pair[p].open] = t + 1;
        pair[p].data[pair[p].open] = x;
        pair[p].open++;
        thread[t].requests++
}

inline first_is_met(p)
{       thread[pair[p].who[0] - 1].requests--;
        i_ = 1;
        do
        :: i_ < pair[p].open ->
                pair[p].who[i_ - 1] = pair[p].who[i_];
                pair[p].data[i_ - 1] = pair[p].data[i_];
                i_++
        :: else -> break
        od;
        pair[p].open--;
        pair[p].who[pair[p].open] = 0;
        pair[p].data[pair[p].open] = 0;
        if
        :: pair[p].open == 0 -> pair[p].sends = false
        :: else
        fi
}

inline send(p, t, x)
{       if
        :: pair[p].open > 0 && !pair[p].sends ->
                deliver(pair[p].data[0], x);
                first_is_met(p)
        :: else -> stays_open(p, t, true, x)
        fi
}

inline receive(p, t, into)
{       if
        :: pair[p].open > 0 && pair[p].sends ->
                deliver(into, pair[p].data[0]);
                first_is_met(p)
        :: else -> stays_open(p, t, false, into)
        fi
}
