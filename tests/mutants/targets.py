"""The modules that `make mutants` changes, and the tests that must fail for each."""

ACCOUNTS = (
    "tests/accounts/test_me.py tests/accounts/test_password.py tests/accounts/test_sign_in.py tests/security/test_guessing.py"
)
CLAIM = (
    "tests/actions/test_claim_batch.py tests/actions/test_claim.py tests/actions/test_claim_any.py"
    " tests/actions/test_expired_keys.py tests/actions/test_claimed_cache.py"
    " tests/security/test_hidden_pools.py tests/api/test_idempotency_keys.py"
)
# The database has what migrations say; a model that says something else is noticed there.
SCHEMA = "tests/database/test_migrations.py"
SEALS = "tests/sealing/test_sealing.py tests/sealing/test_tampering.py"
# Modules and the tests that must fail when they change, the most likely first.
TARGETS = {
    "accounts/argon2_process.py": "tests/accounts/test_password_hashing.py",
    "accounts/audit.py": "tests/security/test_audit.py",
    "accounts/authentication.py": f"tests/accounts/test_authentication.py {ACCOUNTS}",
    "accounts/email_change.py": "tests/accounts/test_registration.py tests/accounts/test_email.py",
    "accounts/expensive_reads.py": (
        "tests/accounts/test_expensive_reads.py tests/security/test_expensive_addresses.py"
        " tests/security/test_expensive_reads.py"
    ),
    "accounts/models.py": f"{SCHEMA} {ACCOUNTS} tests/accounts/test_registration.py",
    "accounts/views.py": "tests/accounts/test_pages.py tests/accounts/test_email.py tests/security/test_sessions.py",
    "accounts/password_hashing.py": "tests/accounts/test_password_hashing.py",
    "accounts/passwords.py": ACCOUNTS,
    "accounts/refused_services.py": "tests/payments/test_service_keys.py",
    "accounts/registration.py": "tests/accounts/test_registration.py tests/accounts/test_pages.py",
    "accounts/sessions.py": "tests/security/test_sessions.py tests/accounts/test_pages.py",
    "kernel/refusal_counts.py": "tests/errors/test_refusal_counts.py",
    "accounts/throttles.py": "tests/accounts/test_throttles.py",
    "kernel/batching.py": "tests/kernel tests/actions/test_claim_batch.py tests/actions/test_claim_lock.py",
    "accounts/tokens.py": f"tests/accounts/test_refresh.py tests/accounts/test_logout.py {ACCOUNTS}",
    "accounts/invitations.py": "tests/programme/test_referral.py",
    "wallet/assets/querysets.py": (
        f"{CLAIM} tests/actions/test_expire_assets.py tests/api/test_assets.py tests/api/test_pools.py"
    ),
    "wallet/actions/claim.py": CLAIM,
    "kernel/transactions.py": "tests/kernel/test_transactions.py tests/actions/test_claim.py",
    "wallet/assets/claimed_cache.py": "tests/actions/test_claimed_cache.py",
    "wallet/actions/claim_batch.py": CLAIM,
    "wallet/actions/claim_decisions.py": f"tests/actions/test_claim_decisions.py {CLAIM}",
    "wallet/actions/claim_sql.py": CLAIM,
    "wallet/ledger/idempotency.py": (
        f"tests/actions/test_expired_keys.py tests/api/test_idempotency_keys.py tests/actions/test_issue_assets.py {CLAIM}"
    ),
    "wallet/ledger/merkle.py": "tests/sealing/test_merkle.py tests/sealing/test_sealing.py",
    "wallet/ledger/models.py": f"{SCHEMA} tests/ledger/test_triggers.py tests/actions/test_claim.py tests/api/test_claims.py",
    "wallet/ledger/querysets.py": "tests/api/test_claims.py tests/actions/test_claim.py tests/sealing/test_sealed_balances.py",
    "wallet/ledger/seal_shape.py": f"{SCHEMA} tests/sealing/test_malformed.py",
    "wallet/ledger/signing.py": f"tests/sealing/test_leaves.py {SEALS}",
    "wallet/verification/seals.py": (
        f"{SEALS} tests/proofs/test_verify.py tests/money/test_seals.py tests/sealing/test_malformed.py"
    ),
    "wallet/verification/checker.py": "tests/proofs/test_verify.py tests/proofs/test_verify_ledger.py",
    "wallet/actions/seal_ledger.py": f"{SEALS} tests/sealing/test_commands.py",
    "accounts/clients.py": "tests/accounts/test_sign_in_limits.py tests/accounts/test_sign_ins.py",
    "accounts/closing.py": "tests/accounts/test_closing.py",
    "accounts/devices.py": "tests/accounts/test_sign_ins.py",
    "accounts/email_addresses.py": "tests/accounts/test_one_mailbox.py tests/accounts/test_registration.py",
    "accounts/email_links.py": "tests/accounts/test_email_verification.py tests/accounts/test_password_reset.py",
    "accounts/email_verification.py": "tests/accounts/test_email_verification.py tests/accounts/test_email.py",
    "accounts/mail.py": "tests/accounts/test_email_verification.py tests/accounts/test_password_reset.py",
    "accounts/password_forms.py": "tests/accounts/test_one_mailbox.py tests/accounts/test_password.py",
    "accounts/password_reset.py": "tests/accounts/test_password_reset.py",
    "accounts/service_authentication.py": "tests/payments/test_service_keys.py tests/payments/test_payments.py",
    "accounts/service_keys.py": "tests/payments/test_service_keys.py tests/payments/test_console.py",
    "accounts/sign_ins.py": "tests/accounts/test_sign_ins.py",
    "accounts/time_zones.py": "tests/pages/test_time_zones.py",
    "accounts/two_factor.py": "tests/accounts/test_two_factor.py",
    "accounts/two_factor_devices.py": f"{SCHEMA} tests/accounts/test_two_factor.py",
    "accounts/languages.py": "tests/notices tests/accounts/test_pages.py",
    "wallet/ledger/key_ring.py": "tests/actions/test_expired_keys.py tests/actions/test_key_ring.py",
    "wallet/ledger/proposals.py": f"{SCHEMA} tests/approvals",
    "wallet/ledger/allocating.py": "tests/money/test_allocating.py tests/money/test_edges.py",
    "wallet/ledger/leaves.py": "tests/money/test_seals.py tests/sealing/test_leaves.py",
    "wallet/ledger/movements.py": f"{SCHEMA} tests/money/test_rules.py tests/money/test_pay.py",
    "wallet/ledger/payment_state.py": "tests/money/test_edges.py tests/admin/test_payments.py tests/money/test_pay.py",
    "wallet/ledger/recording.py": "tests/money/test_pay.py tests/money/test_edges.py",
}
# Modules of the same folders that are not mutated: declarations, and the console.
NOT_CHANGED = {
    "accounts/__init__.py",
    "accounts/admin.py",
    "accounts/api.py",
    "accounts/api_urls.py",
    "accounts/apps.py",
    "accounts/forms.py",
    "accounts/page_urls.py",
    "accounts/permissions.py",
    "accounts/serializers.py",
    "accounts/argon2_process.py",
    "accounts/api_me.py",
    "accounts/api_me_urls.py",
    "accounts/constraint_words.py",
    "accounts/link_views.py",
    "accounts/services.py",
    "accounts/time_zone_page.py",
    "accounts/two_factor_views.py",
    "wallet/ledger/__init__.py",
    "wallet/ledger/apps.py",
    "wallet/ledger/approval_triggers.py",
    "wallet/ledger/fields.py",
    "wallet/ledger/triggers.py",
    "wallet/ledger/lot_triggers.py",
    "wallet/ledger/lots.py",
    "wallet/ledger/movement_kinds.py",
    "wallet/ledger/movement_triggers.py",
}
