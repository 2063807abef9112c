"""Postgres, Redis, workers and Flower on one machine, from the Python install alone.

The same engines and the same code path as production; only who starts the processes differs.

    errors, waiting      what can go wrong; waiting that a stop request ends
    process, leftovers   one child; the children of a supervisor that was killed
    home, endpoint       the data directory and its lock; ports and passwords it remembers
    unprivileged         who runs Postgres when we are root
    server, postgres, redis, servers
                         the two servers
    stack, supervise     everything together, kept alive
"""
