"""What connects two stages: the later one asks for what follows the last item it has, the earlier one keeps what was not
acknowledged. One mechanism for back-pressure (recordings), for freshest-wins (live), and for going on after either died.

    Outlet (ROUTER, binds) ←─ want: after item i; safe up to item j; notes ─── Inlet (DEALER, connects)
                           ─── item i + 1, payload ──────────────────────────→

Where a recording goes on is always the later stage's to say: an outlet that no longer keeps what is wanted tells its
stage to read it again (`Outlet.due`). An end, once offered, is kept for as long as its stage lives.
"""
