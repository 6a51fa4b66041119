"""
DescribeConfigs (32): the settings of topics and of this node.

Version notes: 1 synonyms and sources (KIP-226); 3 types and documentation
(KIP-569); 4 flexible.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.api.settings import Layers, Shown, broker_settings, cluster_settings, topic_settings
from streamline.cluster.names import check_topic_name
from streamline.errors import ErrorCode, Refused
from streamline.wire.messages.configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)

TOPIC = 2
BROKER = 4
RESOURCES_PER_TURN = 20


def describe_configs(
    call: Call, request: DescribeConfigsRequest
) -> DescribeConfigsResponse | Deferred[DescribeConfigsResponse]:
    """Show each resource's settings."""
    return call.broker.turns.work_off(_describe_all(call, request))


def _describe_all(call: Call, request: DescribeConfigsRequest) -> Generator[None, None, DescribeConfigsResponse]:
    # Each resource once, as Kafka's own client asks: the answer is a hundred times as large as the question.
    resources = {(resource.resource_type, resource.resource_name): resource for resource in request.resources}
    results = []
    for resource in resources.values():
        results.append(_describe(call, request, resource))
        if len(results) % RESOURCES_PER_TURN == 0:
            yield
    return DescribeConfigsResponse(results=results)


def _describe(call: Call, request: DescribeConfigsRequest, resource: DescribeConfigsResource) -> DescribeConfigsResult:
    result = DescribeConfigsResult(
        resource_type=resource.resource_type, resource_name=resource.resource_name, error_message=None
    )
    try:
        settings = _settings(call, resource)
    except Refused as refusal:
        result.error_code = refusal.code
        result.error_message = refusal.message or None
        return result
    keys = dict.fromkeys(resource.configuration_keys or ())
    result.configs = [_shown(request, setting) for setting in settings if not keys or setting.name in keys]
    return result


def _settings(call: Call, resource: DescribeConfigsResource) -> Iterable[Shown]:
    name = resource.resource_name
    config, image = call.broker.config, call.broker.metadata.image
    if resource.resource_type == TOPIC:
        check_topic_name(name)
        if name not in image.topics:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return topic_settings(Layers.of(image, config), image.configs.get(name, {}))
    if resource.resource_type == BROKER:
        if name == "":
            return cluster_settings(image, config)
        if name != str(config.node_id):
            raise Refused(ErrorCode.INVALID_REQUEST, f"this is node {config.node_id}, ask node {name} itself")
        return broker_settings(image, config)
    raise Refused(ErrorCode.INVALID_REQUEST, f"resources of type {resource.resource_type} have no settings here")


def _shown(request: DescribeConfigsRequest, setting: Shown) -> DescribeConfigsResourceResult:
    synonyms = setting.synonyms if request.include_synonyms else ()
    return DescribeConfigsResourceResult(
        name=setting.name,
        value=setting.value,
        read_only=setting.read_only,
        config_source=setting.source,
        synonyms=[
            DescribeConfigsSynonym(name=other.name, value=other.value, source=other.source) for other in synonyms
        ],
        config_type=setting.type,
        documentation=setting.doc if request.include_documentation else None,
    )
