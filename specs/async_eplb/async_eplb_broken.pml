/*
 * The broken sibling: the main thread gives the buffer back before it takes the publication back.
 *
 * Two lines of a move are exchanged, V9 before V8.  The worker may wake up in between, finds its
 * layer still published, and its assertion W12 ends it; nobody is told.  No deadlock: the main
 * threads vote, step after step, for a layer that will never be there.  Only liveness finds it.
 */
#define RECORD_FIRST 1
#include "async_eplb.pml"
