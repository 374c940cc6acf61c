/**
 * The headers of an answer as they came, read with one hostcall by whoever needs them first in a callback; for the others they are there. What stages have
 * changed since is not in them.
 */
import { HeaderPairs, MapType, Status } from "../sdk";

const pairs = new HeaderPairs();
let loaded: bool = false;

export namespace answerHead {
  /** Another callback: what was read is gone. */
  export function forget(): void {
    loaded = false;
  }

  /** Somebody has read them in this callback. */
  export function isRead(): bool {
    return loaded;
  }

  /** From the first header on; null when Envoy does not show them. Borrowed until the callback returns. */
  export function read(): HeaderPairs | null {
    if (!loaded && pairs.load(MapType.HttpResponseHeaders) != Status.Ok) return null;
    loaded = true;
    pairs.rewind();
    return pairs;
  }
}
