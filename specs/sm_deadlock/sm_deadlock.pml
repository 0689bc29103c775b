/*
 * An NCCL exchange and a cooperative kernel (a gang) share the SMs of each GPU.
 *
 * Each rank launches both, once.  A CTA of the exchange holds an SM until the same channel has
 * started on every rank.  The gang starts with all its CTAs or with none, and holds them until it
 * has started on every rank.  If two ranks start the two in opposite order, each may hold the SMs
 * that the other needs.
 *
 * Sources, by rule of ../sources.md: G10, G11, G27 (placement), G12, G17b (who waits for whom),
 * G32 (SMs come back CTA by CTA), N2, N3 (channels), H4, H5, H9, H10 (what was seen on two H200).
 *
 * Left out: that SMs come in groups (a cluster fits wherever k SMs are free, so this is a GPU of
 * one group); room for two CTAs on one SM; priorities; more than one launch of each; everything
 * that the host does but launching.  ../semantics.md has all of it.
 *
 * Checked with Spin 6.5.2, all states, no reduction: the law for every grid of up to 6 SMs on two
 * ranks in 22,917 states, of up to 5 SMs on three in 75,350 states.  models.json has every check.
 */

/* ---- Constants: any 1 <= GANG <= SMS, 1 <= CTAS <= SMS, 1 <= CLUSTER, 2 <= RANKS <= 4. ---- */

#ifndef SMS
#define SMS     4               /* of each GPU */
#endif
#ifndef GANG
#define GANG    3               /* CTAs of the cooperative kernel, one for each SM it takes */
#endif
#ifndef CTAS
#define CTAS    2               /* CTAs of the exchange, one for each channel */
#endif
#ifndef CLUSTER
#define CLUSTER 2               /* CTAs of the exchange that start together; 1 if it does not divide */
#endif
#ifndef RANKS
#define RANKS   2
#endif

#define OPPOSITE 0              /* rank 0 exchanges first, all others start the gang first */
#define SAME     1              /* everybody exchanges first */
#define FREE     2              /* two threads per rank race */
#ifndef ORDER
#define ORDER   OPPOSITE
#endif

/* ---- Variables. ---- */

byte S = SMS, g = GANG, n = CTAS, k = CLUSTER;   /* with GRID every combination up to SMS */

typedef Kernel {
  byte arrived;                 /* 0: not launched; else its place in the order of arrival */
  byte started;                 /* CTAs that have had a seat; they start in index order */
  byte ended                    /* CTAs that have given it back; the oldest first */
}
typedef Gpu { Kernel exchange; Kernel gang }
Gpu gpu[RANKS];

#define HELD(K)      (K.started - K.ended)
#define FREE_SMS(r)  (S - HELD(gpu[r].exchange) - HELD(gpu[r].gang))
#define OVER(r)      (gpu[r].exchange.ended == n && gpu[r].gang.ended == g)

#define ON_ALL(p)    (p(0) && p(1 % RANKS) && p(2 % RANKS) && p(3 % RANKS))
#define ALL_OVER     ON_ALL(OVER)

/* Type invariant: nobody holds an SM twice, and a gang has started whole or not at all. */
#define FITS(r)      (FREE_SMS(r) >= 0 && FREE_SMS(r) <= S && HELD(gpu[r].exchange) <= n)
#define WHOLE(r)     (gpu[r].gang.started == 0 || gpu[r].gang.started == g)
#define TYPE_OK      (ON_ALL(FITS) && ON_ALL(WHOLE))

/* ---- What a GPU does by itself, at once, after every step that touched it. ---- */

#ifdef PIECEMEAL                /* broken: the gang takes what is free, like any other kernel */
#define AT_ONCE                 1
#else
#define AT_ONCE                 g
#endif
#define CAN_SEAT_GANG(r)        (gpu[r].gang.arrived && gpu[r].gang.started < g && \
                                 FREE_SMS(r) >= AT_ONCE)

/* A waiting gang bars the exchange behind it (G12); a waiting exchange bars no gang (G17b). */
#define BARRED(r)               (gpu[r].gang.arrived && gpu[r].gang.started == 0 && \
                                 gpu[r].gang.arrived < gpu[r].exchange.arrived)
#define CAN_SEAT_CLUSTER(r)     (gpu[r].exchange.arrived && gpu[r].exchange.started < n && \
                                 FREE_SMS(r) >= k && !BARRED(r))
#define GANG_FIRST(r)           (gpu[r].gang.arrived < gpu[r].exchange.arrived)

#ifdef TELL                     /* for comparisons: every state of two GPUs, one line for each step */
#define TELL_STATE printf("@at %d %d %d %d %d %d %d %d\n", \
  gpu[0].exchange.started, gpu[0].exchange.ended, gpu[0].gang.started, gpu[0].gang.ended, \
  gpu[1].exchange.started, gpu[1].exchange.ended, gpu[1].gang.started, gpu[1].gang.ended)
#else
#define TELL_STATE skip
#endif

inline place(r) {               /* who arrived first is served first */
  do
  :: CAN_SEAT_GANG(r) && (GANG_FIRST(r) || !CAN_SEAT_CLUSTER(r)) ->
     gpu[r].gang.started = gpu[r].gang.started + AT_ONCE
  :: CAN_SEAT_CLUSTER(r) && !(CAN_SEAT_GANG(r) && GANG_FIRST(r)) ->
     gpu[r].exchange.started = gpu[r].exchange.started + k
  :: else -> break
  od;
  TELL_STATE                    /* or nothing; a d_step may not end in a loop */
}

inline launch(K, r) {
  K.arrived = 1 + (gpu[r].gang.arrived > 0) + (gpu[r].exchange.arrived > 0);
  place(r)
}

/* ---- Actions of a GPU: a CTA of the exchange ends, the gang ends.  Guard first. ---- */

#define CHANNEL_STARTED(p)      (gpu[p].exchange.started > gpu[r].exchange.ended)
#define GANG_STARTED(p)         (gpu[p].gang.started > 0)

proctype device(byte r) {
end:
  do
  :: d_step { HELD(gpu[r].exchange) > 0 && ON_ALL(CHANNEL_STARTED) ->
              gpu[r].exchange.ended++; place(r) }
  :: d_step { HELD(gpu[r].gang) > 0 && ON_ALL(GANG_STARTED) ->
              gpu[r].gang.ended = gpu[r].gang.started; place(r) }
  od
}

/* ---- Host threads: launch in the order that is asked for, and wait for the end. ---- */

#ifdef GRID                     /* who is stuck is asked of the judge, and no error by itself */
#define WAIT_FOR_ALL(r)         end: OVER(r)
#else
#define WAIT_FOR_ALL(r)         OVER(r)
#endif

proctype eplb(byte r) {
#if ORDER == OPPOSITE
  r == 0 || gpu[r].gang.started == g;
#endif
  d_step { launch(gpu[r].exchange, r) };
  WAIT_FOR_ALL(r)
}

proctype main(byte r) {
#if ORDER == OPPOSITE
  r != 0 || gpu[r].exchange.started == n;
#elif ORDER == SAME
  gpu[r].exchange.started == n;
#endif
  d_step { launch(gpu[r].gang, r) };
  WAIT_FOR_ALL(r)
}

/* ---- The law, for every grid at once: who is stuck is told from four numbers. ---- */

#define GANG_FITS_BESIDE        (g <= S - n)
#define CLUSTER_FITS_BESIDE     (k <= S - g)
#ifdef FOLKLORE                 /* what is usually said, which forgets that channels trickle */
#define STUCK                   (g + n > S)
#else
#define STUCK                   (!GANG_FITS_BESIDE && !CLUSTER_FITS_BESIDE)
#endif
#if ORDER == SAME
#define MAY_BE_STUCK            false
#define MAY_END                 true
#elif ORDER == FREE
#define MAY_BE_STUCK            STUCK
#define MAY_END                 true
#else
#define MAY_BE_STUCK            STUCK
#define MAY_END                 !STUCK
#endif

#ifdef GRID
active proctype judge() {       /* when nobody else can move, the law has to have said so */
  timeout;
  if
  :: ALL_OVER -> printf("@end %d %d %d %d ok\n", S, g, n, k); assert(MAY_END)
  :: else -> printf("@end %d %d %d %d stuck\n", S, g, n, k); assert(MAY_BE_STUCK)
  fi
}
#endif

init {
  byte r;
#ifdef GRID
  select(S : 2 .. SMS);
  select(g : 1 .. S);
  select(n : 1 .. S);
  select(k : 1 .. CLUSTER);
#endif
  atomic {
    if :: n % k != 0 -> k = 1 :: else fi;
    for (r : 0 .. RANKS - 1) { run device(r); run eplb(r); run main(r) }
    r = 0
  }
}

/* ---- Properties. ---- */

ltl type_ok  { [] TYPE_OK }
ltl finishes { <> ALL_OVER }    /* everything ends, under weak fairness (pan -f) */
