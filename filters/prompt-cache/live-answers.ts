/**
 * Answers of leaders on their way to the service, where those who wait for the same read them along from the first byte on.
 *
 * Nothing is sent before somebody wants it and the first bytes are there; and nobody is sent to the service before it has said that it has them. So a leader that fails before is
 * replaced as any other, and what is known of an answer when others begin to read it is that it is one.
 */
import { Exchange } from "../pipeline/exchange";
import { Stage, StageHost } from "../pipeline/stage";
import { Bytes, grpc, headers, IdTable, MapType, random, Status, time } from "../sdk";
import { FlightBoard } from "../state/flight-board";
import { CacheState, stateIn, Step } from "./cache-state";
import { LiveHead, liveNews, writeData, writeEnd, writeHead } from "./live-messages";
import { Recorder } from "./recorder";
import { keyText } from "./reply";

const SERVICE = Bytes.literal("tokenmesh.answers.v1.Answers");
const LEAD = Bytes.literal("Lead");
/** Says at which flight of the service a request reads along; the route there goes by it. No client can send it. */
const FLIGHT_HEADER = Bytes.literal("x-llm-flight");
/** Bytes that Envoy may hold of one answer because the service does not take them. */
const MOST_UNREAD: i64 = 1_048_576;
const MS: u64 = 1_000_000;

const head = new LiveHead();

/** One of them. */
@final
export class LiveAnswer {
  callId: u32 = 0;
  low: u64 = 0;
  high: u64 = 0;
  /** Of its body: sent, and taken by the service as far as it has said so. */
  sent: i64 = 0;
  received: i64 = 0;
  /** Whose answer it is; null when that is over. */
  state: CacheState | null = null;
}

@final
export class LiveAnswers {
  /** Requests that lead and whose answers others may read along, by ticket. */
  private readonly leading: IdTable<Exchange> = new IdTable<Exchange>();
  private readonly calls: IdTable<LiveAnswer> = new IdTable<LiveAnswer>();

  constructor(
    private readonly cluster: Bytes,
    private readonly flights: FlightBoard,
    private readonly stage: Stage,
  ) {}

  /** The request leads, and its answer may be read along. */
  lead(ticket: u32, exchange: Exchange): void {
    this.leading.set(ticket, exchange);
  }

  /** It does not any more. */
  forget(ticket: u32): void {
    this.leading.delete(ticket);
  }

  /** Somebody wants to read along. */
  wanted(ticket: u32, host: StageHost | null): void {
    const exchange = this.leading.get(ticket);
    if (exchange === null) return;
    const state = stateIn(exchange, this.stage);
    const recorder = state.recorder;
    if (state.ticket == ticket && state.live === null && !state.lost && recorder !== null) this.begin(state, recorder, host);
  }

  /** More of the answer has come, and is in the recording if there still is one. */
  pass(state: CacheState, recorder: Recorder, bytes: Bytes, safe: i32, host: StageHost | null): void {
    const live = state.live;
    if (live !== null) {
      if (safe < 0) return;
      this.sendTail(live, recorder, host);
      this.send(live, bytes.ptr, safe, host);
    } else if (state.ticket != 0 && !state.lost && this.flights.isWanted(state.ticket)) this.begin(state, recorder, host);
  }

  /** The whole answer has come. */
  complete(state: CacheState, host: StageHost | null): void {
    const live = state.live;
    const recorder = state.recorder;
    if (live !== null && recorder !== null) this.sendTail(live, recorder, host);
    this.close(state);
  }

  /** It was ended for its client: those who read it get the same end. */
  cut(state: CacheState, ending: Bytes, host: StageHost | null): void {
    const live = state.live;
    if (live !== null) this.send(live, ending.ptr, ending.len, host);
    this.close(state);
  }

  /** The answer will not be whole: those who read it see it break off. */
  abandon(state: CacheState, host: StageHost | null): void {
    const live = this.part(state);
    if (live !== null) this.cancel(live, host);
  }

  /** A message of the service, null at the end of a stream. True when it was one of these. */
  receive(callId: u32, message: Bytes | null, host: StageHost | null): bool {
    const live = this.calls.get(callId);
    if (live === null) return false;
    const state = live.state;
    if (message === null) {
      this.calls.delete(callId);
      if (state !== null) this.lose(live, state);
    } else if (!liveNews.read(message)) {
      if (state !== null) this.lose(live, state);
      this.cancel(live, host);
    } else {
      live.received = max(live.received, min(liveNews.received, live.sent));
      if (liveNews.open && state !== null && state.ticket != 0) this.flights.open(state.ticket, live.low, live.high);
    }
    return true;
  }

  private begin(state: CacheState, recorder: Recorder, host: StageHost | null): void {
    const recording = recorder.kept;
    const rule = state.rule;
    if (recording === null || recording.length <= recorder.held || rule === null || host === null) return;
    const id = host.openStream(this.cluster, SERVICE, LEAD);
    if (id == 0) return;
    const live = new LiveAnswer();
    live.callId = id;
    live.low = random.bits();
    live.high = random.bits();
    live.state = state;
    this.calls.set(id, live);
    state.live = live;
    head.low = live.low;
    head.high = live.high;
    head.contentType.set(recorder.contentType.ptr, recorder.contentType.len);
    head.showKey = rule.showKey;
    head.keyLow = state.low;
    head.keyHigh = state.high;
    head.age = <i64>(time.now() / MS) - state.at;
    if (!this.hands(live, writeHead(head))) return this.fail(live, host);
    recording.rewind();
    let left = recording.length - recorder.held;
    while (left > 0 && recording.next()) {
      this.send(live, recording.piece, min(left, recording.pieceLength), host);
      left -= recording.pieceLength;
    }
  }

  private sendTail(live: LiveAnswer, recorder: Recorder, host: StageHost | null): void {
    const tail = recorder.tail.view();
    this.send(live, tail.ptr, tail.len, host);
  }

  private send(live: LiveAnswer, ptr: usize, length: i32, host: StageHost | null): void {
    if (length == 0 || live.state === null) return;
    live.sent += length;
    if (live.sent - live.received > MOST_UNREAD || !this.hands(live, writeData(ptr, length))) this.fail(live, host);
  }

  private hands(live: LiveAnswer, message: Bytes): bool {
    return grpc.send(live.callId, message, false) == Status.Ok;
  }

  private fail(live: LiveAnswer, host: StageHost | null): void {
    const state = live.state;
    if (state !== null) this.lose(live, state);
    this.cancel(live, host);
  }

  private cancel(live: LiveAnswer, host: StageHost | null): void {
    this.calls.delete(live.callId);
    if (host !== null) host.cancelStream(live.callId);
  }

  /** The answer cannot be read along any more; its request goes on. */
  private lose(live: LiveAnswer, state: CacheState): void {
    live.state = null;
    state.live = null;
    state.lost = true;
    if (state.ticket != 0) this.flights.shut(state.ticket);
  }

  private close(state: CacheState): void {
    const live = this.part(state);
    // What it answers is of no interest: it closes the stream.
    if (live !== null) grpc.send(live.callId, writeEnd(), true);
  }

  private part(state: CacheState): LiveAnswer | null {
    const live = state.live;
    state.live = null;
    if (live !== null) live.state = null;
    return live;
  }
}

/** The request of the effective context is to go to the service and read there. */
export function pointToFlight(state: CacheState): void {
  state.step = Step.ReadsAlong;
  headers.replace(MapType.HttpRequestHeaders, FLIGHT_HEADER, keyText(state.liveLow, state.liveHigh));
}
