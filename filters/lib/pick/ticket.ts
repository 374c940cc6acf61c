/**
 * What a request that was sent has to remember: where it went and what it added there. Keep one in the state of each stream; `Pool.sent` fills it.
 *
 * A slot gets another endpoint when its own is removed. `generation` tells them apart: what ends after the removal changes nothing.
 */
@final
export class Ticket {
  open: bool = false;
  slot: i32 = -1;
  generation: u32 = 0;
  /** Of the endpoint's quarantine when the request was sent. */
  episode: u32 = 0;
  /** Tokens still counted as pending at the endpoint: 0 from the first byte on. */
  pending: i32 = 0;
  /** Tokens that were predicted to be cached, for `Pool.correct`. */
  predicted: i32 = 0;
  /** The endpoint is on probation and this is the request that shows whether it works again. */
  probe: bool = false;
  sentAt: i64 = 0;
  answered: bool = false;
}

/** How a request ended, as far as it tells about the endpoint. */
export const enum Outcome {
  /** An answer that is no server error. */
  Success,
  /** 5xx, reset, refused connection, timeout of the endpoint. */
  Failure,
  /** The client went away, or the proxy answered itself: says nothing. */
  Abandoned,
}
