"""What schemathesis can't know of this API: how its own documents are read, and what no schema can say."""

import os

import schemathesis
from schemathesis import GenerationMode

# Rules that a JSON Schema has no words for: times that lie in the future, checksums, whose a sender is, how much there is.
BEYOND_THE_SCHEMA = {
    "/deliver_at",
    "/expires_at",
    "/recipient/address",
    "/sender_id",
    "/recipient/email",
    "created_to",
    "before",
    "Idempotency-Key",
}
REFUSALS_OF_STATE = {
    "forbidden",
    "not_found",
    "funding_insufficient",
    "state_conflict",
    "external_id_taken",
    "resend_limit_reached",
    "resend_too_soon",
    "claim_not_ready",
    "claim_unavailable",
    "idempotency_key_missing",
    "idempotency_key_in_progress",
    "idempotency_key_mismatch",
}


@schemathesis.check
def what_the_schema_allows_is_taken(ctx, response, case):
    """Of valid data nothing is refused but for what no schema can say."""
    meta = case.meta
    if meta is None or meta.generation.mode != GenerationMode.POSITIVE or response.status_code < 400:
        return
    try:
        problem = response.json()
    except ValueError:
        return
    if problem.get("code") in REFUSALS_OF_STATE or response.status_code == 401:
        return
    places = {
        error.get("pointer") or error.get("parameter") or error.get("header")
        for error in problem.get("errors", [])
    }
    if response.status_code == 422 and places and places <= BEYOND_THE_SCHEMA:
        return
    raise AssertionError(f"refused what its schema allows: {response.status_code} {problem.get('detail')} {places}")


@schemathesis.auth()
class KeyOfTheRun:
    """Every request has the key of its run, but for those that try what happens without one."""

    def get(self, case, ctx):
        return os.environ["LARGESSE_KEY"]

    def set(self, case, data, ctx):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
