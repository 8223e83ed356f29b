"""Every page of the operators' console, one after the other, as a browser comes to it."""

import re
from collections.abc import Iterator

from django.urls import reverse
from django_q.models import Schedule
from playwright.sync_api import Page

from accounts.models import User
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, Seal

CREDITS = reverse("admin:assets_cashbackasset_changelist")
WRONG_FILE = "title,total_value,currency,pool,expires_at\nLamp,12.505,INR,,\n,5,XXX,,yesterday\n"
GOOD_FILE = "title,total_value,currency,pool,expires_at\nLamp,12.50,INR,,2099-03-31\nCandle,5,,Festive cashback,\n"
ACTIONS = {"expire": "AVAILABLE", "extend": "AVAILABLE", "recreate": "EXPIRED", "delete_chosen": "EXPIRED"}


def lists() -> dict[str, str]:
    """Return by a name the address of each page that is the same for everybody."""
    names = {
        "overview": "index",
        "pools": "assets_creditpool_changelist",
        "pool-new": "assets_creditpool_add",
        "credits": "assets_cashbackasset_changelist",
        "credit-new": "assets_cashbackasset_add",
        "import": "assets_cashbackasset_import",
        "ownership": "ledger_claimedasset_changelist",
        "owners": "ledger_claimedasset_owners",
        "ledger": "ledger_entry_changelist",
        "seals": "ledger_seal_changelist",
        "issued": "assets_issuance_changelist",
        "changes": "assets_cashbackassetevent_changelist",
    }
    return {name: reverse(f"admin:{view}") for name, view in names.items()} | {
        "system": reverse("system"),
        "customer-search": reverse("customer_search"),
        "customer-search-none": f"{reverse('customer_search')}?q=nobody",
        "overview-a-year": f"{reverse('admin:index')}?since=2026-01-01&until=2020-01-01",
        "credits-none": f"{CREDITS}?q=nothing",
        "rooms-of-supply": reverse("admin:app_list", args=["assets"]),
    }


def rows() -> dict[str, str]:
    """Return by a name the address of one row's page of each kind."""
    pool, entry = CreditPool.objects.get(name="Festive cashback"), Entry.objects.order_by("xid")[0]
    free = CashbackAsset.objects.claimable().filter(title="Festival of lights")[0]
    ended = CashbackAsset.objects.filter(status="EXPIRED")[0]
    credit = "assets_cashbackasset"
    wanted = {
        "pool": ("assets_creditpool_change", pool.pk),
        "pool-history": ("assets_creditpool_history", pool.pk),
        "issue": ("assets_creditpool_issue", pool.pk),
        "credit": (f"{credit}_change", free.pk),
        "credit-delete": (f"{credit}_delete", free.pk),
        "credit-claimed": (f"{credit}_change", entry.asset_id),
        "credit-expired": (f"{credit}_change", ended.pk),
        "credit-history": (f"{credit}_history", ended.pk),
        "entry": ("ledger_entry_change", entry.pk),
        "seal": ("ledger_seal_change", Seal.objects.earliest("seq").pk),
    }
    pages = {name: reverse(f"admin:{view}", args=[pk]) for name, (view, pk) in wanted.items()}
    return pages | {"customer": reverse("customer", args=[entry.user_id])}


def superusers() -> dict[str, str]:
    """Return by a name the address of each page that superusers alone see."""
    person, schedule = User.objects.latest("pk"), Schedule.objects.all()[0]
    return {
        "users": reverse("admin:accounts_user_changelist"),
        "user-new": reverse("admin:accounts_user_add"),
        "user": reverse("admin:accounts_user_change", args=[person.pk]),
        "user-password": reverse("admin:auth_user_password_change", args=[person.pk]),
        "schedules": reverse("admin:django_q_schedule_changelist"),
        "schedule": reverse("admin:django_q_schedule_change", args=[schedule.pk]),
        "failed-tasks": reverse("admin:django_q_failure_changelist"),
    }


def run(page: Page, action: str) -> None:
    """Run an action for the credits that are chosen, and wait for the page that asks."""
    page.locator("select[name=action]").select_option(action)
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("heading", level=2, name=re.compile(r"\?$")).wait_for()


def choose(page: Page, action: str, status: str, title: str = "") -> None:
    """Choose all credits of a status in the list, and an action for them."""
    page.goto(f"{CREDITS}?status={status}&q={title}")
    page.locator("#action-toggle").check()
    run(page, action)


def sent(page: Page, button: str) -> None:
    """Press a button whose form leads to another page, and wait for it."""
    with page.expect_navigation():
        page.get_by_role("main").get_by_role("button", name=button, exact=True).click()


def upload(page: Page, content: str) -> None:
    """Upload a file of credits."""
    page.goto(reverse("admin:assets_cashbackasset_import"))
    page.locator("input[type=file]").set_input_files(
        {"name": "credits.csv", "mimeType": "text/csv", "buffer": content.encode()}
    )
    sent(page, "Check the file")


def settled(page: Page, name: str) -> str:
    """Wait until the theme has made up its mind, and return the page's name."""
    page.wait_for_function("!document.querySelector('html[x-cloak]') && document.fonts.status === 'loaded'")
    return name


def every_page(page: Page) -> Iterator[str]:
    """Lead the browser of a superuser to one page of the console after the other, and yield each one's name."""
    for name, address in (lists() | rows() | superusers()).items():
        page.goto(address)
        yield settled(page, name)
    for action, status in ACTIONS.items():
        choose(page, action, status)
        yield settled(page, f"{action}-asked")
    choose(page, "extend", "AVAILABLE", "Festival")
    page.get_by_label("Last day").fill("2099-12-31")
    sent(page, "Preview")
    yield settled(page, "extend-foreseen")
    for name, content in {"import-mistakes": WRONG_FILE, "import-preview": GOOD_FILE}.items():
        upload(page, content)
        yield settled(page, name)
    for name, address in {"issue-refused": rows()["issue"], "credit-refused": lists()["credit-new"]}.items():
        page.goto(address)
        sent(page, "Preview" if name == "issue-refused" else "Save")
        yield settled(page, name)
