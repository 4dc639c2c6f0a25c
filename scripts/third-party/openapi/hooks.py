"""What the file cannot say in JSON Schema, and so must not be generated; how a ticket's bytes are read; and an operator's hand."""

import os
import urllib.request

import schemathesis

RESUMED_WITHIN_SECONDS = 10


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    if not isinstance(body, dict):
        return
    case.body = without_points(body)
    trip = case.body.get("trip")
    if isinstance(trip, dict) and not follows(trip.get("next_arrives_at"), trip.get("arrives_at")):
        # The end of the next round is after the end of this one.
        trip.pop("next_arrives_at", None)


def without_points(value):
    """To JSON Schema 3.0 is an integer. The gateway wants 3 where it counts money or people."""
    if isinstance(value, dict):
        return {name: without_points(inner) for name, inner in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def follows(later, earlier):
    """Whether both are texts and the later one is after the earlier; generated moments are all in UTC."""
    return isinstance(later, str) and isinstance(earlier, str) and later > earlier


@schemathesis.deserializer("application/cwt", "application/jwt", "image/svg+xml")
def as_text(context, response):
    return response.content.decode("latin-1")


@schemathesis.hook
def after_call(context, case, response):
    """A carrier that was paused goes on, or all that is bought from then on would be declined."""
    if not (case.operation.path.endswith("/pause") and response.status_code == 200):
        return
    url = f"{os.environ['API']}/v1/carriers/{response.json()['name']}/resume"
    headers = {"Authorization": f"Bearer {os.environ['API_TOKEN']}"}
    request = urllib.request.Request(url, method="POST", headers=headers)
    urllib.request.urlopen(request, timeout=RESUMED_WITHIN_SECONDS).close()
