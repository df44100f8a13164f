/** Attribution by URL alone: pi 0.80.8 to 0.81.0 shows an extension nothing that sends requests. */

import type { ExtensionContext } from "@earendil-works/pi-coding-agent";

// <piece attribution>
function senders(_ctx: ExtensionContext): unknown[] {
	return [];
}
// </piece attribution>

export { senders };
