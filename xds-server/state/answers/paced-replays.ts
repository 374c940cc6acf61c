/**
 * Stored streams that are given again as they once came: the same bytes, with the gaps between them.
 *
 *   get      a filter asks for an answer and wants it paced: `begin`, and it is told an id
 *   follow   Envoy sends the request here with that id: `find`, and its reader gets the first piece at once and each of the others when it is due
 *
 * A reader that takes its bytes slowly is not pushed: what has become due meanwhile it gets in one, as it would of an upstream. When the service closes, readers get all that
 * is left at once: no answer breaks off because of its pace. Clock and timers are given; no sockets in here.
 */
import type { FlightHead, Follower, FollowerSink } from "./flights.ts";
import { MAX_REPLAY_BYTES, MAX_REPLAYS, PIECE_BYTES, REPLAY_CLAIM_MS, REPLAY_STEP_MS } from "./limits.ts";
import type { PacedPiece } from "./pace.ts";
import type { ReplayResult } from "./replay-metrics.ts";

export interface ReplayClock {
  /** ms from any point in time on, never backwards. */
  readonly elapsed: () => number;
  /** Calls `work` in so many ms, unless what is returned is called before. Holds no process. */
  readonly later: (work: () => void, ms: number) => () => void;
  /** 32 hex digits that nobody can guess. */
  readonly newId: () => string;
}

/** What is to be given again. */
export interface PacedAnswer {
  readonly head: FlightHead;
  /** What tells it from others in memory: readers of the same answer share its bytes. */
  readonly identity: string;
  readonly body: Buffer;
  /** At least one, in order, the last of which ends the body. */
  readonly pieces: readonly PacedPiece[];
}

/** Bytes in memory, and how many replays are made of them. */
interface SharedBody {
  readonly bytes: Buffer;
  users: number;
}

export class PacedReplay {
  readonly head: FlightHead;
  readonly #body: Buffer;
  readonly #pieces: readonly PacedPiece[];
  readonly #clock: ReplayClock;
  readonly #onEnd: (result: ReplayResult) => void;
  #sink: FollowerSink | undefined;
  #startedAt = 0;
  #next = 0;
  #sent = 0;
  #full = false;
  #hurried = false;
  #over = false;
  #stopTimer: () => void;

  constructor(answer: PacedAnswer, body: Buffer, clock: ReplayClock, onEnd: (result: ReplayResult) => void) {
    this.head = answer.head;
    this.#body = body;
    this.#pieces = answer.pieces;
    this.#clock = clock;
    this.#onEnd = onEnd;
    this.#stopTimer = clock.later(() => this.#finish("unclaimed"), REPLAY_CLAIM_MS);
  }

  /** Begins; once. The sink may be told of bytes and end before this returns. */
  read(sink: FollowerSink): Follower | undefined {
    if (this.#over || this.#sink !== undefined) return undefined;
    this.#sink = sink;
    this.#stopTimer();
    this.#startedAt = this.#clock.elapsed();
    this.#give();
    return {
      resume: () => {
        this.#full = false;
        this.#give();
      },
      leave: () => this.#finish("left"),
    };
  }

  /** All that is left is due now. */
  hurry(): void {
    this.#hurried = true;
    this.#give();
  }

  /** Gives what is due in one piece, and waits for the next. */
  #give(): void {
    const sink = this.#sink;
    if (sink === undefined || this.#over || this.#full) return;
    this.#stopTimer();
    const pieces = this.#pieces;
    const now = this.#hurried ? Number.POSITIVE_INFINITY : this.#clock.elapsed() - this.#startedAt;
    const from = this.#sent;
    for (let piece = pieces[this.#next]; piece !== undefined && piece.at <= now; piece = pieces[this.#next]) {
      this.#next++;
      this.#sent = piece.end;
    }
    if (this.#sent > from) this.#full = !sink.write(this.#body.subarray(from, this.#sent));
    // The sink may have gone meanwhile.
    if (this.#over) return;
    const next = pieces[this.#next];
    if (next === undefined) {
      this.#finish("complete");
      sink.end();
    } else if (!this.#full) {
      this.#stopTimer = this.#clock.later(() => this.#give(), Math.max(REPLAY_STEP_MS, Math.ceil(next.at - now)));
    }
  }

  #finish(result: ReplayResult): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopTimer();
    this.#onEnd(result);
  }
}

/** All that are given or waited for. */
export class PacedReplays {
  readonly #clock: ReplayClock;
  readonly #onResult: (result: ReplayResult) => void;
  readonly #replays = new Map<string, PacedReplay>();
  readonly #bodies = new Map<string, SharedBody>();
  #bytes = 0;
  #closed = false;

  constructor(clock: ReplayClock, onResult: (result: ReplayResult) => void = () => {}) {
    this.#clock = clock;
    this.#onResult = onResult;
  }

  get size(): number {
    return this.#replays.size;
  }

  /** Of bodies, of which those that several replays share count once, and of what says when their pieces are due. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Where a request finds the answer, for REPLAY_CLAIM_MS. Undefined when there are too many, or the service closes: then it is to be given at once. */
  begin(answer: PacedAnswer): string | undefined {
    const { identity, body } = answer;
    const shared = this.#bodies.get(identity);
    const isSame = shared?.bytes.equals(body) === true;
    const times = answer.pieces.length * PIECE_BYTES;
    const more = times + (isSame ? 0 : body.length);
    if (this.#closed || this.#replays.size >= MAX_REPLAYS || this.#bytes + more > MAX_REPLAY_BYTES) {
      this.#onResult("refused");
      return undefined;
    }
    const id = this.#clock.newId();
    const used = isSame ? (shared as SharedBody) : { bytes: Buffer.from(body), users: 0 };
    this.#bytes += more;
    used.users++;
    this.#bodies.set(identity, used);
    const replay = new PacedReplay(answer, used.bytes, this.#clock, (result) => {
      this.#replays.delete(id);
      this.#bytes -= times;
      this.#release(identity, used);
      this.#onResult(result);
    });
    this.#replays.set(id, replay);
    return id;
  }

  find(id: string): PacedReplay | undefined {
    return this.#replays.get(id);
  }

  /** Nothing new begins, and what has begun is given at once. */
  close(): void {
    this.#closed = true;
    for (const replay of [...this.#replays.values()]) replay.hurry();
  }

  #release(identity: string, body: SharedBody): void {
    if (--body.users > 0) return;
    this.#bytes -= body.bytes.length;
    if (this.#bodies.get(identity) === body) this.#bodies.delete(identity);
  }
}
