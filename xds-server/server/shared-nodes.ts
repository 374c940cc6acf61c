/** What Envoys of a group say alike about themselves, kept once: some metadata, where they are, what they can do. */
import { createHash } from "node:crypto";
import { serialize } from "node:v8";
import type { NodeIdentity } from "../cache/index.ts";
import { SharedValues } from "../stream/index.ts";

export class SharedNodes {
  readonly #parts = new SharedValues<string, object>();

  /** The node with parts that other streams hold, too. Once for a stream: O(size of the metadata). */
  share(node: NodeIdentity): NodeIdentity {
    return {
      ...node,
      metadata: this.#shared(node.metadata),
      locality: this.#shared(node.locality),
      clientFeatures: this.#shared(node.clientFeatures),
    };
  }

  /** Equal parts are written alike; members in another order are not, and kept twice. */
  #shared<Part extends object>(part: Part): Part {
    // Not as JSON, in which NaN is null. A hash, because metadata that only one Envoy has would be kept twice.
    const key = createHash("sha1").update(serialize(part)).digest("base64");
    return this.#parts.get(key, () => part) as Part;
  }
}
