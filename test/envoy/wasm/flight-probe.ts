/**
 * The smallest cache over filters/state/flight-board: requests with the same `x-key` share one call, whose `x-answer` is kept in shared data. `x-flight` tells how a request got its answer; a leader
 * with `x-trap` traps when its answer comes.
 */
import { Bytes, FilterHeadersStatus, headers, HttpContext, MapType, PairsWriter, registerRoot, RootContext, sharedData, Status, stream, StreamContext, StreamType, time } from "../../../filters/sdk";
import { IdTable } from "../../../filters/sdk/id-table";
import { FlightBoard, FlightNews, FlightOutcome, FlightRole, FlightSink } from "../../../filters/state/flight-board";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_log, proxy_on_request_headers, proxy_on_response_headers } from "../../../filters/sdk/exports/http";
export { proxy_on_queue_ready, proxy_on_tick } from "../../../filters/sdk/exports/root";

const KEY = Bytes.literal("x-key");
const ANSWER = Bytes.literal("x-answer");
const FLIGHT = Bytes.literal("x-flight");
const TRAP = Bytes.literal("x-trap");
const STATUS = Bytes.literal(":status");
const value = new Bytes();
const none = new Bytes();

const now = (): i64 => <i64>(time.now() / 1_000_000);

@final
class Sink extends FlightSink {
  constructor(private readonly streams: IdTable<Stream>) {
    super();
  }

  onNews(id: u32, ticket: u32, news: FlightNews): void {
    const waiting = this.streams.get(id);
    if (waiting !== null) waiting.hear(news);
  }
}

@final
class Root extends RootContext {
  readonly streams: IdTable<Stream> = new IdTable<Stream>();
  readonly board: FlightBoard = new FlightBoard(1, new Sink(this.streams));

  onConfigure(size: i32): bool {
    time.setTickPeriod(450);
    return true;
  }

  onTick(): void {
    this.board.tick(now());
  }

  onQueueReady(queue: u32): void {
    this.board.onQueueReady(queue, now());
  }

  createStream(): StreamContext {
    return new Stream(this);
  }
}

@final
class Stream extends HttpContext {
  key: u64 = 0;
  ticket: u32 = 0;
  held: bool = false;
  how: string = "";
  traps: bool = false;
  outcome: FlightOutcome = FlightOutcome.Abandoned;

  get board(): FlightBoard {
    return changetype<Root>(this.parent).board;
  }

  onCreate(): void {
    this.key = 0;
    this.ticket = 0;
    this.held = false;
    this.how = "";
    this.outcome = FlightOutcome.Abandoned;
  }

  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    if (headers.get(MapType.HttpRequestHeaders, KEY, value) != Status.Ok) return FilterHeadersStatus.Continue;
    this.key = <u64>I64.parseInt(value.toString());
    this.traps = headers.get(MapType.HttpRequestHeaders, TRAP, value) == Status.Ok;
    changetype<Root>(this.parent).streams.set(this.id, this);
    this.held = false;
    if (this.look("hit")) return FilterHeadersStatus.StopIteration;
    this.ask(false);
    if (this.how == "hit" || this.held) return FilterHeadersStatus.StopAllIterationAndWatermark;
    return FilterHeadersStatus.Continue;
  }

  /** Answers from the cache; false when nothing is there. */
  look(how: string): bool {
    if (sharedData.get(Bytes.literal("flight-probe." + this.key.toString()), value) != Status.Ok) return false;
    this.how = how;
    this.ticket = 0;
    stream.setEffectiveContext(this.id);
    const pairs = new PairsWriter();
    pairs.add(FLIGHT, Bytes.literal(how));
    pairs.add(ANSWER, value);
    stream.respond(200, none, none, pairs);
    return true;
  }

  ask(again: bool): void {
    const board = this.board;
    const role = board.join(this.key, this.key, this.id, now() + 30_000, now(), again);
    this.ticket = board.ticket;
    if (role == FlightRole.Look) {
      if (!this.look("hit")) this.ask(true);
      return;
    }
    const waits = role == FlightRole.Local || role == FlightRole.Remote;
    this.how = role == FlightRole.Leader ? "leader" : role == FlightRole.Local ? "local" : role == FlightRole.Remote ? "remote" : "alone";
    if (!waits && this.held) this.go();
    this.held = waits;
  }

  go(): void {
    this.held = false;
    stream.setEffectiveContext(this.id);
    stream.resume(StreamType.HttpRequest);
  }

  hear(news: FlightNews): void {
    if (news == FlightNews.Look) {
      if (!this.look(this.how)) this.ask(true);
      return;
    }
    this.how = news == FlightNews.Lead ? "lead" : "alone";
    if (news == FlightNews.Alone) this.ticket = 0;
    this.go();
  }

  onResponseHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    if (this.how != "leader" && this.how != "lead") return FilterHeadersStatus.Continue;
    if (this.traps) unreachable();
    headers.replace(MapType.HttpResponseHeaders, FLIGHT, Bytes.literal(this.how));
    const good = headers.get(MapType.HttpResponseHeaders, STATUS, value) == Status.Ok && value.len == 3 && value.at(0) == 0x32;
    if (good && headers.get(MapType.HttpResponseHeaders, ANSWER, value) == Status.Ok) {
      sharedData.set(Bytes.literal("flight-probe." + this.key.toString()), value, 0);
      this.outcome = FlightOutcome.Stored;
    } else this.outcome = FlightOutcome.Failed;
    return FilterHeadersStatus.Continue;
  }

  /** Not before: a local reply, to whomever, stops the answer whose callback it is sent from. */
  onLog(): void {
    changetype<Root>(this.parent).streams.delete(this.id);
    if (this.ticket == 0) return;
    if (this.outcome == FlightOutcome.Abandoned) this.board.leave(this.ticket, now());
    else this.board.finish(this.ticket, this.outcome, now());
  }
}
registerRoot("flight-probe", () => new Root());
