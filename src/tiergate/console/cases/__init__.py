"""Cases: the worklist, and a case as an analyst reads and decides it."""
