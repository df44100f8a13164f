// Test extension: `/two-seats team-a/model team-b/model …` asks all of them at once, in this one process, and writes
// what each answered to the file named in PI_TEST_ANSWERS (a JSON object by seat), then says `done`. With PI_TEST_SEATS set to the same
// list it does so once at before_agent_start, while the session's own request has not begun; works in `pi -p` too.
// 0.87 and later ask through the model registry; before, through pi-ai with the key that the registry resolved.
import { writeFileSync } from "node:fs";
import * as ai from "@mariozechner/pi-ai";

const context = () => ({
  systemPrompt: "You are a test.",
  messages: [{ role: "user", content: [{ type: "text", text: "hello" }], timestamp: Date.now() }],
});

async function ask(registry: any, spec: string) {
  const slash = spec.indexOf("/");
  const model = registry.find(spec.slice(0, slash), spec.slice(slash + 1));
  if (!model) throw new Error(`no such seat: ${spec}`);
  if (typeof registry.streamSimple === "function") {
    return await registry.streamSimple(model, normalized(), {}).result();
  }
  const auth = await registry.getApiKeyAndHeaders(model);
  return await (ai as any).streamSimple(model, context(), { apiKey: auth.apiKey, headers: auth.headers }).result();
}

// From 0.87 on a system prompt is a message.
const normalized = () => {
  const { systemPrompt, messages } = context();
  return { messages: [{ role: "system", content: systemPrompt, timestamp: Date.now() }, ...messages] };
};

async function askAll(registry: any, specs: string[]) {
  const answers: Record<string, unknown> = {};
  await Promise.all(
    specs.map(async (spec) => {
      try {
        const { content: _, ...message } = await ask(registry, spec);
        answers[spec] = message;
      } catch (error) {
        answers[spec] = { thrown: String(error) };
      }
    }),
  );
  writeFileSync(process.env.PI_TEST_ANSWERS ?? "/dev/null", JSON.stringify(answers));
}

export default function (pi: any) {
  const list = (text: string) => text.split(/\s+/).filter(Boolean);
  pi.registerCommand("two-seats", {
    description: "ask several seats at once",
    handler: async (args: string, ctx: any) => {
      await askAll(ctx.modelRegistry, list(args));
      ctx.ui.notify("done", "info");
    },
  });
  let asked = false;
  pi.on("before_agent_start", async (_event: any, ctx: any) => {
    if (asked || !process.env.PI_TEST_SEATS) return undefined;
    asked = true;
    await askAll(ctx.modelRegistry, list(process.env.PI_TEST_SEATS));
    return undefined;
  });
}
