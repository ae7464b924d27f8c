"""The conformance suite: is a server an xDS server to the letter of the protocol? Told by talking to it.

Knows the protocol from outside, as a client does, and what was put into the server. Does not know what server it is.
"""
