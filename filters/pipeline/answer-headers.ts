/**
 * What stages change of the headers of an answer: collected while they are asked, then written together. Nobody overwrites what another stage has written, and
 * many headers cost one hostcall where the answer's own have been read anyway.
 */
import { Bytes, MapType } from "../sdk";
import { answerHead } from "./answer-head";
import { HeaderChanges } from "./header-changes";

/** Up to so many, one by one is cheaper, because Envoy empties the map to take it anew; and where nobody has read the headers yet. */
const FEW_READ: i32 = 2;
const FEW: i32 = 4;

const changes = new HeaderChanges(MapType.HttpResponseHeaders);

export namespace answerHeaders {
  /** In place of all values of that name. The name has to stay: a literal, or of the configuration. */
  export function replace(name: Bytes, text: Bytes): void {
    changes.replace(name, text);
  }

  export function remove(name: Bytes): void {
    changes.remove(name);
  }

  /** To the answer whose headers the callback shows. A hostcall for each of a few; else one for all, and one to read the headers if nobody has. `willRead`: somebody will. */
  export function write(willRead: bool): void {
    if (changes.count > (willRead || answerHead.isRead() ? FEW_READ : FEW)) {
      const head = answerHead.read();
      if (head !== null) changes.writeTogether(head);
    }
    if (changes.count > 0) changes.writeEach();
  }
}
