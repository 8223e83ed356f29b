"""A shop with a key, and no rate limits."""

from tests.api.conftest import _no_rates  # noqa: F401  (fixture)
from tests.money.conftest import shop  # noqa: F401  (fixture)
from tests.payments.conftest import new_key  # noqa: F401  (fixture)
