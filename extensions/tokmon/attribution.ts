/** Which provider and model a request belongs to. */

import { createHmac } from "node:crypto";
import type { ExtensionContext } from "@earendil-works/pi-coding-agent";
import type { Capture } from "./schema.ts";
import type { Base, RequestContext, Session, State } from "./state.ts";
import { field, name, quietly } from "./values.ts";

const MAX_CREDENTIALS = 1000;

export type Attribution = Pick<Capture, "provider" | "model" | "api" | "attribution">;

export function contextOf(model: unknown): RequestContext {
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
	const models = ctx.modelRegistry.getAll();
	for (const { baseUrl, provider } of models) {
		bases.set(`${provider} ${baseUrl}`, { url: baseUrl, provider, available: available.has(provider) });
	}
	state.models = models.length;
	state.bases.clear();
	for (const base of bases.values()) {
		const origin = quietly(() => new URL(base.url).origin);
		if (origin) state.bases.set(origin, [...(state.bases.get(origin) ?? []), base]);
	}
}

/** The models' base URLs that a request URL lies under. */
export function basesOf(state: State, url: URL): Base[] {
	return (state.bases.get(url.origin) ?? []).filter((base) => isUnder(url, base.url));
}

/** Whether `url` is `base` or continues its path with a segment or (Gemini) a `:verb`. */
function isUnder(url: URL, base: string): boolean {
	const { origin, pathname } = new URL(base);
	const path = pathname.replace(/\/+$/, "");
	return (
		url.origin === origin && url.pathname.startsWith(path) && [undefined, "/", ":"].includes(url.pathname[path.length])
	);
}

/** Whether a POST goes to the model. If the model has no fixed base URL, any may. */
export function goesToModel({ baseUrl }: RequestContext, url: URL): boolean {
	if (baseUrl.includes("{") || !quietly(() => new URL(baseUrl))) return true;
	return isUnder(url, baseUrl);
}

/** Remembers which provider used a credential. Only a hash is kept, with a salt of this process. */
export function learnCredential(state: State, provider: string, credential: string): void {
	const key = hash(state, credential);
	if (state.credentials.size > MAX_CREDENTIALS) state.credentials.clear();
	const shared = state.credentials.has(key) && state.credentials.get(key) !== provider;
	state.credentials.set(key, shared ? undefined : provider);
}

function hash(state: State, credential: string): string {
	return createHmac("sha256", state.salt).update(credential).digest("base64");
}

/**
 * Attributes a request: exactly if it has a context. Else by its base URL and credential: to the provider that used this
 * credential, or to the only provider with this base URL, unless that one uses another credential. Else to none.
 */
export function attribute(
	state: State,
	context: RequestContext | undefined,
	bases: Base[],
	credential: string | undefined,
): Attribution {
	if (context) return { ...namesOf(context), attribution: "wrapper" };
	const available = bases.filter((base) => base.available);
	const providers = new Set((available.length > 0 ? available : bases).map((base) => base.provider));
	const user = credential === undefined ? undefined : state.credentials.get(hash(state, credential));
	const [only] = providers;
	const isOnly = providers.size === 1 && ![...state.credentials.values()].some((known) => known === only);
	const provider = user !== undefined && providers.has(user) ? user : isOnly ? only : undefined;
	return provider === undefined ? { attribution: "none" } : { provider: name(provider), attribution: "url" };
}

/** Attributes an event of a session to its model. A virtual model is not the one that answered. */
export function attributeToSession(current: RequestContext | undefined): Attribution {
	if (!current || current.api === "pi-virtual") return { attribution: "none" };
	return { ...namesOf(current), attribution: "model" };
}

function namesOf(context: RequestContext): Omit<Attribution, "attribution"> {
	return { provider: name(context.provider), model: name(context.model), api: name(context.api) };
}
