/**
 * The headers of an answer as they came, read with one hostcall by whoever needs them first in a callback; for the others they are there. What stages have
 * changed since is not in them.
 */
import { Bytes, HeaderPairs, MapType, Status } from "../sdk";

const STATUS = Bytes.literal(":status");

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

  /** :status, where the headers were read; 0 else. */
  export function status(): i32 {
    if (!loaded) return 0;
    pairs.rewind();
    while (pairs.next()) if (pairs.name.equals(STATUS)) return decimal(pairs.value);
    return 0;
  }

  /** From the first header on; null when Envoy does not show them. Borrowed until the callback returns. */
  export function read(): HeaderPairs | null {
    if (!loaded && pairs.load(MapType.HttpResponseHeaders) != Status.Ok) return null;
    loaded = true;
    pairs.rewind();
    return pairs;
  }
}

/** Three digits; 0 for anything else. */
function decimal(value: Bytes): i32 {
  if (value.len != 3) return 0;
  return <i32>value.at(0) * 100 + <i32>value.at(1) * 10 + <i32>value.at(2) - 48 * 111;
}
