/*
 * The broken sibling: the cooperative kernel starts CTA by CTA, as a regular launch does.
 *
 * Everything else is the same, and every run now ends: the law of the hang is wrong for the first
 * grid at which it says "stuck".  Measured as well: launched regularly, the kernel completes where
 * the gang hangs (E18, H14).  What hangs is "all or nothing", not the number of CTAs.
 */
#define GRID
#define PIECEMEAL
#include "sm_deadlock.pml"
