/**
 * tokmon's extension for the pi coding agent: sends every response that pi receives to the quota sidecar.
 *
 * It observes `fetch` (every status, every attempt) and pi's events, and writes one line per response to a Unix socket;
 * what no sidecar takes goes to a spool. It never writes to the terminal, never waits for the network during a turn and
 * never reads a body; credentials, prompts and replies never leave the process. TOKMON_DISABLE=1 turns it off.
 *
 * Part of tokmon (`tokmon extension`). It finds out at run time what this version of pi offers. Everything is imported
 * here and at load, so that an upgrade may remove these files while pi runs.
 */

import type { ExtensionAPI, ExtensionContext } from "@earendil-works/pi-coding-agent";
import { findApiProviders, updateModels, wrapSenders } from "./attribution.ts";
import { observeFetch, onFrame, onHeaderEvent } from "./capture.ts";
import { loadSecret } from "./identity.ts";
import { VERSION } from "./schema.ts";
import { piVersion, retireOlder, type Session, type State, sharedState } from "./state.ts";
import { countEntries, onMessageEnd } from "./usage.ts";
import { field, name, quietly } from "./values.ts";

/** APIs whose streams may carry a frame with the quota. */
const FRAME_APIS = ["openai-codex-responses", "pi-virtual"];

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
	observeFetch(state);
	onModelSelect(state, session, ctx, ctx.model);
	return findApiProviders(state, ctx)?.then(() => quietly(() => wrapSenders(state, session, ctx)));
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
	return over ? state.outbox.close() : undefined;
}

/** Subscribes to an event that the types of some versions of pi do not have. It never fires in a pi without it. */
function listen(pi: ExtensionAPI, event: string, handler: (event: unknown) => void): () => void {
	const on: unknown = pi.on;
	const onEvent = (data: unknown): void => void quietly(() => handler(data));
	const stop: unknown = typeof on === "function" ? Reflect.apply(on, pi, [event, onEvent]) : undefined;
	return () => typeof stop === "function" && Reflect.apply(stop, undefined, []);
}

/** Subscribes to frames only while the model's API may send a quota in one: pi awaits the handlers of every frame. */
function listenToFrames(state: State, pi: ExtensionAPI, session: Session): (model: unknown) => void {
	let stop: (() => void) | undefined;
	return (model) => {
		const wanted = FRAME_APIS.includes(String(field(model, "api")));
		if (!wanted) stop?.();
		stop = wanted
			? (stop ?? listen(pi, "provider_stream_event", (event) => onFrame(state, session, event)))
			: undefined;
	};
}

export default function tokmon(pi: ExtensionAPI): void {
	quietly(() => {
		if (process.env.TOKMON_DISABLE === "1") return;
		const state = sharedState();
		const session: Session = { id: undefined, context: undefined, entries: 0, responses: 0 };
		const prepare = (_event: unknown, ctx: ExtensionContext): void =>
			void quietly(() => wrapSenders(state, session, ctx));
		const scan = (_event: unknown, ctx: ExtensionContext): void =>
			void quietly(() => countEntries(state, session, ctx));
		const chooseFrames = listenToFrames(state, pi, session);
		pi.on("session_start", (_event, ctx) => {
			quietly(() => chooseFrames(ctx.model));
			return quietly(() => onSessionStart(state, session, ctx));
		});
		pi.on("model_select", (event, ctx) => {
			quietly(() => chooseFrames(event.model));
			quietly(() => onModelSelect(state, session, ctx, event.model));
		});
		pi.on("before_provider_request", () => {
			session.responses = 0;
			state.latest = session;
		});
		listen(pi, "after_provider_response", (event) => onHeaderEvent(state, session, event));
		pi.on("message_end", (event, ctx) => void quietly(() => onMessageEnd(state, session, ctx, event.message)));
		pi.on("turn_start", prepare);
		pi.on("session_before_compact", prepare);
		pi.on("session_before_tree", prepare);
		pi.on("turn_end", scan);
		pi.on("agent_end", scan);
		pi.on("session_compact", scan);
		pi.on("session_tree", scan);
		pi.on("session_shutdown", (event, ctx) => quietly(() => onShutdown(state, session, ctx, field(event, "reason"))));
	});
}
