/** Attribution where streams are registered per api, for all providers at once: pi before 0.80.8. */

import { getApiProviders } from "@mariozechner/pi-ai";
import type { ExtensionAPI, ExtensionContext } from "@mariozechner/pi-coding-agent";
import { quietly, type Session, type State, takeOff } from "../tokmon.ts";

// <piece attribution>
/**
 * Puts a wrapper around the streams of every api, so that `fetch` knows whose request it sees. What pi hands back is a
 * closure around ours, so we remember the one that our registration led to, and never wrap it again.
 */
function attribute(state: State, pi: ExtensionAPI, session: Session, _ctx: ExtensionContext): void {
	for (const delegate of getApiProviders()) {
		const { api } = delegate;
		if (state.wrapped.get(api) === delegate) continue;
		quietly(() =>
			pi.registerProvider(`tokmon-capture-${api}`, {
				api,
				streamSimple: (model, context, options) =>
					state.flights.run(takeOff(state, session, model, options), () =>
						delegate.streamSimple(model, context, options),
					),
			}),
		);
		const ours = getApiProviders().find((each) => each.api === api);
		if (ours !== delegate) state.wrapped.set(api, ours);
	}
}
// </piece attribution>

export { attribute };
