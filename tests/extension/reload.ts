// Test extension: `/again` reloads the extensions, then says `done`.
export default function (pi: any) {
  pi.registerCommand("again", {
    description: "reload",
    handler: async (_args: string, ctx: any) => {
      await ctx.reload();
    },
  });
}
