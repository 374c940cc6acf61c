/** Every way to give keys to endpoints, for the suites that run on all of them. What one does not promise is named with the reason. */
import { EndpointHashDriver, HashMethod } from "./endpoint-hash-driver.ts";
import { HashFunction } from "./hash-functions-driver.ts";

export interface MethodUnderTest {
  readonly name: string;
  readonly make: () => EndpointHashDriver;
  /** A small one for long sequences of changes. */
  readonly small: () => EndpointHashDriver;
  /** Keys that one change moves, against those that must move; 1 is exact. */
  readonly moves: number;
  /** Largest share against the mean of 32 equal endpoints. */
  readonly balance: number;
  /** Relative error of the share of the lightest of eight, weights 1 to 8. */
  readonly weights: number;
  /** Why a slot left out by the mask is not the same as one that left. */
  readonly maskIsNoLeave?: string;
  /** Why the numbers of slots matter. */
  readonly slotsMatter?: string;
}

const { XxHash64, Sha1, Murmur2 } = HashFunction;
const fewKeysMore = "a rebuild moves a few keys more";

export const methods: readonly MethodUnderTest[] = [
  {
    name: "rendezvous",
    make: () => EndpointHashDriver.of(HashMethod.Rendezvous),
    small: () => EndpointHashDriver.of(HashMethod.Rendezvous, Murmur2),
    moves: 1,
    balance: 1.05,
    weights: 0.04,
  },
  {
    name: "ring, xxHash64",
    make: () => EndpointHashDriver.of(HashMethod.Ring),
    small: () => EndpointHashDriver.of(HashMethod.Ring, XxHash64, 20),
    moves: 1,
    balance: 1.08,
    weights: 0.06,
  },
  {
    name: "ring, SHA-1, 32 bits",
    make: () => EndpointHashDriver.ring({ fn: Sha1, bits: 32, separator: ":" }),
    small: () => EndpointHashDriver.ring({ fn: Sha1, bits: 32, separator: ":", points: 3 }),
    moves: 1,
    balance: 1.15,
    weights: 0.06,
  },
  {
    name: "ring that is full, Murmur",
    make: () => EndpointHashDriver.ring({ fn: Murmur2, points: 4096 }),
    // Some members fit with all their points, others only when all have half or a quarter.
    small: () => EndpointHashDriver.ring({ fn: Murmur2, points: 16, maximum: 250 }),
    moves: 1,
    balance: 1.07,
    weights: 0.05,
  },
  {
    name: "ring as Envoy",
    make: () => EndpointHashDriver.ring({ fn: XxHash64, minimum: 1 << 15 }),
    small: () => EndpointHashDriver.ring({ fn: XxHash64, minimum: 100, maximum: 150 }),
    // Twice the keys that must move: when one leaves, the others get more points.
    moves: 2.1,
    balance: 1.1,
    weights: 0.07,
    maskIsNoLeave: "the points of the others become more",
    slotsMatter: "parts of points are carried on from host to host",
  },
  {
    name: "maglev",
    make: () => EndpointHashDriver.of(HashMethod.Maglev),
    small: () => EndpointHashDriver.maglev(XxHash64, 257),
    moves: 1.3,
    balance: 1.05,
    weights: 0.04,
    maskIsNoLeave: fewKeysMore,
  },
];
