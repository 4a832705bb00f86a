"""Faults that a retry overcomes. Each is made by a function of the number of bytes after which it strikes."""

import fault_proxy as faults

BROKEN_CONNECTIONS = {
    "reset": lambda at: faults.reset_after(at),
    "reset before the body": lambda at: faults.reset_after(0),
    "reset four times": lambda at: faults.reset_after(80_000 + at // 2, times=4),
    "silence": lambda at: faults.silent_after(at),
    "trickle": lambda at: faults.trickle_after(at),
    "truncated body": lambda at: faults.truncated_after(at),
}

BAD_ANSWERS = {
    "body longer than Content-Length": lambda at: faults.longer(times=None),
    "wrong Content-Range": lambda at: faults.wrong_content_range(4096),
    "Content-Range beyond the end": lambda at: faults.short_total(),
    "no Content-Range": lambda at: faults.no_content_range(),
    "500": lambda at: faults.refuses(500, code="InternalError"),
    "503": lambda at: faults.refuses(503, code="SlowDown"),
    "429": lambda at: faults.refuses(429, code="TooManyRequests"),
    "429 without XML": lambda at: faults.Fault(answer=lambda _: b"HTTP/1.1 429 -\r\nContent-Length: 3\r\n\r\nno!"),
    "522 from a CDN": lambda at: faults.refuses(522, code="Timeout"),
    "not HTTP": lambda at: faults.Fault(answer=lambda _: b"220 welcome to the mail server\r\n", close=True),
}

TRANSIENT_FAULTS = BROKEN_CONNECTIONS | BAD_ANSWERS
