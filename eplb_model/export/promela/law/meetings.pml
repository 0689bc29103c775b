/* What a kernel, or a thread, asks of the n-th launch of a kernel.  specs/semantics.md#meetings */

#define completed(c, n) ((count[c].completed >> n) & 1)

/* Whether it is the head of stream s, and its CTA at position p has been resident. */
#define has_started(is_it, s, n, p) \
        (is_it(head(s)) && stream[s].nr[0] == n && stream[s].started > p)

/* With its last CTA a kernel is over. */
inline complete(r, s)
{       n_ = stream[s].nr[0];
        forget_seats(s);
        leave(r, s)
}

inline note_completed(c)
{       count[c].completed = count[c].completed | (1 << n_)
}
