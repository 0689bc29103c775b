/*
 * The broken sibling: wait() takes the flag down before it loads the event, not after.
 *
 * It looks harmless, and with a producer that waits for the answer it is: every guarantee holds.
 * But the flag was all that kept the two apart.  A producer that goes on at once, which the right
 * code answers with an error at worst, now replaces the event between the two steps, and the
 * consumer's stream waits for an event that nobody has recorded: no wait at all.
 */
#define CLEAR_FIRST
#ifndef MISUSE
#define MISUSE DOUBLE_RECORD
#endif
#include "cpu_gpu_event.pml"
