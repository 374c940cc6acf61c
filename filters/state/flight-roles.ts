/** What the requests of a flight are, what comes of it, and what they are told (flight-board.ts). */

export const enum FlightRole {
  /** Go upstream without sharing: the time to wait is over, or too many wait. */
  Alone = 0,
  /** Make the call, then `finish` or `leave`. */
  Leader = 1,
  /** Wait for a request of this worker. */
  Local = 2,
  /** Wait for a request of another worker. */
  Remote = 3,
  /** A flight with this key ended in the last second, maybe after the caller looked into the cache: look, and join `again`. */
  Look = 4,
  /** The leader is of this worker, and its answer can be read along: `liveLow` and `liveHigh` of the board say where. There is no ticket. */
  Live = 5,
}

/** How a leader's call ended. */
export const enum FlightOutcome {
  /** The answer is in the cache, where all workers find it. */
  Stored = 0,
  /** The upstream failed. The fourth leader in a row that fails ends the flight, as Private; one that is gone with its worker counts, if somebody waits elsewhere. */
  Failed = 1,
  /** The leader has gone without an answer, as a client does that hangs up. As Failed, but it says nothing about the upstream. */
  Abandoned = 2,
  /** There is an answer, but only for the leader: who waits had better not. */
  Private = 3,
}

export const enum FlightNews {
  /** The flight is over: look into the cache, and join `again` when nothing is there. */
  Look = 0,
  /** The request is the leader now, with the ticket that it has. */
  Lead = 1,
  /** Go upstream without sharing. */
  Alone = 2,
  /** The leader's answer can be read along: `liveLow` and `liveHigh` of the board say where. */
  Live = 3,
}

export abstract class FlightSink {
  /**
   * What the request waited for. Told once, and the ticket is over then, but for `Lead`. The board may be used from here.
   *
   * A local reply from here stops the iteration of whatever callback the board was called from, as Envoy sees it: so no answer of another stream may be on its way then. `onLog`, ticks and queues do.
   */
  abstract onNews(id: u32, ticket: u32, news: FlightNews): void;

  /** Somebody would like to read along the answer of a leader of this worker (`FlightBoard.order`). */
  onWanted(ticket: u32): void {}
}
