"""Requests that the gateway sends to addresses which callers name, guarded against request forgery
(SSRF): by them no caller reaches what only this machine or its network can reach."""
