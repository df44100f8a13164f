/** Attribution where there is one sender per api, for all providers: pi before 0.80.8. */

import type { ExtensionContext } from "@mariozechner/pi-coding-agent";

// <piece attribution>
/** The one thing that is imported of pi, and in a way that may fail: where a static import does, pi ends. */
const registry = await import("@mariozechner/pi-ai").catch(() => undefined);

/** What sends requests: the streams of each api. pi looks them up by the api of the model when it asks. */
function senders(_ctx: ExtensionContext): unknown[] {
	return registry?.getApiProviders() ?? [];
}
// </piece attribution>

export { senders };
