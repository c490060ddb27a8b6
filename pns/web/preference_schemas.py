"""Calls for preferences: the decoders of the bodies, and each endpoint's part of the contract."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from pns.errors import CategoryRequired, Invalid, RateLimited, UnknownCategory
from pns.model.answers import CategoryInfo, PreferenceInfo
from pns.model.category import Declaration, PreferencesBody
from pns.web.contract.operation import APPLICATION, DEVICE, STORE, USER, Answer, Operation
from pns.web.registrations import MAX_BODY_BYTES
from pns.web.subscribe import COOKIE
from pns.web.user_schemas import READING_BODY


class Categories(Struct, frozen=True):
    """In the order of their names."""

    categories: list[CategoryInfo]


class Preferences(Struct, frozen=True):
    """A row for every declared category, in the order of their names."""

    preferences: list[PreferenceInfo]


DECLARATION = msgspec.json.Decoder(Declaration)
CHOICES = msgspec.json.Decoder(PreferencesBody)

_OF_USER = Answer(200, "The user's preferences.", body=Preferences)
_AFTERWARDS = Answer(200, "Kept; the user's preferences now.", body=Preferences)
_CHOOSING = (*READING_BODY, Invalid, UnknownCategory, CategoryRequired)

CATEGORIES = Operation(
    caller="application",
    answers=(Answer(200, "All that are declared.", body=Categories),),
    problems=(*APPLICATION, Invalid, *STORE),
)
DECLARE = Operation(
    caller="application",
    body=Declaration,
    body_limit=MAX_BODY_BYTES,
    answers=(Answer(204, "Declared; what users chose before stays."),),
    problems=(*USER, *READING_BODY),
)
REMOVE = Operation(
    caller="application",
    answers=(Answer(204, "It is gone, with what users had chosen; notifications stay."),),
    problems=USER,
)
OF_USER = Operation(caller="application", answers=(_OF_USER,), problems=USER)
CHANGE_OF_USER = Operation(
    caller="application",
    body=PreferencesBody,
    body_limit=MAX_BODY_BYTES,
    answers=(_AFTERWARDS,),
    problems=(*USER, *READING_BODY, UnknownCategory, CategoryRequired),
)
OWN = Operation(
    caller="device",
    answers=(Answer(200, "The user's preferences.", body=Preferences, may_have=COOKIE),),
    problems=(*DEVICE, Invalid, RateLimited),
)
CHANGE_OWN = Operation(
    caller="device",
    body=PreferencesBody,
    body_limit=MAX_BODY_BYTES,
    answers=(Answer(200, "Kept; the user's preferences now.", body=Preferences, may_have=COOKIE),),
    problems=(*DEVICE, *_CHOOSING, RateLimited),
)
