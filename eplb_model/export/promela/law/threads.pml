/* Host threads.  specs/semantics.md#state, #raise, #die */

#define here(t, pc, part) (thread[t].at == pc && thread[t].sub == part && !thread[t].failed)

inline go(t, pc)
{       thread[t].at = pc;
        thread[t].sub = 0
}

inline fail(t, family)
{       thread[t].failed = true;
        thread[t].sub = 0;
        if
        :: family != FAULT && over == 0 -> over = family
        :: else
        fi
}
