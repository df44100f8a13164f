// Test extension: `/again` reloads the extensions, and the reloaded one says `done`.
export default function (pi: any) {
  pi.registerCommand("again", {
    description: "reload",
    handler: async (_args: string, ctx: any) => {
      await ctx.reload();
    },
  });
  pi.on("session_start", (event: any, ctx: any) => {
    if (event.reason === "reload") ctx.ui.notify("done", "info");
  });
}
