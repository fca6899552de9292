"""The OpenAPI 3.1 document, made of the same declarations that bind the handlers."""

import inspect
from typing import Any

import msgspec

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


def encoded(version: str, operations: list[Operation]) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document(version, operations))


def document(version: str, operations: list[Operation]) -> dict[str, Any]:
    """The document of a list of operations."""
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
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lineshaft",
            "version": version,
            "description": "Runs LangGraph graphs: assistants, threads, messages and runs, in the Agent Server's API.",
        },
        "paths": paths,
        "components": {"schemas": components},
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
    if op.status != 204:
        schema = {"type": "string"} if op.result is None else schema_of[id(op.result)]
        done["content"] = {op.media: {"schema": schema}}
    responses = {str(op.status): done}
    for status in op.also:
        responses[str(status)] = {"description": _TITLES.get(status, "Done.")}
    problem = {"application/json": {"schema": schema_of[id(Problem)]}}
    for status in op.errors:
        responses[str(status)] = {"description": _PROBLEMS[status], "content": problem}
    responses["default"] = {"description": "Any other error.", "content": problem}
    return responses


def _name(reference: dict[str, Any]) -> str:
    return str(reference["$ref"]).removeprefix(_REF)
