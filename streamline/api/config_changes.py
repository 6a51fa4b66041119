"""
AlterConfigs (33) and IncrementalAlterConfigs (44), on the controller.

Behaviour: each resource succeeds or fails by itself, with all of its settings.  What can be changed, and what follows
from it for partitions, is decided in C{streamline.cluster}.  AlterConfigs replaces all that was changed before; that of
single settings (KIP-339) is what clients use today.

Version notes: none of either changes more than the encoding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.api.call import Call
from streamline.api.deciding import decide
from streamline.api.forwarding import check_done_here
from streamline.cluster.commands import BROKER_CONFIGS, TOPIC_CONFIGS, Command
from streamline.cluster.failover import change_configs
from streamline.cluster.image import MetadataImage
from streamline.cluster.names import check_topic_name
from streamline.cluster.settings import Alteration, Operation, alter, replacing
from streamline.errors import ErrorCode, Refused
from streamline.wire.messages.configs import (
    AlterConfigsRequest,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterConfigsResource,
    IncrementalAlterConfigsResponse,
)

RESOURCES_PER_TURN = 20
SETTINGS_MAX = 1000
"""Settings of one resource in one request: several times as many as there are."""
OPERATIONS = tuple(map(int, Operation))

Resource: TypeAlias = "AlterConfigsResource | IncrementalAlterConfigsRequestAlterConfigsResource"
Wanted: TypeAlias = Callable[[MetadataImage], Sequence[Alteration]]
"""From the image to what is to be done with a resource's settings."""


def incremental_alter_configs(
    call: Call, request: IncrementalAlterConfigsRequest
) -> Deferred[IncrementalAlterConfigsResponse]:
    """Change single settings."""
    altered = Deferred.fromCoroutine(
        _alter_all(call, [(one, _single(one)) for one in request.resources], request.validate_only)
    )
    return altered.addCallback(lambda responses: IncrementalAlterConfigsResponse(responses=responses))


def alter_configs(call: Call, request: AlterConfigsRequest) -> Deferred[AlterConfigsResponse]:
    """Change all settings of resources."""
    altered = Deferred.fromCoroutine(
        _alter_all(call, [(one, _all(one)) for one in request.resources], request.validate_only)
    )
    return altered.addCallback(lambda responses: AlterConfigsResponse(responses=responses))


def no_single_altered(request: IncrementalAlterConfigsRequest, refusal: Refused) -> IncrementalAlterConfigsResponse:
    """Refuse all of a request."""
    return IncrementalAlterConfigsResponse(responses=[_response(one, refusal) for one in request.resources])


def none_altered(request: AlterConfigsRequest, refusal: Refused) -> AlterConfigsResponse:
    """Refuse all of a request."""
    return AlterConfigsResponse(responses=[_response(one, refusal) for one in request.resources])


def _single(resource: IncrementalAlterConfigsRequestAlterConfigsResource) -> Wanted:
    def wanted(_: MetadataImage) -> list[Alteration]:
        return [_alteration(one.name, one.config_operation, one.value) for one in resource.configs]

    return wanted


def _all(resource: AlterConfigsResource) -> Wanted:
    def wanted(image: MetadataImage) -> list[Alteration]:
        given = [_alteration(one.name, Operation.SET, one.value) for one in resource.configs]
        if len(dict.fromkeys(one.name for one in given)) < len(given):
            raise Refused(ErrorCode.INVALID_REQUEST, "a setting is named twice")
        values = {one.name: one.value for one in given}
        return replacing(image, resource.resource_type, resource.resource_name, values)

    return wanted


def _alteration(name: str, operation: int, value: str | None) -> Alteration:
    if operation not in OPERATIONS:
        raise Refused(ErrorCode.INVALID_REQUEST, f"there is no operation {operation} on settings")
    if value is None and operation != Operation.DELETE:
        raise Refused(ErrorCode.INVALID_REQUEST, f"no value is given for {name}")
    return Alteration(name, Operation(operation), value or "")


async def _alter_all(
    call: Call, resources: Sequence[tuple[Resource, Wanted]], validate_only: bool
) -> list[AlterConfigsResourceResponse]:
    times = Counter((one.resource_type, one.resource_name) for one, _ in resources)
    results: list[Deferred[AlterConfigsResourceResponse]] = []
    for resource, wanted in resources:
        is_twice = times[resource.resource_type, resource.resource_name] > 1
        altering = Deferred.fromCoroutine(_alter(call, resource, wanted, is_twice, validate_only))
        results.append(altering.addErrback(_not_altered, resource))
        if len(results) % RESOURCES_PER_TURN == 0:
            await call.broker.turns.next()
    responses = await call.broker.turns.gather(results)
    check_done_here(response.error_code for response in responses)
    return responses


async def _alter(
    call: Call, resource: Resource, wanted: Wanted, is_twice: bool, validate_only: bool
) -> AlterConfigsResourceResponse:
    kind, name, own = resource.resource_type, resource.resource_name, call.broker.config.broker
    if is_twice:
        raise Refused(ErrorCode.INVALID_REQUEST, "the request names this resource twice")
    if kind not in (TOPIC_CONFIGS, BROKER_CONFIGS):
        raise Refused(ErrorCode.INVALID_REQUEST, f"resources of type {kind} have no settings here")
    if len(resource.configs) > SETTINGS_MAX:
        raise Refused(ErrorCode.INVALID_REQUEST, f"{len(resource.configs)} settings are more than there are")
    if kind == TOPIC_CONFIGS:
        check_topic_name(name)

    def plan(image: MetadataImage) -> list[Command]:
        command = alter(image, kind, name, wanted(image), own)
        return [] if command is None else change_configs(image, command)

    await decide(call, plan, validate_only=validate_only)
    return _response(resource, None)


def _not_altered(failure: Failure, resource: Resource) -> AlterConfigsResourceResponse:
    failure.trap(Refused)
    assert isinstance(failure.value, Refused)
    return _response(resource, failure.value)


def _response(resource: Resource, refusal: Refused | None) -> AlterConfigsResourceResponse:
    return AlterConfigsResourceResponse(
        error_code=ErrorCode.NONE if refusal is None else refusal.code,
        error_message=None if refusal is None else refusal.message or None,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )
