/** A stored answer that a client gets when no stage objects, in place of the upstream's. */
export abstract class Replay {
  /** Answers the request of the effective context. False when the answer is there no more: the request goes upstream. */
  abstract send(): bool;
}
