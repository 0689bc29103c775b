/* NCCL groups of host threads: launches that are kept until the last end.
 * specs/semantics.md#group-start, #group-end */

inline keep(t, w, s)
{       assert(thread[t].keeps < KEEPS);        /* the bound of this model, not of the library */
        thread[t].kept[thread[t].keeps] = w;
        thread[t].into[thread[t].keeps] = s + 1;
        thread[t].keeps++
}

#define first_kept(t, w, s) (thread[t].kept[0] == w && thread[t].into[0] == s + 1)

inline forget_first(t)
{       i_ = 1;
        do
        :: i_ < thread[t].keeps ->
                thread[t].kept[i_ - 1] = thread[t].kept[i_];
                thread[t].into[i_ - 1] = thread[t].into[i_];
                i_++
        :: else -> break
        od;
        thread[t].keeps--;
        thread[t].kept[thread[t].keeps] = 0;
        thread[t].into[thread[t].keeps] = 0
}

/* All levels are closed, and what was kept is lost. */
inline close_group(t)
{       do
        :: thread[t].keeps > 0 -> forget_first(t)
        :: else -> break
        od;
        thread[t].depth = 0
}
