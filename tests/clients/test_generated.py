"""Clients generated from the schema work: each is generated and makes a call."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from pytest_django.live_server_helper import LiveServer

NODE, NPM = shutil.which("node"), shutil.which("npm")
TYPESCRIPT = settings.BASE_DIR / "tests/clients/typescript"
USE_PYTHON = """
import sys
from importlib import import_module

sys.path.insert(0, sys.argv[1])
from cashback_wallet_client import AuthenticatedClient, Client
from cashback_wallet_client.api.auth import auth_register_create, auth_token_create
from cashback_wallet_client.api.wallet import wallet_retrieve
from cashback_wallet_client.models import CredentialsRequest, RegistrationRequest

client = Client(base_url=sys.argv[2])
email, password = "new@example.com", "a long enough passphrase"
print(auth_register_create.sync(client=client, body=RegistrationRequest(email=email, password=password)).email)
pair = auth_token_create.sync(client=client, body=CredentialsRequest(email=email, password=password))
signed_in = AuthenticatedClient(base_url=sys.argv[2], token=pair.access)
print(wallet_retrieve.sync(client=signed_in).balances)
"""
USE_TYPESCRIPT = """
import type { paths } from "./wallet.js";
type Ok<P extends keyof paths, M extends keyof paths[P]> =
  paths[P][M] extends { responses: { 200: { content: { "application/json": infer B } } } } ? B : never;
const wallet = process.argv[2];
const email = "new@example.com", password = "a long enough passphrase";
type Body = NonNullable<paths["/api/v1/auth/token/"]["post"]["requestBody"]>["content"]["application/json"];
const post = (path: keyof paths & string, body: Body) => fetch(wallet + path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
await post("/api/v1/auth/register/", { email, password });
const pair = (await (await post("/api/v1/auth/token/", { email, password })).json()) as Ok<"/api/v1/auth/token/", "post">;
const answer = await fetch(wallet + "/api/v1/wallet/", { headers: { Authorization: `Bearer ${pair.access}` } });
const { balances } = (await answer.json()) as Ok<"/api/v1/wallet/", "get">;
console.log(answer.status, balances.map((line) => line.available).length);
"""


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "wallet.json"
    path.write_bytes(OpenApiJsonRenderer().render(SchemaGenerator().get_schema(request=None, public=True), renderer_context={}))
    return path


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program; fail with what it wrote to its error stream."""
    ended = subprocess.run(
        command, cwd=cwd, env=os.environ | {"CI": "1"}, capture_output=True, text=True, check=False, timeout=240
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.django_db(transaction=True)
def test_a_generated_python_client_registers_and_reads_the_wallet(
    schema: Path, tmp_path: Path, live_server: LiveServer
) -> None:
    generator = Path(sys.executable).with_name("openapi-python-client")
    out = run(
        generator, "generate", "--path", schema, "--meta", "none", "--output-path", "cashback_wallet_client", cwd=tmp_path
    )
    assert "warning" not in out.lower()
    (tmp_path / "use.py").write_text(USE_PYTHON)

    assert run(sys.executable, "use.py", tmp_path, live_server.url, cwd=tmp_path) == "new@example.com\n[]\n"


@pytest.mark.skipif(NODE is None or NPM is None, reason="node and npm are not on PATH: no TypeScript client is generated")
@pytest.mark.django_db(transaction=True)
def test_a_generated_typescript_client_compiles_registers_and_reads_the_wallet(
    schema: Path, tmp_path: Path, live_server: LiveServer
) -> None:
    for name in ("package.json", "package-lock.json", "tsconfig.json"):
        shutil.copy(TYPESCRIPT / name, tmp_path)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=tmp_path)
    run("npx", "openapi-typescript", schema, "--output", "wallet.ts", cwd=tmp_path)
    (tmp_path / "use.ts").write_text(USE_TYPESCRIPT)
    run("npx", "tsc", cwd=tmp_path)

    assert run("node", "use.js", live_server.url, cwd=tmp_path) == "200 0\n"
    assert json.loads(schema.read_text())["openapi"].startswith("3.1")
