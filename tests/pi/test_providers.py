"""What tokmon knows of pi's own providers, compared with real versions of pi."""

import json
import subprocess
from typing import Any

import pytest

from tests.pi import install
from tokmon.pi.providers import BUILT_IN

pytestmark = pytest.mark.pi

_SCRIPT = """
const [providers, variables] = JSON.parse(process.argv[2]);
const { MODELS } = await import(process.argv[1] + "/models.generated.js");
const { getEnvApiKey } = await import(process.argv[1] + "/env-api-keys.js");
const ids = (models) => Object.values(models).map((model) => model.id);
const models = Object.fromEntries(Object.entries(MODELS).map(([name, of]) => [name, ids(of)]));
const keys = {};
for (const name of providers) {
  keys[name] = variables.filter((variable) => {
    for (const other of variables) delete process.env[other];
    process.env[variable] = "key";
    return getEnvApiKey(name) !== undefined;
  });
}
console.log(JSON.stringify({ models, keys }));
"""


def pi_providers(version: str) -> dict[str, Any]:
    """The models and the environment keys of each provider, as that version of pi has them."""
    pi = install.pi(version)
    folder = pi.root / "node_modules" / pi.scope / "pi-ai" / "dist"
    variables = sorted({variable for provider in BUILT_IN.values() for variable in provider.variables})
    done = subprocess.run(
        [
            str(install.node()),
            "--input-type=module",
            "-e",
            _SCRIPT,
            str(folder),
            json.dumps([list(BUILT_IN), variables]),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={},
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_newest_pi_lists_the_proposed_model_of_each_provider_and_takes_its_key_from_that_variable() -> None:
    of_pi = pi_providers(install.NEWEST)
    for name, provider in BUILT_IN.items():
        assert provider.model is None or provider.model in of_pi["models"][name], name
        assert set(provider.variables) <= set(of_pi["keys"][name]), name


def test_the_oldest_pi_takes_each_key_that_it_knows_from_the_same_variable() -> None:
    for name, variables in pi_providers(install.OLDEST)["keys"].items():
        known = set(BUILT_IN[name].variables)
        assert not variables or not known or known <= set(variables), name
