/* The objects of a CpuGpuEvent: one in the attribute, others while a thread refers to them.
 * specs/semantics.md#cpu-gpu-event-record */

inline ask_who_refers_to(r, m)
{       referred_ = false;
        i_ = first_thread(r);
        do
        :: i_ < first_thread(r + 1) ->
                referred_ = referred_ || thread[i_].object == m + 1;
                i_++
        :: else -> break
        od
}

inline forget_object(r, m)
{       ask_who_refers_to(r, m);
        if
        :: !referred_ -> mark[m].on = NEVER; mark[m].ahead = 0
        :: else
        fi
}

/* b2: the first number that nobody refers to becomes the object in the attribute. */
inline new_object(r, first, last, attribute)
{       n_ = first;
        do
        :: n_ < last ->
                ask_who_refers_to(r, n_);
                if
                :: referred_ || n_ == first + attribute -> n_++
                :: else -> break
                fi
        :: else -> break
        od;
        o_ = first + attribute;
        attribute = n_ - first;
        forget_object(r, o_)
}

/* a3: the thread refers to its object no more. */
inline let_go(r, t, in_place)
{       n_ = thread[t].object - 1;
        thread[t].object = 0;
        if
        :: n_ != in_place -> forget_object(r, n_)
        :: else
        fi
}
