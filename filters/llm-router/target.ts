/** Where a request may go and what it has to look like there. Made from the configuration, never changed. */
import { Bytes } from "../sdk";

/** A secret in a header of the upstream request. */
@final
export class Credential {
  constructor(
    readonly header: Bytes,
    /** Prefix and secret. */
    readonly value: Bytes,
  ) {}
}

@final
export class Target {
  /** Goes by a cluster's name instead of a route's. */
  byCluster: bool = false;
  /** Value of the route header or the cluster header. */
  value: Bytes = new Bytes();
  /** Name the upstream knows the model by; empty keeps the client's. */
  upstreamModel: Bytes = new Bytes();
  /** Written to :authority; empty keeps the client's. */
  host: Bytes = new Bytes();
  /** A path that begins with `pathFrom` gets `pathTo` in its place. Neither ends in a slash; empty is the root. */
  rewritesPath: bool = false;
  pathFrom: Bytes = new Bytes();
  pathTo: Bytes = new Bytes();
  credential: Credential | null = null;

  constructor(readonly name: Bytes) {}

  /** The request must be changed where a route is not picked any more: in the attempt filter. */
  get needsAttempt(): bool {
    return this.host.len > 0 || this.rewritesPath || this.credential !== null;
  }
}
