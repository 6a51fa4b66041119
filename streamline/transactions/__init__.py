"""Who produced what: idempotent producers (and, later, transactions).  Pure."""
