"""The door itself: connections of callers, HTTP/1.1 spoken with them, an ASGI application behind it."""
