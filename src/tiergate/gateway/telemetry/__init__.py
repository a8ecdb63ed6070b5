"""How a gateway is observed: counters, spans, log lines, readiness. None of it stands in a request's way."""
