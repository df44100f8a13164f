"""What tokmon knows of pi's own providers, compared with real versions of pi."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pi import install
from tests.pi.install import NEWEST
from tokmon.pi.providers import BUILT_IN, EnvironmentSource

pytestmark = pytest.mark.pi

_SCRIPT = """
const [folder, cases] = [process.argv[1], JSON.parse(process.argv[2])];
const { MODELS } = await import(folder + "/models.generated.js");
const { getEnvApiKey } = await import(folder + "/env-api-keys.js");
const all = await import(folder + "/providers/all.js").catch(() => undefined);
const providers = new Map((all?.builtinProviders() ?? []).map((provider) => [provider.id, provider]));
await new Promise(setImmediate); // the older versions load node:fs in the background
const { existsSync } = await import("node:fs");
async function isUsable(name, env) {
  if (!all) {
    Object.assign(process.env, env);
    const key = getEnvApiKey(name);
    for (const variable in env) delete process.env[variable];
    return key !== undefined && name in MODELS;
  }
  const ctx = { env: async (variable) => env[variable], fileExists: async (path) => existsSync(path) };
  const signal = new AbortController().signal;
  return (await providers.get(name)?.auth.apiKey?.resolve({ ctx, signal })) !== undefined;
}
const usable = [];
for (const [name, env] of cases) usable.push(await isUsable(name, env));
const ids = (models) => Object.values(models).map((model) => model.id);
const models = Object.fromEntries(Object.entries(MODELS).map(([name, of]) => [name, ids(of)]));
console.log(JSON.stringify({ models, usable }));
"""

SOURCES = [(name, source) for name, provider in BUILT_IN.items() for source in provider.sources]


def environment(source: EnvironmentSource, file: Path) -> dict[str, str]:
    """All the variables of a source, with a file that exists."""
    path = {} if source.file is None else {source.file[0]: str(file)}
    return {**dict.fromkeys(source.variables, "x"), **path}


def ask_pi(version: str, cases: list[tuple[str, dict[str, str]]]) -> dict[str, Any]:
    """The models of each provider, and whether each case makes its provider usable, as that version of pi has it."""
    pi = install.pi(version)
    folder = pi.root / "node_modules" / pi.scope / "pi-ai" / "dist"
    done = subprocess.run(
        [str(install.node()), "--input-type=module", "-e", _SCRIPT, str(folder), json.dumps(cases)],
        capture_output=True,
        text=True,
        check=True,
        env={},
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("version", install.others_long("0.66.1", "0.87.1", NEWEST))
def test_pi_uses_a_provider_with_those_variables_that_make_it_an_account(version: str, tmp_path: Path) -> None:
    """Each source makes its provider usable, in the versions that it names; no source does without one variable."""
    file = tmp_path / "credentials.json"
    file.touch()
    cases = [(name, environment(source, file)) for name, source in SOURCES]
    partial = [
        (name, {other: value for other, value in env.items() if other != variable})
        for name, env in cases
        for variable in env
        if len(env) > 1 and (version == NEWEST or "GOOGLE_APPLICATION_CREDENTIALS" not in env)
    ]
    of_pi = ask_pi(version, [*cases, *partial])
    wrong = [
        (name, source.variables, usable)
        for (name, source), usable in zip(SOURCES, of_pi["usable"], strict=False)
        if usable != source.is_used_by(install.pi(version).number) and name in of_pi["models"]
    ]
    assert wrong == []
    if version == NEWEST:
        assert [case for case, usable in zip(partial, of_pi["usable"][len(cases) :], strict=True) if usable] == []
        for name, provider in BUILT_IN.items():
            assert provider.model is None or name == "azure-openai-responses" or provider.model in of_pi["models"][name]
