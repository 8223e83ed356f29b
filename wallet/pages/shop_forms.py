"""Forms of the demo shop: the basket with the credit to use, and an amount."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from wallet.actions.demo_shop import MAX_QUANTITY, PRODUCTS, Basket
from wallet.pages.filters import value_field

QUANTITIES = [(str(number), str(number)) for number in range(MAX_QUANTITY + 1)]


class BasketForm(forms.Form):
    """How many of each product, and how much credit to use for them; no credit given: as much as there is."""

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="%s")
        for name, (title, _price) in PRODUCTS.items():
            self.fields[name] = forms.TypedChoiceField(
                label=title, choices=QUANTITIES, coerce=int, empty_value="0", required=False
            )
        self.fields["credit"] = value_field(_("Credit to use"))

    def clean(self) -> dict[str, Any]:
        """Refuse more credit than the order costs."""
        values: dict[str, Any] = super().clean() or {}
        credit = values.get("credit")
        if credit is not None and credit > self.basket_of(values).total:
            self.add_error("credit", _("That's more than your order costs. Use no more credit than the total."))
        return values

    @staticmethod
    def basket_of(values: dict[str, Any]) -> Basket:
        """Return what the values of the fields choose."""
        return Basket({name: quantity for name in PRODUCTS if (quantity := int(values.get(name) or 0))})

    @property
    def basket(self) -> Basket:
        """What is chosen; empty when a quantity is invalid."""
        self.is_valid()
        return self.basket_of(self.cleaned_data)

    @property
    def credit(self) -> Decimal | None:
        """The credit to use, None when none is given or it is invalid."""
        self.is_valid()
        credit: Decimal | None = self.cleaned_data.get("credit")
        return credit

    def product_rows(self) -> list[tuple[forms.BoundField, Decimal]]:
        """Return the field and the price of each product."""
        return [(self[name], price) for name, (_title, price) in PRODUCTS.items()]


class AmountForm(forms.Form):
    """An amount; none given: all of it."""

    def __init__(self, data: Any, name: str) -> None:
        super().__init__(data, auto_id=f"{name}-%s")
        self.fields["amount"] = value_field(_("Amount"))

    @property
    def amount(self) -> Decimal | None:
        """The amount, None when none is given."""
        amount: Decimal | None = self.cleaned_data["amount"]
        return amount
