/**
 * An answer in pieces that stages watch. It may pass slowly, be held, or end before the upstream ends it, so that clients take it for one that has reached its
 * token limit: what is whole of it passes, then come the events that its API ends with, and what the upstream sends behind that is dropped.
 *
 * An HTTP filter cannot end the stream itself: the filter of the connection does, where there is one (connection-ends.ts). Without it some clients close at the last
 * event, and then Envoy resets the upstream; others go on reading until the upstream ends.
 */
import { MAX_OPEN_EVENT, StreamEnding } from "../lib/stream-ending";
import { buffer, BufferType, Bytes, ByteWriter, Status } from "../sdk";
import { AnswerQueue, answerQueues } from "./answer-queue";
import { connectionEnds, StreamEnd } from "./connection-ends";
import { Exchange } from "./exchange";
import { Flow } from "./stage";

/** A piece that is larger passes, and the answer ends with the next one. */
const MOST_PIECE: i32 = 1 << 20;

const text = new ByteWriter();
const view = new Bytes();
const nothing = new Bytes();

@final
export class WatchedAnswer {
  /** Bytes that may pass of the whole answer under `Flow.Slow`. */
  passable: i64 = 0;

  private readonly events: StreamEnding = new StreamEnding();
  /** It has ended: nothing more passes. A stage wants it to end. */
  private ended: bool = false;
  private ends: bool = false;
  private readonly streamEnd: StreamEnd = new StreamEnd();
  /** No trailers can come behind the body: they would come before what is queued. */
  private queues: bool = false;
  private queue: AnswerQueue | null = null;
  /** Bytes that the client has got, or Envoy holds. */
  private passed: i64 = 0;
  /** Of the piece that a callback shows: bytes, and up to where whole events go; -1 for nowhere. */
  private size: i32 = 0;
  private cut: i32 = -1;

  /** False when no ending is known for answers of this API. `array`: it comes as a JSON array, not as events. */
  begin(exchange: Exchange, array: bool, trailers: bool): bool {
    this.ended = false;
    this.ends = false;
    this.queues = !trailers;
    this.passed = 0;
    this.passable = 0;
    if (!this.events.begin(exchange.api, array)) return false;
    this.streamEnd.begin(exchange.id);
    if (exchange.mayEnd) connectionEnds.begin(this.streamEnd);
    return true;
  }

  /** Another piece comes. */
  beginPiece(): void {
    this.size = 0;
    this.cut = -1;
  }

  /** The client is to get this of it, next. What of it is safe from a cut: for `AnswerTap.pass`. */
  pass(bytes: Bytes): i32 {
    // Of nothing the events say what they said of the piece before.
    if (this.ended || bytes.len == 0) return -1;
    const events = this.events;
    events.feed(bytes.ptr, bytes.len);
    if (events.cut >= 0) this.cut = this.size + events.cut;
    this.size += bytes.len;
    return events.openBytes > MAX_OPEN_EVENT ? bytes.len : events.cut;
  }

  /** Something waits to pass with the next piece. */
  get waits(): bool {
    const queue = this.queue;
    return queue !== null && queue.length > 0;
  }

  /** This piece can wait. */
  get canWait(): bool {
    if (!this.queues) return false;
    let queue = this.queue;
    if (queue === null) {
      queue = answerQueues.take();
      this.queue = queue;
    }
    return queue.fits(this.size);
  }

  /** Asks nobody any more. */
  get isDecided(): bool {
    return this.ended || this.ends;
  }

  /** Does with the piece what the stages want. True when it is held, and all that follows. */
  take(flow: Flow, exchange: Exchange): bool {
    if (this.ended) {
      buffer.replace(BufferType.HttpResponseBody, nothing);
      return false;
    }
    if (flow == Flow.Slow) {
      this.slow();
      return false;
    }
    this.ends = this.ends || flow == Flow.End;
    this.flush();
    if (this.ends) this.end(exchange);
    return flow == Flow.Hold;
  }

  /** The client has its end: nothing of the upstream may follow, not even the upstream's own end. */
  get isOver(): bool {
    return this.ended && this.streamEnd.done;
  }

  /** Gives memory back. */
  release(): void {
    connectionEnds.forget();
    if (this.ended) connectionEnds.count(this.streamEnd);
    const queue = this.queue;
    if (queue !== null) answerQueues.release(queue);
    this.queue = null;
  }

  /** The piece waits behind what waits already; as much passes as may. */
  private slow(): void {
    const queue = this.queue;
    if (queue === null || buffer.get(BufferType.HttpResponseBody, 0, this.size, view) != Status.Ok) return;
    queue.push(view);
    const passes = queue.shift(<i32>min(max<i64>(this.passable - this.passed, 0), i32.MAX_VALUE));
    this.passed += passes.len;
    buffer.replace(BufferType.HttpResponseBody, passes);
  }

  /** What waits passes with this piece. */
  private flush(): void {
    const queue = this.queue;
    this.passed += this.size;
    if (queue === null || queue.length == 0) return;
    const waited = queue.length;
    this.passed += waited;
    if (this.cut >= 0) this.cut += waited;
    this.size += waited;
    buffer.replacePrefix(BufferType.HttpResponseBody, 0, queue.shift(waited));
  }

  /** Ends the answer within the piece, if an event ends in it. */
  private end(exchange: Exchange): void {
    const events = this.events;
    if (events.over || events.openBytes > MAX_OPEN_EVENT || this.cut < 0 || this.size > MOST_PIECE) return;
    text.reset();
    if (this.cut > 0) {
      if (buffer.get(BufferType.HttpResponseBody, 0, this.cut, view) != Status.Ok) return;
      text.bytes(view);
    }
    events.end(exchange.asksUsage, exchange.inputSoFar, exchange.outputSoFar);
    text.raw(events.ptr, events.length);
    this.ended = buffer.replace(BufferType.HttpResponseBody, text.view()) == Status.Ok;
    if (!this.ended) return;
    connectionEnds.expect(this.streamEnd, text.view());
    const tap = exchange.tap;
    exchange.tap = null;
    view.set(events.ptr, events.length);
    if (tap !== null) tap.cut(view);
  }
}

const free: WatchedAnswer[] = [];

/** Pooled and never freed: as many as answers were ever watched at once. */
export namespace watchedAnswers {
  /** Null for an answer that cannot be ended. */
  export function take(exchange: Exchange, array: bool, trailers: bool): WatchedAnswer | null {
    const watched = free.length > 0 ? free.pop() : new WatchedAnswer();
    if (watched.begin(exchange, array, trailers)) return watched;
    free.push(watched);
    return null;
  }

  export function release(watched: WatchedAnswer): void {
    watched.release();
    free.push(watched);
  }
}
