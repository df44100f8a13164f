/** Which provider and model a request belongs to. */

import type { ExtensionContext } from "@earendil-works/pi-coding-agent";
import type { Capture } from "./schema.ts";
import type { Base, RequestContext, Session, State } from "./state.ts";
import { field, name, quietly } from "./values.ts";

/** How the wrappers of this version are marked. */
const WRAPPER = Symbol.for("tokmon.wrapper.v2");
const METHODS = ["stream", "streamSimple", "fetchDeferred", "generateImages", "classify"];

/** Where `getApiProviders` is exported, in versions of pi that have one sender for each api. */
const API_MODULES = ["@earendil-works/pi-ai/compat", "@earendil-works/pi-ai", "@mariozechner/pi-ai"];

export type Attribution = Pick<Capture, "provider" | "model" | "api" | "attribution">;

type Lookup = (provider: string) => unknown;

/** The method `getProvider` of an object, if it has one. */
function lookupOf(owner: unknown): Lookup | undefined {
	const method = field(owner, "getProvider");
	return typeof method === "function" ? (provider) => Reflect.apply(method, owner, [provider]) : undefined;
}

/**
 * Finds the senders of a pi whose registry does not give its providers (before 0.81.1). They are imported in a way that
 * may fail: a static import of a missing module would end pi. Undefined, with nothing to wait for, in every other pi.
 */
export function findApiProviders(state: State, ctx: ExtensionContext): Promise<void> | undefined {
	if (state.apiProviders || lookupOf(ctx.modelRegistry)) return undefined;
	return (async () => {
		for (const module of API_MODULES) {
			const exports: unknown = await import(module).catch(() => undefined);
			const getApiProviders = field(exports, "getApiProviders");
			if (typeof getApiProviders !== "function") continue;
			state.apiProviders = () => Reflect.apply(getApiProviders, undefined, []);
			return;
		}
	})();
}

/**
 * The objects that send requests: the available providers, and before pi 0.81.1 the streams of each api. From 0.80.8 on
 * the providers are behind the registry, and the streams are what other extensions use.
 */
function senders(state: State, ctx: ExtensionContext): unknown[] {
	const lookup = lookupOf(ctx.modelRegistry) ?? lookupOf(field(ctx.modelRegistry, "runtime"));
	const names = new Set(ctx.modelRegistry.getAvailable().map((model) => model.provider));
	if (ctx.model) names.add(ctx.model.provider);
	const streams = state.apiProviders?.();
	return [...(lookup ? [...names].map(lookup) : []), ...(Array.isArray(streams) ? streams : [])];
}

/**
 * Wraps the methods that send requests, so that the fetch observer knows the model of each request. They are replaced on
 * the objects that pi uses. Registering providers instead would make pi load its configuration again (5 ms each), would
 * allow one api per provider, and could not tell `stream` from `streamSimple`. pi makes these objects anew now and then,
 * so this is done before every turn; what is wrapped already is marked and left alone.
 */
export function wrapSenders(state: State, session: Session, ctx: ExtensionContext): void {
	for (const sender of senders(state, ctx)) quietly(() => wrap(state, session, sender));
}

function wrap(state: State, session: Session, sender: unknown): void {
	if (typeof sender !== "object" || sender === null) return;
	for (const method of METHODS) {
		const original: unknown = field(sender, method);
		if (typeof original !== "function" || WRAPPER in original) continue;
		const wrapper = function (this: unknown, model: unknown, ...rest: unknown[]): unknown {
			const context = enterRequest(state, session, model, rest[1]);
			return state.contexts.run(context, () => Reflect.apply(original, this, [model, ...rest]));
		};
		Object.assign(sender, { [method]: Object.assign(wrapper, { [WRAPPER]: true }) });
	}
	state.wrapped.add(String(field(sender, "id")));
}

/** The context of one request. Sessions of one process are told apart by the id that pi passes in the options. */
function enterRequest(state: State, session: Session, model: unknown, options: unknown): RequestContext {
	const ids = [name(field(options, "sessionId")), session.id, state.latest?.id];
	return { ...contextOf(model), session: ids.find((id) => id !== undefined && state.sessions.has(id)) };
}

function contextOf(model: unknown): RequestContext {
	const text = (key: string) => name(field(model, key)) ?? "";
	return {
		provider: text("provider"),
		model: text("id"),
		api: text("api"),
		baseUrl: text("baseUrl"),
		session: undefined,
		responses: 0,
	};
}

/** Reads the base URLs that pi knows, and sets the model of the session. */
export function updateModels(state: State, session: Session, ctx: ExtensionContext, current: unknown): void {
	session.context = current ? { ...contextOf(current), session: session.id } : undefined;
	state.latest = session;
	const available = new Set(ctx.modelRegistry.getAvailable().map((model) => model.provider));
	const bases = new Map<string, Base>();
	for (const { baseUrl, provider } of ctx.modelRegistry.getAll()) {
		bases.set(`${provider} ${baseUrl}`, { url: baseUrl, provider, available: available.has(provider) });
	}
	state.bases.clear();
	for (const base of bases.values()) {
		const origin = quietly(() => new URL(base.url).origin);
		if (origin) state.bases.set(origin, [...(state.bases.get(origin) ?? []), base]);
	}
}

/** The models' base URLs that a request URL lies under. */
export function basesOf(state: State, url: string, origin: string): Base[] {
	return (state.bases.get(origin) ?? []).filter((base) => isUnder(url, base.url));
}

/** Whether `url` is `base` or continues it with a path, a query, a fragment or (Gemini) a `:verb`. */
function isUnder(url: string, base: string): boolean {
	return url.startsWith(base) && (base.endsWith("/") || [undefined, "/", "?", "#", ":"].includes(url[base.length]));
}

/** Whether a request goes to the model's own host. If the model has no fixed base URL, any POST may. */
export function goesToModel(context: RequestContext, origin: string, isPost: boolean): boolean {
	const base = context.baseUrl.includes("{") ? undefined : quietly(() => new URL(context.baseUrl).origin);
	return base ? base === origin : isPost;
}

/** Attributes a request: exactly if it has a context, else by the only matching base URL, else by the session's model. */
export function attribute(
	state: State,
	context: RequestContext | undefined,
	session: Session | undefined,
	bases: Base[],
): Attribution {
	if (context) return { ...namesOf(context), attribution: "wrapper" };
	let candidates = bases;
	for (const isBetter of [(base: Base) => base.available, (base: Base) => !state.wrapped.has(base.provider)]) {
		const better = candidates.filter(isBetter);
		if (better.length > 0) candidates = better;
	}
	const current = session?.context;
	const providers = new Set(candidates.map((base) => base.provider));
	const [only] = providers;
	if (only !== undefined && providers.size === 1) {
		const names = current?.provider === only ? namesOf(current) : { provider: name(only) };
		return { ...names, attribution: "url" };
	}
	return attributeToSession(current && providers.has(current.provider) ? current : undefined);
}

/** Attributes to the model that the session uses, which may be wrong. */
export function attributeToSession(current: RequestContext | undefined): Attribution {
	return current ? { ...namesOf(current), attribution: "model" } : { attribution: "none" };
}

function namesOf(context: RequestContext): Omit<Attribution, "attribution"> {
	return { provider: name(context.provider), model: name(context.model), api: name(context.api) };
}
