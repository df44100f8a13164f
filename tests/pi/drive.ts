// Test extension: makes pi do what a test cannot ask for otherwise. A command ends with the notice `done`.
//   /branch        go back to the first user message and summarise the branch left behind (a branch_summary entry)
//   tool measured a tool whose result carries `usage` (kept from 0.87 on)
const usage = {
  input: 100,
  output: 20,
  cacheRead: 0,
  cacheWrite: 0,
  totalTokens: 120,
  cost: { input: 0.0003, output: 0.0003, cacheRead: 0, cacheWrite: 0, total: 0.0006 },
};

export default function (pi: any) {
  pi.registerCommand("branch", {
    description: "leave the branch, with a summary",
    handler: async (_args: string, ctx: any) => {
      const first = ctx.sessionManager
        .getEntries()
        .find((entry: any) => entry.type === "message" && entry.message.role === "user");
      await ctx.navigateTree(first.id, { summarize: true });
      ctx.ui.notify("done", "info");
    },
  });
  pi.registerTool({
    name: "measured",
    label: "measured",
    description: "answers with usage of its own",
    parameters: { type: "object", properties: {} },
    execute: async () => ({ content: [{ type: "text", text: "measured" }], details: {}, usage }),
  });
}
