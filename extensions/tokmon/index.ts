/**
 * tokmon's extension for the pi coding agent: sends every response that pi receives to the quota sidecar.
 *
 * It observes `fetch` (every status, every attempt) and pi's events, and writes one line per response to a Unix socket;
 * what no sidecar takes goes to a spool. It never writes to the terminal, never waits for the network during a turn and
 * never reads a body (of a WebSocket's messages it reads those about quota and errors); credentials, prompts and replies
 * never leave the process. TOKMON_DISABLE=1 turns it off.
 *
 * Part of tokmon (`tokmon extension`). It finds out at run time what this version of pi offers. Everything is imported
 * here and at load, so that an upgrade may remove these files while pi runs.
 */

import type { ExtensionAPI, ExtensionContext } from "@earendil-works/pi-coding-agent";
import { updateModels } from "./attribution.ts";
import { beforeRequest, observeFetch, onHeaderEvent } from "./capture.ts";
import { loadSecret } from "./identity.ts";
import { VERSION } from "./schema.ts";
import { findApiProviders, needsApiProviders, wrapSenders } from "./senders.ts";
import { onSocket } from "./socket.ts";
import { piVersion, releaseRefusals, retireOlder, type Session, type State, sharedState } from "./state.ts";
import { countEntries, onMessageEnd, onResult } from "./usage.ts";
import { field, name, quietly } from "./values.ts";

/** Starts a session. A promise only in an older pi, where what sends requests has to be imported. */
function onSessionStart(state: State, session: Session, ctx: ExtensionContext): Promise<void> | undefined {
	retireOlder();
	state.version = VERSION;
	state.pi ??= piVersion();
	session.id = name(ctx.sessionManager.getSessionId());
	session.entries = ctx.sessionManager.getEntries().length;
	if (session.id) state.sessions.set(session.id, session);
	const usesLogin: unknown = field(ctx.modelRegistry, "isUsingOAuth");
	session.isLogin = (provider) =>
		typeof usesLogin === "function" ? Reflect.apply(usesLogin, ctx.modelRegistry, [{ provider }]) : undefined;
	loadSecret();
	state.outbox.start();
	// An older load has made the state without them.
	state.waiting ??= new Set();
	state.capturedErrors ??= new WeakSet();
	// Each load sets these, so that the newest code is used.
	state.beforeRequest = (request) => beforeRequest(state, request);
	state.onSocket = (socket, url, options) => onSocket(state, socket, url, options);
	state.onResult = (context, model, result) => onResult(state, context, model, result);
	quietly(() => observeFetch(state));
	onModelSelect(state, session, ctx, ctx.model);
	if (state.apiProviders) return undefined;
	const wrapped = findApiProviders(state).then(
		() => void quietly(() => wrapSenders(state, session, ctx)),
		() => undefined,
	);
	return needsApiProviders(ctx) ? wrapped : undefined;
}

/** Looks for what changed since the last turn: providers, and what other extensions replaced. */
function prepareTurn(state: State, session: Session, ctx: ExtensionContext): void {
	session.summarizing = false;
	quietly(() => observeFetch(state));
	quietly(() => wrapSenders(state, session, ctx));
	if (ctx.modelRegistry.getAll().length !== state.models) quietly(() => updateModels(state, session, ctx, ctx.model));
}

function onModelSelect(state: State, session: Session, ctx: ExtensionContext, model: unknown): void {
	quietly(() => updateModels(state, session, ctx, model));
	quietly(() => wrapSenders(state, session, ctx));
}

/** Sends what is left, and gives the sidecar a moment if the process ends. After `/reload` and `/new` it goes on. */
function onShutdown(state: State, session: Session, ctx: ExtensionContext, reason: unknown): Promise<void> | undefined {
	quietly(() => countEntries(state, session, ctx));
	if (session.id) state.sessions.delete(session.id);
	const over = state.sessions.size === 0 && (reason === undefined || reason === "quit");
	if (!over) return undefined;
	releaseRefusals(state);
	return state.outbox.close();
}

/** Subscribes to an event that the types of some versions of pi do not have. It never fires in a pi without it. */
function listen(pi: ExtensionAPI, event: string, handler: (event: unknown) => void): void {
	const on: unknown = pi.on;
	const onEvent = (data: unknown): void => void quietly(() => handler(data));
	if (typeof on === "function") Reflect.apply(on, pi, [event, onEvent]);
}

export default function tokmon(pi: ExtensionAPI): void {
	quietly(() => {
		if (process.env.TOKMON_DISABLE === "1") return;
		const state = sharedState();
		const session: Session = { id: undefined, context: undefined, entries: 0, responses: 0, summarizing: false };
		const prepare = (_event: unknown, ctx: ExtensionContext): void =>
			void quietly(() => prepareTurn(state, session, ctx));
		const summarize = (event: unknown, ctx: ExtensionContext): void => {
			prepare(event, ctx);
			session.summarizing = true;
		};
		const scan = (_event: unknown, ctx: ExtensionContext): void =>
			void quietly(() => countEntries(state, session, ctx));
		const scanSummary = (event: unknown, ctx: ExtensionContext): void => {
			session.summarizing = false;
			scan(event, ctx);
		};
		pi.on("session_start", (_event, ctx) => quietly(() => onSessionStart(state, session, ctx)));
		pi.on("model_select", (event, ctx) => void quietly(() => onModelSelect(state, session, ctx, event.model)));
		pi.on("before_provider_request", () => {
			session.responses = 0;
			state.latest = session;
			quietly(() => observeFetch(state));
		});
		listen(pi, "after_provider_response", (event) => onHeaderEvent(state, session, event));
		pi.on("message_end", (event, ctx) => void quietly(() => onMessageEnd(state, session, ctx, event.message)));
		pi.on("turn_start", prepare);
		pi.on("session_before_compact", summarize);
		pi.on("session_before_tree", summarize);
		pi.on("turn_end", scan);
		pi.on("agent_end", scan);
		pi.on("session_compact", scanSummary);
		pi.on("session_tree", scanSummary);
		listen(pi, "session_compact_failed", () => {
			session.summarizing = false;
		});
		pi.on("session_shutdown", (event, ctx) => quietly(() => onShutdown(state, session, ctx, field(event, "reason"))));
	});
}
