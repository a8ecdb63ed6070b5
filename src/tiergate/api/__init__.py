"""The control API: how people and programs apply, approve, grant, look up a decision and contest it, over HTTP."""
