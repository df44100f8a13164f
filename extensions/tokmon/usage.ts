/** Usage and cost: of the model's answers, and of whatever else a session's entries name. */

import type { ExtensionContext } from "@earendil-works/pi-coding-agent";
import { lastIdentity } from "./identity.ts";
import type { Usage } from "./schema.ts";
import { isNew, origin, type RequestContext, type Session, type State, send } from "./state.ts";
import { amount, count, field, name, quietly, scrub } from "./values.ts";

const KINDS: Record<string, Usage["what"]> = { compaction: "compaction", branch_summary: "branch_summary" };

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

/** The cost as far as it is known. pi says 0 for a model without a price, which does not mean that it was free. */
function cost(usage: unknown, findModel: () => unknown): Partial<Usage> {
	const total = amount(field(field(usage, "cost"), "total"));
	if (field(field(usage, "cost"), "totalFromProvider") === true) return { cost_usd: total, cost_source: "billed" };
	if (total) return { cost_usd: total, cost_source: "estimated" };
	const known = quietly(findModel);
	const prices = Object.values((field(known, "cost") as object | undefined) ?? {});
	const priced = prices.some((price) => typeof price === "number" && price > 0);
	const free = priced || !count(field(usage, "totalTokens"));
	return total === 0 && free && known ? { cost_usd: 0, cost_source: "estimated" } : { cost_source: "unknown" };
}

/** The model that pi knows by these names. */
function finder(ctx: ExtensionContext, provider: unknown, model: unknown): () => unknown {
	return () => ctx.modelRegistry.find(String(provider), String(model));
}

export function onMessageEnd(state: State, session: Session, ctx: ExtensionContext, message: unknown): void {
	sendAnswer(state, session.id, message, finder(ctx, field(message, "provider"), field(message, "model")));
}

/**
 * The result of a request that no session with this extension made: of a session without extensions (a sub-agent), or of
 * another extension. pi emits no event for it.
 */
export function onResult(state: State, context: RequestContext, model: unknown, result: unknown): void {
	const final = field(result, "result");
	if (typeof final !== "function") return;
	const send = (message: unknown) => {
		quietly(() => context.refusals?.release(message));
		quietly(() => sendAnswer(state, context.session, message, () => model));
	};
	Promise.resolve(Reflect.apply(final, result, [])).then(send, () => undefined);
}

/** A finished answer, or the error that came instead: the only place where an error's text appears. */
function sendAnswer(state: State, session: string | undefined, message: unknown, findModel: () => unknown): void {
	if (field(message, "role") !== "assistant" || !isNew(state, message)) return;
	const response = name(field(message, "responseId"));
	const [provider, model] = [field(message, "provider"), field(message, "model")];
	// Some servers give every response the same id, so the time is part of the key.
	const at = count(field(message, "timestamp"));
	if (response && at !== undefined && !state.usageKeys.add(JSON.stringify([name(provider), response, at]))) return;
	const usage = field(message, "usage");
	send(state, {
		kind: "usage",
		...origin(state, session),
		what: "assistant",
		provider: name(provider),
		model: name(model),
		api: name(field(message, "api")),
		response_model: name(field(message, "responseModel")),
		response_id: response,
		stop: name(field(message, "stopReason")),
		...(field(message, "errorMessage") ? lastIdentity(session, provider) : {}),
		error: scrub(field(message, "errorMessage")),
		error_captured: state.capturedErrors.has(message as object) || undefined,
		tokens: tokens(usage),
		...cost(usage, findModel),
		duration_ms: amount(field(message, "durationMs")),
	});
}

/** Usage in entries that were added since the last call: cache warming, summaries, tools that call a model. */
export function countEntries(state: State, session: Session, ctx: ExtensionContext): void {
	const entries = ctx.sessionManager.getEntries();
	const added = entries.slice(session.entries);
	session.entries = entries.length;
	for (const entry of added) quietly(() => countEntry(state, session, ctx, entry));
}

function countEntry(state: State, session: Session, ctx: ExtensionContext, entry: unknown): void {
	const message = field(entry, "message");
	const isTool = field(message, "role") === "toolResult";
	const usage = field(entry, "usage") ?? (isTool ? field(message, "usage") : undefined);
	if (!usage || !state.usageKeys.add(`${session.id}/${field(entry, "id")}`)) return;
	// A summary or a tool may have used another account than the session: only the entry can name it.
	const [provider, model] = [name(field(entry, "provider")), name(field(entry, "model"))];
	const kind = field(entry, "kind") === "cache_warm" ? "cache_warm" : "other";
	send(state, {
		kind: "usage",
		...origin(state, session.id),
		what: isTool ? "tool_result" : (KINDS[String(field(entry, "type"))] ?? kind),
		provider,
		model,
		entry: name(field(entry, "id")),
		tokens: tokens(usage),
		...cost(usage, finder(ctx, provider, model)),
	});
}
