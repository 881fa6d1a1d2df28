"""The kinds and roles that tests are about: those of the default table."""

from core.kinds import DEFAULT_KINDS, KindId

CAR = KindId("car")
MOBILE = KindId("mobile")
CAR_ROLE = DEFAULT_KINDS.role("car")
MOBILE_ROLE = DEFAULT_KINDS.role("mobile")
