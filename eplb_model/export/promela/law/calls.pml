/* Calls of host threads on streams, by name: what lets them go on, and what follows.
 * specs/semantics.md#locks, #launch, #memset, #copy, #record-event, #stream-wait-event, #free */

#define context_is_free(r, t) (gpu[r].context == 0 || gpu[r].context == t + 1)
#define nobody_fills(r, t) (gpu[r].making == 0 || gpu[r].making == t + 1)
#define has_room(s) (stream[s].items < QUEUE_DEPTH)
#define is_pending(m) (mark[m].on != NEVER && mark[m].on != DONE)

/* The kernel becomes the last work of the stream, and gets the next number of its launches. */
inline launch(r, s, w, c)
{       x_ = count[c].launched;
        enqueue(s, w, x_, 0, 0);
        count[c].launched++;
        flow(r)
}

/* A memset, a copy, a launch that nobody counts. */
inline submit(r, s, w)
{       enqueue(s, w, 0, 0, 0);
        flow(r)
}

inline submit_and_wait(r, t, s, w)
{       enqueue(s, w, 0, 0, 0);
        capture(r, t, s);
        flow(r)
}

inline record_event(r, s, w, m)
{       enqueue(s, w, 0, 0, 0);
        mark[m].on = s + 1;
        mark[m].ahead = stream[s].items;
        flow(r)
}

/* The wait is for the record that the event holds now. */
inline stream_wait_event(r, s, w, m)
{       x_ = mark[m].on;
        y_ = mark[m].ahead;
        enqueue(s, w, 0, x_, y_);
        flow(r)
}

inline take_context(r, t)
{       gpu[r].context = t + 1
}

inline give_context(r)
{       gpu[r].context = 0
}

/* A launch without room keeps others from making events and memory until it has room. */
inline keep_others_from_making(r, t)
{       gpu[r].making = t + 1
}

inline let_others_make(r, t)
{       if
        :: gpu[r].making == t + 1 -> gpu[r].making = 0
        :: else
        fi
}
