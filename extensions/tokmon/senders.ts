/** Wraps what sends requests, so that each request is known by its provider, its model and its session. */

import type { ExtensionContext } from "@earendil-works/pi-coding-agent";
import { contextOf } from "./attribution.ts";
import { observedFetch, observeFetch } from "./capture.ts";
import { rememberOptions } from "./secrets.ts";
import { observeSockets } from "./socket.ts";
import type { RequestContext, Session, State } from "./state.ts";
import { field, name, quietly } from "./values.ts";

/** How the wrappers of this version are marked. */
const WRAPPER = Symbol.for("tokmon.wrapper.v3");
const METHODS = ["stream", "streamSimple", "fetchDeferred", "generateImages", "classify"];
/** Methods through which every session of a process, also one without extensions, gets the provider of a request. */
const LOOKUPS = ["getProvider", "requireProvider"];
/** Methods of the registry that make new senders. */
const REGISTRATIONS = ["registerProvider", "unregisterProvider", "refresh"];
const VIRTUAL_API = "pi-virtual";
const SOCKET_API = "openai-codex-responses";

/** Where `getApiProviders` is exported. These senders are shared by all sessions of a process too. */
const API_MODULES = ["@earendil-works/pi-ai/compat", "@earendil-works/pi-ai", "@mariozechner/pi-ai"];

type Method = (this: unknown, ...rest: unknown[]) => unknown;

/**
 * Finds the senders of each api: all there are before pi 0.80.8, later those of other extensions. They are imported in a
 * way that may fail: a static import of a missing module would end pi.
 */
export async function findApiProviders(state: State): Promise<void> {
	if (state.apiProviders) return;
	for (const module of API_MODULES) {
		const exports: unknown = await import(module).catch(() => undefined);
		const getApiProviders = field(exports, "getApiProviders");
		if (typeof getApiProviders !== "function") continue;
		state.apiProviders = () => Reflect.apply(getApiProviders, undefined, []);
		return;
	}
}

/** Whether a session has to wait for the senders of each api, because it has no others. */
export function needsApiProviders(ctx: ExtensionContext): boolean {
	return ["getProvider", "runtime"].every((key) => field(ctx.modelRegistry, key) === undefined);
}

/**
 * Wraps all senders that can be reached: the available providers, the lookup of providers (shared by all sessions), the
 * runtime's own methods, and the streams of each api. They are replaced on the objects that pi uses: registering providers
 * instead would make pi load its configuration again (5 ms each), would allow one api per provider, and could not tell
 * `stream` from `streamSimple`. pi makes some of these objects anew now and then, so this is done before every turn; what
 * is wrapped already is marked and left alone.
 */
export function wrapSenders(state: State, session: Session, ctx: ExtensionContext): void {
	const registry: object = ctx.modelRegistry;
	const runtime = field(registry, "runtime");
	const wrapIt = (sender: unknown) => void quietly(() => wrapMethods(state, session, sender));
	const afterwards = () => apiStreams(state).forEach(wrapIt);
	quietly(() => wrapLookups(field(runtime, "models"), wrapIt));
	quietly(() => patch(prototypeOf(registry), REGISTRATIONS, (original) => runThen(original, afterwards)));
	wrapIt(prototypeOf(runtime));
	for (const owner of [registry, runtime]) {
		const lookup = field(owner, "getProvider");
		if (typeof lookup !== "function") continue;
		const names = new Set(ctx.modelRegistry.getAvailable().map((model) => model.provider));
		if (ctx.model) names.add(ctx.model.provider);
		for (const id of names) wrapIt(Reflect.apply(lookup, owner, [id]));
		break;
	}
	afterwards();
}

function apiStreams(state: State): unknown[] {
	const streams = state.apiProviders?.();
	return Array.isArray(streams) ? streams : [];
}

/** The object that holds the methods of an instance; undefined for a plain object, whose prototype is everyone's. */
function prototypeOf(instance: unknown): object | undefined {
	const prototype: unknown = instance instanceof Object ? Object.getPrototypeOf(instance) : undefined;
	return prototype instanceof Object ? prototype : undefined;
}

/** Replaces those methods of `owner` that exist and are not replaced yet. */
function patch(owner: unknown, methods: string[], replacement: (original: Method) => Method): void {
	if (!(owner instanceof Object)) return;
	for (const method of methods) {
		const original: unknown = field(owner, method);
		if (typeof original !== "function" || WRAPPER in original) continue;
		const replaced = Object.assign(replacement(original as Method), { [WRAPPER]: true });
		quietly(() => Object.assign(owner, { [method]: replaced }));
	}
}

function runThen(original: Method, afterwards: (result: unknown) => void): Method {
	return function (this: unknown, ...rest) {
		const result = Reflect.apply(original, this, rest);
		quietly(() => afterwards(result));
		return result;
	};
}

function wrapLookups(models: unknown, wrapIt: (sender: unknown) => void): void {
	const owner = models instanceof Object && Object.hasOwn(models, "getProvider") ? models : prototypeOf(models);
	patch(owner, LOOKUPS, (original) => runThen(original, wrapIt));
}

function wrapMethods(state: State, session: Session, sender: unknown): void {
	patch(sender, METHODS, (original) => {
		return function (this: unknown, model, ...rest) {
			// A virtual model sends nothing: the model that it routes to does.
			if (field(model, "api") === VIRTUAL_API) return Reflect.apply(original, this, [model, ...rest]);
			const [transcript, options, ...more] = rest;
			const request = quietly(() => enterRequest(state, session, model, options));
			if (!request) return Reflect.apply(original, this, [model, ...rest]);
			const passed = quietly(() => observedOptions(state, options)) ?? options;
			const all = rest.length > 1 ? [model, transcript, passed, ...more] : [model, ...rest];
			const result = state.contexts.run(request.context, () => Reflect.apply(original, this, all));
			request.context.stream = result;
			if (!request.billed) quietly(() => state.onResult(request.context, model, result));
			return result;
		};
	});
}

/** The context of one request, and whether pi bills it: in a message or an entry of a session with this extension. */
function enterRequest(
	state: State,
	session: Session,
	model: unknown,
	options: unknown,
): { context: RequestContext; billed: boolean } {
	observe(state, model);
	quietly(() => rememberOptions(options));
	const key = quietly(() => field(options, "apiKey"));
	const id = name(field(options, "sessionId"));
	const ids = [id, session.id, state.latest?.id];
	const known = ids.find((candidate) => candidate !== undefined && state.sessions.has(candidate));
	const summary = id === undefined || field(options, "cacheRetention") === "none";
	const billed = known !== undefined && known === id;
	return {
		context: { ...contextOf(model), session: known, credential: typeof key === "string" ? key : undefined },
		billed: billed || (summary && [...state.sessions.values()].some(({ summarizing }) => summarizing)),
	};
}

/** Puts our `fetch` and `WebSocket` in place, if another extension has replaced them. */
function observe(state: State, model: unknown): void {
	quietly(() => observeFetch(state));
	if (field(model, "api") === SOCKET_API) quietly(() => observeSockets(state));
}

/**
 * The options of a request with a `fetch` of their own (pi 1.x), observed as the global one is; and with an `onPayload` that
 * observes again: pi calls it just before it sends, and handlers of other extensions run in it.
 */
function observedOptions(state: State, options: unknown): unknown {
	const [own, onPayload] = [field(options, "fetch"), field(options, "onPayload")];
	const changes: Record<string, unknown> = {};
	if (typeof own === "function") changes.fetch = observedFetch(state, own as typeof fetch);
	if (typeof onPayload === "function") {
		changes.onPayload = function (this: unknown, ...rest: unknown[]): unknown {
			const payload: unknown = Reflect.apply(onPayload, this, rest);
			const again = () => observe(state, rest[1]);
			if (payload instanceof Promise) payload.then(again, again);
			else again();
			return payload;
		};
	}
	return Object.keys(changes).length > 0 ? { ...(options as object), ...changes } : options;
}
