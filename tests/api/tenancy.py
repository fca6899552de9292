"""Code of a user's at auth.path: whoever says a name is that user, and owns what they make."""

from typing import Any

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> dict[str, Any]:
    """`Bearer alice` is alice."""
    _, _, name = (authorization or "").partition(" ")
    if not name:
        raise Auth.exceptions.HTTPException(status_code=401, detail="who are you?")
    return {"identity": name, "permissions": ["admin"] if name == "operator" else ["p"]}


@auth.on
async def own(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, Any] | None:
    """Whatever it is, it has an owner."""
    if ctx.resource == "store":
        namespace = tuple(value.get("namespace") or ())
        value["namespace"] = namespace if namespace[:1] == (ctx.user.identity,) else (ctx.user.identity, *namespace)
        return None
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}
