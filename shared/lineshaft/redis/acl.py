"""What Lineshaft must be allowed to do in Redis, for a user of its own with no other rights.

    ACL SETUSER lineshaft on >PASSWORD resetkeys ~arq:* ~ls:* resetchannels &ls:* -@all +@read +@write +@pubsub
        +@connection +@transaction +eval +evalsha +time -@admin -@dangerous -scan -randomkey +info +role

Sentinel needs one of its own (auth-user) that may do what its documentation lists; and where Sentinels ask for a
password, ours is in REDIS_URI.
"""


def rules(prefix: str = "") -> list[str]:
    """The rules behind ACL SETUSER <user> on ><password>, for an installation with this REDIS_KEY_PREFIX."""
    pattern = "".join(f"\\{c}" if c in "*?[]\\" else c for c in prefix)
    keys = ["resetkeys", f"~{pattern}arq:*", f"~{pattern}ls:*", "resetchannels", f"&{pattern}ls:*"]
    # Scripts do nothing that their caller may not do itself.
    commands = ["-@all", "+@read", "+@write", "+@pubsub", "+@connection", "+@transaction", "+eval", "+evalsha", "+time"]
    # KEYS, FLUSHALL, CONFIG and the like; and what shows names of others' keys, whatever the patterns are.
    refused = ["-@admin", "-@dangerous", "-scan", "-randomkey"]
    # Dangerous by Redis' own list, and needed: version, memory and policy at start and while running; who is primary.
    return [*keys, *commands, *refused, "+info", "+role"]
