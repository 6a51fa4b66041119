"""How handlers that run on the controller have something decided, or only looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamline.api.call import Call
from streamline.cluster.commands import Command
from streamline.cluster.failover import after
from streamline.errors import ErrorCode, Refused
from streamline.services.controllership import Plan


async def decide(call: Call, plan: Plan, *, validate_only: bool = False) -> list[Any]:
    """
    Have what C{plan} makes of the image agreed on; return the results, one a command.

    @param validate_only: whether only to see if it could be; then there are no results.
    @raise Refused: as L{Controllership.decide<streamline.services.controllership.Controllership.decide>}.
    """
    if not validate_only:
        return await call.broker.controllership.decide_for_client(plan)
    await validate(call, plan)
    return []


async def validate(call: Call, plan: Plan) -> Sequence[Command]:
    """
    Return what would be agreed on.

    @raise Refused: it would not.
    """
    if not call.broker.controllership.is_active:
        raise Refused(ErrorCode.NOT_CONTROLLER, "this node is not the controller")
    image = call.broker.metadata.image
    commands = plan(image)
    after(image, commands)
    return commands
