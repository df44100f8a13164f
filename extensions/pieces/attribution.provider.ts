/** Attribution where every provider has its own streams: pi 0.81.1 and later. */

import type { ExtensionAPI, ExtensionContext } from "@earendil-works/pi-coding-agent";
import { OURS, quietly, type Session, type State, takeOff } from "../tokmon.ts";

// <piece attribution>
type StreamSimple = NonNullable<Parameters<ExtensionAPI["registerProvider"]>[1]>["streamSimple"];

/**
 * Puts a wrapper around the streams of the providers in use, so that `fetch` knows whose request it sees. The delegate
 * is the provider as it was, with whatever pi or another extension made of it. pi asks a registered function for one
 * api only, so a provider's other apis are told apart by their URL.
 */
function attribute(state: State, pi: ExtensionAPI, session: Session, ctx: ExtensionContext): void {
	const registry = ctx.modelRegistry;
	const apis = new Map<string, string>();
	if (session.flight) apis.set(session.flight.provider, session.flight.api);
	for (const model of registry.getAvailable()) if (!apis.has(model.provider)) apis.set(model.provider, model.api);
	for (const [provider, api] of apis) {
		const present = registry.getRegisteredProviderConfig(provider)?.streamSimple;
		if ((present && OURS in present) || registry.getRegisteredNativeProvider(provider)) continue;
		const delegate = registry.getProvider(provider);
		if (!delegate) continue;
		const streamSimple: StreamSimple = (model, context, options) =>
			state.flights.run(takeOff(state, session, model, options), () => delegate.streamSimple(model, context, options));
		quietly(() => pi.registerProvider(provider, { api, streamSimple: Object.assign(streamSimple, { [OURS]: true }) }));
		state.wrapped.set(provider, delegate);
	}
}
// </piece attribution>

export { attribute };
