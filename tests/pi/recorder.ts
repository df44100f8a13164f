// Test extension: appends every event pi emits to the file named in PI_TEST_EVENTS, one JSON object a line.
// Names that a version does not know are never emitted there.
import { appendFileSync } from "node:fs";

const EVENTS = [
  "resources_discover", "session_start", "session_before_switch", "session_before_fork", "session_before_compact",
  "session_compact", "session_compact_failed", "session_shutdown", "session_before_tree", "session_tree", "context",
  "before_provider_headers", "before_provider_request", "after_provider_response", "before_agent_start",
  "agent_start", "agent_end", "agent_before_settle", "agent_settled", "turn_start", "turn_end", "message_start",
  "message_end", "tool_execution_start", "tool_execution_end", "tool_call", "tool_result", "model_select",
  "thinking_level_select", "input", "provider_stream_event", "cache_warming_decision",
];

export default function (pi: any) {
  const file = process.env.PI_TEST_EVENTS;
  if (!file) return;
  for (const name of EVENTS) {
    pi.on(name, (event: any, ctx: any) => {
      const line: any = { event: name, at: Date.now(), keys: Object.keys(event) };
      for (const key of ["reason", "status", "outcome", "action", "tokensBefore", "toolName", "usage", "fromExtension"]) {
        if (event[key] !== undefined) line[key] = event[key];
      }
      if (event.message) line.message = { ...event.message, content: undefined };
      if (event.headers) line.headers = event.headers;
      if (name === "provider_stream_event") line.data = event.data;
      if (event.compactionEntry) line.compactionEntry = { ...event.compactionEntry, systemMessage: undefined };
      if (event.summaryEntry) line.summaryEntry = event.summaryEntry;
      line.model = ctx.model ? `${ctx.model.provider}/${ctx.model.id}` : null;
      if (["session_start", "turn_end", "agent_end", "session_shutdown"].includes(name)) {
        line.session = ctx.sessionManager.getSessionId();
        line.entries = ctx.sessionManager.getEntries().map((entry: any) => ({
          type: entry.type,
          id: entry.id,
          kind: entry.kind,
          role: entry.message?.role,
          usage: entry.usage ?? entry.message?.usage,
          keys: Object.keys(entry),
        }));
      }
      appendFileSync(file, `${JSON.stringify(line)}\n`);
      return undefined;
    });
  }
}
