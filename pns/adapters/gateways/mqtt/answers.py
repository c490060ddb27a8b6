"""The meaning of a broker's acknowledgement, by the reason codes of PUBACK (MQTT 5 §3.4.2.1)."""

from __future__ import annotations

from paho.mqtt.reasoncodes import ReasonCode

from pns.contracts.gateway import Outcome, Receipt

SUCCESS = 0x00
NO_SUBSCRIBERS = 0x10
"""No session reads this topic: the broker has thrown the message away."""
NOT_AUTHORIZED = 0x87
TOPIC_NAME_INVALID = 0x90
PAYLOAD_FORMAT_INVALID = 0x99

OUTCOMES = {
    SUCCESS: Outcome.ACCEPTED,
    NO_SUBSCRIBERS: Outcome.RETRY,
    NOT_AUTHORIZED: Outcome.REFUSED,
    TOPIC_NAME_INVALID: Outcome.FAILED,
    PAYLOAD_FORMAT_INVALID: Outcome.FAILED,
}
"""All other codes are troubles of the broker."""


def receipt(reason: ReasonCode, topic_prefix: str) -> Receipt:
    """`topic_prefix`: of all topics of this PNS, for the advice to the operator."""
    outcome, said = OUTCOMES.get(reason.value, Outcome.UNAVAILABLE), f"{reason.value} {reason}"
    if outcome is Outcome.ACCEPTED:
        return Receipt(outcome)
    if reason.value == NO_SUBSCRIBERS:
        said = f"the device has not subscribed yet ({said})"
    elif reason.value == NOT_AUTHORIZED:
        grant = f"addRoleACL … publishClientSend {topic_prefix}/# allow"
        said = f"may not publish to {topic_prefix}/…: {grant} ({said})"
    return Receipt(outcome, said)
