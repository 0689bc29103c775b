/*
 * The two-thread event, in its atomic steps, and the contract that its users rely on.
 *
 * A CUDA event alone can't order two host threads: to wait for an event that nobody has recorded
 * yet is no wait at all.  This object glues a flag to the event, so that "recorded" comes before
 * "waited".  It is for one thread that records and one that waits.
 *
 * Sources: vLLM 0.20 and 0.33, class CpuGpuEvent, read step by step; ../semantics.md, sections
 * cpu-gpu-event-record and cpu-gpu-event-wait; rules G33, G35 and G36 of ../sources.md.
 *
 * Instead of queues on a GPU there is one watched piece of work and, for each stream, a bit: does
 * all that is put on the stream from now on come after the watched work?  That is all of
 * happens-before that a property of one piece of work needs, and it bounds no queue and no number
 * of rounds.  The watched work itself never ends: the slowest GPU there is.
 *
 * Left out: a time limit of wait(), which gives up at a1 and changes nothing; errors of CUDA other
 * than a raise in b3 or a3; graph capture; a fork.
 *
 * Whoever includes this file uses
 *   record(e, knows, before)   knows: the bit of the stream that is recorded; before: the watched
 *                              work is the caller's, and it has put it on that stream before
 *   wait(e, me, knows)         me: 0, or the number of the waiter where there are several
 */

#ifndef WAITERS
#define WAITERS 1               /* threads that call wait() on one event */
#endif

typedef Object {                /* a device event */
  bool recorded;                /* b3 was done on it */
  bool covers                   /* the watched work comes before that record */
}

typedef Event {
  /* The object in memory. */
  bool flag;                    /* the CPU half */
  byte current;                 /* number of the device event in the attribute; 0: none was made */
  Object object[WAITERS + 2];   /* live device events by number; nobody records number 0 */
  byte loaded[WAITERS];         /* the number that each waiter holds after a2; 0: none */
  /* For properties only: functions of who is where. */
  byte recording;               /* threads between b1 and b4 */
  byte waiting;                 /* threads between a1 and a4 */
  bool box;                     /* the contract: a record that no wait has consumed */
  bool promise;                 /* the contract: the program put the watched work before it */
  bool owes[WAITERS]            /* the last wait of each has taken such a record */
}

/* The guarantees; a bit is set in the step that breaks one. */
bool no_g1;                     /* a stream was told to wait for an event that nobody recorded */
bool no_g3;                     /* a wait returned and there was no record for it */
bool no_g4;                     /* a record was replaced or erased before a wait returned for it */
bool refused;                   /* some record has raised: the one before was not consumed */
/* Refinement: b1 that raises and b4 are the contract's record, a4 is its wait, and nothing else is
 * seen of the code.  A bit is set in the step that the contract would not have taken. */
bool no_box;                    /* a refusal of an empty box, or a record that carries another order */

hidden byte number;             /* scratch */

#ifdef CONTRACT
#define IS_BOX(e)  true
/* ---- What a user may rely on: a box for one record.  Two steps instead of eight. ---- */

inline record(e, knows, before) {
  if
  :: d_step { e.box -> refused = true }
  :: d_step { !e.box -> e.box = true; e.promise = before; e.object[0].covers = knows }
  fi
}

inline wait(e, me, knows) {
  d_step { e.box -> e.box = false; e.owes[me] = e.promise; knows = knows || e.object[0].covers }
}

#else
/* ---- The code. ---- */

#define IS_BOX(e)   (e.box == e.flag)   /* who may move in the contract may move here */
#define HELD(e, n)  (n == e.loaded[0] || n == e.loaded[WAITERS - 1])

inline forget(e, n) { e.object[n].recorded = false; e.object[n].covers = false }

inline renew(e) {               /* the lowest number that no waiter holds; the old one is let go */
  if :: !HELD(e, e.current) -> forget(e, e.current) :: else fi;
  number = 1;
  do :: HELD(e, number) -> number++ :: else -> break od;
  e.current = number; number = 0
}

inline publish(e, before) {     /* the contract's half of b4 */
  if :: e.box -> no_g4 = true :: else fi;
  e.box = true; e.promise = before
}

inline b1(e)          { e.recording++ }
inline b2(e)          { if :: e.box -> no_g4 = true :: else fi;
#ifdef ONE_OBJECT               /* an event for life: b2 does nothing but once */
                      if :: e.current == 0 -> e.current = 1 :: else fi
#else
                      renew(e)
#endif
                    }
inline b3(e, knows)   { e.object[e.current].recorded = true; e.object[e.current].covers = knows }
inline b4(e, knows, before) {
  if                            /* the box gets what the stream knows in this step, as in the contract */
  :: !e.object[e.current].recorded || e.object[e.current].covers != knows -> no_box = true
  :: else
  fi;
  e.flag = true; publish(e, before); e.recording--
}
inline refuse(e)      { if :: !e.box -> no_box = true :: else fi; refused = true }

inline record(e, knows, before) {
  if
  :: d_step { e.flag -> refuse(e) }                 /* b1 raises, nothing is changed */
  :: d_step { !e.flag -> b1(e) };
     d_step { b2(e) };
#ifdef SET_FIRST                /* broken: the flag goes up before the event is recorded */
     d_step { b4(e, knows, before); e.recording++ };
     d_step { b3(e, knows); e.recording-- }
#else
     d_step { b3(e, knows) };
     d_step { b4(e, knows, before) }
#endif
  fi
}

inline a1(e, me)        { e.waiting++; e.owes[me] = e.promise }
inline a2(e, me)        { e.loaded[me] = e.current }
inline a3(e, me, knows) { if :: e.object[e.loaded[me]].recorded ->
                                knows = knows || e.object[e.loaded[me]].covers
                             :: else -> no_g1 = true              /* no wait at all (G35) */
                          fi }
inline a4(e, me)        { if :: !e.box -> no_g3 = true
                             :: e.box && e.loaded[me] != e.current -> no_g4 = true
                             :: else
                          fi;
                          e.box = false; e.flag = false; let_go(e, me) }
inline let_go(e, me)    { number = e.loaded[me]; e.loaded[me] = 0; e.waiting--;
                          if :: number != e.current && !HELD(e, number) -> forget(e, number)
                             :: else
                          fi;
                          number = 0 }

inline wait(e, me, knows) {
  d_step { e.flag -> a1(e, me) };
#ifdef CLEAR_FIRST              /* broken: the flag comes down before the event is loaded */
  d_step { e.box = false; e.flag = false };
  d_step { a2(e, me) };
  d_step { a3(e, me, knows); let_go(e, me) }
#else
  d_step { a2(e, me) };
  d_step { a3(e, me, knows) };
  d_step { a4(e, me) }
#endif
}
#endif
