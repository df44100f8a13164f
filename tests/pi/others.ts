// Test extension: does in one process what other extensions do. Each command ends with the notice `done`.
//   /child SPEC          a session of the SDK without extensions asks SPEC (a model of another seat)
//   /complete SPEC       complete() of pi-ai asks SPEC with the key of its seat
//   /register NAME URL   registers a provider, and asks it at once through complete() and, from 0.87 on, the registry
//   /builtin URL         complete() of pi-ai asks a model of pi's own provider `anthropic` at that base URL
//   /inside URL          the next request of the session first sends a GET to its own URL, one beside it (as footers
//                        ask for the usage of an account) and a POST to URL
//   /rotate URL KEY ...  replaces pi's provider `openai-codex`, as pi-multicodex does: a request that is refused is sent
//                        again with the next key, without a word of it to pi; before each it asks for the usage
//   /fetch KIND          puts another fetch in place: around, copy, retry, or restore (what was there at load)
//   /socket KIND         puts another WebSocket in place: around, or restore
// At the end of each session it puts back what was there at load, as a tidy extension does.
import * as pi from "@mariozechner/pi-coding-agent";

const atLoad = globalThis.fetch;
const socketAtLoad = globalThis.WebSocket;
const before: typeof fetch = (...request) => atLoad(...request);
globalThis.fetch = before;

const sdk = pi as any;
const modules = ["@earendil-works/pi-ai/compat", "@earendil-works/pi-ai", "@mariozechner/pi-ai"];

async function ai(): Promise<any> {
  for (const name of modules) {
    const exports = await import(name).catch(() => undefined);
    if (typeof exports?.complete === "function") return exports;
  }
  throw new Error("no complete()");
}

function find(registry: any, spec: string) {
  const slash = spec.indexOf("/");
  const model = registry.find(spec.slice(0, slash), spec.slice(slash + 1));
  if (!model) throw new Error(`no such model: ${spec}`);
  return model;
}

const transcript = () => ({
  messages: [{ role: "user", content: [{ type: "text", text: "hello" }], timestamp: Date.now() }],
});

async function complete(ctx: any, model: any) {
  const { apiKey, headers } = await ctx.modelRegistry.getApiKeyAndHeaders(model);
  await (await ai()).complete(model, transcript(), { apiKey, headers });
}

async function child(ctx: any, spec: string) {
  const cwd = process.cwd();
  const agentDir = sdk.getAgentDir();
  const settingsManager = sdk.SettingsManager.inMemory({ retry: { enabled: false } });
  const resourceLoader = new sdk.DefaultResourceLoader({ cwd, agentDir, settingsManager, noExtensions: true });
  await resourceLoader.reload();
  const own = sdk.ModelRuntime ? { modelRuntime: await sdk.ModelRuntime.create() } : { modelRegistry: ctx.modelRegistry };
  const model = find(ctx.modelRegistry, spec);
  const sessionManager = sdk.SessionManager.inMemory(cwd);
  const made = await sdk.createAgentSession({ cwd, agentDir, settingsManager, resourceLoader, sessionManager, model, ...own });
  await made.session.prompt("hello from a child");
  made.session.dispose();
}

async function register(api: any, ctx: any, name: string, baseUrl: string) {
  const model = { id: "m", name: "m", reasoning: false, input: ["text"], contextWindow: 200000, maxTokens: 100 };
  const cost = { input: 3, output: 15, cacheRead: 0, cacheWrite: 0 };
  const models = [{ ...model, cost }];
  const apiKey = ["sk", "fake", name].join("-");
  api.registerProvider(name, { baseUrl, apiKey, api: "anthropic-messages", models });
  const registered = find(ctx.modelRegistry, `${name}/m`);
  if (ctx.modelRegistry.streamSimple) {
    await ctx.modelRegistry.streamSimple(registered, transcript(), { fetch: atLoad }).result(); // a fetch of its own
  }
  await (await ai()).complete(registered, transcript(), { apiKey });
}

async function rotate(api: any, baseUrl: string, keys: string[]) {
  const senders = await ai();
  const base = senders.getApiProvider("openai-codex-responses");
  const streamSimple = (model: any, context: any, options: any) => {
    const stream = senders.createAssistantMessageEventStream();
    const send = async () => {
      for (const [index, apiKey] of keys.entries()) {
        await fetch(`${model.baseUrl}/wham/usage`, { headers: { Authorization: `Bearer ${apiKey}` } });
        for await (const event of base.streamSimple({ ...model }, context, { ...options, apiKey })) {
          if (event.type === "error" && index + 1 < keys.length) break;
          stream.push(event);
          if (event.type === "done" || event.type === "error") return;
        }
      }
    };
    send().finally(() => stream.end());
    return stream;
  };
  const model = { id: "m", name: "m", reasoning: false, input: ["text"], contextWindow: 200000, maxTokens: 100 };
  const models = [{ ...model, cost: { input: 3, output: 15, cacheRead: 0, cacheWrite: 0 } }];
  api.registerProvider("openai-codex", { baseUrl, apiKey: keys[0], api: "openai-codex-responses", streamSimple, models });
}

const sockets: Record<string, (current: typeof WebSocket) => typeof WebSocket> = {
  around: (current) => class extends current {},
  restore: () => socketAtLoad,
};

const kinds: Record<string, (current: typeof fetch) => typeof fetch> = {
  around: (current) => (...request) => current(...request),
  copy: (current) => async (...request) => {
    const response = await current(...request);
    return new Response(response.body, { status: response.status, headers: response.headers });
  },
  retry: (current) => async (...request) => {
    const response = await current(...request);
    return response.status === 429 ? current(...request) : response;
  },
  restore: () => before,
};

export default function (api: any) {
  const command = (name: string, run: (words: string[], ctx: any) => Promise<void> | void) =>
    api.registerCommand(name, {
      description: name,
      handler: async (words: string, ctx: any) => {
        await run(words.split(/\s+/).filter(Boolean), ctx);
        ctx.ui.notify("done", "info");
      },
    });
  let inside: string | undefined;
  command("child", ([spec], ctx) => child(ctx, spec ?? ""));
  command("complete", ([spec], ctx) => complete(ctx, find(ctx.modelRegistry, spec ?? "")));
  command("builtin", async ([baseUrl], ctx) => {
    const model = { ...find(ctx.modelRegistry, "anthropic/claude-sonnet-4-5"), baseUrl };
    await (await ai()).complete(model, transcript(), { apiKey: ["sk", "fake", "builtin"].join("-") });
  });
  command("register", ([name, url], ctx) => register(api, ctx, name ?? "", url ?? ""));
  command("inside", ([url]) => {
    inside = url;
  });
  command("fetch", ([kind]) => {
    globalThis.fetch = kinds[kind ?? ""]!(globalThis.fetch);
  });
  command("socket", ([kind]) => {
    globalThis.WebSocket = sockets[kind ?? ""]!(globalThis.WebSocket);
  });
  command("rotate", ([url, ...keys]) => rotate(api, url ?? "", keys));
  api.on("session_shutdown", () => {
    globalThis.fetch = atLoad;
  });
  api.on("before_provider_request", async (_event: any, ctx: any) => {
    if (!inside) return undefined;
    const elsewhere = inside;
    inside = undefined;
    await fetch(`${ctx.model.baseUrl}/v1/messages`);
    await fetch(new URL("/api/oauth/usage", ctx.model.baseUrl));
    await fetch(elsewhere, { method: "POST" });
    return undefined;
  });
}
