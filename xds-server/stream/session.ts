/** What a stream of either variant can do. The transport knows no more than this. */
import type { TypeUrl } from "../../protos/index.ts";
import type { Snapshot } from "../cache/index.ts";
import type { Nack } from "./nack.ts";
import type { WatchedResource } from "./watched-resource.ts";

export interface SessionOptions {
  /** The type of a service that serves one type only; the others are refused. */
  readonly onlyType?: TypeUrl;
  /** Whether the client knows TTLs: `supportsTtl`. Without, it is served all resources as if they had none. */
  readonly ttl?: boolean;
}

/** What a request turned out to be. */
export type Received =
  /** `stale`: it answers a response that is not the latest. Its subscriptions count in the incremental variant, and nothing of it in the other. */
  | { readonly kind: "subscribe" | "ack" | "stale" | "unknown-type" }
  | { readonly kind: "nack"; readonly nack: Nack }
  /** The stream is to be ended with this status. */
  | { readonly kind: "violation"; readonly code: "INVALID_ARGUMENT" | "RESOURCE_EXHAUSTED"; readonly message: string };

/** The protocol state of one stream: requests and snapshots go in, responses come out. Pure: no clock, no timer, nothing queued. */
export interface Session<Request, Planned> {
  readonly variant: "sotw" | "delta";
  /** The types that the client asked for, for the admin API. */
  readonly watches: ReadonlyMap<string, Readonly<WatchedResource>>;
  /** Takes a new snapshot; what follows from it comes out of {@link next}. O(changes). */
  publish(snapshot: Snapshot): void;
  /**
   * Takes a request of the client.
   * @param now milliseconds since the epoch
   */
  receive(request: Request, now: number): Received;
  /**
   * The next response that is due, which thereby counts as sent; undefined when there is none. Call it until then, or until the transport is full.
   * @param now milliseconds since the epoch
   */
  next(now: number): Planned | undefined;
  /** When {@link next} has something to say by itself (a heartbeat): milliseconds since the epoch, later than that of the last call of it. */
  nextDeadline(): number | undefined;
}
