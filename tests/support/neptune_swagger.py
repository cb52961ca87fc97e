"""Operations of a server, and the Swagger document from which Neptune's client builds itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Operation:
    """One operation of the server.

    Attributes:
        id: The name by which the client calls it.
        method: The HTTP method.
        path: The path of its address.
        parameters: The names of its parameters.
        answer: Takes the request; returns what is sent back as JSON.
        many: Whether it returns a list.
    """

    id: str
    method: str
    path: str
    parameters: tuple[str, ...]
    answer: Callable[[Any], Any]
    many: bool

    def described(self) -> dict[str, Any]:
        """The operation in Swagger's terms."""
        model = {"$ref": "#/definitions/Model"}
        schema = {"type": "array", "items": model} if self.many else model
        return {
            "operationId": self.id,
            "parameters": [_parameter(name) for name in self.parameters],
            "responses": {"200": {"description": "", "schema": schema}},
        }


OPERATIONS: dict[tuple[str, str], Operation] = {}


def answers(id: str, method: str, path: str, *parameters: str, many: bool = False) -> Any:
    """Register the decorated function as the answer to an operation.

    Args:
        id: The name by which the client calls the operation.
        method: The HTTP method.
        path: The path of its address.
        *parameters: The names of its parameters.
        many: Whether it returns a list.
    """

    def register(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        OPERATIONS[method, path] = Operation(id, method, path, parameters, answer, many)
        return answer

    return register


def _parameter(name: str) -> dict[str, Any]:
    if name == "experimentCreationParams":
        return {"in": "body", "name": name, "schema": {"type": "object"}}
    if name == "operations":
        items = {"type": "object"}
        return {"in": "body", "name": name, "schema": {"type": "array", "items": items}}
    return {"in": "header" if name.startswith("X-") else "query", "name": name, "type": "string"}


def swagger(base: str) -> dict[str, Any]:
    """The operations under one path; without tags, so that all are attributes of `api`."""
    one, some = {"$ref": "#/definitions/Model"}, {"type": "array", "items": {"type": "object"}}
    many = {"type": "array", "items": one}
    lists = dict.fromkeys(("attributes", "values"), many)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS.values():
        if operation.path.startswith(base):
            described = operation.described()
            paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "swagger": "2.0",
        "info": {"title": "Neptune", "version": "1"},
        "paths": paths,
        "definitions": {
            "Model": {
                "type": "object",
                "properties": {**lists, "errors": some, "multiPartUpload": one},
            }
        },
    }
