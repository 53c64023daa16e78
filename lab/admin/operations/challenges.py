"""Challenge passwords."""

from __future__ import annotations

from lab.admin.desk import DeskRefused, NotFound
from lab.admin.models import (
    ChallengeList,
    ChallengeOrder,
    ChallengeQuery,
    ChallengeView,
    Id,
    NewChallengeView,
)
from lab.admin.operation import AdminContext, Resource

resource = Resource("challenges", "Challenge passwords, by which clients are known when they enrol.")


@resource.post("/api/v1/challenges", status=201, errors=(DeskRefused,), example={"subject": "CN=device-1"})
def new_challenge(context: AdminContext, body: ChallengeOrder) -> NewChallengeView:
    """Make a challenge; the only time its password is seen."""
    return context.desk.new_challenge(body)


@resource.get("/api/v1/challenges")
def list_challenges(context: AdminContext, query: ChallengeQuery) -> ChallengeList:
    """List challenges, oldest first, without their passwords."""
    return ChallengeList(challenges=tuple(context.desk.challenges(usable_only=query.usable)))


@resource.delete("/api/v1/challenges/{challenge_id}", errors=(NotFound, DeskRefused))
def revoke_challenge(context: AdminContext, challenge_id: Id) -> ChallengeView:
    """Revoke a challenge that is neither spent nor revoked."""
    return context.desk.revoke_challenge(challenge_id)
