/** Attribution where every provider has methods of its own: pi 0.81.1 and later. */

import type { ExtensionContext } from "@earendil-works/pi-coding-agent";

// <piece attribution>
/** What sends requests: the providers that may be asked. pi looks each up by its name when it asks. */
function senders(ctx: ExtensionContext): unknown[] {
	const names = new Set(ctx.modelRegistry.getAvailable().map((model) => model.provider));
	if (ctx.model) names.add(ctx.model.provider);
	return [...names].map((provider) => ctx.modelRegistry.getProvider(provider));
}
// </piece attribution>

export { senders };
