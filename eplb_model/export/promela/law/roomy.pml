/* Every kernel of every rank fits at once, wherever it is placed: seats are only counted. */

inline place(r)
{       if
        :: k_ < first_stream(r + 1) -> stream[k_].started = ctas(head(k_))
        :: else
        fi
}

inline give_back(r, s, p)
{       skip
}

inline forget_seats(s)
{       skip
}
