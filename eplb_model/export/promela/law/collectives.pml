/* Host collectives: the n-th call of a member pairs with the n-th call of every other.
 * specs/semantics.md#all-reduce, #barrier */

inline post(g, m, t, call, number, equal)
{       thread[t].what = call;
        thread[t].brought = number;
        thread[t].agrees = equal;
        thread[t].sub = POSTED;
        group[g].who[m * POSTERS + group[g].posts[m]] = t + 1;
        group[g].posts[m]++;
        all_ = true;
        i_ = 0;
        do
        :: i_ < members(g) ->
                all_ = all_ && group[g].posts[i_] > 0;
                i_++
        :: else -> break
        od;
        if
        :: all_ -> answer_all(g, t)
        :: else
        fi;
        skip                                    /* a d_step may not end in a loop */
}

/* Everybody has come: all get the answer of the last one's kind, or all fail. */
inline answer_all(g, t)
{       kind_ = thread[t].what;
        sum_ = 0;
        least_ = thread[t].brought;
        most_ = thread[t].brought;
        said_ = NULL;
        pairs_ = true;
        i_ = 0;
        do
        :: i_ < members(g) ->
                w_ = group[g].who[i_ * POSTERS] - 1;
                pairs_ = pairs_ && thread[w_].what == kind_;
                sum_ = sum_ + thread[w_].brought;
                least_ = (thread[w_].brought < least_ -> thread[w_].brought : least_);
                most_ = (thread[w_].brought > most_ -> thread[w_].brought : most_);
                if
                :: said_ != NULL && thread[w_].agrees != NULL && thread[w_].agrees != said_ ->
                        pairs_ = false
                :: said_ == NULL -> said_ = thread[w_].agrees
                :: else
                fi;
                i_++
        :: else -> break
        od;
        i_ = 0;
        do
        :: i_ < members(g) ->
                w_ = group[g].who[i_ * POSTERS] - 1;
                j_ = 1;
                do
                :: j_ < group[g].posts[i_] ->
                        group[g].who[i_ * POSTERS + j_ - 1] = group[g].who[i_ * POSTERS + j_];
                        j_++
                :: else -> break
                od;
                group[g].posts[i_]--;
                group[g].who[i_ * POSTERS + group[g].posts[i_]] = 0;
                thread[w_].what = 0;
                thread[w_].brought = 0;
                thread[w_].agrees = 0;
                if
                :: pairs_ ->
                        thread[w_].sub = ANSWERED;
                        thread[w_].answer =
                                (kind_ == BARRIER -> NULL :
                                (kind_ == SUM -> sum_ : (kind_ == MIN -> least_ : most_)))
                :: else -> raise_in(w_, VIOLATION)
                fi;
                i_++
        :: else -> break
        od
}
