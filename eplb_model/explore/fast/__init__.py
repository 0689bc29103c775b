"""The fast search: tables of one rank at a time, reduced, coupled only by what peers have done.

specs/reductions.md says what each part rests on.
"""
