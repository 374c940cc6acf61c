/** The ways to give keys to endpoints, by name. */

import { EndpointHash } from "./endpoint-hash";
import { HashFunction } from "./hash-function";
import { HashRing, RingShape } from "./hash-ring";
import { Maglev } from "./maglev";
import { Rendezvous } from "./rendezvous";

export enum HashMethod {
  /** The default: exact shares, exact moves, no table; up to a few hundred endpoints. */
  Rendezvous,
  Ring,
  Maglev,
}

/** `points`: of the ring, for each unit of weight. */
export function createEndpointHash(method: HashMethod, fn: HashFunction, points: i32): EndpointHash {
  if (method == HashMethod.Maglev) return new Maglev(fn);
  if (method == HashMethod.Rendezvous) return new Rendezvous(fn);
  const shape = new RingShape();
  shape.fn = fn;
  shape.points = points;
  return new HashRing(shape);
}
