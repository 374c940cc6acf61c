/**
 * What stages change of the headers of a request: collected while they are asked, and written when the request goes on, or is held. One that is answered by a stage costs no hostcall for them, and no
 * new choice of its route.
 */
import { Bytes, MapType } from "../sdk";
import { HeaderChanges } from "./header-changes";

/** Up to so many, one by one is cheaper: Envoy empties the map to take all of it anew, which is two hostcalls and about the time of ten. */
const FEW: i32 = 4;

const changes = new HeaderChanges(MapType.HttpRequestHeaders);

export namespace requestHeaders {
  /** For another request: nothing is to be changed. */
  export function begin(): void {
    changes.clear();
  }

  /** In place of all values of that name; of one name the last change counts. The name has to stay: a literal, or of the configuration. */
  export function replace(name: Bytes, text: Bytes): void {
    changes.replace(name, text);
  }

  export function remove(name: Bytes): void {
    changes.remove(name);
  }

  /** To the request of the effective context. A hostcall for each of a few, two for more. */
  export function write(): void {
    if (changes.count > FEW) changes.writeTogether(null);
    if (changes.count > 0) changes.writeEach();
  }
}
