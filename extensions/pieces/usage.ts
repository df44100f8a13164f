/** What was paid for: answers of the model, and whatever else a session's entries tell of. */

import type { ExtensionContext } from "@earendil-works/pi-coding-agent";
import {
	amount,
	born,
	count,
	field,
	first,
	name,
	quietly,
	type Session,
	type State,
	scrubbed,
	send,
	type Usage,
} from "../tokmon.ts";

// <piece usage>
// ---------------------------------------------------------------- usage

function tokens(usage: unknown): Usage["tokens"] {
	return {
		input: count(field(usage, "input")),
		output: count(field(usage, "output")),
		cache_read: count(field(usage, "cacheRead")),
		cache_write: count(field(usage, "cacheWrite")),
		cache_write_1h: count(field(usage, "cacheWrite1h")),
		reasoning: count(field(usage, "reasoning")),
		total: count(field(usage, "totalTokens")),
	};
}

/** What it cost, as far as that is known: models without a price cost 0 in pi, and that is not nothing spent. */
function cost(ctx: ExtensionContext, usage: unknown, provider: unknown, model: unknown): Partial<Usage> {
	const total = amount(field(field(usage, "cost"), "total"));
	if (field(field(usage, "cost"), "totalFromProvider") === true) return { cost_usd: total, cost_source: "billed" };
	if (total) return { cost_usd: total, cost_source: "estimated" };
	const found = quietly(() => ctx.modelRegistry.find(String(provider), String(model)));
	const priced = Object.values(found?.cost ?? {}).some((price) => typeof price === "number" && price > 0);
	const free = priced || !count(field(usage, "totalTokens"));
	return total === 0 && free && found ? { cost_usd: 0, cost_source: "estimated" } : { cost_source: "unknown" };
}

/** A finished answer of the model, or the error that came instead: the one place where an error's text appears. */
function answerEnded(state: State, session: Session, ctx: ExtensionContext, message: unknown): void {
	if (field(message, "role") !== "assistant" || !first(state, message)) return;
	const response = name(field(message, "responseId"));
	const [provider, model] = [field(message, "provider"), field(message, "model")];
	// Some servers give every response the same id: only together with its time does it tell one from another.
	const at = count(field(message, "timestamp"));
	if (response && at !== undefined && !state.counted.add(JSON.stringify([name(provider), response, at]))) return;
	const usage = field(message, "usage");
	send(state, {
		kind: "usage",
		...born(state, session.id),
		what: "assistant",
		provider: name(provider),
		model: name(model),
		api: name(field(message, "api")),
		response_model: name(field(message, "responseModel")),
		response_id: response,
		stop: name(field(message, "stopReason")),
		error: scrubbed(field(message, "errorMessage")),
		tokens: tokens(usage),
		...cost(ctx, usage, provider, model),
		duration_ms: amount(field(message, "durationMs")),
	});
}

const KINDS: Record<string, Usage["what"]> = { compaction: "compaction", branch_summary: "branch_summary" };

/** What else was paid for since the last look: cache warming, summaries, tools that ask a model. */
function countEntries(state: State, session: Session, ctx: ExtensionContext): void {
	const entries = ctx.sessionManager.getEntries();
	const fresh = entries.slice(session.entries);
	session.entries = entries.length;
	for (const entry of fresh) {
		const message = field(entry, "message");
		const tool = field(message, "role") === "toolResult";
		const usage = field(entry, "usage") ?? (tool ? field(message, "usage") : undefined);
		if (!usage || !state.counted.add(`${session.id}/${entry.id}`)) continue;
		const [provider, model] = [field(entry, "provider"), field(entry, "model")];
		const warm = field(entry, "kind") === "cache_warm" ? "cache_warm" : "other";
		send(state, {
			kind: "usage",
			...born(state, session.id),
			what: tool ? "tool_result" : (KINDS[entry.type] ?? warm),
			provider: name(provider) ?? session.flight?.provider,
			model: name(model) ?? session.flight?.model,
			entry: name(entry.id),
			tokens: tokens(usage),
			...cost(ctx, usage, provider ?? session.flight?.provider, model ?? session.flight?.model),
		});
	}
}
// </piece usage>

export { answerEnded, countEntries };
