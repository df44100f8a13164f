/** Attribution by URL alone: pi 0.80.8 to 0.81.0, whose providers cannot be asked for by an extension. */

import type { ExtensionAPI, ExtensionContext } from "@earendil-works/pi-coding-agent";
import type { Session, State } from "../tokmon.ts";

// <piece attribution>
function attribute(_state: State, _pi: ExtensionAPI, _session: Session, _ctx: ExtensionContext): void {}
// </piece attribution>

export { attribute };
