/* Nobody puts a wait on a stream. */

inline pass_waits(r)
{       skip
}
