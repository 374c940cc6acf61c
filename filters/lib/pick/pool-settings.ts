import { HashFunction } from "../hash-function";
import { HashMethod } from "../hash-method";

/** How a pool chooses; `new Pool(settings)` reads everything once. Defaults are those of the configuration. */

export const enum Policy {
  PrefixAffinity,
  ConsistentHash,
  RoundRobin,
  Random,
  LeastRequest,
  LeastResponseTime,
  WeightedRoundRobin,
}

/** Where a key goes whose endpoint is over its bound. */
export const enum Overflow {
  /** An order that the key itself seeds: the overflow of one endpoint spreads over all. */
  RandomJump,
  /** The next one on the ring, as the paper has it: an overflow makes the next. */
  Clockwise,
}

@final
export class PoolSettings {
  policy: Policy = Policy.PrefixAffinity;
  /** Slots: the most endpoints at a time, 1..256. */
  capacity: i32 = 64;

  /** Bounded load: most in-flight requests of an endpoint over its fair share, and what is always allowed. */
  bound: f64 = 2;
  leastInflight: i32 = 24;
  /** Consistent hash: how the table is made; points of an endpoint of weight 1 are those of a ring. */
  hashFunction: HashFunction = HashFunction.XxHash64;
  hashMethod: HashMethod = HashMethod.Rendezvous;
  hashPoints: i32 = 1024;
  overflow: Overflow = Overflow.RandomJump;

  /** Prefix affinity: share of the prompt that must be cached somewhere for the prompt not to go by its key. */
  threshold: f64 = 0.5;
  /** Cost over the cheapest endpoint that a key's own endpoint may have, in tokens. */
  slackTokens: f64 = 1024;
  /** Pending tokens over the least loaded endpoint that end affinity. */
  queueTokens: f64 = 40_000;
  /** Load of a running request, in tokens. */
  requestTokens: f64 = 64;
  /** What a token is worth that has to be computed although it is cached elsewhere, in tokens that wait. */
  missPrice: f64 = 4;

  /** Blocks that an endpoint's cache holds, until `setBlocks` knows better. */
  blocksPerEndpoint: i32 = 4800;
  /** Most (block, endpoint) pairs of the index in all, whatever the endpoints have. */
  maxIndexPairs: i32 = 500_000;
  /** New pairs kept for the other workers until they are taken. */
  newsCapacity: i32 = 16_384;

  /** Requests an endpoint may have before it is not eligible any more; 0: no limit. */
  maxInflight: i32 = 0;
  slowStartMs: i64 = 0;
  loraAffinity: bool = false;
  preferLocality: bool = false;
  /** Our own, when `preferLocality`. */
  locality: u16 = 0;

  /** A snapshot of an engine's load that is older is none. */
  maxSnapshotAgeMs: i64 = 1000;
  /** Counts what an engine has beyond what we sent as load, too: other gateways use it. */
  foreignLoad: bool = true;

  /** Least response time: what an endpoint without data is taken for, what a failure counts as at least, and how fast old data fades. */
  unknownResponseMs: f64 = 1000;
  failureResponseMs: f64 = 5000;
  responseDecayMs: f64 = 10_000;

  /** Quarantine of the first failure; it doubles with each further one. */
  quarantineMs: i64 = 1000;
  maxQuarantineMs: i64 = 60_000;
}
