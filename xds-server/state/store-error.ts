/** How every store of the server fails: Redis, Consul, Kubernetes or a folder that is not there, is too slow, or says no. */

/** `unavailable`: not connected, connection lost, or too slow. `busy`: too many calls under way. `failed`: the store answered with an error. */
export type StoreErrorReason = "unavailable" | "busy" | "failed";

export class StoreError extends Error {
  readonly reason: StoreErrorReason;

  constructor(reason: StoreErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreError";
    this.reason = reason;
  }
}
