"""The OpenAPI 3.1 document, made of the same declarations that bind the handlers."""

import inspect
from typing import Any

import msgspec

from .decode import is_undecoded
from .errors import Problem
from .operation import Operation

_REF = "#/components/schemas/"
_TITLES = {200: "Done.", 202: "Accepted.", 204: "Done; no content."}
_PROBLEMS = {
    400: "The request contradicts itself.",
    404: "Something that the request names does not exist.",
    409: "The present state does not allow it.",
    413: "The request body is over the limit.",
    422: "The request cannot be used as it is; `detail` says where.",
    429: "Too many at a time; fewer will work.",
    500: "Something is broken on the server's side.",
    503: "Nobody can do it now; try again after `Retry-After` seconds.",
}


# What comes of a record if only some of its fields are asked for.
_SELECTED = {"type": "object", "title": "Selected", "description": "With `select`: these fields of it."}


class Security(msgspec.Struct, frozen=True):
    """How callers say who they are, in OpenAPI's terms."""

    schemes: dict[str, Any]
    required: list[dict[str, list[str]]]  # one of these


API_KEYS = Security(
    {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        "Bearer": {"type": "http", "scheme": "bearer"},
    },
    [{"ApiKey": []}, {"Bearer": []}],
)


def document(
    version: str, operations: list[Operation], mount: str = "", security: Security | None = None
) -> dict[str, Any]:
    """The document of a list of operations, which are served under the path `mount`.

    Without `security` nobody is asked who they are.
    """
    annotations: list[Any] = [Problem]
    for op in operations:
        annotations += [*op.params.values(), *(a for a in (op.body, op.query, op.result) if a is not None)]
    schemas, components = msgspec.json.schema_components(annotations, ref_template=_REF + "{name}")
    # By identity: annotations may be equal and yet differ in their description, and not all can be hashed.
    schema_of = dict(zip(map(id, annotations), schemas, strict=True))

    paths: dict[str, dict[str, Any]] = {}
    for op in operations:
        paths.setdefault(op.path, {})[op.method.lower()] = _entry(op, schema_of, components)
    for op in operations:  # a query is shown parameter by parameter
        if op.query:
            components.pop(_name(schema_of[id(op.query)]), None)
    if security:
        components = {"schemas": components, "securitySchemes": security.schemes}
        for op in operations:
            if op.scope is None:
                paths[op.path][op.method.lower()]["security"] = []
    else:
        components = {"schemas": components}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lineshaft",
            "version": version,
            "description": "Runs LangGraph graphs: assistants, threads, messages and runs, in the Agent Server's API.",
        },
        "servers": [{"url": mount or "/"}],
        "paths": paths,
        "components": components,
        **({"security": security.required} if security else {}),
    }


def _entry(op: Operation, schema_of: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(op.handler) or "").partition("\n\n")
    entry: dict[str, Any] = {"operationId": op.handler.__name__, "summary": " ".join(summary.split())}
    if description:
        entry["description"] = description
    if op.tags:
        entry["tags"] = list(op.tags)
    parameters = [_parameter(name, "path", True, schema_of[id(annotation)]) for name, annotation in op.params.items()]
    if op.query:
        query = components[_name(schema_of[id(op.query)])]
        for name, schema in query["properties"].items():
            parameters.append(_parameter(name, "query", name in query["required"], schema))
    if parameters:
        entry["parameters"] = parameters
    if op.body:
        entry["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema_of[id(op.body)]}}}
    entry["responses"] = _responses(op, schema_of)
    return entry


def _parameter(name: str, place: str, required: bool, schema: dict[str, Any]) -> dict[str, Any]:
    """A description belongs to the parameter: viewers show it there."""
    parameter: dict[str, Any] = {"name": name, "in": place, "required": required}
    if "description" in schema:
        parameter["description"] = schema["description"]
    return parameter | {"schema": {key: value for key, value in schema.items() if key != "description"}}


def _responses(op: Operation, schema_of: dict[int, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": _TITLES.get(op.status, "Done.")}
    if op.status not in (101, 204):
        if op.result is not None:
            schema = schema_of[id(op.result)]
            chooses = any("select" in getattr(sent, "__struct_fields__", ()) for sent in (op.body, op.query))
            if chooses and "items" in schema:
                schema = {**schema, "items": {"anyOf": [schema["items"], _SELECTED]}}
        else:  # made by the handler: some JSON value, or text
            schema = {} if op.media == "application/json" else {"type": "string"}
        # A schema of a stream would be taken for that of each event.
        done["content"] = {op.media: {} if op.media == "text/event-stream" else {"schema": schema}}
    responses = {str(op.status): done}
    for status in op.also:
        responses[str(status)] = {"description": _TITLES.get(status, "Done.")}
    # A protocol of its own has errors of its own.
    is_ours = not (op.body and is_undecoded(op.body))
    problem = {"application/json": {"schema": schema_of[id(Problem)]} if is_ours else {}}
    for status in op.errors:
        responses[str(status)] = {"description": _PROBLEMS[status], "content": problem}
    responses["default"] = {"description": "Any other error.", "content": problem}
    return responses


def _name(reference: dict[str, Any]) -> str:
    return str(reference["$ref"]).removeprefix(_REF)
