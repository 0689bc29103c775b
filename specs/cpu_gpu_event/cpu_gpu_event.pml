/*
 * One producer and one consumer use the two-thread event of event.pml round after round, for ever.
 *
 * Each round the producer puts work on stream SIDE and records; the consumer waits and puts work
 * on stream COMPUTE that must come after it.  The event promises four things:
 *   G1  a wait acts on an event that was recorded;
 *   G2  what is put on the consumer's stream after a wait comes after what was put on the
 *       producer's stream before the record;
 *   G3  exactly one wait returns for each record;
 *   G4  a record that is not consumed is neither replaced nor erased.
 * It does not promise that a record is accepted: the protocol around it has to see to it that a
 * wait has returned before the next record begins.  Here that is the flag `answered`.
 *
 * Checked with Spin 6.5.2, all states, no reduction, any number of rounds: 69 states if the
 * producer waits for the answer, 352 states if it does not.  models.json has every check.
 */

/* ---- Constants.  MISUSE is what the two threads, or others, do wrong. ---- */

#define NONE             0
#define DOUBLE_RECORD    1      /* the producer does not wait for the answer */
#define EARLY_ANSWER     2      /* the consumer answers between a3 and a4 */
#define EXTRA_WAIT       3      /* two waits for each record */
#define TWO_WAITERS      4      /* two threads wait */
#define TWO_PRODUCERS    5      /* two threads record, neither waits for an answer */
#define RECORD_ELSEWHERE 6      /* record() is called under another current stream */
#define WAIT_ELSEWHERE   7      /* wait() is called without the stream that needs the order */
#define A3_RAISES        8      /* the device call of a wait may fail; the consumer gives up */
#define A3_RETRIED       9      /* it fails for ever; the consumer tries again */
#define B3_RAISES       10      /* the device call of a record may fail; the producer gives up */
#define B3_RETRIED      11      /* it may fail; the producer tries again */
#define CONSUMER_DIES   12      /* inside its wait; somebody tells the producer to go on */
#define PRODUCER_DIES   13      /* some day, outside record() */
#define SAME_THREAD     14      /* one thread records, then waits: allowed */
#define BARE_EVENT      15      /* no flag: a plain event shared by two threads */

#ifndef MISUSE
#define MISUSE NONE
#endif
#if MISUSE == TWO_WAITERS
#define WAITERS 2
#endif

#define SIDE    0
#define COMPUTE 1
#define OTHER   2

#include "event.pml"

/* ---- Variables. ---- */

Event event;
bool knows[3];                  /* of each stream: what is put there next is after the watched work */
bool answered = true;           /* the consumer has come back from the last wait */
bool chosen;                    /* some round was chosen: its work on SIDE is the watched work */
bool no_g2;                     /* work that had to be after the watched work is not */
bool turn;                      /* changes whenever a wait has returned */

/* Type invariant; the contract's box is full exactly as long as the flag is up. */
#define TYPE_OK  (event.current <= WAITERS + 1 && event.loaded[0] <= WAITERS + 1 \
                  && event.recording <= 2 && event.waiting <= WAITERS \
                  && IS_BOX(event))
/* Why record and wait can't overlap: see ../proofs/two_thread_event.md. */
#define APART    ((!event.flag || event.recording == 0) && (event.flag || event.waiting == 0))
/* Step by step the code is the contract: it does nothing that the box would not do (no_g1: a wait
 * without its order; no_g3: a wait with the box empty; no_g4: a record with the box full), and the
 * flag is up exactly while the box is full. */
#define REFINES  (IS_BOX(event) && !no_g1 && !no_g3 && !no_g4 && !no_box)

/* ---- Actions.  The guard is the first statement of each. ---- */

inline produce() {              /* put work on SIDE; one round, any one, is the watched one */
  if
  :: d_step { !chosen -> chosen = true; mine = true; knows[SIDE] = true }
  :: skip
  fi
}

inline consume(me) {            /* put work on COMPUTE: after the watched work, if that is owed */
  d_step { if :: event.owes[me] && !knows[COMPUTE] -> no_g2 = true :: else fi; turn = !turn }
}

inline fail_b3(e) {             /* b1 and b2 as always, then b3 raises */
  d_step { !e.flag -> b1(e) };
  d_step { b2(e) };
  d_step { e.recording-- }
}

inline fail_a3(e, me) {         /* a1 and a2 as always, then a3 raises: the flag stays up */
  d_step { e.flag -> a1(e, me) };
  d_step { a2(e, me) };
  d_step { let_go(e, me) }
}

/* ---- Processes. ---- */

proctype producer() {
  bool mine;                    /* the watched work is this thread's */
  do
#if MISUSE == DOUBLE_RECORD || MISUSE == TWO_PRODUCERS
  :: produce();
#else
  :: d_step { answered -> answered = false };
     produce();
#endif
#if MISUSE == RECORD_ELSEWHERE
     record(event, knows[OTHER], mine)
#elif MISUSE == BARE_EVENT
     d_step { b2(event) }; d_step { b3(event, knows[SIDE]); publish(event, mine) }
#elif MISUSE == B3_RAISES
     if :: record(event, knows[SIDE], mine) :: fail_b3(event) fi
#elif MISUSE == B3_RETRIED
     do :: record(event, knows[SIDE], mine); break :: fail_b3(event) od
#else
     record(event, knows[SIDE], mine)
#endif
#if MISUSE == PRODUCER_DIES
  :: break
#endif
  od
}

proctype consumer(byte me) {
  do
#if MISUSE == A3_RETRIED
  :: fail_a3(event, me)
#elif MISUSE == BARE_EVENT
  :: d_step { a1(event, me) };
     d_step { a2(event, me) };
     d_step { a3(event, me, knows[COMPUTE]); let_go(event, me); event.box = false };
     consume(me);
     answered = true
#elif MISUSE == EARLY_ANSWER
  :: d_step { event.flag -> a1(event, me) };
     d_step { a2(event, me) };
     d_step { a3(event, me, knows[COMPUTE]) };
     answered = true;
     d_step { a4(event, me) };
     consume(me)
#else
#if MISUSE == WAIT_ELSEWHERE
  :: wait(event, me, knows[OTHER]);
#else
  :: wait(event, me, knows[COMPUTE]);
#endif
#if MISUSE == EXTRA_WAIT
     wait(event, me, knows[COMPUTE]);
#endif
     consume(me);
     answered = true
#if MISUSE == A3_RAISES
  :: fail_a3(event, me); answered = true
#elif MISUSE == CONSUMER_DIES
  :: d_step { event.flag -> a1(event, me) }; answered = true; break
#endif
#endif
  od
}

proctype both() {
  bool mine;
  do :: produce(); record(event, knows[SIDE], mine); wait(event, 0, knows[COMPUTE]); consume(0) od
}

init {
  atomic {
#if MISUSE == SAME_THREAD
    run both()
#else
    run producer();
    run consumer(0);
#if MISUSE == TWO_PRODUCERS
    run producer();
#elif MISUSE == TWO_WAITERS
    run consumer(1);
#endif
#endif
  }
}

/* ---- Properties.  Fairness: weak, of processes (pan -f), where models.json says so. ---- */

ltl type_ok  { [] TYPE_OK }
ltl apart    { [] APART }                   /* record and wait never overlap */
ltl g1       { [] !no_g1 }
ltl g2       { [] !no_g2 }
ltl g3       { [] !no_g3 }
ltl g4       { [] !no_g4 }
ltl refines  { [] REFINES }                 /* the code is the contract, seen from outside */
ltl accepted { [] !refused }                /* no record raises */
ltl consumed { [] (event.box -> <> !event.box) }   /* every record is consumed */
ltl returns  { ([] <> turn) && ([] <> !turn) }       /* waits return, again and again */
