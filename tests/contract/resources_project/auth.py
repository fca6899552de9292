"""Authentication and per-owner authorization for the fixture server.

Bearer tokens name users: `alice`, `bob`, `root` (no filters), `guest`
(may read, may not create). `x-api-key: service` logs in as `service`.
"""

from langgraph_sdk import Auth

auth = Auth()

USERS = {
    "alice": {"identity": "alice", "permissions": ["threads:write"], "team": "red"},
    "bob": {"identity": "bob", "permissions": ["threads:write"], "team": "blue"},
    "root": {"identity": "root", "permissions": ["admin"], "team": "ops"},
    "guest": {"identity": "guest", "permissions": [], "team": "none"},
}


@auth.authenticate
async def authenticate(headers: dict, authorization: str | None, path: str, method: str):
    if headers.get(b"x-api-key") == b"service":
        return {"identity": "service", "permissions": ["admin"]}
    scheme, _, token = (authorization or "").partition(" ")
    if token == "teapot":
        raise Auth.exceptions.HTTPException(status_code=418, detail="no coffee")
    if token == "forbidden":
        raise Auth.exceptions.HTTPException(status_code=403, detail="banned")
    if token == "crash":
        raise RuntimeError("authenticator bug")
    if token == "assert":
        assert False, "asserted"
    if token == "plain":
        return "plain"
    if token == "tuple":
        return ["x"], {"identity": "tuple"}
    if token == "none":
        return None
    if scheme.lower() != "bearer" or token not in USERS:
        raise Auth.exceptions.HTTPException(
            status_code=401, detail="invalid token", headers={"WWW-Authenticate": "Bearer"}
        )
    return USERS[token]


def is_admin(ctx) -> bool:
    return "admin" in ctx.permissions


@auth.on
async def deny_by_default(ctx, value):
    return is_admin(ctx)


@auth.on.threads
async def own_threads(ctx, value):
    if is_admin(ctx):
        return None
    metadata = value.setdefault("metadata", {})
    metadata["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.threads.create
async def create_threads(ctx, value):
    if is_admin(ctx):
        return None
    if ctx.user.identity == "guest":
        raise Auth.exceptions.HTTPException(status_code=403, detail="guests may not create threads")
    if value.get("metadata", {}).get("forbidden"):
        return False
    if value.get("metadata", {}).get("odd"):
        raise Auth.exceptions.HTTPException(status_code=422, detail="odd metadata")
    if value.get("metadata", {}).get("asserting"):
        assert False, "assertion text"
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.assistants
async def own_assistants(ctx, value):
    if is_admin(ctx):
        return None
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.assistants.search
async def search_assistants(ctx, value):
    if is_admin(ctx):
        return None
    return {
        "$or": [{"owner": ctx.user.identity}, {"created_by": "system"}, {"readers": {"$contains": ctx.user.identity}}]
    }


@auth.on.assistants.read
async def read_assistants(ctx, value):
    if is_admin(ctx):
        return None
    return {
        "$or": [{"owner": ctx.user.identity}, {"created_by": "system"}, {"readers": {"$contains": ctx.user.identity}}]
    }


@auth.on.crons
async def own_crons(ctx, value):
    if is_admin(ctx):
        return None
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.store
async def own_store(ctx, value):
    if is_admin(ctx):
        return
    namespace = tuple(value.get("namespace") or ())
    if not namespace or namespace[0] != ctx.user.identity:
        namespace = (ctx.user.identity, *namespace)
    value["namespace"] = namespace
