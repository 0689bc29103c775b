/* Every stream has a hardware queue of its own: its head is always ready. */

inline join_queue(s)
{       skip
}

inline leave_queue(s)
{       skip
}

#define is_blocked(s) false

inline note_who_is_blocked(r)
{       skip
}
