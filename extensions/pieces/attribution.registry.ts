/** Attribution where there is one sender per api, for all providers: pi before 0.80.8. */

import { getApiProviders } from "@mariozechner/pi-ai";
import type { ExtensionContext } from "@mariozechner/pi-coding-agent";

// <piece attribution>
/** What sends requests: the streams of each api. pi looks them up by the api of the model when it asks. */
function senders(_ctx: ExtensionContext): unknown[] {
	return getApiProviders();
}
// </piece attribution>

export { senders };
