/*
 * Async EPLB: on each rank a worker fills a buffer layer by layer while the main thread goes on,
 * votes with the others whether everybody has a layer, and moves it into the weights.  For ever.
 *
 * Two two-thread events join the threads of a rank: `rearrange` wakes the worker, `consumed` gives
 * the buffer back.  Their text is ../cpu_gpu_event/event.pml; with CONTRACT they are replaced by
 * what a user may rely on.  Step names are those of ../protocols.md.
 *
 * Sources: vLLM 0.20 and 0.33, read step by step (../protocols.md; ../sources.md for rule ids).
 *
 * The only question about the GPUs is whether the buffer is written while the copy out of it still
 * runs, or copied while it is still being written.  So the watched work of ../cpu_gpu_event is the
 * latest copy out, and `after` says who comes after it: streams by order, hosts by having waited.
 *
 * Left out: forward passes and their kernels (../sm_deadlock has these), several models, steps
 * between two cycles (the next one begins in the same step, which is the tightest), contents of
 * rows, the sum of the loads, the drain, elastic scaling.
 *
 * Checked with Spin 6.5.2, all states, no reduction, 2 ranks, 2 layers, any number of cycles: 0.20
 * has 72,471 states, 0.33 has 69,267 states, and with the automaton of `cycles_end` 0.20 has
 * 206,821 states.  models.json has every check.
 */

/* ---- Constants. ---- */

#ifndef RANKS
#define RANKS   2
#endif
#ifndef LAYERS
#define LAYERS  2               /* moved in this order, once per cycle */
#endif
#ifndef VERSION
#define VERSION 20              /* 20 or 33: with 33 the workers agree before each layer (W6) */
#endif
/* What if?  1 or 0, but for the last. */
#ifndef COMMIT_BLOCKS
#define COMMIT_BLOCKS  1        /* V5: the copy of the map waits for the stream, by accident */
#endif
#ifndef WAITS_CONSUMED
#define WAITS_CONSUMED 1        /* W11 makes the worker's stream wait, not only its host */
#endif
#ifndef SYNCHRONISES
#define SYNCHRONISES   1        /* W8: the worker waits for its stream before it publishes */
#endif
#ifndef BY_HOST
#define BY_HOST        0        /* an engine that no stream orders fills the buffer (NIXL) */
#endif
#ifndef RECORD_FIRST
#define RECORD_FIRST   0        /* V9 before V8 */
#endif
#ifndef DIES
#define DIES           0        /* the worker of the last rank may raise, 1: before, 2: after a transfer */
#endif

#include "../cpu_gpu_event/event.pml"

/* ---- Variables. ---- */

Event rearrange[RANKS];         /* main to worker: a cycle begins.  One object for life */
Event consumed[RANKS];          /* main to worker: the layer is out of the buffer.  A fresh object for
                                   each layer there; here the last one, which is as good, since
                                   nobody is inside it any more when the worker makes the next */
bool rebalanced[RANKS];         /* a cycle is on: main sets and clears it, the worker reads it */
byte pending[RANKS];            /* the published layer, from 1; 0 for none */

#define MAIN   0                /* who may know that the latest copy out of the buffer is over */
#define WORKER 1
#define COMPUTE 2               /* the main thread's stream */
#define SIDE   3                /* the worker's stream */
typedef Knowledge { bool it[4] }
Knowledge after[RANKS];         /* what each does from now on comes after that copy */
bool filled[RANKS];             /* the worker's host knows that the transfer is over */

typedef Group {                 /* a host collective: who comes last gives everybody the sum */
  byte came; byte sum; byte answer; bool round
}
Group ep;                       /* of the main threads */
Group eplb;                     /* of the workers: W6, and the exchange, which is two-sided */

bool overwritten;               /* a transfer wrote into a buffer that was still being copied out */
bool half_filled;               /* a copy out read a buffer that was still being filled */
bool not_taken_back;            /* W12: the worker was told to go on, and its layer is still published */
bool asleep[RANKS];             /* the worker is between two cycles */

#define ON_ALL(p) (p(0) && p(RANKS - 1))        /* for one or two ranks */
#define TYPE(r)   (pending[r] <= LAYERS && ep.came < RANKS && eplb.came < RANKS && \
                   rearrange[r].recording + rearrange[r].waiting <= 2)
#define BOXES(r)  (IS_BOX(rearrange[r]) && IS_BOX(consumed[r]))

/* ---- Actions. ---- */

inline all_reduce(group, value, result) {
  d_step {
    mine = group.round; group.came++; group.sum = group.sum + value;
    if :: group.came == RANKS ->
          group.answer = group.sum; group.came = 0; group.sum = 0; group.round = !group.round
       :: else
    fi
  };
  d_step { group.round != mine -> result = group.answer; mine = false }
}

inline begin_cycle() {          /* R1 to R4 */
  rebalanced[r] = true;
  record(rearrange[r], after[r].it[COMPUTE], false)
}

inline copy_out() {             /* V2: from now on this is the latest copy */
  d_step {
    if :: !filled[r] -> half_filled = true :: else fi;
    after[r].it[MAIN] = false; after[r].it[WORKER] = false; after[r].it[SIDE] = false;
    after[r].it[COMPUTE] = true
  }
}

inline commit() {               /* V5 */
  if :: COMMIT_BLOCKS -> after[r].it[MAIN] = true :: !COMMIT_BLOCKS fi
}

inline take_back()  { pending[r] = 0 }                                          /* V8 */
inline give_back()  { record(consumed[r], after[r].it[COMPUTE], false) }        /* V9 */

inline move() {
  copy_out();
  commit();
  if :: pending[r] == LAYERS -> rebalanced[r] = false :: else fi;               /* V7 */
#if RECORD_FIRST
  give_back(); take_back()
#else
  take_back(); give_back()
#endif
}

inline fill() {                 /* W7, W8: when all workers are there the buffers are written */
  all_reduce(eplb, 1, answer);
  d_step {
    if :: !BY_HOST && !after[r].it[SIDE] && !after[r].it[WORKER] -> overwritten = true
       ::  BY_HOST && !after[r].it[WORKER] -> overwritten = true
       :: else
    fi;
    filled[r] = SYNCHRONISES || BY_HOST
  }
}

inline may_raise() {            /* an exception ends the thread, and nobody is told */
  if :: r == RANKS - 1 -> goto gone :: true fi
}

inline wait_until_consumed() {  /* W11; a host that has met another one knows what that one knew */
#if WAITS_CONSUMED
  wait(consumed[r], 0, after[r].it[SIDE]);
#else
  wait(consumed[r], 0, ignored);
#endif
  d_step { after[r].it[WORKER] = after[r].it[WORKER] || after[r].it[MAIN]; ignored = false }
}

/* ---- Processes: a main thread and a worker on each rank. ---- */

proctype main(byte r) {
  byte answer;                  /* of the vote */
  bool mine;
  begin_cycle();
  do                            /* a step: a forward pass, then this */
  :: all_reduce(ep, (pending[r] != 0), answer);                                 /* M6 */
     if
     :: answer == RANKS -> answer = 0; move()
     :: else -> answer = 0
     fi;
     if
     :: !rebalanced[r] -> begin_cycle()                                         /* M7 */
     :: else
     fi
  od
}

proctype worker(byte r) {
  byte answer, layer;
  bool mine, ignored;
  asleep[r] = true;
  do
  :: wait(rearrange[r], 0, after[r].it[SIDE]);                                  /* W0 */
     d_step {                                                                   /* W3, W4 */
       asleep[r] = false;
       after[r].it[WORKER] = after[r].it[WORKER] || after[r].it[SIDE];
       layer = 1
     };
     do
     :: layer > LAYERS -> break
     :: layer <= LAYERS ->
#if VERSION == 33
        all_reduce(eplb, rebalanced[r], answer);                                /* W6 */
        if
        :: answer < RANKS -> rebalanced[r] = false; break
        :: else
        fi;
#else
        if
        :: !rebalanced[r] -> break
        :: else
        fi;
#endif
#if DIES == 1
        may_raise();
#endif
        fill();
#if DIES == 2
        may_raise();
#endif
        pending[r] = layer;                                                     /* W10 */
        wait_until_consumed();
        if
        :: pending[r] != 0 -> not_taken_back = true; goto gone                  /* W12 */
        :: else
        fi;
        layer++
     od;
     atomic { layer = 0; answer = 0; asleep[r] = true }
  od;
gone:
  skip
}

init {
  byte r;
  atomic {
    for (r : 0 .. RANKS - 1) {
      after[r].it[MAIN] = true; after[r].it[WORKER] = true;     /* nothing was copied yet */
      after[r].it[COMPUTE] = true; after[r].it[SIDE] = true;
      run main(r); run worker(r)
    }
    r = 0
  }
}

/* ---- Properties. ---- */

ltl kept        { [] !overwritten }             /* no buffer is written before it is copied out */
ltl whole       { [] !half_filled }             /* no buffer is copied out before it is filled */
ltl taken_back  { [] !not_taken_back }          /* the worker's assertion W12 */
ltl safe        { [] (ON_ALL(TYPE) && !overwritten && !half_filled && !not_taken_back && \
                      !no_g1 && !no_g3 && !no_g4 && !refused && !no_box && ON_ALL(BOXES)) }
                /* all of these, the types, both events are their contract, and no record raises */
ltl idle        { [] (pending[0] != LAYERS) }   /* false, so that the others say something */
/* Liveness, under weak fairness (pan -f). */
ltl cycles_end  { [] (<> !rebalanced[0]) && [] (<> !rebalanced[RANKS - 1]) }
ltl empties     { [] (<> (pending[0] == 0)) && [] (<> (pending[RANKS - 1] == 0)) }
ltl sleeps      { [] (<> asleep[0]) && [] (<> asleep[RANKS - 1]) }  /* the worker returns to W0 */
