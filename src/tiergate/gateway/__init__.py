"""The door: callers' API surfaces, keys, verdicts obeyed, answers streamed, every exchange recorded."""
